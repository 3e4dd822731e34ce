"""Turns: what streams read and are written in one turn of the event loop ends once it has taken long enough.

How long it takes depends on the machine, on how much a client is told, and on how much it says, and streams come back in crowds.
So it is the time that counts, not how many there are: whoever comes later waits for the next turn, and what else is due is not
held up for longer than that.
"""

from __future__ import annotations

import asyncio
import time
from itertools import chain, islice
from typing import Final

TURN_S: Final = 0.015
"""How long a turn may have taken when another stream still has its say in it, or is written."""
WOKEN: Final = 64
"""Of those who wait, as many have a look at the next turn: more than go on in most, and few enough to look for nothing."""
PATIENT: Final = 2
"""Of the patient ones, as many go on in each turn whoever else waits."""
LEAST: Final = 10
"""As many go on in any turn, whatever else it had to do, so that nothing keeps streams waiting for good."""


class Turns:
    """The turns of the running event loop."""

    def __init__(self) -> None:
        self._ends_at_s: float | None = None
        """Of the present turn; None where nobody asked in the turn before, nor yet in this one."""
        self._asked = 0
        """How often in the present turn."""
        self._waiting: dict[object, asyncio.Future[None]] = {}
        """Those who wait for a turn, who has waited longest first."""
        self._patient: dict[object, asyncio.Future[None]] = {}
        """Likewise; they let those above go first, but for a few in each turn."""

    def is_over(self) -> bool:
        """Return whether the present turn has taken long enough."""
        ends_at_s = self._begin() if self._ends_at_s is None else self._ends_at_s
        self._asked += 1
        return self._asked > LEAST and time.monotonic() > ends_at_s

    async def wait(self, *, patient: bool = False) -> None:
        """Return in a turn that is not over, to who has waited longest first.

        Args:
            patient: let others go first, so that who arrives does not keep those waiting who are there.
        """
        place, waiting = object(), self._patient if patient else self._waiting
        try:
            while self.is_over():
                waiting[place] = asyncio.get_running_loop().create_future()
                await waiting[place]
        finally:
            waiting.pop(place, None)

    def _begin(self) -> float:
        self._ends_at_s, self._asked = time.monotonic() + TURN_S, 0
        asyncio.get_running_loop().call_soon(self._next)
        return self._ends_at_s

    def _next(self) -> None:
        """Begin the next turn: here rather than with who asks first in it, so that all counts that is done before."""
        if self._asked or self._waiting or self._patient:
            self._begin()  # before anybody is woken, who then is the first in the turn after this one
        else:
            self._ends_at_s = None
        if not (self._waiting or self._patient):  # as nearly always
            return
        patient = iter(self._patient.values())
        for woken in islice(chain(islice(patient, PATIENT), self._waiting.values(), patient), WOKEN):
            if not woken.done():
                woken.set_result(None)
