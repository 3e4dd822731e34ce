"""Conditions of TrafficPolicies: whether each is accepted, and if not, why, and what is in force in its stead (GEP-713).

Told in the clusters that we may write to: fleet-wide policies in the hub, a cluster's own where it is written to (`--mcs`).
Elsewhere problems tell it (XDS0601 to XDS0603).
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Final

from xds.model.events import FLEET
from xds.model.traffic_objects import PolicyCondition
from xds.policy.acceptance import CONFLICTED, INVALID, TARGET_NOT_FOUND
from xds.status_writer import StatusWriter, Subject

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from xds.model.traffic_objects import TrafficPolicy
    from xds.policy.book import PolicyBook
    from xds.policy.versions import Entry
    from xds.problems import Problem
    from xds.status_writer import Client

LEASE_NAME: Final = "isthmus-policies"
ORDER: Final = (INVALID, CONFLICTED, TARGET_NOT_FOUND)
"""Of several reasons the first is told."""
SHOWN: Final = 5
"""Faults in a message."""
CHARS: Final = 4096
"""Of a message; API servers take 32,768."""


def condition_of(entry: Entry) -> PolicyCondition:
    """Return the condition Accepted of a policy."""
    if not entry.faults:
        lost = [f"{subject} is governed by {winner.name}" for subject, winner in entry.lost]
        return _accepted(entry, "True", "Accepted", lost)
    found = {fault.reason for fault in entry.faults}
    reason = next(one for one in ORDER if one in found)
    told = [f"{one.field}: {one.message}{f' ({one.hint})' * bool(one.hint)}" for one in entry.faults]
    parts = [*told[:SHOWN], *([f"{len(told) - SHOWN} more faults"] if len(told) > SHOWN else [])]
    if reason == INVALID or (reason == TARGET_NOT_FOUND and not entry.is_in_force):
        parts.append(entry.instead)
    return _accepted(entry, "False", reason, parts)


def _accepted(entry: Entry, status: str, reason: str, parts: Iterable[str]) -> PolicyCondition:
    message, generation = "; ".join(parts)[:CHARS], entry.item.metadata.generation
    return PolicyCondition(type="Accepted", status=status, reason=reason, message=message, observed_generation=generation)


def states(
    book: PolicyBook, cluster: str, items: Iterable[TrafficPolicy]
) -> Iterator[tuple[TrafficPolicy, list[PolicyCondition]]]:
    """Yield policies of one cluster that have been judged, with the conditions that they should have."""
    for item in items:
        if entry := book.entry(cluster, item):
            yield item, [condition_of(entry)]


class PolicyConditions:
    """Writes them, in every API server where that is wanted.

    Args:
        client_of: returns how to write to a cluster, or for FLEET to the hub.
        clusters: returns where to write now.
        items: returns the policies that an API server has.
        book: says what became of them.
        identity: of this replica among all.
        on_problems: called when `problems()` may have changed.
    """

    def __init__(
        self,
        client_of: Callable[[str], Client],
        clusters: Callable[[], Iterable[str]],
        items: Callable[[str], Iterable[TrafficPolicy]],
        book: PolicyBook,
        *,
        identity: str,
        on_problems: Callable[[], None],
    ) -> None:
        self._client_of = client_of
        self._clusters = clusters
        self._items = items
        self._book = book
        self._identity = identity
        self._on_problems = on_problems
        self._writers: dict[str, StatusWriter] = {}
        self._running: dict[str, asyncio.Task[None]] = {}
        self._wake = asyncio.Event()

    def problems(self) -> Iterator[Problem]:
        """Yield what keeps us from writing."""
        for writer in self._writers.values():
            yield from writer.problems()

    def changed(self) -> None:
        """Take into account that policies, or clusters, may have changed."""
        self._wake.set()
        for writer in self._writers.values():
            writer.changed()

    async def run(self) -> None:
        """Write until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            while True:
                wanted = {*self._clusters()}
                for cluster in self._writers.keys() - wanted:
                    del self._writers[cluster]
                    self._running.pop(cluster).cancel()
                for cluster in sorted(wanted - self._writers.keys()):
                    writer = self._writers[cluster] = self._writer(cluster)
                    self._running[cluster] = tasks.create_task(writer.run())
                await self._wake.wait()
                self._wake.clear()

    def _writer(self, cluster: str) -> StatusWriter:
        what = "TrafficPolicies in the hub" if cluster == FLEET else f"TrafficPolicies in cluster {cluster!r}"
        subject = Subject(LEASE_NAME, what, "trafficpolicies/status")
        found = partial(self._states, cluster)
        return StatusWriter(self._client_of(cluster), self._identity, subject, found, self._on_problems)

    def _states(self, cluster: str) -> Iterator[tuple[TrafficPolicy, list[PolicyCondition]]]:
        return states(self._book, cluster, self._items(cluster))
