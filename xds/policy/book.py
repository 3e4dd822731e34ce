"""The book of policies: which are in force, and which of them governs a service port for the clients of a cluster.

The most specific one governs, whole: one that names the port comes before one that names the service, then what other systems
say of the service, then the namespace's default, then the fleet's; of two alike, the cluster's own comes before the fleet's.
Sovereignty alone adds up: a place that must never be used is never used, whatever a more specific policy says.

So who moves from another system writes TrafficPolicies service by service; a default takes nothing from those that have none yet.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from xds.model.events import ref_of
from xds.model.service import ServiceKey
from xds.policy.acceptance import CONFLICTED, TARGET_NOT_FOUND, Fault, Known, localities_of
from xds.policy.foreign import ForeignPolicies
from xds.policy.ladder import Governance, Ladder
from xds.policy.overrides import NONE, Drain, Overrides, gate_of, problems
from xds.policy.policies import NO_POLICY, Policy, default_rungs
from xds.policy.subjects import FLOMESH, Subject, subjects_of
from xds.policy.targets import field_of, targeted
from xds.policy.tiers import Place
from xds.policy.unfulfilled import Unfulfilled
from xds.policy.versions import Versions
from xds.problems import Problem

if TYPE_CHECKING:
    from collections.abc import Collection, Container, Iterable, Iterator, Mapping

    from xds.model.events import Event
    from xds.model.fleet import Fleet
    from xds.model.members import Member
    from xds.model.service import Endpoint, Service
    from xds.model.traffic_objects import Gate, GateSpec, TrafficOverride, TrafficPolicy
    from xds.model.view import View
    from xds.policy.overrides import PolicyName
    from xds.policy.policies import RouteSettings
    from xds.policy.tiers import Ranking
    from xds.policy.versions import Entry
    from xds.problems import Ref


class PolicyBook:
    """What `refresh` was told last."""

    def __init__(self) -> None:
        self._versions = Versions()
        self._subjects: dict[Subject, Policy] = {}
        self.soaks_s: frozenset[float] = frozenset()
        """After how long policies in force give places that are well again their traffic back."""
        self._foreign = ForeignPolicies()
        self._sovereign: dict[Subject, tuple[Policy, ...]] = {}
        """Whose sovereignty holds: that of policies that do not govern, too."""
        self.members: Mapping[str, Member] = {}
        """By name."""
        self.services: Collection[Service] = ()
        """All services."""
        self._overrides = NONE
        self._override_problems: tuple[Problem, ...] = ()
        self._complete: dict[tuple[Policy, str, bool], Policy] = {}
        """Of policies without tiers: (policy, trafficDistribution, whether endpoints of other clusters count) -> with them."""
        self._unfulfilled = Unfulfilled()
        self._governances: dict[tuple[Policy, tuple[Policy, ...], tuple[Drain, ...], bool], Governance] = {}
        self._ladders: dict[tuple[Governance, Place], Ladder] = {}

    @property
    def overrides(self) -> Overrides:
        """What operators override."""
        return self._overrides

    @property
    def subjects(self) -> Mapping[Subject, Policy]:
        """What governs what, whosever policy it is."""
        return self._subjects

    @property
    def policies(self) -> set[Policy]:
        """What is in force of TrafficPolicies, whether it governs anything or not."""
        return self._versions.policies

    @property
    def sovereignty(self) -> Mapping[Subject, tuple[Policy, ...]]:
        """Whose sovereignty holds over what; equal as long as that is the same."""
        return self._sovereign

    def remember(self, events: Iterable[Event]) -> None:
        """Take what events say of versions that were accepted before: the next `refresh` needs it, if the objects are there."""
        self._versions.remember(events)

    def accepted(self, cluster: str) -> tuple[TrafficPolicy, ...]:
        """Return a cluster's policies, each as it was accepted last (`Remember.accepted`)."""
        return self._versions.accepted(cluster)

    def told(self) -> list[Event]:
        """Return events that, with those of `Fleet.told`, make the same book of an empty one."""
        return self._versions.told()

    def refresh(self, fleet: Fleet) -> bool:
        """Find out anew which policies of a fleet are in force, and what each governs.

        Returns:
            Whether services that have not changed may be governed in another way than before.
        """
        governed_by = self._governed_by()
        overriding = [*fleet.overrides()]
        self._overrides = Overrides.of(overriding)
        if _facts(fleet.members) != _facts(self.members):
            self._ladders.clear()
        self.members, self.services = fleet.members, fleet.services.values()
        known = Known.of(fleet)
        self._versions.refresh(fleet, known, self._overrides.gates)
        self._override_problems = tuple(problems(overriding, known, self._versions.items))
        fleet.keep_targets(self._versions.in_force)
        self._foreign.refresh(fleet, known)
        self._find_subjects()
        if has_changed := self._governed_by() != governed_by:
            self._unfulfilled.forget()
        self.soaks_s = frozenset(one.fail_back_s for one in self._subjects.values() if one.fail_back_s)
        self._forget_governances()
        return has_changed

    def _forget_governances(self) -> None:
        """Drop what was made of policies and drains that are no longer in force."""
        in_force = {*self.policies, *NO_POLICY.values(), *self._foreign.subjects.values()}
        self._complete = {key: one for key, one in self._complete.items() if key[0] in in_force}
        in_force |= {*self._complete.values()}
        drains = {*self._overrides.drains}
        self._governances = {
            key: one
            for key, one in self._governances.items()
            if key[0] in in_force and in_force >= {*key[1]} and drains >= {*key[2]}
        }

    def _governed_by(self) -> tuple[object, ...]:
        """Return all that decides, with a service, who governs it for whom."""
        return self._subjects, self._sovereign, self._overrides.drains, self.members

    def awaits(self, services: Iterable[Service]) -> bool:
        """Return whether endpoints of services are at places that policies name and that there were not: judge those anew."""
        if not (self._versions.awaited or self._foreign.awaited):
            return False
        known = Known(self.members, localities_of(services))
        return any(map(known.sees, self._versions.awaited)) or any(known.has(*named) for named in self._foreign.awaited)

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
            if entry.faults and not subjects.isdisjoint(targeted(holder, entry.item)):
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
            found = Ladder(governance, place, self.members)
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
        member = self.members.get(cluster)
        if not sovereign or member is None:
            return found
        place = Place(member.network, cluster, member.region)
        return tuple(one for one in found if not any(other.forbids(one, place, self.members) for other in sovereign))

    def is_forbidden(self, policy: Policy, endpoint: Endpoint, view: View) -> bool:
        """Return whether the sovereignty of a policy forbids an endpoint to the clients of a view."""
        place = Place(view.network, view.cluster, view.region, view.zone, view.node_name)
        return policy.forbids(endpoint, place, self.members)

    def refs(self, policy: Policy) -> tuple[Ref, ...]:
        """Return the object that a policy is written in, as it is now; none for one that nobody wrote."""
        if policy.origin is None:
            return ()
        origin = policy.origin
        if foreign := self._foreign.ref(origin):
            return (foreign,)
        entry = self._entry_of(policy)
        return (ref_of(origin.cluster, entry.item) if entry else origin,)

    def _entry_of(self, policy: Policy) -> Entry | None:
        """Return the TrafficPolicy that says a policy; None if none does."""
        origin = policy.origin
        entry = self._versions.named((origin.cluster, origin.namespace, origin.name)) if origin else None
        return entry if entry and origin and entry.item.kind == origin.kind else None

    def check(self, override: TrafficOverride) -> Iterator[Problem]:
        """Yield what is wrong with an override, as policies stand."""
        return problems([override], Known(self.members, localities_of(self.services)), self._versions.items)

    def gate(self, spec: GateSpec) -> Gate | Problem:
        """Return what a policy says of the gate of one of its tiers, or that there is none."""
        return gate_of(spec, self._versions.items)

    def entry(self, cluster: str, item: TrafficPolicy) -> Entry | None:
        """Return what became of a policy; None if it has not been judged yet, neither this version nor one before."""
        return self._versions.entry(cluster, item)

    def entries(self) -> Iterator[tuple[PolicyName, Entry]]:
        """Return every policy, and what became of it, in order of their names."""
        return self._versions.entries()

    def problems(self) -> Iterator[Problem]:
        """Yield what is wrong with policies."""
        for (cluster, _, _), entry in self.entries():
            ref = ref_of(cluster, entry.item)
            yield from _faults(entry, ref)
            for subject, winner in entry.lost:
                message = f"{subject} is governed by {winner.name}, {self._why(entry, winner)}"
                yield Problem("XDS0603", message, ref, field_of(entry.item, subject), "keep one of them")
        yield from self._foreign.problems()
        yield from self._without_gateways()
        yield from self._unfulfilled.problems(self)
        yield from self._override_problems

    def _without_gateways(self) -> Iterator[Problem]:
        """Yield policies of Flomesh for Services that something else governs: their gateways are not used."""
        for subject, policy in self._foreign.subjects.items():
            if subject.system == FLOMESH:
                key = ServiceKey(subject.namespace, subject.name, subject.holder)
                winner = next(self._subjects[one] for one in subjects_of(key, 0, subject.holder) if one in self._subjects)
                if winner is not policy:
                    message = f"{winner.name} governs the same and uses no gateways"
                    yield Problem("XDS0241", message, policy.origin, hint="delete one")

    def policies_of(self, service: Service) -> set[Policy]:
        """Return what governs ports of a service for clients of all clusters that see it."""
        ports = [port.number for port in service.ports]
        found = (self.candidates(service.key, port, cluster) for port in ports for cluster in service.visible_in)
        return {candidates[0][1] for candidates in found if candidates}

    def _why(self, loser: Entry, winner: Policy) -> str:
        """Return why one of two policies governs."""
        entry = self._entry_of(winner)
        is_as_old = entry is not None and entry.item.metadata.age == loser.item.metadata.age
        return "which comes first by name" if is_as_old else "which is older"

    def _find_subjects(self) -> None:
        """Enter what each policy that is in force is about; of two for one subject the older one counts (GEP-713)."""
        self._subjects, self._sovereign = {**self._foreign.subjects}, {}
        for (cluster, _, _), entry in self._versions.in_order_of_age:
            if entry.policy is None or entry.in_force is None:
                continue
            for subject in targeted(cluster, entry.in_force[0]):
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


def _is_left(service: Service, port: int, cluster: str, drains: Iterable[Drain]) -> bool:
    """Return whether drains leave anything of a service in a cluster untouched."""
    own = (one.locality for one in service.endpoints[port] if one.locality.cluster == cluster)
    return any(not any(drain.is_at(at) for drain in drains) for at in own)


def _faults(entry: Entry, ref: Ref) -> Iterator[Problem]:
    """Yield why a policy is not in force as it is; whom it loses a target to is told subject by subject."""
    for fault in entry.faults:
        if fault.reason == TARGET_NOT_FOUND:
            message = fault.message if entry.is_in_force else f"{fault.message}; {entry.instead}"
            yield Problem("XDS0602", message, ref, fault.field, fault.hint)
        elif fault.reason != CONFLICTED:
            yield Problem("XDS0601", f"{fault.message}; {entry.instead}", ref, fault.field, fault.hint)


def _facts(members: Mapping[str, Member]) -> dict[str, tuple[object, ...]]:
    """Return what ladders depend on."""
    return {name: (one.provider, one.labels) for name, one in members.items()}
