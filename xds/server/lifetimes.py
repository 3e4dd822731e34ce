"""Lifetimes: when the streams of a connection end because the connection is old.

Clients stay where they are once connected; a maximum age is what brings them to a replica that was added, or back to one that
was away. gRPC announces the end of a connection (GOAWAY), which leaves its streams alone; afterwards each stream is ended
here, once it has written what is due, and its client opens the next one over another connection.
"""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass
from typing import TYPE_CHECKING

from xds.server.address import UNIX
from xds.server.limits import AGE_SPREAD

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(slots=True)
class _Connection:
    opened_at_s: float
    streams: int = 0


class Lifetimes:
    """The ages of connections, as far as streams show them: one without streams for a while looks younger than it is.

    Whatever is open for too long after the announcement, e.g. because its client reads nothing, gRPC cuts off itself.

    Args:
        max_age_s: when the streams of a connection end; 0: never.
    """

    def __init__(self, max_age_s: float) -> None:
        self._max_age_s = max_age_s
        self._connections: dict[str, _Connection] = {}
        """Peer -> its connection, while it has streams."""

    def begin(self, peer: str, on_aged: Callable[[], None]) -> asyncio.TimerHandle | None:
        """Call back once, when the connection of a stream that begins is old; return what `end` is to be given.

        Args:
            peer: gRPC's name of the other end; the same for all streams of a connection, unless it is a Unix socket's.
            on_aged: ends the stream.
        """
        if not self._max_age_s:
            return None
        loop = asyncio.get_running_loop()
        # Every client of a Unix socket has the same name: each stream counts as a connection.
        connection = _Connection(loop.time()) if peer.startswith(UNIX) else self._connection(peer, loop.time())
        connection.streams += 1
        age_s = self._max_age_s * random.uniform(1, 1 + AGE_SPREAD)  # noqa: S311 - not a secret
        return loop.call_at(connection.opened_at_s + age_s, on_aged)

    def end(self, peer: str, timer: asyncio.TimerHandle | None) -> None:
        """Take note that a stream has ended."""
        if timer is not None:
            timer.cancel()
        if connection := self._connections.get(peer):
            connection.streams -= 1
            if not connection.streams:
                del self._connections[peer]

    def _connection(self, peer: str, now_s: float) -> _Connection:
        return self._connections.setdefault(peer, _Connection(now_s))
