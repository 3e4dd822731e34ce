"""Admission: how many first syncs are written at once, and who is next.

A first sync is the expensive moment of a stream: it is written a whole world, and while a client takes it, gRPC keeps a copy
of each message. A thousand clients that come at once are therefore served a few at a time, those that came first before the
others. Nobody is refused, and nobody keeps a slot by being slow: after a while the slot goes to the next one.
"""

from __future__ import annotations

import asyncio
import heapq
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


class Admission:
    """Slots for first syncs. Owned by the event loop's thread.

    Args:
        slots: how many there are, at least one.
        slot_s: how long one is held at most.
    """

    def __init__(self, slots: int, slot_s: float) -> None:
        self.waiting = 0
        """Streams that wait for a slot now."""
        self.active = 0
        """Slots that are held now."""
        self.admitted = 0
        """Slots given since the start."""
        self.overdue = 0
        """Those among them that were taken back because the client was too slow."""
        self._slots = slots
        self._slot_s = slot_s
        self._queue: list[tuple[int, asyncio.Future[None]]] = []
        """A heap; the next one has the lowest place."""

    @asynccontextmanager
    async def slot(self, place: int) -> AsyncIterator[None]:
        """Hold a slot in the context, or as long as one may be held; what is done in there goes on in any case.

        Args:
            place: who is next among those that wait: the lowest place. A stream that asks again, for its next type, keeps
                its place, so that it is done before one that came later has its turn.
        """
        await self._turn(place)
        self.admitted += 1
        is_held = True

        def give_back(*, overdue: bool) -> None:
            nonlocal is_held
            if is_held:
                is_held = False
                self.overdue += overdue
                self._pass_on()

        timer = asyncio.get_running_loop().call_later(self._slot_s, partial(give_back, overdue=True))
        try:
            yield
        finally:
            timer.cancel()
            give_back(overdue=False)

    async def _turn(self, place: int) -> None:
        if self.active < self._slots:  # then nobody waits
            self.active += 1
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._queue, (place, turn))
        self.waiting += 1
        try:
            await turn
        except asyncio.CancelledError:
            if not turn.cancelled():  # it was our turn already
                self._pass_on()
            raise
        finally:
            self.waiting -= 1

    def _pass_on(self) -> None:
        while self._queue:
            _, turn = heapq.heappop(self._queue)
            if not turn.done():
                turn.set_result(None)
                return
        self.active -= 1
