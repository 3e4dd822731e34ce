"""How a connection to an API server is made: the server, TLS, credentials and proxy that a context of a kubeconfig names.

https://kubernetes.io/docs/reference/config-api/kubeconfig.v1/. `exec` is not read here: what a plugin gives stands in the user by
now (`xds.discovery.live.exec_plugin`).
"""

from __future__ import annotations

import base64
import os
import ssl
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from xds.discovery.live.kubeconfig import cluster_of, user_of
from xds.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


class Transport(NamedTuple):
    """What every request to an API server is made with."""

    url: str
    """Of the server, without a slash at its end."""
    authorization: str = ""
    """The header's value; "" if there is none."""
    tls: ssl.SSLContext | None = None
    server_name: str | None = None
    """Whose certificate is expected; None: that of the URL's host."""
    proxy: str | None = None
    """Its URL; None: what the environment says."""


def transport_of(kubeconfig: dict[str, Any], context: str, base_path: Path) -> Transport:
    """Return what a context comes to; reads the files that it names.

    Args:
        kubeconfig: as parsed.
        context: which of its contexts.
        base_path: where its relative paths begin.

    Raises:
        ConfigurationError: the context, or what it refers to, cannot be used.
    """
    user, cluster = user_of(kubeconfig, context), cluster_of(kubeconfig, context)
    url = str(cluster["server"]).rstrip("/")
    try:
        return Transport(
            url,
            _authorization(user, base_path),
            _tls(cluster, user, base_path) if url.startswith("https") else None,
            cluster.get("tls-server-name") or None,
            cluster.get("proxy-url") or None,
        )
    except OSError as error:  # ssl.SSLError is one
        reason = f"{error.filename}: {error.strerror}" if error.filename else error
        raise ConfigurationError(f"context {context!r} cannot be used: {reason}") from error
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise ConfigurationError(f"context {context!r} cannot be used: {error}") from error


def _authorization(user: Mapping[str, Any], base_path: Path) -> str:
    """Return the header that tells who we are."""
    token = user.get("token") or _id_token(user)
    if not token and (file := user.get("tokenFile")):
        token = (base_path / file).read_text()
    if token:
        return f"Bearer {token.strip()}"  # a file often ends with a newline, a header must not
    if "username" in user and "password" in user:
        pair = f"{user['username']}:{user['password']}"
        return f"Basic {base64.b64encode(pair.encode()).decode()}"
    return ""


def _id_token(user: Mapping[str, Any]) -> str:
    """Return the token of an OpenID Connect provider; who else uses the kubeconfig renews it there, and then it is read again.

    Raises:
        ValueError: it is another provider; kubectl, too, has left those to `exec` (since 1.26).
    """
    provider = user.get("auth-provider")
    if not provider:
        return ""
    token: str = (provider.get("config") or {}).get("id-token", "")
    if provider.get("name") != "oidc" or not token:
        raise ValueError(f"its user has the auth-provider {provider.get('name')!r}, without an id-token; use `exec`, or a token")
    return token


def _tls(cluster: Mapping[str, Any], user: Mapping[str, Any], base_path: Path) -> ssl.SSLContext:
    roots = _pem(cluster, "certificate-authority", base_path)
    # Without roots of its own a server has a certificate that anybody's machine accepts.
    found = ssl.create_default_context(cadata=roots.decode() if roots else None)
    if cluster.get("insecure-skip-tls-verify"):
        found.check_hostname, found.verify_mode = False, ssl.CERT_NONE
    certificate, key = (_pem(user, name, base_path) for name in ("client-certificate", "client-key"))
    if certificate:
        with _readable(certificate + b"\n" + key) as file:
            found.load_cert_chain(file)
    return found


def _pem(entry: Mapping[str, Any], name: str, base_path: Path) -> bytes:
    """Return what an entry has inline or, failing that, in a file; nothing if it has neither."""
    if data := entry.get(f"{name}-data"):
        return base64.b64decode("".join(data.split()), validate=True)  # it may stand in several lines
    return (base_path / file).read_bytes() if (file := entry.get(name)) else b""


@contextmanager
def _readable(content: bytes) -> Iterator[Path]:
    """Give a file with this content, which is on no disk: the TLS library takes private keys from files alone."""
    with os.fdopen(os.memfd_create("pem"), "wb") as file:
        file.write(content)
        file.flush()
        yield Path(f"/proc/self/fd/{file.fileno()}")
