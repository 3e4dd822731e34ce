"""The DNS server: UDP and TCP on one address, answered from a `Zone`."""

from __future__ import annotations

import asyncio
import importlib
from collections import Counter
from functools import partial
from typing import TYPE_CHECKING

from xds.dns.address import bind
from xds.dns.connections import Connection, Connections, Datagrams

if TYPE_CHECKING:
    from types import ModuleType

    from xds.dns.messages import Reply
    from xds.dns.zone import Zone


class DnsServer:
    """Serves one zone.

    Args:
        zone: what answers; it may be changed at any time from the event loop's thread.
        address: `HOST:PORT` or `[IPV6]:PORT`. Port 0 takes any free one.
    """

    def __init__(self, zone: Zone, address: str) -> None:
        self.address = address
        """With the port that was bound, once started."""
        self.queries: Counter[tuple[str, str]] = Counter()
        """By type and rcode, since the start."""
        self._zone = zone
        self._messages: ModuleType
        """`xds.dns.messages`: dnspython takes a twentieth of a start, and few serve DNS."""
        self._connections = Connections(partial(self._respond, over_tcp=True))
        self._udp: list[asyncio.DatagramTransport] = []
        self._tcp: list[asyncio.Server] = []

    async def start(self) -> None:
        """Listen.

        Raises:
            DnsAddressError: the address cannot be listened on.
        """
        self._messages = await asyncio.to_thread(importlib.import_module, "xds.dns.messages")
        loop = asyncio.get_running_loop()
        bound = bind(self.address)
        self.address = f"{self.address.rpartition(':')[0]}:{bound[0].port}"
        for sockets in bound:
            over_udp = partial(Datagrams, partial(self._respond, over_tcp=False))
            udp, _ = await loop.create_datagram_endpoint(over_udp, sock=sockets.udp)
            self._udp.append(udp)
            self._tcp.append(await loop.create_server(partial(Connection, self._connections), sock=sockets.tcp))

    async def stop(self) -> None:
        """Close every socket."""
        for udp in self._udp:
            udp.close()
        for tcp in self._tcp:
            tcp.close()
        self._connections.abort()
        await asyncio.sleep(0)  # transports close their sockets in the next turn of the loop

    def _respond(self, query: bytes, *, over_tcp: bool) -> bytes | None:
        reply: Reply | None = self._messages.respond(query, self._zone.answer, over_tcp=over_tcp)
        if reply is None:
            return None
        self.queries[reply.type, reply.rcode] += 1
        return reply.wire
