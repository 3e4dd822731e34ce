"""What clients of other clusters are to make of a member: by how long it has been silent, and by what its registry says."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, NamedTuple

from xds.model.events import Health, MemberState, Standing

if TYPE_CHECKING:
    from collections.abc import Callable


class Patience(NamedTuple):
    """After how many seconds without news of a member clients of other clusters are sent elsewhere; None: never."""

    demote_after_s: float | None = None
    remove_after_s: float | None = None

    def standing(self, silent_s: float) -> Standing:
        """Return what a member is that has been silent for so long."""
        if self.remove_after_s is not None and silent_s >= self.remove_after_s:
            return Standing.REMOVED
        if self.demote_after_s is not None and silent_s >= self.demote_after_s:
            return Standing.DEMOTED
        return Standing.FULL

    def next_s(self, silent_s: float) -> float | None:
        """Return after how many more seconds of silence that changes; None: never."""
        return min((after_s - silent_s for after_s in self if after_s is not None and after_s > silent_s), default=None)


FOREVER: Final = Patience()


class Judge:
    """Of one member. Owned by the event loop's thread.

    Args:
        tell: gets the member's state whenever it becomes another one by itself, or by what is set here.
    """

    def __init__(self, tell: Callable[[Health], None]) -> None:
        self._tell = tell
        self._patience = FOREVER
        self._evicted = ""
        self._heard: Health | None = None
        """The state as the member's source told it last."""
        self._silent_since_s: float | None = None
        """By the loop's clock."""
        self._judged: Health | None = None
        self._timer: asyncio.TimerHandle | None = None

    @property
    def patience(self) -> Patience:
        """How long nothing may be heard of the member."""
        return self._patience

    @patience.setter
    def patience(self, patience: Patience) -> None:
        self._patience = patience
        self._again()

    @property
    def evicted(self) -> str:
        """Why workloads are to leave the member, in its registry's words; "" if they are not."""
        return self._evicted

    @evicted.setter
    def evicted(self, why: str) -> None:
        self._evicted = why
        self._again()

    def judge(self, heard: Health) -> Health:
        """Return a state as its source tells it, with the standing that follows from it."""
        self._heard = heard
        if heard.state is not MemberState.STALE:
            self._silent_since_s = None
        elif self._silent_since_s is None:
            self._silent_since_s = asyncio.get_running_loop().time()
        self._schedule()
        return self._result(heard)

    def close(self) -> None:
        """Tell nothing more."""
        if self._timer:
            self._timer.cancel()

    def _result(self, heard: Health) -> Health:
        standing, state, reason = Standing.FULL, heard.state, heard.reason
        if self._silent_since_s is not None:
            standing = self._patience.standing(asyncio.get_running_loop().time() - self._silent_since_s)
            state = MemberState.LOST if standing is Standing.REMOVED else state
        if self._evicted:
            standing, reason = max(standing, Standing.DEMOTED), "; ".join(filter(None, (reason, self._evicted)))
        self._judged = Health(heard.cluster, state, reason, standing)
        return self._judged

    def _again(self) -> None:
        """Judge by other rules, or after some time, what was heard before."""
        if self._heard:
            self._schedule()
            before, found = self._judged, self._result(self._heard)
            if found != before:
                self._tell(found)

    def _schedule(self) -> None:
        self.close()
        self._timer = None
        if self._silent_since_s is not None:
            loop = asyncio.get_running_loop()
            wait_s = self._patience.next_s(loop.time() - self._silent_since_s)
            if wait_s is not None:
                self._timer = loop.call_later(wait_s, self._again)
