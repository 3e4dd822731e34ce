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
"""How long streams may be written in one turn; what else there is to do in it, such as taking their ACKs, comes on top."""


class Turns:
    """The turns of the running event loop."""

    def __init__(self) -> None:
        self._ends_at_s: float | None = None
        """Of the present turn; None until somebody asks in it."""

    def is_over(self) -> bool:
        """Return whether the present turn has taken long enough."""
        now_s = time.monotonic()
        if self._ends_at_s is None:
            self._ends_at_s = now_s + TURN_S
            asyncio.get_running_loop().call_soon(self._end)
        return now_s > self._ends_at_s

    async def wait(self) -> None:
        """Return in a turn that is not over."""
        while self.is_over():  # noqa: ASYNC110 - the next turn is what is waited for
            await asyncio.sleep(0)

    def _end(self) -> None:
        self._ends_at_s = None
