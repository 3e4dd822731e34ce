"""The book of policies: which are in force, and which of them governs a service port for the clients of a cluster.

The most specific one governs, whole: one that names the port comes before one that names the service, then what other systems
say of the service, then the namespace's default, then the fleet's; of two alike, the cluster's own comes before the fleet's.
Sovereignty alone adds up: a place that must never be used is never used, whatever a more specific policy says.

So who moves from another system writes TrafficPolicies service by service; a default takes nothing from those that have none yet.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import TYPE_CHECKING

from xds.model.events import FLEET, Remember, ref_of
from xds.model.service import CLUSTERSET, ServiceKey
from xds.policy.acceptance import CONFLICTED, TARGET_NOT_FOUND, Fault, Known, faults
from xds.policy.foreign import ForeignPolicies
from xds.policy.ladder import Governance, Ladder
from xds.policy.notes import KEPT
from xds.policy.overrides import NONE, Drain, Overrides, PolicyName, gate_of, problems
from xds.policy.policies import NO_POLICY, Policy, default_rungs
from xds.policy.reading import read
from xds.policy.subjects import FLOMESH, Subject, subjects_of
from xds.policy.tiers import Place
from xds.problems import Problem, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Collection, Container, Iterable, Iterator, Mapping

    from xds.model.events import Event
    from xds.model.fleet import Fleet
    from xds.model.members import Member
    from xds.model.service import Endpoint, Service
    from xds.model.traffic_objects import Gate, GateSpec, PlaceSpec, TargetRef, TrafficOverride, TrafficPolicy
    from xds.model.view import View
    from xds.policy.policies import RouteSettings
    from xds.policy.tiers import Ranking
    from xds.problems import Ref


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


class PolicyBook:
    """What `refresh` was told last."""

    def __init__(self) -> None:
        self._entries: dict[PolicyName, Entry] = {}
        self._remembered: dict[PolicyName, TrafficPolicy] = {}
        """What was accepted before we started, until the objects are there."""
        self._subjects: dict[Subject, Policy] = {}
        self.soaks_s: frozenset[float] = frozenset()
        """After how long policies in force give places that are well again their traffic back."""
        self._foreign = ForeignPolicies()
        self._sovereign: dict[Subject, tuple[Policy, ...]] = {}
        """Whose sovereignty holds: that of policies that do not govern, too."""
        self._members: Mapping[str, Member] = {}
        self._services: Collection[Service] = ()
        """All services."""
        self._awaited: tuple[PlaceSpec, ...] = ()
        """Places that policies name and that there are not."""
        self._names: dict[str, frozenset[str]] = {}
        """Namespace -> the names of its services; the same object while they are the same."""
        self._overrides = NONE
        self._override_problems: tuple[Problem, ...] = ()
        self._complete: dict[tuple[Policy, str, bool], Policy] = {}
        """Of policies without tiers: (policy, trafficDistribution, whether endpoints of other clusters count) -> with them."""
        self._lapses: dict[ServiceKey, tuple[Service, Mapping[Policy, list[str]]]] = {}
        """Where weights leave nobody, by service as it was looked at: policy -> clusters whose clients would find nobody."""
        self._governances: dict[tuple[Policy, tuple[Policy, ...], tuple[Drain, ...], bool], Governance] = {}
        self._ladders: dict[tuple[Governance, Place], Ladder] = {}

    @property
    def overrides(self) -> Overrides:
        """What operators override."""
        return self._overrides

    @property
    def sovereignty(self) -> Mapping[Subject, tuple[Policy, ...]]:
        """Whose sovereignty holds over what; equal as long as that is the same."""
        return self._sovereign

    def remember(self, events: Iterable[Event]) -> None:
        """Take what events say of versions that were accepted before: the next `refresh` needs it, if the objects are there."""
        for event in events:
            if isinstance(event, Remember):
                self._remembered.update((_identity(event.cluster, item), item) for item in event.accepted)

    def accepted(self, cluster: str) -> tuple[TrafficPolicy, ...]:
        """Return a cluster's policies, each as it was accepted last (`Remember.accepted`)."""
        found = {identity: entry.in_force[0] for identity, entry in self._entries.items() if entry.in_force}
        return tuple(item for (holder, _, _), item in sorted((self._remembered | found).items()) if holder == cluster)

    def told(self) -> list[Event]:
        """Return events that, with those of `Fleet.told`, make the same book of an empty one."""
        holders = {holder for holder, _, _ in self._remembered.keys() | self._entries.keys()}
        return [Remember(one, accepted=found) for one in sorted(holders) if (found := self.accepted(one))]

    def refresh(self, fleet: Fleet) -> bool:
        """Find out anew which policies of a fleet are in force. A version is forgotten with the object that it was of.

        Returns:
            Whether services that have not changed may be governed in another way than before.
        """
        members, services = fleet.members, fleet.services
        governed_by = self._governed_by()
        overriding = [*fleet.overrides()]
        self._overrides = Overrides.of(overriding)
        if _facts(members) != _facts(self._members):
            self._ladders.clear()
        self._members, self._services = members, services.values()
        before, self._entries = self._entries, {}
        named: dict[tuple[str, str], list[Service]] = defaultdict(list)
        for key, service in services.items():
            named[key.namespace, key.name].append(service)
        self._names = _by_namespace(named, self._names)
        known = Known.of(fleet)
        for cluster, item in fleet.policies():
            identity = _identity(cluster, item)
            entry = before.get(identity)
            if entry is None or not _is_same(entry.item, item):
                entry = Entry(item)
            entry.item, entry.lost = item, []
            entry.faults = tuple(faults(cluster, item, known))
            # What an operator opens or closes holds even if the policy is not accepted as it stands now.
            last = self._last(identity, entry)
            missing = {} if entry.faults else dict(_missing_targets(cluster, item, named, self._names))
            accepted = _accepted(item, last, entry.faults, missing)
            opened = self._overrides.gates.get(identity, frozenset())
            if accepted is not None:
                # A new version that says the same, e.g. with another status, makes nothing anew.
                if entry.in_force is None or (entry.in_force[0].spec, entry.in_force[1]) != (accepted.spec, opened):
                    entry.policy = read(cluster, accepted, opened)
                entry.in_force = accepted, opened
            entry.faults = entry.faults or (*missing.values(),)
            self._entries[identity] = entry
        self._remembered.clear()
        self._awaited = tuple(place for entry in self._entries.values() for fault in entry.faults for place in fault.awaited)
        self._override_problems = tuple(problems(overriding, known, self._items))
        fleet.keep_targets(self._in_force)
        self._foreign.refresh(fleet, known)
        self._find_subjects()
        if has_changed := self._governed_by() != governed_by:
            self._lapses.clear()
        self.soaks_s = frozenset(one.fail_back_s for one in self._subjects.values() if one.fail_back_s)
        in_force = {one.policy for one in self._entries.values() if one.policy} | {*NO_POLICY.values()}
        in_force |= {*self._foreign.subjects.values()}
        self._complete = {key: one for key, one in self._complete.items() if key[0] in in_force}
        in_force |= {*self._complete.values()}
        drains = {*self._overrides.drains}
        self._governances = {
            key: one
            for key, one in self._governances.items()
            if key[0] in in_force and in_force >= {*key[1]} and drains >= {*key[2]}
        }
        return has_changed

    def _governed_by(self) -> tuple[object, ...]:
        """Return all that decides, with a service, who governs it for whom."""
        return self._subjects, self._sovereign, self._overrides.drains, self._members

    def awaits(self, services: Iterable[Service]) -> bool:
        """Return whether endpoints of services are at places that policies name and that there were not: judge those anew."""
        if not (self._awaited or self._foreign.awaited):
            return False
        known = Known(self._members, services)
        return any(map(known.sees, self._awaited)) or any(known.has(*named) for named in self._foreign.awaited)

    def governing(self, service: Service, port: int, cluster: str) -> Governance:
        """Return what governs a port of a service for clients in a cluster."""
        if self.is_empty:
            return self.unruled(service)
        found = self.candidates(service.key, port, cluster)
        is_explicit = bool(found) and found[0][0].kind == "Service"
        policy = found[0][1] if found else NO_POLICY[service.traffic_distribution, service.spans]
        if not policy.rungs:
            policy = self._completed(policy, service.traffic_distribution, spans=service.spans or is_explicit)
        can_move = (service.spans or is_explicit) and not policy.stays
        drains = () if policy.stays_on_node else self._overrides.of_service(service.key, can_move=can_move)
        if drains and not can_move and not _is_left(service, port, cluster, drains):
            drains = ()
        sovereign = self._sovereign_over(service, port, cluster)
        if not found and not drains and not sovereign:
            return self.unruled(service)
        identity = policy, sovereign, drains, is_explicit
        return self._governances.setdefault(identity, Governance(*identity))

    def _completed(self, policy: Policy, distribution: str, *, spans: bool) -> Policy:
        """Return a policy that leaves the tiers to the default ladder, with that."""
        key = policy, distribution, spans
        found = self._complete.get(key)
        if found is None:
            found = self._complete[key] = replace(policy, rungs=default_rungs(distribution, spans=spans))
        return found

    @property
    def is_empty(self) -> bool:
        """Whether nothing is in force."""
        return not self._subjects and not self._overrides.drains

    @staticmethod
    def unruled(service: Service) -> Governance:
        """Return what governs a service of which no policy speaks."""
        return _UNRULED[service.traffic_distribution, service.spans]

    def candidates(self, key: ServiceKey, port: int, cluster: str) -> list[tuple[Subject, Policy]]:
        """Return what is in force for a port of a service and clients in a cluster, the most specific first."""
        if not self._subjects:
            return []
        subjects = subjects_of(key, port, cluster)
        return [(one, self._subjects[one]) for one in subjects if one in self._subjects]

    def _sovereign_over(self, service: Service, port: int, cluster: str) -> tuple[Policy, ...]:
        if not self._sovereign:
            return ()
        subjects = subjects_of(service.key, port, cluster)
        return tuple(dict.fromkeys(one for subject in subjects for one in self._sovereign.get(subject, ())))

    def refused(self, service: Service, port: int, cluster: str) -> Iterator[tuple[TrafficPolicy, Ref, tuple[Fault, ...]]]:
        """Yield policies that would speak for a port of a service and clients in a cluster, but for what is wrong with them."""
        subjects = {*subjects_of(service.key, port, cluster)}
        for (holder, _, _), entry in self.entries():
            if entry.faults and not subjects.isdisjoint(_subjects(holder, entry.item)):
                yield entry.item, ref_of(holder, entry.item), entry.faults

    def routing(self, service: Service, port: int, *, cluster: str) -> RouteSettings:
        """Return what policies say of the routes to a port for clients in a cluster."""
        return self.governing(service, port, cluster).policy.route

    def ladder(self, service: Service, port: int, view: View, *, is_kept: bool = True) -> Ladder:
        """Return the ladder of a service port for the clients of a view: the same one for views that agree.

        Args:
            service: it.
            port: its number.
            view: the clients'.
            is_kept: False: somebody asks once, maybe about places where no client is.
        """
        return self.ladder_by(self.governing(service, port, view.cluster), service, view, is_kept=is_kept)

    def ladder_by(self, governance: Governance, service: Service, view: View, *, is_kept: bool = True) -> Ladder:
        """Return the ladder of a service by what governs it, for the clients of a view."""
        place = governance.place_of(service, view)
        found = self._ladders.get((governance, place))
        if found is None:
            found = Ladder(governance, place, self._members)
            if is_kept:
                self._ladders[governance, place] = found
        return found

    def forget_ladders(self, in_use: Container[Ladder]) -> None:
        """Drop ladders that nobody uses any more."""
        self._ladders = {key: one for key, one in self._ladders.items() if one in in_use}

    def rank(self, service: Service, port: int, view: View) -> Ranking:
        """Return the tiers of a service port for the clients of a view, and what is left out."""
        return self.ladder(service, port, view).rank(service, port)

    def allowed(self, service: Service, port: int, cluster: str) -> tuple[Endpoint, ...]:
        """Return the endpoints of a port that no sovereignty forbids to the clients of a cluster, in whichever of its zones."""
        sovereign, found = self._sovereign_over(service, port, cluster), service.endpoints[port]
        member = self._members.get(cluster)
        if not sovereign or member is None:
            return found
        place = Place(member.network, cluster, member.region)
        return tuple(one for one in found if not any(other.forbids(one, place, self._members) for other in sovereign))

    def is_forbidden(self, policy: Policy, endpoint: Endpoint, view: View) -> bool:
        """Return whether the sovereignty of a policy forbids an endpoint to the clients of a view."""
        place = Place(view.network, view.cluster, view.region, view.zone, view.node_name)
        return policy.forbids(endpoint, place, self._members)

    def refs(self, policy: Policy) -> tuple[Ref, ...]:
        """Return the object that a policy is written in, as it is now; none for one that nobody wrote."""
        if policy.origin is None:
            return ()
        origin = policy.origin
        if foreign := self._foreign.ref(origin):
            return (foreign,)
        entry = self._entries.get((origin.cluster, origin.namespace, origin.name))
        return (ref_of(origin.cluster, entry.item) if entry and entry.item.kind == origin.kind else origin,)

    def check(self, override: TrafficOverride) -> Iterator[Problem]:
        """Yield what is wrong with an override, as policies stand."""
        return problems([override], Known(self._members, self._services), self._items)

    def gate(self, spec: GateSpec) -> Gate | Problem:
        """Return what a policy says of the gate of one of its tiers, or that there is none."""
        return gate_of(spec, self._items)

    @property
    def _items(self) -> dict[PolicyName, TrafficPolicy]:
        return {name: entry.item for name, entry in self._entries.items()}

    def entry(self, cluster: str, item: TrafficPolicy) -> Entry | None:
        """Return what became of a policy; None if it has not been judged yet, neither this version nor one before."""
        found = self._entries.get(_identity(cluster, item))
        return found if found and _is_same(found.item, item) else None

    def entries(self) -> Iterator[tuple[PolicyName, Entry]]:
        """Yield every policy, and what became of it."""
        yield from sorted(self._entries.items(), key=lambda pair: pair[0])

    def problems(self) -> Iterator[Problem]:
        """Yield what is wrong with policies."""
        undeclared = self._undeclared()
        for (cluster, _, _), entry in self.entries():
            ref = ref_of(cluster, entry.item)
            rest = "the version that was accepted last stays in force" if entry.policy else "nothing of it is in force"
            for fault in entry.faults:
                if fault.reason == CONFLICTED:
                    continue  # told below, subject by subject
                if fault.reason == TARGET_NOT_FOUND:
                    is_in_force = entry.in_force is not None and entry.in_force[0] == entry.item  # for the targets that there are
                    message = fault.message if is_in_force else f"{fault.message}; {rest}"
                    yield Problem("XDS0602", message, ref, fault.field, fault.hint)
                else:
                    yield Problem("XDS0601", f"{fault.message}; {rest}", ref, fault.field, fault.hint)
            for service, missing in undeclared.get(entry.policy, ()) if entry.policy else ():
                message = f"{service.key.fqdn} has no capacity in {', '.join(missing)}, so its places weigh by their endpoints"
                hint = "give its Service there the annotation traffic.isthmus.dev/endpoint-capacity, in requests a second"
                yield Problem("XDS0605", message, ref, "spec.tiers", hint)
            for subject, winner in entry.lost:
                message = f"{subject} is governed by {winner.name}, {self._why(entry, winner)}"
                yield Problem("XDS0603", message, ref, _field_of(entry.item, subject), "keep one of them")
        yield from self._foreign.problems()
        for subject, policy in self._foreign.subjects.items():
            if subject.system == FLOMESH:
                key = ServiceKey(subject.namespace, subject.name, subject.holder)
                winner = next(self._subjects[one] for one in subjects_of(key, 0, subject.holder) if one in self._subjects)
                if winner is not policy:
                    message = f"{winner.name} governs the same and uses no gateways"
                    yield Problem("XDS0241", message, policy.origin, hint="delete one")
        yield from self._without_weights()
        yield from self._never_slow()
        yield from self._override_problems

    def _in_force(self, name: PolicyName) -> TrafficPolicy | None:
        """Return the version of a policy that is in force; None if there is none."""
        entry = self._entries.get(name)
        return entry.in_force[0] if entry and entry.in_force else None

    def _last(self, identity: PolicyName, entry: Entry) -> TrafficPolicy | None:
        """Return the version of a policy that was accepted last; None if none ever was."""
        if entry.in_force:
            return entry.in_force[0]
        remembered = self._remembered.get(identity)
        return remembered if remembered and _is_same(remembered, entry.item) else None

    def _never_slow(self) -> Iterator[Problem]:
        """Yield policies with a slow start for services whose clients go by a hash, which knows of none."""
        for service in self._services:
            for policy in sorted(self._policies_of(service), key=lambda one: one.name) if service.keeps_clients else ():
                if policy.cluster.slow_start_s and policy.origin:
                    message = f"{service.key.fqdn} keeps its clients (sessionAffinity), so a new endpoint gets its share at once"
                    yield Problem(KEPT, message, policy.origin, "spec.slowStartSeconds", "do without one of the two")

    def _undeclared(self) -> Mapping[Policy, list[tuple[Service, list[str]]]]:
        """Return by policy the services that it weighs by capacities, and the clusters that declare none of theirs."""
        result: dict[Policy, list[tuple[Service, list[str]]]] = defaultdict(list)
        policies = {one.policy for one in self._entries.values() if one.policy}
        weighing = {one for one in policies if any(rung.by_capacity for rung in one.rungs)}
        for service in self._services if weighing else ():
            clusters = {one.locality.cluster for found in service.endpoints.values() for one in found}
            if missing := sorted(clusters - service.capacities.keys()):
                for policy in weighing & self._policies_of(service):
                    result[policy].append((service, missing))
        return result

    def _without_weights(self) -> Iterator[Problem]:
        """Yield for which services the weights of policies do not count."""
        lapsed = self._lapsed()
        for (cluster, _, _), entry in self.entries() if lapsed else ():
            for service, clients in lapsed.get(entry.policy, ()) if entry.policy else ():
                yield _lapsed_problem(entry, ref_of(cluster, entry.item), service, clients)

    def _lapsed(self) -> Mapping[Policy, list[tuple[Service, list[str]]]]:
        """Return by policy the services of which its weights leave nobody, and the clusters whose clients would find nobody."""
        result: dict[Policy, list[tuple[Service, list[str]]]] = defaultdict(list)
        about = {(one.namespace, one.name) for one, policy in self._subjects.items() if policy.otherwise}
        before, self._lapses = self._lapses, {}
        ladders: dict[tuple[Governance, Place], Ladder] = {}
        for service in self._services if about else ():
            namespace = service.key.namespace
            if about.isdisjoint(((namespace, service.key.name), (namespace, ""), ("", ""))):
                continue
            known = before.get(service.key)
            found = known[1] if known and known[0] is service else self._lapsed_of(service, ladders)
            self._lapses[service.key] = service, found
            for policy, clusters in found.items():
                result[policy].append((service, clusters))
        return result

    def _lapsed_of(self, service: Service, ladders: dict[tuple[Governance, Place], Ladder]) -> Mapping[Policy, list[str]]:
        """Return the policies whose weights leave nobody of a service, and for clients of which clusters."""
        found: dict[Policy, list[str]] = {}
        for cluster in sorted(service.visible_in):
            for policy in dict.fromkeys(self._lapsed_for(cluster, service, ladders)):
                found.setdefault(policy, []).append(cluster)
        return found

    def _lapsed_for(self, cluster: str, service: Service, ladders: dict[tuple[Governance, Place], Ladder]) -> Iterator[Policy]:
        """Yield policies whose weights leave nobody of a service for clients in a cluster; ladders are kept from call to call."""
        for port in service.endpoints:
            governance = self.governing(service, port, cluster)
            member = self._members.get(cluster)
            if member is None or not governance.policy.otherwise:
                continue
            for zone in member.zones or ("",) if governance.needs_zone else ("",):
                place = Place(member.network, cluster, member.region, zone)
                if (governance, place) not in ladders:
                    ladders[governance, place] = Ladder(governance, place, self._members)
                if ladders[governance, place].weights_leave_nobody(service, port):
                    yield governance.policy

    def _policies_of(self, service: Service) -> set[Policy]:
        """Return what governs ports of a service for clients of all clusters that see it."""
        ports = [port.number for port in service.ports]
        found = (self.candidates(service.key, port, cluster) for port in ports for cluster in service.visible_in)
        return {candidates[0][1] for candidates in found if candidates}

    def _why(self, loser: Entry, winner: Policy) -> str:
        """Return why one of two policies governs."""
        ages = {one.item.metadata.age for one in self._entries.values() if one.policy is winner}
        return "which comes first by name" if ages == {loser.item.metadata.age} else "which is older"

    def _find_subjects(self) -> None:
        """Enter what each policy that is in force is about; of two for one subject the older one counts (GEP-713)."""
        self._subjects, self._sovereign = {**self._foreign.subjects}, {}
        ordered = sorted(self._entries.items(), key=lambda pair: (pair[1].item.metadata.age, pair[0]))
        for (cluster, _, _), entry in ordered:
            if entry.policy is None or entry.in_force is None:
                continue
            for subject in _subjects(cluster, entry.in_force[0]):
                winner = self._subjects.setdefault(subject, entry.policy)
                if entry.policy.sovereignty:
                    self._sovereign[subject] = (*self._sovereign.get(subject, ()), entry.policy)
                if winner is not entry.policy:
                    entry.lost.append((subject, winner))
            if entry.lost and not any(one is entry.policy for one in self._subjects.values()) and not entry.faults:
                winner = entry.lost[0][1]
                message = f"{winner.name} governs the same, {self._why(entry, winner)}"
                entry.faults = (Fault("spec.targetRefs", message, "keep one of them", CONFLICTED),)


_UNRULED = {key: Governance(policy) for key, policy in NO_POLICY.items()}


def _identity(cluster: str, item: TrafficPolicy) -> PolicyName:
    return cluster, item.metadata.namespace, item.metadata.name


def _is_same(one: TrafficPolicy, other: TrafficPolicy) -> bool:
    """Return whether two of one name are versions of one object: not if it was deleted, and made again, in between."""
    return one.metadata.uid == other.metadata.uid


def _is_left(service: Service, port: int, cluster: str, drains: Iterable[Drain]) -> bool:
    """Return whether drains leave anything of a service in a cluster untouched."""
    own = (one.locality for one in service.endpoints[port] if one.locality.cluster == cluster)
    return any(not any(drain.is_at(at) for drain in drains) for at in own)


def _subjects(cluster: str, item: TrafficPolicy) -> Iterator[Subject]:
    namespace = item.metadata.namespace
    for ref in item.spec.target_refs:
        yield Subject(cluster, ref.kind, namespace, ref.name, ref.port or 0)
    match item.spec.default_for:
        case "Namespace":
            yield Subject(cluster, "", namespace)
        case "Fleet":
            yield Subject(FLEET)


def _lapsed_problem(entry: Entry, ref: Ref, service: Service, clients: list[str]) -> Problem:
    """Return that weights of a policy are above 0 only where a service has no endpoints."""
    has_strategy = entry.in_force is not None and entry.in_force[0].spec.strategy is not None
    rungs = entry.policy.rungs if entry.policy else ()
    index = next(index for index, rung in enumerate(rungs) if rung.weights and not rung.closed)
    there = ", ".join(sorted({one.locality.cluster for found in service.endpoints.values() for one in found}))
    message = (
        f"{service.key.fqdn} has no endpoints where these are above 0, for clients in {', '.join(clients)}; "
        "they do not count, and its places weigh by their endpoints"
    )
    hint = f"give a place in {there} a weight above 0, or export the service where they are above 0"
    return Problem("XDS0607", message, ref, "spec.strategy.weights" if has_strategy else f"spec.tiers[{index}].weights", hint)


def _field_of(item: TrafficPolicy, subject: Subject) -> str:
    """Return where a policy says that it is about something."""
    if not subject.kind:
        return "spec.defaultFor"
    named = [(ref.kind, ref.name, ref.port or 0) for ref in item.spec.target_refs]
    asked = (subject.kind, subject.name, subject.port)
    return f"spec.targetRefs[{named.index(asked)}]" if asked in named else "spec.targetRefs"


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


def _by_namespace(named: Iterable[tuple[str, str]], before: Mapping[str, frozenset[str]]) -> dict[str, frozenset[str]]:
    found: dict[str, set[str]] = defaultdict(set)
    for namespace, name in named:
        found[namespace].add(name)
    now = {one: frozenset(names) for one, names in found.items()}
    return {one: before[one] if before.get(one) == names else names for one, names in now.items()}


@lru_cache(4096)
def _near(name: str, names: frozenset[str]) -> str:
    """Return a hint; it costs a look at every name, and policies may wait for long for what they name."""
    return did_you_mean(name, names - {name})


def _missing_targets(
    cluster: str, item: TrafficPolicy, services: Mapping[tuple[str, str], list[Service]], names: Mapping[str, frozenset[str]]
) -> Iterator[tuple[TargetRef, Fault]]:
    """Yield what a policy names that there is not, and what to say of it."""
    namespace = item.metadata.namespace
    for index, ref in enumerate(item.spec.target_refs):
        at = f"spec.targetRefs[{index}]"
        found = [one for one in services.get((namespace, ref.name), ()) if _is_meant(one.key, ref, cluster)]
        if not found:
            where = f" in {cluster}" if cluster and ref.kind == "Service" else ""
            hint = _near(ref.name, names.get(namespace, frozenset())) or _elsewhere(ref, names)
            yield ref, Fault(f"{at}.name", f"there is no {ref.kind} {namespace}/{ref.name}{where}", hint, TARGET_NOT_FOUND)
        elif ref.port and not any(port.number == ref.port for one in found for port in one.ports):
            ports = ", ".join(sorted({str(port.number) for one in found for port in one.ports}, key=int))
            message = f"{ref.kind} {namespace}/{ref.name} has no port {ref.port}"
            yield ref, Fault(f"{at}.port", message, f"it has {ports}" if ports else "", TARGET_NOT_FOUND)


def _elsewhere(ref: TargetRef, names: Mapping[str, frozenset[str]]) -> str:
    """Return a hint; an object that says no namespace is in `default`."""
    there = sorted(namespace for namespace, found in names.items() if ref.name in found)
    if there:
        return f"a policy is about Services of its own namespace; there is one in {' and in '.join(there[:3])}"
    return "create it, or export it, or take it out of the list"


def _is_meant(key: ServiceKey, ref: TargetRef, cluster: str) -> bool:
    if ref.kind == "ServiceImport":
        return key.scope == CLUSTERSET
    return key.scope == cluster if cluster else key.scope != CLUSTERSET


def _facts(members: Mapping[str, Member]) -> dict[str, tuple[object, ...]]:
    """Return what ladders depend on."""
    return {name: (one.provider, one.labels) for name, one in members.items()}
