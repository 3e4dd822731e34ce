"""The live views: which views have clients, and their snapshots kept up to date with the fleet.

A change of endpoints goes out at once; everything else in batches, view by view, of what changed. A view is built when its
first client comes and forgotten some time after its last has gone. What clients reject may be taken back (`xds.quarantine`).

Building yields again and again, so that it can be done in slices (`xds.builder`). All views are built of the fleet as it was when
the last batch began, so what is built in slices is of one state, and first views are made of no newer one than the others.
"""

from __future__ import annotations

import time
from collections import Counter, defaultdict, deque
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from xds.model.fleet import FleetChange
from xds.quarantine import Quarantine
from xds.snapshot.store import SnapshotStore
from xds.translate.world import TYPES, Translator, finish
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
    from xds.translate.world import Changed, Steps, Translation

    _Made = tuple[Translation, dict[str, Mapping[str, Resource | None]]]
    """What a view is given, and that with what it has and is not to have any more, as the store takes it."""

FIRST = "the first client of the view"
NAMED_IN_TRIGGER = 3
_KINDS = ("gateways", "members", "policies")
"""What else than services may have changed: fields of `FleetChange`."""


@dataclass(slots=True)
class _Pending:
    """What has changed in more than its endpoints since the last batch began."""

    services: set[ServiceKey] = field(default_factory=set)
    remade: set[ServiceKey] = field(default_factory=set)
    others: FleetChange = field(default_factory=FleetChange)

    def add(self, change: FleetChange) -> None:
        self.services |= change.services
        self.remade |= change.remade
        self.others = FleetChange(
            gateways=self.others.gateways or change.gateways,
            members=self.others.members or change.members,
            policies=self.others.policies or change.policies,
        )

    def change(self) -> FleetChange:
        return replace(self.others, services=frozenset(self.services), remade=frozenset(self.remade))


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
        self._pending = _Pending()
        self._behind: dict[View, tuple[Changed | None, str]] = {}
        """Live views that are to be built -> what changed for them, and what caused it."""
        self._wanted: deque[View] = deque()
        """Views that are to be built for their first clients."""
        self._is_their_turn = False
        """Whether one of those is to be built next, rather than one that is live."""
        self._late: list[set[ServiceKey]] = []
        """For each build that is going on, services whose endpoints went out meanwhile."""
        self._batches = 0
        self._failed: set[View] = set()
        """Views that could not be built: the next batch looks at all of them."""
        self._has_waste = False
        """Whether something that was made may be of no use any more."""

    @property
    def policies(self) -> PolicyBook:
        """The policies that are in force."""
        return self._translator.book

    def acquire(self, view: View) -> Snapshot:
        """Count a client of the view, build it if it is not live, and return its newest snapshot."""
        self._clients[view] += 1
        self._idle_since_s.pop(view, None)
        if not self.store.is_live(view):
            finish(self._build(view))
        return self.store.current(view)

    def want(self, view: View) -> None:
        """Have a view built for a client that is about to acquire it."""
        if view not in self._wanted:
            self._wanted.append(view)

    def release(self, view: View) -> None:
        """Count one client less."""
        self._clients[view] -= 1
        if not self._clients[view]:
            del self._clients[view]
            self._idle_since_s[view] = self._clock()

    def changed(self, change: FleetChange) -> None:
        """Note a change for the next batch, and bring endpoints to every live view: the fast lane."""
        self._pending.add(change)
        if not change.endpoints:
            return
        self._translator.take_endpoints(change.endpoints, but=self._pending.services)
        for late in self._late:
            late.update(change.endpoints)
        ordered = sorted(change.endpoints)
        trigger = f"endpoints of {_names(ordered)}"
        for view in self.store.views():
            made = self._translator.endpoints(view, ordered, self._names(view, ENDPOINT))
            self._store(view, {ENDPOINT: made}, trigger)

    def begin(self, trigger: str = "", *, everything: bool = False) -> tuple[FleetChange, str]:
        """Begin a batch: whatever is built from now on is of the fleet as it is now, and live views are behind it.

        Args:
            trigger: what caused it, for people; "": the changes that were noted.
            everything: look at all that there is, rather than at those changes.

        Returns:
            Those changes, and what caused the batch.
        """
        pending, self._pending = self._pending.change(), _Pending()
        trigger = trigger or _described(pending)
        changed = self._translator.take(None if everything else pending)
        self._batches += 1
        self._has_waste |= changed is None
        for view in self.store.views():
            now = None if view in self._failed else changed
            self._behind[view] = _both(self._behind.get(view), (now, trigger))
        return pending, trigger

    @property
    def is_behind(self) -> bool:
        """Whether some live view is still to be built."""
        return bool(self._behind)

    def is_current(self, view: View) -> bool:
        """Return whether a view is live, and of the fleet as it was when the last batch began."""
        return self.store.is_live(view) and view not in self._behind

    def next_build(self, *, first_alone: bool = False) -> tuple[View | None, Steps[None]] | None:
        """Return which view is to be built next, and how; None: all are.

        Those that clients wait for and those that are behind take turns.

        Args:
            first_alone: leave those alone that are behind.
        """
        if self._wanted and (self._is_their_turn or first_alone or not self._behind):
            self._is_their_turn = False
            view = self._wanted.popleft()
            return view, self._build(view)
        self._is_their_turn = True
        for view in () if first_alone else self._behind:
            return view, self._build(view)
        if self._has_waste:
            self._has_waste = False
            return None, self._translator.forget(self.store.views())
        return None

    def rebuild(self, trigger: str, *, everything: bool = False) -> None:
        """Do a whole batch at once (`begin`); what did not change is neither stored nor sent again."""
        self.begin(trigger, everything=everything)
        while build := self.next_build():
            finish(build[1])

    def drop_idle(self) -> None:
        """Forget views that have had no client for a while, and what was made for them alone."""
        limit_s = self._clock() - self._idle_s
        idle = [view for view, since_s in self._idle_since_s.items() if since_s <= limit_s]
        for view in idle:
            del self._idle_since_s[view]
            self._problems.pop(view, None)
            self._behind.pop(view, None)
            self._failed.discard(view)
            self.store.drop(view)
            if self.quarantine:
                self.quarantine.forget(view)
        self._has_waste |= bool(idle)

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

    def problems(self, nodes: Callable[[], Mapping[View, Collection[str]]]) -> tuple[Problem, ...]:
        """Return what could not be served in some live view, each problem once.

        Args:
            nodes: returns the clients of each view. A problem that no object has is theirs: it names one, and goes when they
                have gone.
        """
        problems: dict[Problem, None] = {}
        views: dict[Problem, list[View]] = defaultdict(list)
        for view, found in self._problems.items():
            for problem in found:
                if problem.ref:
                    problems[problem] = None
                else:
                    views[problem].append(view)
        clients = nodes() if views else {}  # of which there may be many
        owners = {problem: {node for view in found for node in clients.get(view, ())} for problem, found in views.items()}
        return (*problems, *(_of_clients(problem, found) for problem, found in owners.items() if found))

    def _build(self, view: View) -> Steps[None]:
        """Bring a view up to the fleet as it was when the last batch began, whether it is live or not."""
        late: set[ServiceKey] = set()
        self._late.append(late)
        try:
            made = yield from self._up_to_date(view, late)
        except Exception:
            self._behind.pop(view, None)
            self._failed.add(view)
            raise
        finally:
            self._late.remove(late)
        if made is None:
            return
        translation, changes = made
        self._failed.discard(view)
        _, trigger = self._behind.pop(view, (None, FIRST))
        self._problems[view] = translation.problems
        self._translator.took(view, translation)
        if late:
            newer = self._translator.endpoints(view, sorted(late), translation.resources[ENDPOINT])
            changes[ENDPOINT] = {**changes[ENDPOINT], **newer}
        self._store(view, changes, trigger)
        if view not in self._clients:
            self._idle_since_s.setdefault(view, self._clock())

    def _up_to_date(self, view: View, late: set[ServiceKey]) -> Steps[_Made | None]:
        """Make what a view is given, anew whenever a batch begins; None: it is up to date.

        Adds to `late` the services of which the last endpoints are to be made beside it.
        """
        while True:
            batches, is_live = self._batches, self.store.is_live(view)
            if is_live and view not in self._behind:
                return None
            late |= {*self._translator.ahead}
            steps = self._made(view, self._behind[view][0] if is_live else None)
            while (batches, is_live) == (self._batches, self.store.is_live(view)):
                try:
                    next(steps)
                except StopIteration as end:
                    found: _Made = end.value
                    return found
                yield

    def _made(self, view: View, changed: Changed | None) -> Steps[_Made]:
        """Translate, and find what the view has and is not to have any more."""
        made = yield from self._translator.steps(view, changed)
        changes: dict[str, Mapping[str, Resource | None]] = {}
        for type_url in TYPES:
            yield
            found, held = made.resources[type_url], self._names(view, type_url)
            stale = held - found.keys() if made.stale is None else {name for name in made.stale if name in held} - found.keys()
            changes[type_url] = {**dict.fromkeys(stale), **found} if stale else found
        yield
        return made, changes

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


def _both(before: tuple[Changed | None, str] | None, now: tuple[Changed | None, str]) -> tuple[Changed | None, str]:
    """Return what changed for a view, and what caused it, in two batches together."""
    if before is None:
        return now
    triggers = before[1] if before[1] == now[1] else f"{before[1]} and {now[1]}"
    if before[0] is None or now[0] is None:
        return None, triggers
    return {**before[0], **{key: names | before[0].get(key, frozenset()) for key, names in now[0].items()}}, triggers


def _of_clients(problem: Problem, nodes: set[str]) -> Problem:
    who = f"node {min(nodes)!r}" + (f" and {len(nodes) - 1} more" if len(nodes) > 1 else "")
    return replace(problem, message=f"{who}: {problem.message}", about=problem.message)


def _described(change: FleetChange) -> str:
    parts = [describe_services(change.services)] if change.services else []
    parts += [kind for kind in _KINDS if getattr(change, kind)]
    return " and ".join(parts)


def _listed(changes: Changes) -> str:
    return ", ".join(f"{short_name(type_url)} {name}" for type_url, names in changes.items() for name in names)


def describe_services(keys: frozenset[ServiceKey]) -> str:
    """Return a few words on which services changed."""
    return _names(sorted(keys))


def _names(keys: list[ServiceKey]) -> str:
    shown = ", ".join(f"{key.fqdn}{f' in {key.scope}' if key.scope else ''}" for key in keys[:NAMED_IN_TRIGGER])
    more = len(keys) - NAMED_IN_TRIGGER
    return f"{shown} and {more} more" if more > 0 else shown
