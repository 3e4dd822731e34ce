"""Turns: what streams are written in one turn of the event loop ends once it has taken long enough.

How long it takes to write one depends on the machine and on how much it is told, and streams that were held up by their clients
come back in crowds. So it is the time that counts, not how many there are: whoever comes later waits for the next turn, and what
else is due is not held up for longer than that.
"""

from __future__ import annotations

import asyncio
import time
from typing import Final

TURN_S: Final = 0.015
"""How long a turn may have taken when another stream is still written in it."""
LEAST: Final = 10
"""As many may be written in any turn, whatever else it had to do, so that nothing keeps streams waiting for good."""


class Turns:
    """The turns of the running event loop."""

    def __init__(self) -> None:
        self._ends_at_s: float | None = None
        """Of the present turn; None where nobody asked in the turn before, nor yet in this one."""
        self._asked = 0
        """How often in the present turn."""

    def is_over(self) -> bool:
        """Return whether the present turn has taken long enough."""
        ends_at_s = self._begin() if self._ends_at_s is None else self._ends_at_s
        self._asked += 1
        return self._asked > LEAST and time.monotonic() > ends_at_s

    async def wait(self) -> None:
        """Return in a turn that is not over."""
        while self.is_over():  # noqa: ASYNC110 - the next turn is what is waited for
            await asyncio.sleep(0)

    def _begin(self) -> float:
        self._ends_at_s, self._asked = time.monotonic() + TURN_S, 0
        asyncio.get_running_loop().call_soon(self._next)
        return self._ends_at_s

    def _next(self) -> None:
        """Begin the next turn: here rather than with who asks first in it, so that all counts that is done before."""
        if self._asked:
            self._begin()
        else:
            self._ends_at_s = None
