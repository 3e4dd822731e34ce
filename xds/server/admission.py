"""Admission: how many first syncs are written at once, and who is next.

A first sync is the expensive moment of a stream: it is written a whole world, and while a client takes it, gRPC keeps a copy
of each message. A thousand clients that come at once are therefore served a few at a time, those that came first before the
others. Nobody is refused, and nobody keeps a slot by being slow: after a while the slot goes to the next one.
"""

from __future__ import annotations

import asyncio
import heapq
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from types import TracebackType


class Admission:
    """Slots for first syncs. Owned by the event loop's thread.

    Args:
        slots: how many there are, at least one.
        slot_s: how long one is held at most while others wait.
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
        self._held: dict[_Slot, float] = {}
        """Slot -> until when it is held at most, in the event loop's time; who holds one for longest comes first."""
        self._timer: asyncio.TimerHandle | None = None
        """When the first of them is looked at; only while somebody waits."""

    def slot(self, place: int) -> _Slot:
        """Return what holds a slot while it is entered, or as long as one may be held; what is done in there goes on in any case.

        Args:
            place: who is next among those that wait: the lowest place. A stream that asks again, for its next type, keeps
                its place, so that it is done before one that came later has its turn.
        """
        return _Slot(self, place)

    async def take(self, slot: _Slot) -> None:
        """Wait for the turn of a slot."""
        if self.active < self._slots:  # then nobody waits
            self.active += 1
        else:
            await self._turn(slot.place)
        self.admitted += 1
        self._held[slot] = asyncio.get_running_loop().time() + self._slot_s
        self._watch()

    def give_back(self, slot: _Slot) -> None:
        """End the turn of a slot, unless it was taken back."""
        if self._held.pop(slot, None) is not None:
            self._pass_on()

    async def _turn(self, place: int) -> None:
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._queue, (place, turn))
        self.waiting += 1
        self._watch()
        try:
            await turn
        except asyncio.CancelledError:
            if not turn.cancelled():  # it was our turn already
                self._pass_on()
            raise
        finally:
            self.waiting -= 1

    def _watch(self) -> None:
        """See that slots are taken back in time while somebody waits for one."""
        if self.waiting and self._held and self._timer is None:
            self._timer = asyncio.get_running_loop().call_at(next(iter(self._held.values())), self._take_back)

    def _take_back(self) -> None:
        self._timer = None
        if not self.waiting:
            return
        now_s = asyncio.get_running_loop().time()
        for slot in [slot for slot, until_s in self._held.items() if until_s <= now_s]:
            del self._held[slot]
            self.overdue += 1
            self._pass_on()
        self._watch()

    def _pass_on(self) -> None:
        while self._queue:
            _, turn = heapq.heappop(self._queue)
            if not turn.done():
                turn.set_result(None)
                return
        self.active -= 1


class _Slot:
    """One slot of an `Admission`, held while it is entered."""

    __slots__ = ("_admission", "place")

    def __init__(self, admission: Admission, place: int) -> None:
        self._admission = admission
        self.place = place

    async def __aenter__(self) -> Self:
        await self._admission.take(self)
        return self

    async def __aexit__(self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None) -> None:
        self._admission.give_back(self)
