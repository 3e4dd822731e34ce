"""Which version of each TrafficPolicy is in force.

That is the one that was accepted last, whatever becomes of what it names and whatever is written after it; over restarts, too, by
what was saved of it (`Remember.accepted`). It is forgotten with the object that it is a version of.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from xds.model.events import Remember
from xds.policy.acceptance import faults
from xds.policy.reading import read
from xds.policy.targets import missing

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from xds.model.events import Event
    from xds.model.fleet import Fleet
    from xds.model.traffic_objects import PlaceSpec, TargetRef, TrafficPolicy
    from xds.policy.acceptance import Fault, Known
    from xds.policy.overrides import PolicyName
    from xds.policy.policies import Policy
    from xds.policy.subjects import Subject


@dataclass(slots=True)
class Entry:
    """One object, and what became of it."""

    item: TrafficPolicy
    faults: tuple[Fault, ...] = ()
    policy: Policy | None = None
    """What is in force of it: as it is, or as it was when it was accepted last."""
    in_force: tuple[TrafficPolicy, frozenset[str]] | None = None
    """The object that says so, and its tiers that overrides open."""
    lost: list[tuple[Subject, Policy]] = field(default_factory=list)
    """What an older policy governs in its stead."""
    judged: TrafficPolicy | None = None
    """The object that has `faults_of_its_own`."""
    faults_of_its_own: tuple[Fault, ...] = ()
    """Whatever it is about: of itself, and of places that it names."""

    @property
    def is_in_force(self) -> bool:
        """Whether it is in force as it is: faults or not, for the targets that there are."""
        return self.in_force is not None and self.in_force[0] == self.item

    @property
    def instead(self) -> str:
        """What is in force if it is not, for people."""
        return "the version that was accepted last stays in force" if self.policy else "nothing of it is in force"


class Versions:
    """What `refresh` was told last, and what was in force before."""

    def __init__(self) -> None:
        self._entries: dict[PolicyName, Entry] = {}
        self._remembered: dict[PolicyName, TrafficPolicy] = {}
        """What was accepted before we started, until the objects are there."""
        self._facts: tuple[object, ...] | None = None
        """What was known (`Known.facts`) when faults were looked for."""
        self.awaited: tuple[PlaceSpec, ...] = ()
        """Places that policies name and that there are not."""

    def remember(self, events: Iterable[Event]) -> None:
        """Take what events say of versions that were accepted before: the next `refresh` needs it, if the objects are there."""
        for event in events:
            if isinstance(event, Remember):
                self._remembered.update((_name_of(event.cluster, item), item) for item in event.accepted)

    def accepted(self, cluster: str) -> tuple[TrafficPolicy, ...]:
        """Return a cluster's policies, each as it was accepted last (`Remember.accepted`)."""
        found = {name: entry.in_force[0] for name, entry in self._entries.items() if entry.in_force}
        return tuple(item for (holder, _, _), item in sorted((self._remembered | found).items()) if holder == cluster)

    def told(self) -> list[Event]:
        """Return events that make the same of no versions, with those that make the same fleet."""
        holders = {holder for holder, _, _ in self._remembered.keys() | self._entries.keys()}
        return [Remember(one, accepted=found) for one in sorted(holders) if (found := self.accepted(one))]

    def refresh(self, fleet: Fleet, known: Known, open_tiers: Mapping[PolicyName, frozenset[str]]) -> None:
        """Find out anew which versions are in force.

        Args:
            fleet: whose policies and services count.
            known: the places of the fleet that policies may name.
            open_tiers: those that overrides open. They hold even if the policy is not accepted as it stands now.
        """
        before, self._entries = self._entries, {}
        facts = known.facts
        is_known, self._facts = self._facts == facts, facts
        for cluster, item in fleet.policies():
            name = _name_of(cluster, item)
            entry = before.get(name)
            if entry is None or not _is_same(entry.item, item):
                entry = Entry(item)
            entry.item, entry.lost = item, []
            if entry.judged is not item or not is_known:
                entry.judged, entry.faults_of_its_own = item, tuple(faults(cluster, item, known))
            self._judge(name, entry, fleet, open_tiers.get(name, frozenset()))
            self._entries[name] = entry
        self._remembered.clear()
        self.awaited = tuple(place for entry in self._entries.values() for fault in entry.faults for place in fault.awaited)

    def _judge(self, name: PolicyName, entry: Entry, fleet: Fleet, opened: frozenset[str]) -> None:
        """Enter what becomes of a policy as it is now."""
        cluster, item, own = name[0], entry.item, entry.faults_of_its_own
        lacking = {} if own else dict(missing(cluster, item, fleet))
        accepted = _accepted(item, self._last(name, entry), own, lacking)
        if accepted is not None:
            # A new version that says the same, e.g. with another status, makes nothing anew.
            if entry.in_force is None or (entry.in_force[0].spec, entry.in_force[1]) != (accepted.spec, opened):
                entry.policy = read(cluster, accepted, opened)
            entry.in_force = accepted, opened
        entry.faults = own or (*lacking.values(),)

    def _last(self, name: PolicyName, entry: Entry) -> TrafficPolicy | None:
        """Return the version of a policy that was accepted last; None if none ever was."""
        if entry.in_force:
            return entry.in_force[0]
        remembered = self._remembered.get(name)
        return remembered if remembered and _is_same(remembered, entry.item) else None

    @property
    def items(self) -> dict[PolicyName, TrafficPolicy]:
        """The policies as they are now."""
        return {name: entry.item for name, entry in self._entries.items()}

    @property
    def policies(self) -> set[Policy]:
        """What is in force of them."""
        return {entry.policy for entry in self._entries.values() if entry.policy}

    @property
    def in_order_of_age(self) -> list[tuple[PolicyName, Entry]]:
        """Every policy, the oldest first, and of two of one age the first by name (GEP-713)."""
        return sorted(self._entries.items(), key=lambda pair: (pair[1].item.metadata.age, pair[0]))

    def named(self, name: PolicyName) -> Entry | None:
        """Return what became of the policy of a name; None if there is none."""
        return self._entries.get(name)

    def entry(self, cluster: str, item: TrafficPolicy) -> Entry | None:
        """Return what became of a policy; None if it has not been judged yet, neither this version nor one before."""
        found = self._entries.get(_name_of(cluster, item))
        return found if found and _is_same(found.item, item) else None

    def entries(self) -> Iterator[tuple[PolicyName, Entry]]:
        """Yield every policy, and what became of it, in order of their names."""
        yield from sorted(self._entries.items(), key=lambda pair: pair[0])

    def in_force(self, name: PolicyName) -> TrafficPolicy | None:
        """Return the version of a policy that is in force; None if there is none."""
        entry = self._entries.get(name)
        return entry.in_force[0] if entry and entry.in_force else None


def _name_of(cluster: str, item: TrafficPolicy) -> PolicyName:
    return cluster, item.metadata.namespace, item.metadata.name


def _is_same(one: TrafficPolicy, other: TrafficPolicy) -> bool:
    """Return whether two of one name are versions of one object: not if it was deleted, and made again, in between."""
    return one.metadata.uid == other.metadata.uid


def _accepted(
    item: TrafficPolicy, last: TrafficPolicy | None, faults: tuple[Fault, ...], missing: Iterable[TargetRef]
) -> TrafficPolicy | None:
    """Return the version of a policy that is in force from now on.

    That is the last one that was accepted, whatever has become of what it names. A new one is accepted unless it has faults, or
    names a target that there is not and that the last one did not name: a slip must not take a policy from what it governs.

    Args:
        item: the policy as it is now.
        last: as it was accepted last; None if it never was.
        faults: of it as it is now.
        missing: the targets that it names and that there are not.
    """
    if last is None:
        return None if faults else item
    return last if faults or {*missing} - {*last.spec.target_refs} else item
