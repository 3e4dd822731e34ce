"""The builder: views are built one at a time, in slices, so that everything else on the event loop has its turn in between."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Final

import structlog

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from xds.model.view import View
    from xds.views import LiveViews

SLICE_S: Final = 0.005
"""How long it works before others have their turn: a step in it takes a fraction of that, and what cannot be interrupted (storing
what was made) a few times as long where there are tens of thousands of services."""

_log = structlog.get_logger()


class Builder:
    """Owns the task that builds.

    Args:
        views: what is to be built.
        begin: begins a batch that is due; called between views, so that none is made in vain.
        done: told when all live views are up to date, and for how many seconds that was worked for since the last time.
    """

    def __init__(self, views: LiveViews, begin: Callable[[], None], done: Callable[[float], None]) -> None:
        self._views = views
        self._begin = begin
        self._done = done
        self._work = asyncio.Event()
        self._is_due = False
        self._is_held = False
        self._spent_s = 0.0
        self._waiting: dict[View, asyncio.Future[None]] = {}

    def batch_due(self) -> None:
        """Begin a batch once the view that is being built is."""
        self._is_due = True
        self._work.set()

    def batch_begun(self) -> None:
        """Build what is behind: a batch was begun."""
        self._is_due = False
        self._work.set()

    def hold(self) -> None:
        """Build no live views until `go_on`, only those that clients wait for."""
        self._is_held = True

    def go_on(self) -> None:
        """End what `hold` began."""
        self._is_held = False
        self._work.set()

    def tidy(self) -> None:
        """Let go of what is of no use any more, if there is something."""
        self._work.set()

    async def build(self, view: View) -> None:
        """Return once the view is live; it is forgotten after a while if nobody acquires it then.

        Raises whatever kept it from being built.
        """
        if view not in self._waiting:
            self._waiting[view] = asyncio.get_running_loop().create_future()
            self._views.want(view)
            self._work.set()
        await asyncio.shield(self._waiting[view])

    async def run(self) -> None:
        """Build until cancelled."""
        while True:
            await self._work.wait()
            self._work.clear()
            while build := self._next():
                await self._finish(*build)

    def _next(self) -> tuple[View | None, Iterator[None]] | None:
        if self._is_due:
            self._is_due = False
            try:
                self._begin()
            except Exception as error:  # noqa: BLE001 - the next batch may begin all the same
                _log.error("a batch could not begin", exc_info=error)
        return self._views.next_build(first_alone=self._is_held)

    async def _finish(self, view: View | None, steps: Iterator[None]) -> None:
        waiting = self._waiting.get(view) if view else None
        was_behind, failure = self._views.is_behind, None
        try:
            spent_s = await self._in_slices(steps)
        except Exception as error:  # noqa: BLE001 - what goes wrong in one view is no reason to build no others
            _log.error("a view could not be built", view=str(view), exc_info=error)
            failure, spent_s = error, 0.0
        if waiting and view:
            del self._waiting[view]
            if failure:
                waiting.set_exception(failure)
                waiting.exception()  # whoever waited may have gone
            else:
                waiting.set_result(None)
        self._spent_s += spent_s if was_behind else 0.0
        if was_behind and not self._views.is_behind:
            spent_s, self._spent_s = self._spent_s, 0.0
            self._done(spent_s)

    async def _in_slices(self, steps: Iterator[None]) -> float:
        """Return how many seconds it took, without those that others had."""
        spent_s, began_s = 0.0, time.perf_counter()
        for _ in steps:
            if (worked_s := time.perf_counter() - began_s) > SLICE_S:
                spent_s += worked_s
                await asyncio.sleep(0)
                began_s = time.perf_counter()
        spent_s += time.perf_counter() - began_s
        await asyncio.sleep(0)
        return spent_s
