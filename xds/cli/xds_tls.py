"""What the command line says of TLS towards the control plane, and what it means for Envoy and for gRPC."""

from __future__ import annotations

import functools
import ipaddress
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import click

Command = TypeVar("Command", bound=Callable[..., Any])

REFRESH = "60s"
"""How often a gRPC client reads its files again."""


@dataclass(frozen=True, slots=True)
class XdsTls:
    """Whom a proxy trusts to be the control plane, and how it proves to be itself."""

    ca: str
    """Absolute path of the roots of the control plane's certificate, in PEM, where the proxy runs."""
    server_name: str
    """The DNS name or IP address that must be in that certificate."""
    cert: str = ""
    """Absolute path of the proxy's own certificate; "": it shows none."""
    key: str = ""
    """Its private key's."""

    @property
    def names_ip(self) -> bool:
        """Whether the server's name is an IP address, for which there is no SNI."""
        return is_ip(self.server_name)

    def channel_creds(self) -> dict[str, Any]:
        """Return the `channel_creds` of a gRPC client (gRFC A65), which takes the server's name from its address."""
        files = {"ca_certificate_file": self.ca, "certificate_file": self.cert, "private_key_file": self.key}
        config = {key: path for key, path in files.items() if path}
        return {"type": "tls", "config": config | {"refresh_interval": REFRESH}}


def is_ip(host: str) -> bool:
    """Return whether it is an IP address, without brackets."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def host_of(address: str) -> str:
    """Return the host of an xDS address, without brackets; "" for a Unix socket."""
    return "" if address.startswith("unix:") else address.rpartition(":")[0].strip("[]")


def describes_xds_tls(command: Command) -> Command:
    """Add the options of TLS; the command, which has `xds_address` and `grpc`, gets `xds_tls`, None for plain text."""
    options = [
        click.option("--xds-ca", metavar="FILE", help="Speak TLS to the control plane, whose certificate has these roots."),
        click.option("--xds-cert", metavar="FILE", help="The proxy's own certificate chain, if the control plane wants one."),
        click.option("--xds-key", metavar="FILE", help="Its private key."),
        click.option(
            "--xds-server-name", metavar="NAME", help="Name in the control plane's certificate.  [default: its address]"
        ),
    ]

    @functools.wraps(command)
    def wrapper(
        *args: Any, xds_ca: str | None, xds_cert: str | None, xds_key: str | None, xds_server_name: str | None, **kwargs: Any
    ) -> Any:
        tls = _tls(kwargs["xds_address"], xds_ca, (xds_cert, xds_key), xds_server_name)
        if kwargs["grpc"] and tls and tls.server_name != host_of(kwargs["xds_address"]):
            raise click.UsageError(
                f"a gRPC client expects the name that it connects to: say --xds-address {tls.server_name}:PORT instead of "
                "--xds-server-name",
                click.get_current_context(),
            )
        return command(*args, xds_tls=tls, **kwargs)

    decorated: Any = wrapper
    for option in reversed(options):
        decorated = option(decorated)
    return decorated  # type: ignore[no-any-return] # click's decorators keep the function


def _tls(address: str, ca: str | None, pair: tuple[str | None, str | None], name: str | None) -> XdsTls | None:
    ctx = click.get_current_context()
    cert, key = pair
    if not ca:
        if cert or key or name:
            raise click.UsageError("--xds-cert, --xds-key and --xds-server-name are for TLS: give --xds-ca FILE too", ctx)
        return None
    if bool(cert) != bool(key):
        raise click.UsageError("--xds-cert and --xds-key go together: give both", ctx)
    name = name or host_of(address)
    if not name:
        raise click.UsageError("a Unix socket has no name to be in a certificate: give --xds-server-name NAME", ctx)
    return XdsTls(_absolute(ca), name, _absolute(cert), _absolute(key))


def _absolute(path: str | None) -> str:
    """Return the path as seen from here, whether the file exists here or only where the proxy runs."""
    return str(Path(path).absolute()) if path else ""
