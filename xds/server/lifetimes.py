"""Lifetimes: when a stream ends because its client says nothing, or because its connection is old.

Clients stay where they are once connected; a maximum age is what brings them to a replica that was added, or back to one that
was away. gRPC announces the end of a connection (GOAWAY), which leaves its streams alone; afterwards each stream is ended
here, once it has written what is due, and its client opens the next one over another connection.
"""

from __future__ import annotations

import asyncio
import random
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from xds.server.address import UNIX
from xds.server.ending import StreamEndError, silent
from xds.server.limits import AGE_SPREAD

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable


T = TypeVar("T")


class Silence:
    """Streams whose clients have said nothing yet. All have as long to say something, so one timer does for a crowd.

    Args:
        limit_s: how long that is.
    """

    def __init__(self, limit_s: float) -> None:
        self._limit_s = limit_s
        self._until_s: OrderedDict[Callable[[StreamEndError], None], float] = OrderedDict()
        """What ends a stream -> until when it has time, in the event loop's time; the oldest first."""
        self._timer: asyncio.TimerHandle | None = None
        """When the first of them may be over; only while there are some, or were when it was set."""

    async def first(self, read: Awaitable[T], end: Callable[[StreamEndError], None]) -> T:
        """Return what the first read of a stream gives; end the stream (`silent`) if that does not come in time."""
        self._until_s[end] = asyncio.get_running_loop().time() + self._limit_s
        self._watch()
        try:
            return await read
        finally:
            self._until_s.pop(end, None)

    def _watch(self) -> None:
        if self._until_s and self._timer is None:
            self._timer = asyncio.get_running_loop().call_at(next(iter(self._until_s.values())), self._look)

    def _look(self) -> None:
        self._timer, now_s = None, asyncio.get_running_loop().time()
        try:
            while self._until_s and next(iter(self._until_s.values())) <= now_s:
                end, _ = self._until_s.popitem(last=False)
                end(silent(self._limit_s))
        finally:
            self._watch()


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
