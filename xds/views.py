"""The live views: which views have clients, and their snapshots kept up to date with the fleet.

A change of endpoints goes out at once; everything else is built again, view by view, in batches. A view is built when its
first client comes and forgotten some time after its last has gone. What clients reject may be taken back (`xds.quarantine`).
"""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from dataclasses import replace
from typing import TYPE_CHECKING

from xds.quarantine import Quarantine
from xds.snapshot.store import SnapshotStore
from xds.translate.world import TYPES, Translator
from xds.wire import ENDPOINT, short_name

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping
    from collections.abc import Set as AbstractSet

    from xds.model.fleet import Fleet
    from xds.model.service import ServiceKey
    from xds.model.view import View
    from xds.policy.book import PolicyBook
    from xds.problems import Problem
    from xds.protocol import Nack, Response
    from xds.quarantine import Changes, Holders
    from xds.snapshot.resource import Resource
    from xds.snapshot.snapshot import ChangeSet, Snapshot

NAMED_IN_TRIGGER = 3


class LiveViews:
    """Owns the snapshot store.

    Args:
        fleet: the model to translate.
        publish: told of every change set that is not empty, after the store has the snapshot.
        idle_s: how long a view without clients is kept, so that one that reconnects finds it.
        holders: for the quarantine of what clients reject; None: there is none.
        clock: seconds since the epoch.
    """

    def __init__(
        self,
        fleet: Fleet,
        publish: Callable[[ChangeSet], None],
        *,
        idle_s: float,
        holders: Holders | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.store: SnapshotStore[View] = SnapshotStore()
        self.quarantine: Quarantine[View] | None = Quarantine(self.store, holders) if holders else None
        self._fleet = fleet
        self._publish = publish
        self._idle_s = idle_s
        self._clock = clock
        self._translator = Translator(fleet)
        self._clients: Counter[View] = Counter()
        self._idle_since_s: dict[View, float] = {}
        self._problems: dict[View, tuple[Problem, ...]] = {}

    @property
    def policies(self) -> PolicyBook:
        """The policies that are in force."""
        return self._translator.book

    def acquire(self, view: View) -> Snapshot:
        """Count a client of the view, build it if it is not live, and return its newest snapshot."""
        self._clients[view] += 1
        self._idle_since_s.pop(view, None)
        if not self.store.is_live(view):
            self._build(view, "the first client of the view")
        return self.store.current(view)

    def release(self, view: View) -> None:
        """Count one client less."""
        self._clients[view] -= 1
        if not self._clients[view]:
            del self._clients[view]
            self._idle_since_s[view] = self._clock()

    def push_endpoints(self, keys: frozenset[ServiceKey]) -> None:
        """Bring the endpoints of some services to every live view: the fast lane."""
        ordered = sorted(keys)
        trigger = f"endpoints of {_names(ordered)}"
        for view in self.store.views():
            made = self._translator.endpoints(view, ordered, self._names(view, ENDPOINT))
            self._store(view, {ENDPOINT: made}, trigger)

    def rebuild(self, trigger: str) -> None:
        """Build every live view again; what did not change is neither stored nor sent again."""
        self._translator.services_changed()
        for view in self.store.views():
            self._build(view, trigger)
        self._translator.forget(self.store.views())

    def drop_idle(self) -> None:
        """Forget views that have had no client for a while, and what was made for them alone."""
        limit_s = self._clock() - self._idle_s
        idle = [view for view, since_s in self._idle_since_s.items() if since_s <= limit_s]
        for view in idle:
            del self._idle_since_s[view]
            self._problems.pop(view, None)
            self.store.drop(view)
            if self.quarantine:
                self.quarantine.forget(view)
        if idle:
            self._translator.forget(self.store.views())

    def rejected(self, view: View, node_id: str, nack: Nack) -> None:
        """Take note of a NACK: it may be one too many for what it rejects."""
        if self.quarantine and self.store.is_live(view):
            changes = self.quarantine.rejected(view, node_id, nack)
            self._publish_changes(view, changes, f"quarantine of {_listed(changes)}")

    def accepted(self, view: View, response: Response) -> None:
        """Take note of an ACK: it may end a quarantine."""
        if self.quarantine and self.store.is_live(view):
            changes = self.quarantine.accepted(view, response)
            self._publish_changes(view, changes, f"end of the quarantine of {_listed(changes)}")

    def problems(self, nodes: Mapping[View, Collection[str]]) -> tuple[Problem, ...]:
        """Return what could not be served in some live view, each problem once.

        Args:
            nodes: the clients of each view. A problem that no object has is theirs: it names one, and goes when they have gone.
        """
        problems: dict[Problem, None] = {}
        owners: dict[Problem, set[str]] = defaultdict(set)
        for view, found in self._problems.items():
            for problem in found:
                if problem.ref:
                    problems[problem] = None
                else:
                    owners[problem].update(nodes.get(view, ()))
        return (*problems, *(_of_clients(problem, found) for problem, found in owners.items() if found))

    def _build(self, view: View, trigger: str) -> None:
        result = self._translator.translate(view)
        self._problems[view] = result.problems
        changes: dict[str, Mapping[str, Resource | None]] = {}
        for type_url in TYPES:
            made = result.resources[type_url]
            changes[type_url] = {**dict.fromkeys(self._names(view, type_url) - made.keys()), **made}
        self._store(view, changes, trigger)

    def _names(self, view: View, type_url: str) -> AbstractSet[str]:
        """Return the names of what a view holds, and of what it would hold but for the quarantine."""
        names = self.store.current(view).resources(type_url).keys() if self.store.is_live(view) else frozenset[str]()
        left_out = self.quarantine.left_out(view, type_url) if self.quarantine else ()
        return names | left_out if left_out else names

    def _store(self, view: View, changes: Changes, trigger: str) -> None:
        self._publish_changes(view, self.quarantine.screened(view, changes) if self.quarantine else changes, trigger)

    def _publish_changes(self, view: View, changes: Changes, trigger: str) -> None:
        change = self.store.publish(view, changes, at_s=self._clock(), trigger=trigger)
        if change.names:
            self._publish(change)


def _of_clients(problem: Problem, nodes: set[str]) -> Problem:
    who = f"node {min(nodes)!r}" + (f" and {len(nodes) - 1} more" if len(nodes) > 1 else "")
    return replace(problem, message=f"{who}: {problem.message}", about=problem.message)


def _listed(changes: Changes) -> str:
    return ", ".join(f"{short_name(type_url)} {name}" for type_url, names in changes.items() for name in names)


def describe_services(keys: frozenset[ServiceKey]) -> str:
    """Return a few words on which services changed."""
    return _names(sorted(keys))


def _names(keys: list[ServiceKey]) -> str:
    shown = ", ".join(f"{key.fqdn}{f' in {key.scope}' if key.scope else ''}" for key in keys[:NAMED_IN_TRIGGER])
    more = len(keys) - NAMED_IN_TRIGGER
    return f"{shown} and {more} more" if more > 0 else shown
