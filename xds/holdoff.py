"""Hold-off: many changes in a row become one piece of work, soon after the last and never long after the first."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class Holdoff:
    """Calls `work` when changes have been quiet for `quiet_s`, at the latest `max_delay_s` after the first of them.

    Both grow with the load: they are never shorter than what the work took the last time (`took`), so that it leaves at least
    half of the time to others.
    """

    def __init__(self, work: Callable[[], None], *, quiet_s: float, max_delay_s: float) -> None:
        self._work = work
        self._quiet_s = quiet_s
        self._max_delay_s = max_delay_s
        self._took_s = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._due_s = 0.0
        self._deadline_s = 0.0

    def changed(self) -> None:
        """Note a change."""
        loop = asyncio.get_running_loop()
        now_s = loop.time()
        if self._timer is None:
            self._deadline_s = now_s + max(self._max_delay_s, self._took_s)
        self._due_s = min(now_s + max(self._quiet_s, self._took_s), self._deadline_s)
        if self._timer is not None and self._due_s < self._timer.when():  # the work takes less than it did
            self.cancel()
        if self._timer is None:  # else it finds out itself that it comes too early: thousands of changes may come at once
            self._timer = loop.call_at(self._due_s, self._run)

    def took(self, seconds: float) -> None:
        """Tell how long the work that was called for last took."""
        self._took_s = seconds

    def cancel(self) -> None:
        """Forget what was noted."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _run(self) -> None:
        if self._timer is not None and self._due_s > self._timer.when():
            self._timer = asyncio.get_running_loop().call_at(self._due_s, self._run)
            return
        self._timer = None
        self._work()
