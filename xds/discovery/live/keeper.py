"""The keeper: what stands between a live member and the model, so that nothing is lost by mistake.

What a list after a broken connection no longer has is judged by the guard all together, whatever the kinds: a server that lost
its data loses all of it. What is in force is what is saved.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Final, NamedTuple

from xds.discovery.guard import Guard
from xds.model.events import Delete, Health, MemberState, Standing, Upsert
from xds.problems import Problem

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from xds.model.events import Event, ObjectKey
    from xds.model.objects import KubernetesObject

GATHER_S: Final = 3.0
"""How long deletions wait for those of other kinds, while some kind is still being listed."""
CONFIRMATION: Final = "traffic.isthmus.dev/confirm-deletions"
"""Annotation of a MemberCluster whose value is the time that XDS0308 names: the deletions were meant."""


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


class Keeper:
    """Of one member. Owned by the event loop's thread.

    Args:
        cluster: the member.
        sink: gets what may pass.
        on_problems: called when `problems()` may have changed.
        share: of the services that may be lost at once.
        delay_s: how long more than that is held.
    """

    def __init__(
        self, cluster: str, sink: Callable[[list[Event]], None], on_problems: Callable[[], None], *, share: float, delay_s: float
    ) -> None:
        self.is_settled: Callable[[], bool] = lambda: True
        """Returns whether no kind is being listed."""
        self.changes = 0
        """How many objects have changed since the start."""
        self._guard = Guard(cluster, share, delay_s)
        self._sink = sink
        self._on_problems = on_problems
        self._gathered: dict[ObjectKey, Delete] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._held_at_s = 0.0
        self._is_closed = False
        self._patience = FOREVER
        self._stale: tuple[float, str] | None = None
        """Since when nothing is heard, by the loop's clock, and why."""
        self._standing = Standing.FULL
        self._aging: asyncio.TimerHandle | None = None

    @property
    def objects(self) -> Iterable[KubernetesObject]:
        """What is in force."""
        return self._guard.objects.values()

    def restore(self, objects: Iterable[KubernetesObject]) -> None:
        """Begin with what was saved."""
        self.take([Upsert(self._guard.cluster, item) for item in objects])

    def take(self, events: list[Event]) -> None:
        """Take what the member's source tells."""
        passing: list[Event] = []
        settled = self.is_settled()
        for event in events:
            if isinstance(event, Health):
                passing.append(self._aged(event))
            elif isinstance(event, Delete) and not settled:
                self._gathered[event.key] = event
            else:
                if isinstance(event, Upsert):
                    self._gathered.pop(event.key, None)
                passing.append(event)
        if self._gathered and settled:
            passing += self._gathered.values()
            self._gathered.clear()
        elif self._gathered and self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(GATHER_S, self._judge)
        if passing:
            self._pass(self._guard.take(passing, self._now_s()))

    def tick(self) -> None:
        """Let go what was held for long enough."""
        self._pass(self._guard.due(self._now_s()))

    @property
    def patience(self) -> Patience:
        """How long nothing may be heard of the member."""
        return self._patience

    @patience.setter
    def patience(self, patience: Patience) -> None:
        self._patience = patience
        self._age()

    def confirm(self, value: str) -> None:
        """Let go what is held, if the value names it."""
        if self._guard.held and value == self._held_since:
            self._pass(self._guard.confirm(self._now_s()))

    def close(self) -> None:
        """Let nothing more pass: the member has left, or we stop."""
        self._is_closed = True
        for timer in (self._timer, self._aging):
            if timer:
                timer.cancel()

    def problems(self) -> Iterator[Problem]:
        """Yield what is held."""
        if self._guard.held:
            cluster, services = self._guard.cluster, len(self._guard.doubted)
            message = (
                f"{len(self._guard.held)} objects of cluster {cluster!r} were deleted at once, among them all endpoints or the "
                f"export of {services} services; these are still served, as a last resort"
            )
            minutes = round(self._guard.delay_s / 60)
            annotation = f"{CONFIRMATION}: {self._held_since!r}"
            hint = f"if that was meant, set the annotation {annotation} on its MemberCluster, or wait {minutes} min"
            yield Problem("XDS0308", message, hint=hint, about=f"deletions in {cluster}")

    @property
    def _held_since(self) -> str:
        return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(self._held_at_s))

    def _aged(self, event: Health) -> Health:
        """Return a state as it is after the time that it has lasted."""
        if event.state is not MemberState.STALE:
            self._stale = None
        else:
            self._stale = (self._stale[0] if self._stale else self._now_s()), event.reason
        self._schedule()
        return self._health() if self._stale else event

    def _health(self) -> Health:
        assert self._stale
        since_s, reason = self._stale
        self._standing = self._patience.standing(self._now_s() - since_s)
        state = MemberState.LOST if self._standing is Standing.REMOVED else MemberState.STALE
        return Health(self._guard.cluster, state, reason, self._standing)

    def _age(self) -> None:
        """Tell that nothing was heard for long enough."""
        self._schedule()
        if self._stale:
            before, found = self._standing, self._health()
            if found.standing is not before:
                self._pass([found])

    def _schedule(self) -> None:
        if self._aging:
            self._aging.cancel()
        self._aging = None
        if self._stale:
            wait_s = self._patience.next_s(self._now_s() - self._stale[0])
            if wait_s is not None:
                self._aging = asyncio.get_running_loop().call_later(wait_s, self._age)

    def _judge(self) -> None:
        self._timer = None
        gathered, self._gathered = list(self._gathered.values()), {}
        if gathered:
            self._pass(self._guard.take(gathered, self._now_s()))

    def _pass(self, events: list[Event]) -> None:
        if self._is_closed:
            return
        was_held = bool(self._held_at_s)
        if self._guard.held and not was_held:
            self._held_at_s = time.time()
        elif not self._guard.held:
            self._held_at_s = 0.0
        if events:
            self.changes += len(events)
            self._sink(events)
        if self._guard.held or was_held:
            self._on_problems()

    def _now_s(self) -> float:
        return asyncio.get_running_loop().time()
