"""The keeper: what stands between a live member and the model, so that nothing is lost by mistake.

What a list after a broken connection no longer has is judged by the guard all together, whatever the kinds: a server that lost
its data loses all of it. What is in force is what is saved.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Final

from xds.discovery.guard import Guard
from xds.discovery.live.standing import Judge
from xds.model.events import Delete, Health, Upsert
from xds.problems import Problem

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from xds.model.events import Event, ObjectKey
    from xds.model.objects import KubernetesObject

GATHER_S: Final = 3.0
"""How long deletions wait for those of other kinds, while some kind is still being listed."""
CONFIRMATION: Final = "traffic.isthmus.dev/confirm-deletions"
"""Annotation of a MemberCluster whose value is the time that XDS0308 names: the deletions were meant."""


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
        self.judge = Judge(lambda found: self._pass([found]))

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
                passing.append(self.judge.judge(event))
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
            self._timer = asyncio.get_running_loop().call_later(GATHER_S, self._let_go)
        if passing:
            self._pass(self._guard.take(passing, self._now_s()))

    def withdraw(self, wants: Callable[[KubernetesObject], bool]) -> None:
        """Let go what nobody wants any more, be it held."""
        gone = [key for key, item in self._guard.objects.items() if not wants(item)]
        for key in gone:
            self._gathered.pop(key, None)
        if gone:
            self._pass(self._guard.release(gone, self._now_s()))

    def tick(self) -> None:
        """Let go what was held for long enough."""
        self._pass(self._guard.due(self._now_s()))

    def confirm(self, value: str) -> None:
        """Let go what is held, if the value names it."""
        if self._guard.held and value == self._held_since:
            self._pass(self._guard.confirm(self._now_s()))

    def close(self) -> None:
        """Let nothing more pass: the member has left, or we stop."""
        self._is_closed = True
        self.judge.close()
        if self._timer:
            self._timer.cancel()

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

    def _let_go(self) -> None:
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
