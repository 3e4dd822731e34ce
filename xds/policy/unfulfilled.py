"""What policies in force ask for and services do not have: capacities, endpoints where weights are, clients that can be eased in.

Each such policy stays in force for what else it says; what it asks for in vain is told, by the service that lacks it.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Protocol

from xds.model.events import ref_of
from xds.policy.ladder import Ladder
from xds.policy.notes import KEPT
from xds.policy.tiers import Place
from xds.problems import Problem

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from xds.model.members import Member
    from xds.model.service import Service, ServiceKey
    from xds.policy.ladder import Governance
    from xds.policy.overrides import PolicyName
    from xds.policy.policies import Policy
    from xds.policy.subjects import Subject
    from xds.policy.versions import Entry
    from xds.problems import Ref

Ladders = dict[tuple["Governance", Place], Ladder]


class Book(Protocol):
    """The part of `xds.policy.book.PolicyBook` that this depends on."""

    members: Mapping[str, Member]
    services: Collection[Service]

    @property
    def subjects(self) -> Mapping[Subject, Policy]:
        """What governs what."""
        ...

    @property
    def policies(self) -> set[Policy]:
        """What is in force of TrafficPolicies."""
        ...

    def entries(self) -> Iterator[tuple[PolicyName, Entry]]:
        """Return every TrafficPolicy, and what became of it."""
        ...

    def governing(self, service: Service, port: int, cluster: str) -> Governance:
        """Return what governs a port of a service for clients in a cluster."""
        ...

    def policies_of(self, service: Service) -> set[Policy]:
        """Return what governs ports of a service for clients of all clusters that see it."""
        ...


class Unfulfilled:
    """Finds it; it remembers where weights leave nobody, which costs a look at every endpoint."""

    def __init__(self) -> None:
        self._lapses: dict[ServiceKey, tuple[Service, Mapping[Policy, list[str]]]] = {}
        """By service as it was looked at: policy -> clusters whose clients would find nobody."""

    def forget(self) -> None:
        """Look at every service anew: who governs them may have changed."""
        self._lapses.clear()

    def problems(self, book: Book) -> Iterator[Problem]:
        """Yield what policies of a book ask for in vain."""
        yield from _undeclared_capacities(book)
        yield from self._lapsed_weights(book)
        yield from _never_slow(book)

    def _lapsed_weights(self, book: Book) -> Iterator[Problem]:
        """Yield for which services the weights of policies do not count."""
        lapsed = self._lapsed(book)
        for (cluster, _, _), entry in book.entries() if lapsed else ():
            for service, clients in lapsed.get(entry.policy, ()) if entry.policy else ():
                yield _lapsed_problem(entry, ref_of(cluster, entry.item), service, clients)

    def _lapsed(self, book: Book) -> Mapping[Policy, list[tuple[Service, list[str]]]]:
        """Return by policy the services of which its weights leave nobody, and the clusters whose clients would find nobody."""
        result: dict[Policy, list[tuple[Service, list[str]]]] = defaultdict(list)
        about = {(one.namespace, one.name) for one, policy in book.subjects.items() if policy.otherwise}
        before, self._lapses = self._lapses, {}
        ladders: Ladders = {}
        for service in book.services if about else ():
            namespace = service.key.namespace
            if about.isdisjoint(((namespace, service.key.name), (namespace, ""), ("", ""))):
                continue
            known = before.get(service.key)
            found = known[1] if known and known[0] is service else _lapsed_of(book, service, ladders)
            self._lapses[service.key] = service, found
            for policy, clusters in found.items():
                result[policy].append((service, clusters))
        return result


def _lapsed_of(book: Book, service: Service, ladders: Ladders) -> Mapping[Policy, list[str]]:
    """Return the policies whose weights leave nobody of a service, and for clients of which clusters."""
    found: dict[Policy, list[str]] = {}
    for cluster in sorted(service.visible_in):
        for policy in dict.fromkeys(_lapsed_for(book, cluster, service, ladders)):
            found.setdefault(policy, []).append(cluster)
    return found


def _lapsed_for(book: Book, cluster: str, service: Service, ladders: Ladders) -> Iterator[Policy]:
    """Yield policies whose weights leave nobody of a service for clients in a cluster; ladders are kept from call to call."""
    for port in service.endpoints:
        governance = book.governing(service, port, cluster)
        member = book.members.get(cluster)
        if member is None or not governance.policy.otherwise:
            continue
        for zone in member.zones or ("",) if governance.needs_zone else ("",):
            place = Place(member.network, cluster, member.region, zone)
            if (governance, place) not in ladders:
                ladders[governance, place] = Ladder(governance, place, book.members)
            if ladders[governance, place].weights_leave_nobody(service, port):
                yield governance.policy


def _lapsed_problem(entry: Entry, ref: Ref, service: Service, clients: list[str]) -> Problem:
    """Return that weights of a policy are above 0 only where a service has no endpoints."""
    has_strategy = entry.in_force is not None and entry.in_force[0].spec.strategy is not None
    rungs = entry.policy.rungs if entry.policy else ()
    index = next(index for index, rung in enumerate(rungs) if rung.weights and not rung.closed)
    there = ", ".join(sorted(_clusters(service)))
    message = (
        f"{service.key.fqdn} has no endpoints where these are above 0, for clients in {', '.join(clients)}; "
        "they do not count, and its places weigh by their endpoints"
    )
    hint = f"give a place in {there} a weight above 0, or export the service where they are above 0"
    return Problem("XDS0607", message, ref, "spec.strategy.weights" if has_strategy else f"spec.tiers[{index}].weights", hint)


def _undeclared_capacities(book: Book) -> Iterator[Problem]:
    """Yield for which services policies weigh by capacities that clusters do not declare."""
    undeclared = _undeclared(book)
    for (cluster, _, _), entry in book.entries() if undeclared else ():
        for service, missing in undeclared.get(entry.policy, ()) if entry.policy else ():
            message = f"{service.key.fqdn} has no capacity in {', '.join(missing)}, so its places weigh by their endpoints"
            hint = "give its Service there the annotation traffic.isthmus.dev/endpoint-capacity, in requests a second"
            yield Problem("XDS0605", message, ref_of(cluster, entry.item), "spec.tiers", hint)


def _undeclared(book: Book) -> Mapping[Policy, list[tuple[Service, list[str]]]]:
    """Return by policy the services that it weighs by capacities, and the clusters that declare none of theirs."""
    result: dict[Policy, list[tuple[Service, list[str]]]] = defaultdict(list)
    weighing = {one for one in book.policies if any(rung.by_capacity for rung in one.rungs)}
    for service in book.services if weighing else ():
        if missing := sorted(_clusters(service) - service.capacities.keys()):
            for policy in weighing & book.policies_of(service):
                result[policy].append((service, missing))
    return result


def _never_slow(book: Book) -> Iterator[Problem]:
    """Yield policies with a slow start for services whose clients go by a hash, which knows of none."""
    for service in book.services:
        for policy in sorted(book.policies_of(service), key=lambda one: one.name) if service.keeps_clients else ():
            if policy.cluster.slow_start_s and policy.origin:
                message = f"{service.key.fqdn} keeps its clients (sessionAffinity), so a new endpoint gets its share at once"
                yield Problem(KEPT, message, policy.origin, "spec.slowStartSeconds", "do without one of the two")


def _clusters(service: Service) -> set[str]:
    """Return the clusters that have endpoints of a service."""
    return {one.locality.cluster for found in service.endpoints.values() for one in found}
