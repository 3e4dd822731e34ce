"""The address of the DNS server: one port, for UDP and TCP."""

from __future__ import annotations

import errno
import re
import socket
from contextlib import ExitStack
from dataclasses import dataclass

from xds.errors import AddressError

_HOST_PORT = re.compile(r"(?:\[(?P<v6>[^\[\]\s]+)\]|(?P<host>[^\[\]:/\s]+)):(?P<port>[0-9]{1,5})")
_REMEDIES = {
    errno.EADDRINUSE: "another program listens there; stop it or choose another port with --dns-address",
    errno.EACCES: "not permitted; choose a port above 1023",
    errno.EADDRNOTAVAIL: "no interface of this machine has that address; 0.0.0.0 or [::] stands for all of them",
}
_FREE_PORT_TRIES = 16
"""A port that is free for TCP may be taken for UDP."""


class DnsAddressError(AddressError):
    """The DNS server cannot listen there."""

    serves = "DNS"


@dataclass(frozen=True, slots=True)
class Sockets:
    """Bound to one address and port; who has them closes them."""

    tcp: socket.socket
    udp: socket.socket

    @property
    def port(self) -> int:
        """The port of both."""
        return int(self.tcp.getsockname()[1])


def bind(address: str) -> list[Sockets]:
    """Return sockets for every IP address that the address stands for, a host's name or an IP address.

    A name may stand for an IPv4 and an IPv6 address of which this machine has only one; one of them is enough.

    Args:
        address: `HOST:PORT` or `[IPV6]:PORT`; port 0 takes any free one.

    Raises:
        DnsAddressError: the address has no such form, or is taken, unknown or forbidden.
    """
    match = _HOST_PORT.fullmatch(address)
    if not match or int(match["port"]) > 65_535:
        raise DnsAddressError(address, "use HOST:PORT with a port from 0 to 65535, or [IPV6]:PORT")
    host, port = match["v6"] or match["host"], int(match["port"])
    try:
        targets = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError as error:
        raise DnsAddressError(address, f"the host {host!r} is not known ({error.strerror})") from error
    bound: list[Sockets] = []
    failures: list[OSError] = []
    for family, _, _, _, target in targets:
        try:
            bound.append(_bind(family, target, bound[0].port if bound else port))
        except OSError as error:
            failures.append(error)
    taken = [failure for failure in failures if failure.errno == errno.EADDRINUSE]
    if taken or not bound:
        for sockets in bound:
            sockets.tcp.close()
            sockets.udp.close()
        failure = (taken or failures)[0]
        raise DnsAddressError(address, _REMEDIES.get(failure.errno or 0, str(failure.strerror))) from failure
    return bound


def _bind(family: int, target: tuple[object, ...], port: int) -> Sockets:
    """Return sockets at one IP address.

    Raises:
        OSError: it cannot be had.
    """
    host, _, *rest = target
    for tries_left in reversed(range(1 if port else _FREE_PORT_TRIES)):
        with ExitStack() as unless_bound:
            tcp = unless_bound.enter_context(socket.socket(family, socket.SOCK_STREAM))
            udp = unless_bound.enter_context(socket.socket(family, socket.SOCK_DGRAM))
            tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:  # [::] stands for IPv4 too, whatever the machine's default is, as with gRPC
                for one in (tcp, udp):
                    one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
            tcp.bind((host, port, *rest))
            try:
                udp.bind((host, tcp.getsockname()[1], *rest))
            except OSError as error:
                if error.errno == errno.EADDRINUSE and tries_left:
                    continue
                raise
            tcp.listen(128)  # at once, so that whoever else tries is told that it is taken
            unless_bound.pop_all()
            return Sockets(tcp, udp)
    raise AssertionError("the last try returns or raises")
