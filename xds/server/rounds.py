"""Rounds: how streams hear of changes, so that a thousand of them neither stop the event loop nor are written every change apart.

The first change of a view is told at once, to some streams in each turn of the event loop, so that whatever else is due has its
turn in between. What changes meanwhile is told in the next round, merged: streams that are told the same are written the same
bytes. A round takes the longer the more there is to do, and a pause of a quarter of that follows: so the window in which changes
are merged grows with the load, and a quiet server has none.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, Generic

from xds.server.hub import S
from xds.snapshot.snapshot import ChangeSet

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Mapping
    from collections.abc import Set as AbstractSet

    from xds.server.hub import Hub
    from xds.server.turns import Turns

SLICE: Final = 100
"""Streams that are told in one turn of the event loop, if that is not over (`xds.server.turns`)."""
PAUSE_S: Final = 0.25
"""The longest pause."""


class Rounds(Generic[S]):
    """Tells the streams of a hub of changes, view by view.

    Args:
        hub: knows who is interested in what.
        wake: called for each stream that was told, to have it write what is due.
        turns: those of the event loop.
    """

    def __init__(self, hub: Hub[S], wake: Callable[[S], None], turns: Turns) -> None:
        self._hub = hub
        self._wake = wake
        self._turns = turns
        self._views: dict[Hashable, _Round[S]] = {}

    def publish(self, change: ChangeSet) -> int:
        """Tell the streams that are interested in a change, those of the first slice at once; return how many there are."""
        streams = self._hub.interested(change)
        if streams:
            view = self._views.get(change.view)
            if view is None:
                view = self._views[change.view] = _Round(change.view, self._wake, self._over, self._turns)
            view.add(change.names, streams)
        return len(streams)

    def catch_up(self, view: Hashable, stream: S) -> None:
        """Tell a stream what it was not told yet: it is about to look at the newest snapshot, which must not surprise it."""
        if found := self._views.get(view):
            found.catch_up(stream)

    def leave(self, view: Hashable, stream: S) -> None:
        """Forget a stream."""
        if found := self._views.get(view):
            found.leave(stream)

    def _over(self, view: Hashable) -> None:
        del self._views[view]


class _Round(Generic[S]):
    """The present round of a view, and what is gathered for the next one."""

    def __init__(self, view: Hashable, wake: Callable[[S], None], over: Callable[[Hashable], None], turns: Turns) -> None:
        self._view = view
        self._wake = wake
        self._over = over
        self._turns = turns
        self._change = ChangeSet(view, {})
        self._untold: dict[S, None] = {}
        """Streams that are still to be told of the present round's change."""
        self._next: dict[str, frozenset[str]] = {}
        self._next_untold: dict[S, None] = {}
        self._is_running = False
        self._began_at_s = 0.0

    def add(self, names: Mapping[str, frozenset[str]], streams: AbstractSet[S]) -> None:
        for type_url, found in names.items():
            self._next[type_url] = self._next.get(type_url, frozenset()) | found
        self._next_untold |= dict.fromkeys(streams)
        if not self._is_running:
            self._begin()

    def catch_up(self, stream: S) -> None:
        if stream in self._untold:
            del self._untold[stream]
            stream.on_change(self._change)
        if stream in self._next_untold:
            del self._next_untold[stream]
            stream.on_change(ChangeSet(self._view, self._next))

    def leave(self, stream: S) -> None:
        self._untold.pop(stream, None)
        self._next_untold.pop(stream, None)

    def _begin(self) -> None:
        if not self._next_untold:
            self._over(self._view)
            return
        self._is_running, self._began_at_s = True, asyncio.get_running_loop().time()
        self._change, self._next = ChangeSet(self._view, self._next), {}
        self._untold, self._next_untold = self._next_untold, {}
        self._tell()

    def _tell(self) -> None:
        try:
            for _ in range(min(SLICE, len(self._untold))):
                stream, _ = self._untold.popitem()
                stream.on_change(self._change)
                self._wake(stream)
        finally:  # what goes wrong with one stream is not to cost the others their changes
            asyncio.get_running_loop().call_soon(self._go_on)

    def _go_on(self) -> None:
        """Tell the next streams, now that those are written that were told before, and others had their turn."""
        loop = asyncio.get_running_loop()
        if not self._untold:
            loop.call_later(min((loop.time() - self._began_at_s) / 4, PAUSE_S), self._begin)
        elif self._turns.is_over():
            loop.call_soon(self._go_on)
        else:
            self._tell()
