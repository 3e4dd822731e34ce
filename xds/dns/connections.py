"""What speaks DNS on a socket: datagrams, and connections with a length before each message (RFC 1035, 4.2; RFC 7766)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import cast

from xds.dns.names import HEADER_BYTES, QUERY_BYTES

IDLE_S = 20.0
"""Since the last whole query; longer than CoreDNS keeps connections that it does not use (10 s): it closes them, not we."""
MAX_CONNECTIONS = 256
TURN = 16
"""Queries of one connection that are answered before others get a turn."""

Respond = Callable[[bytes], bytes | None]
"""A query -> the response, or None if it must not have one."""


class Datagrams(asyncio.DatagramProtocol):
    """UDP. What cannot be sent at once is dropped: the client asks again."""

    def __init__(self, respond: Respond) -> None:
        self._respond = respond
        self._transport: asyncio.DatagramTransport
        self._is_full = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the socket."""
        self._transport = cast("asyncio.DatagramTransport", transport)  # it is one, but no instance of it

    def datagram_received(self, data: bytes, addr: tuple[str | int, ...]) -> None:
        """Answer."""
        if not self._is_full and (response := self._respond(data)) is not None:
            self._transport.sendto(response, addr)

    def pause_writing(self) -> None:
        """Drop what comes."""
        self._is_full = True

    def resume_writing(self) -> None:
        """Answer again."""
        self._is_full = False


class Connections:
    """The open TCP connections. When there are too many, the one goes whose last query is the longest ago."""

    def __init__(self, respond: Respond) -> None:
        self.respond = respond
        self._open: dict[Connection, None] = {}

    def __len__(self) -> int:
        return len(self._open)

    def used(self, connection: Connection) -> None:
        """Count a connection that is new, or has sent a query, as the one used last."""
        self._open.pop(connection, None)
        if len(self._open) >= MAX_CONNECTIONS:
            next(iter(self._open)).abort()
        self._open[connection] = None

    def closed(self, connection: Connection) -> None:
        """Forget a connection."""
        self._open.pop(connection, None)

    def abort(self) -> None:
        """End them all."""
        for connection in tuple(self._open):
            connection.abort()


class Connection(asyncio.Protocol):
    """One TCP connection. Queries are answered in the order in which they come, none while the client does not read."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport
        self._received = bytearray()
        self._is_full = False
        self._has_ended = False
        self._idle: asyncio.TimerHandle | None = None
        self._turn: asyncio.Handle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the socket."""
        self._transport = cast("asyncio.Transport", transport)
        self._used()

    def data_received(self, data: bytes) -> None:
        """Answer the queries that are whole."""
        self._received += data
        if self._turn is None:
            self._take_turn()

    def eof_received(self) -> bool:
        """Answer what has come, then close."""
        self._has_ended = True
        return self._is_full or self._turn is not None

    def pause_writing(self) -> None:
        """Take no more queries: the client does not read."""
        self._is_full = True
        self._transport.pause_reading()

    def resume_writing(self) -> None:
        """Go on."""
        self._is_full = False
        if self._turn is None:
            self._take_turn()

    def connection_lost(self, _: Exception | None) -> None:
        """Forget it."""
        for handle in (self._idle, self._turn):
            if handle:
                handle.cancel()
        self._connections.closed(self)

    def abort(self) -> None:
        """End it at once."""
        self._connections.closed(self)
        self._transport.abort()

    def _used(self) -> None:
        self._connections.used(self)
        if self._idle:
            self._idle.cancel()
        self._idle = self._loop.call_later(IDLE_S, self.abort)

    def _take_turn(self) -> None:
        """Answer a few queries; if there are more, nothing is read until they have had their turn, so that memory is bounded."""
        self._turn = None
        answered = 0
        while not self._is_full and (length := self._next_bytes()) is not None:
            if answered == TURN:
                self._transport.pause_reading()
                self._turn = self._loop.call_soon(self._take_turn)
                return
            query = bytes(self._received[2 : 2 + length])
            del self._received[: 2 + length]
            self._answer(query)
            answered += 1
        if self._transport.is_closing() or self._is_full:
            return
        if self._has_ended:
            self._transport.close()
        else:
            self._transport.resume_reading()

    def _next_bytes(self) -> int | None:
        """Return the length of the next query, if all of it has come; one of an impossible length ends the connection."""
        if self._transport.is_closing() or len(self._received) < 2:
            return None
        length = int.from_bytes(self._received[:2], "big")
        if not HEADER_BYTES <= length <= QUERY_BYTES:
            self.abort()
            return None
        return length if len(self._received) >= 2 + length else None

    def _answer(self, query: bytes) -> None:
        self._used()
        if (response := self._connections.respond(query)) is None:
            self.abort()  # not a query: whatever it is that speaks there, it is no client
        else:
            self._transport.write(len(response).to_bytes(2, "big") + response)
