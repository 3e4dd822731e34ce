"""The book of policies: which are in force, and which of them governs a service port for the clients of a cluster.

The most specific one governs, whole: one that names the port comes before one that names the service, then the namespace's
default, then the fleet's; of two alike, the cluster's own comes before the fleet's. Sovereignty alone adds up: a place that must
never be used is never used, whatever a more specific policy says.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple
from weakref import WeakValueDictionary

from xds.model.events import FLEET, ref_of
from xds.model.service import CLUSTERSET, ServiceKey
from xds.policy.acceptance import CONFLICTED, INVALID, TARGET_NOT_FOUND, Fault, faults
from xds.policy.ladder import Governance, Ladder
from xds.policy.policies import NO_POLICY, Policy
from xds.policy.reading import read
from xds.problems import Problem, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from xds.model.members import Member
    from xds.model.service import Service
    from xds.model.traffic_objects import TargetRef, TrafficPolicy
    from xds.model.view import View
    from xds.policy.policies import RouteSettings
    from xds.policy.tiers import Place, Ranking

Identity = tuple[str, str, str]
"""(cluster, namespace, name) of a policy."""


class Subject(NamedTuple):
    """What a policy is about, as one cluster's, or the fleet's, policies say it. Fields that are "" or 0 mean all."""

    holder: str
    kind: str = ""
    namespace: str = ""
    name: str = ""
    port: int = 0


@dataclass(slots=True)
class _Entry:
    """One object, and what became of it."""

    item: TrafficPolicy
    faults: tuple[Fault, ...] = ()
    policy: Policy | None = None
    """What is in force of it: as it is, or as it was when it was accepted last."""
    in_force: TrafficPolicy | None = None
    """The object that says so."""
    lost: list[tuple[Subject, Policy]] = field(default_factory=list)
    """What an older policy governs in its stead."""


class PolicyBook:
    """What `refresh` was told last."""

    def __init__(self) -> None:
        self._entries: dict[Identity, _Entry] = {}
        self._subjects: dict[Subject, Policy] = {}
        self._members: Mapping[str, Member] = {}
        self._governances: dict[tuple[Policy, tuple[Policy, ...]], Governance] = {}
        self._ladders: WeakValueDictionary[tuple[Governance, Place], Ladder] = WeakValueDictionary()

    def refresh(
        self, policies: Iterable[tuple[str, TrafficPolicy]], members: Mapping[str, Member], services: Mapping[ServiceKey, Service]
    ) -> None:
        """Find out anew which policies are in force.

        Args:
            policies: (cluster that holds it, or FLEET; object).
            members: by name.
            services: all that there are.
        """
        if _facts(members) != _facts(self._members):
            self._ladders.clear()
        self._members = members
        before, self._entries = self._entries, {}
        named: dict[tuple[str, str], list[Service]] = defaultdict(list)
        for key, service in services.items():
            named[key.namespace, key.name].append(service)
        for cluster, item in policies:
            identity = (cluster, item.metadata.namespace, item.metadata.name)
            entry = before.get(identity) or _Entry(item)
            entry.item, entry.lost = item, []
            entry.faults = tuple(faults(cluster, item, members))
            if not entry.faults:
                entry.faults = tuple(_missing_targets(cluster, item, named))
                if entry.in_force != item and (not entry.faults or not _has_targets(cluster, entry.in_force, named)):
                    entry.policy, entry.in_force = read(cluster, item), item
            self._entries[identity] = entry
        self._find_subjects()
        in_force = {*self._subjects.values()}
        self._governances = {key: one for key, one in self._governances.items() if key[0] in in_force and in_force >= {*key[1]}}

    def governing(self, service: Service, port: int, cluster: str) -> Governance:
        """Return what governs a port of a service for clients in a cluster."""
        if not self._subjects:
            return _unruled(service)
        found = [self._subjects[one] for one in _subjects_of(service.key, port, cluster) if one in self._subjects]
        if not found:
            return _unruled(service)
        identity = found[0], tuple(one for one in found if one.sovereignty)
        return self._governances.setdefault(identity, Governance(*identity))

    def routing(self, service: Service, port: int, *, cluster: str) -> RouteSettings:
        """Return what policies say of the routes to a port for clients in a cluster."""
        return self.governing(service, port, cluster).policy.route

    def ladder(self, service: Service, port: int, view: View) -> Ladder:
        """Return the ladder of a service port for the clients of a view: the same one for views that agree."""
        governance = self.governing(service, port, view.cluster)
        place = governance.place_of(service, view)
        found = self._ladders.get((governance, place))
        if found is None:
            found = self._ladders[governance, place] = Ladder(governance, place, self._members)
        return found

    def rank(self, service: Service, port: int, view: View) -> Ranking:
        """Return the tiers of a service port for the clients of a view, and what is left out."""
        return self.ladder(service, port, view).rank(service, port)

    def entries(self) -> Iterator[tuple[Identity, _Entry]]:
        """Yield every policy, and what became of it."""
        yield from sorted(self._entries.items(), key=lambda pair: pair[0])

    def problems(self) -> Iterator[Problem]:
        """Yield what is wrong with policies."""
        for (cluster, _, _), entry in self.entries():
            ref = ref_of(cluster, entry.item)
            rest = "; the version that was accepted last stays in force" if entry.policy else "; nothing of it is in force"
            for fault in entry.faults:
                if fault.reason == TARGET_NOT_FOUND:
                    more = rest if entry.in_force != entry.item else ""  # for the targets that there are, it is in force
                    yield Problem("XDS0602", f"{fault.message}{more}", ref, fault.field, fault.hint)
                elif fault.reason == INVALID:
                    yield Problem("XDS0601", f"{fault.message}{rest}", ref, fault.field, fault.hint)
            for subject, winner in entry.lost:
                message = f"{_words(subject)} is governed by {winner.name}, which is older"
                at = "spec.targetRefs" if subject.kind else "spec.defaultFor"
                yield Problem("XDS0603", message, ref, at, "keep one of them")

    def _find_subjects(self) -> None:
        """Enter what each policy that is in force is about; of two for one subject the older one counts (GEP-713)."""
        self._subjects = {}
        ordered = sorted(self._entries.items(), key=lambda pair: (pair[1].item.metadata.age, pair[0]))
        for (cluster, _, _), entry in ordered:
            if entry.policy is None or entry.in_force is None:
                continue
            for subject in _subjects(cluster, entry.in_force):
                winner = self._subjects.setdefault(subject, entry.policy)
                if winner is not entry.policy:
                    entry.lost.append((subject, winner))
            if entry.lost and not any(one is entry.policy for one in self._subjects.values()) and not entry.faults:
                winner = entry.lost[0][1]
                at = "spec.targetRefs" if entry.lost[0][0].kind else "spec.defaultFor"
                entry.faults = (Fault(at, f"{winner.name} is older and governs the same", "", CONFLICTED),)


def _unruled(service: Service) -> Governance:
    return _UNRULED[service.traffic_distribution, service.spans]


_UNRULED = {key: Governance(policy) for key, policy in NO_POLICY.items()}


def _subjects_of(key: ServiceKey, port: int, cluster: str) -> Iterator[Subject]:
    """Yield what policies for a service port may be about, the most specific first."""
    kind = "Service" if key.scope else "ServiceImport"
    holders = (cluster, FLEET) if cluster else (FLEET,)
    for number in (port, 0):
        for holder in holders:
            yield Subject(holder, kind, key.namespace, key.name, number)
    for holder in holders:
        yield Subject(holder, "", key.namespace)
    yield Subject(FLEET)


def _subjects(cluster: str, item: TrafficPolicy) -> Iterator[Subject]:
    namespace = item.metadata.namespace
    for ref in item.spec.target_refs:
        yield Subject(cluster, ref.kind, namespace, ref.name, ref.port or 0)
    match item.spec.default_for:
        case "Namespace":
            yield Subject(cluster, "", namespace)
        case "Fleet":
            yield Subject(FLEET)


def _missing_targets(cluster: str, item: TrafficPolicy, services: Mapping[tuple[str, str], list[Service]]) -> Iterator[Fault]:
    namespace = item.metadata.namespace
    for index, ref in enumerate(item.spec.target_refs):
        at = f"spec.targetRefs[{index}]"
        found = [one for one in services.get((namespace, ref.name), ()) if _is_meant(one.key, ref, cluster)]
        if not found:
            names = {name for there, name in services if there == namespace}
            where = f" in {cluster}" if cluster and ref.kind == "Service" else ""
            hint = did_you_mean(ref.name, names - {ref.name}) or "create it, or export it, or take it out of the list"
            yield Fault(f"{at}.name", f"there is no {ref.kind} {namespace}/{ref.name}{where}", hint, TARGET_NOT_FOUND)
        elif ref.port and not any(port.number == ref.port for one in found for port in one.ports):
            ports = ", ".join(sorted({str(port.number) for one in found for port in one.ports}, key=int))
            message = f"{ref.kind} {namespace}/{ref.name} has no port {ref.port}"
            yield Fault(f"{at}.port", message, f"it has {ports}" if ports else "", TARGET_NOT_FOUND)


def _has_targets(cluster: str, item: TrafficPolicy | None, services: Mapping[tuple[str, str], list[Service]]) -> bool:
    return item is not None and not any(_missing_targets(cluster, item, services))


def _is_meant(key: ServiceKey, ref: TargetRef, cluster: str) -> bool:
    if ref.kind == "ServiceImport":
        return key.scope == CLUSTERSET
    return key.scope == cluster if cluster else key.scope != CLUSTERSET


def _facts(members: Mapping[str, Member]) -> dict[str, tuple[object, ...]]:
    """Return what ladders depend on."""
    return {name: (one.provider, one.labels) for name, one in members.items()}


def _words(subject: Subject) -> str:
    if subject.kind:
        return f"{subject.kind} {subject.namespace}/{subject.name}" + (f" port {subject.port}" if subject.port else "")
    return f"the default of namespace {subject.namespace!r}" if subject.namespace else "the default of the fleet"
