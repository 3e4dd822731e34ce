"""Options that several commands share."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import click

from xds.cli.client import Client
from xds.cli.node import NodeFlags

Command = TypeVar("Command", bound=Callable[..., Any])

TYPES = ("cds", "eds", "lds", "rds", "sds", "rtds", "ecds", "srds", "vhds")
"""What `--type` takes: the short names of `xds.wire`, which is slow to import."""


XDS_ADDRESS, ADMIN_ADDRESS = "127.0.0.1:18000", "127.0.0.1:19000"
"""The defaults of `xds.config`, which is slow to import."""


class Address(click.ParamType[str]):
    """`HOST:PORT` or `[IPV6]:PORT`, and `unix:/PATH` where that is possible."""

    name = "host:port"

    def __init__(self, example: str, *, unix: bool = False) -> None:
        self.example = example
        self.unix = unix

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the address as it was given.

        Raises:
            click.BadParameter: it has no such form.
        """
        host, _, port = str(value).rpartition(":")
        if self.unix and str(value).startswith("unix:/"):
            return str(value)
        forms = f"use HOST:PORT, e.g. {self.example}{', or unix:/PATH' if self.unix else ''}"
        is_number = port.isascii() and port.isdecimal()
        if is_number and int(port) > 65_535:
            self.fail(f"port {port} of {value!r} is out of range, ports end at 65535; {forms}", param, ctx)
        if not (host and is_number):
            self.fail(f"{value!r} is not an address; {forms}", param, ctx)
        return str(value)


class Duration(click.ParamType[float]):
    """`90s`, `10m`, `1h30m`."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return seconds.

        Raises:
            click.BadParameter: it has no such form.
        """
        found = re.fullmatch(r"(?:(\d+)h)?(?:(\d+)m)?(?:(\d+(?:\.\d+)?)s)?", str(value))
        if found is None or not any(found.groups()):
            self.fail(f"{value!r} is no time; use e.g. 90s, 10m or 1h30m", param, ctx)
        hours, minutes, seconds = (float(part or 0) for part in found.groups())
        return 3600 * hours + 60 * minutes + seconds


def time_text(duration_s: float) -> str:
    """Return seconds as `Duration` takes them."""
    minutes, seconds = divmod(duration_s, 60)
    hours, minutes = divmod(int(minutes), 60)
    parts = (f"{hours}h" if hours else "", f"{minutes}m" if minutes else "", f"{seconds:g}s" if seconds else "")
    return "".join(parts) or "0s"


def asks_server(command: Command) -> Command:
    """Add --admin-address; the command gets a `client`."""

    @functools.wraps(command)
    def wrapper(*args: Any, admin_address: str, **kwargs: Any) -> Any:
        return command(*args, client=Client(admin_address), **kwargs)

    option = click.option(
        "--admin-address",
        type=Address(ADMIN_ADDRESS),
        default=ADMIN_ADDRESS,
        show_default=True,
        envvar="XDS_ADMIN_ADDRESS",
        show_envvar=True,
        help="Where the control plane's admin API is.",
    )
    return option(wrapper)  # type: ignore[return-value] # click's decorators keep the function


def output_option(*choices: str) -> Callable[[Command], Command]:
    """Add -o; the first choice is the default."""
    return click.option(
        "-o", "--output", type=click.Choice(choices), default=choices[0], show_default=True, help="How to print the result."
    )


def no_headers(command: Command) -> Command:
    """Add --no-headers."""
    return click.option("--no-headers", is_flag=True, help="Print the table without its first line.")(command)


def checked(pattern: str, otherwise: str) -> Callable[[click.Context, click.Parameter, str], str]:
    """Return a callback for an option that wants all of its text to match."""

    def check(ctx: click.Context, param: click.Parameter, value: str) -> str:
        if not re.fullmatch(pattern, value):
            raise click.BadParameter(otherwise if not value else f"{value!r}: {otherwise}", ctx, param)
        return value

    return check


def _node_options(roles: Sequence[str]) -> list[Callable[[Any], Any]]:
    return [
        click.option(
            "--node",
            "node_id",
            metavar="ID",
            required=True,
            callback=checked(r"(?s).+", "must not be empty"),
            help="node.id: any string that no other proxy uses.",
        ),
        click.option("--workload", default="", help="node.cluster: what the proxy belongs to.  [default: the role]"),
        click.option("--cluster", default="", help="The member cluster that the proxy runs in."),
        click.option("--region", default="", help="Its region."),
        click.option("--zone", default="", help="Its zone."),
        click.option("--role", type=click.Choice(roles), help="What kind of proxy it is.  [default: sidecar]"),
        click.option("--namespace", default="", help="Its namespace: bare service names mean services in there."),
        click.option("--intercept", type=click.Choice(("explicit", "transparent")), help="How a sidecar gets its traffic."),
        click.option("--listen", type=Address("127.0.0.1:15001"), help="Where a sidecar listens for outbound traffic."),
        click.option(
            "--gateway",
            metavar="NAMESPACE/NAME",
            default="",
            callback=checked(r"([^/\s]+/[^/\s]+)?", "use NAMESPACE/NAME"),
            help="The Gateway that a gateway serves.  [default: every Gateway of its cluster]",
        ),
        click.option("--network", default="", help="Its network, if it is not that of its cluster."),
    ]


def describes_node(*roles: str) -> Callable[[Command], Command]:
    """Add the options that describe a node; the command gets them as `node`, a `NodeFlags`."""
    options = _node_options(roles)

    def decorate(command: Command) -> Command:
        @functools.wraps(command)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            fields = {name: kwargs.pop(name) or "" for name in NodeFlags.__slots__}
            if fields["gateway"] and fields["role"] != "gateway":
                raise click.UsageError("--gateway is for --role gateway", click.get_current_context())
            return command(*args, node=NodeFlags(**fields), **kwargs)

        decorated: Any = wrapper
        for option in reversed(options):
            decorated = option(decorated)
        return decorated  # type: ignore[no-any-return] # click's decorators keep the function

    return decorate
