"""Addresses to listen on, checked before gRPC sees them.

gRPC's own answers do not name the cause, a port above 65535 is silently taken modulo 65536, and a unix socket that another
server listens on is silently stolen from it.
"""

from __future__ import annotations

import errno
import ipaddress
import re
import socket
from pathlib import Path

from xds.errors import AddressError

UNIX = "unix:"
_HOST_PORT = re.compile(r"(?:\[(?P<v6>[^\[\]\s]+)\]|(?P<host>[^\[\]:/\s]+)):(?P<port>[0-9]{1,5})")
_REMEDIES = {
    errno.EADDRINUSE: "another program listens there; stop it or choose another port with --xds-address",
    errno.EACCES: "not permitted; choose a port above 1023",
    errno.EADDRNOTAVAIL: "no interface of this machine has that address; 0.0.0.0 stands for all of them",
}


class ListenError(AddressError):
    """The xDS server cannot listen there."""

    serves = "xDS"


def check_listenable(address: str) -> None:
    """See whether a server could listen at the address now.

    Args:
        address: `HOST:PORT`, `[IPV6]:PORT` or `unix:/PATH`; port 0 stands for any free one.

    Raises:
        ListenError: the address has no such form, or is taken, unknown or forbidden.
    """
    if address.startswith(UNIX):
        _check_unix(address, Path(address.removeprefix(UNIX)))
        return
    match = _HOST_PORT.fullmatch(address)
    if not match or int(match["port"]) > 65535:
        raise ListenError(address, "use HOST:PORT with a port from 0 to 65535, [IPV6]:PORT or unix:/PATH")
    host = match["v6"] or match["host"]
    try:
        targets = socket.getaddrinfo(host, int(match["port"]), type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError as error:
        raise ListenError(address, f"the host {host!r} is not known ({error.strerror})") from error
    failures = [failure for family, _, _, _, target in targets if (failure := _bind(family, target))]
    taken = [failure for failure in failures if failure.errno == errno.EADDRINUSE]
    # A name may stand for an IPv4 and an IPv6 address of which this machine has only one; one of them is enough.
    if taken or len(failures) == len(targets):
        failure = (taken or failures)[0]
        raise ListenError(address, _REMEDIES.get(failure.errno or 0, str(failure.strerror))) from failure


def is_local(address: str) -> bool:
    """Return whether only this machine can connect to the (listenable) address: loopback or a Unix socket."""
    if address.startswith(UNIX):
        return True
    host = address.rpartition(":")[0].strip("[]")
    targets = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    return all(ipaddress.ip_address(target[0]).is_loopback for *_, target in targets)


def _bind(family: int, target: tuple[object, ...]) -> OSError | None:
    try:
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(target)
    except OSError as error:
        return error
    return None


def _check_unix(address: str, path: Path) -> None:
    if not path.is_absolute() or not path.parent.is_dir():
        raise ListenError(address, "use unix:/PATH, absolute and in a directory that exists")
    if path.exists() and not path.is_socket():
        raise ListenError(address, "something other than a socket is there; remove it or choose another path")
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(str(path))
        except OSError:
            return  # free, or left behind by a server that is gone: gRPC replaces it
    raise ListenError(address, "another server listens there; stop it or choose another path with --xds-address")
