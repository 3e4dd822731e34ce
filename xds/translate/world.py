"""The translator: everything that the proxies of a view are given.

Work is done once a service where views agree: clusters are the same for every view of Envoys that one policy governs, clusters
and api_listeners for every view of gRPC clients, CLAs for every view on the same ladder. Only listeners and routes are made for
each view. A view that was made before is made anew of the services that changed.

Making a view yields after each service, so that it can be done in slices: all is made of the fleet as it was at `take`.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from xds.model.service import CLUSTERSET
from xds.model.view import Role
from xds.policy.book import PolicyBook
from xds.policy.outlook import Outlook
from xds.translate.assignments import THROUGH_GATEWAYS, assignment
from xds.translate.clusters import service_cluster
from xds.translate.gateway import GatewayInput, GatewayResult, gateway_resources
from xds.translate.moment import Moment
from xds.translate.proxyless import proxyless_resources
from xds.translate.sidecar import Pieces, sidecar_resources
from xds.translate.unfollowed import unfollowed
from xds.wire import CLUSTER, ENDPOINT, LISTENER, ROUTE

if TYPE_CHECKING:
    from collections.abc import Collection, Container, Iterable

    from xds.model.fleet import Fleet, FleetChange
    from xds.model.service import Service, ServiceKey
    from xds.model.view import View
    from xds.policy.ladder import Ladder
    from xds.policy.policies import ClusterSettings, Policy
    from xds.problems import Problem
    from xds.snapshot.resource import Resource

TYPES = (CLUSTER, ENDPOINT, LISTENER, ROUTE)
"""What is made, in the order in which Envoy wants to hear of it (R24)."""

Resources = dict[str, dict[str, "Resource"]]
"""Type URL -> name -> resource; an entry for each of TYPES."""
Changed = Mapping["ServiceKey", frozenset[str]]
"""Services that changed -> names that their resources had."""
T = TypeVar("T")
Steps = Generator[None, None, T]
"""Work that can be interrupted wherever it yields; what it comes to is its return value."""


def finish(steps: Steps[T]) -> T:
    """Do all of it at once."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            found: T = end.value
            return found


@dataclass(frozen=True, slots=True)
class Translation:
    """What a view is given, and what could not be served in it."""

    resources: Resources
    problems: tuple[Problem, ...]
    stale: frozenset[str] | None = None
    """Names that the view holds no more unless they are among the resources; None: all, since these are all of its resources."""
    given: _Given | None = None
    """For `Translator.took`."""


@dataclass(frozen=True, slots=True)
class _Given:
    """What a view was given last beside the resources of its services."""

    own: frozenset[str]
    """The names of its own."""
    problems: tuple[Problem, ...]
    gateways: tuple[GatewayInput, GatewayResult] | None = None
    """What a gateway's are made of, and what was made."""


@dataclass(slots=True)
class _Entry:
    """What has been made of one service so far."""

    service: Service
    clusters: dict[tuple[ClusterSettings, ...], list[Resource]] = field(default_factory=dict)
    """What policies say of each port -> the clusters for Envoys."""
    proxyless: list[Resource] | None = None
    """api_listeners and their clusters, made when the first gRPC client comes."""
    assignments: dict[tuple[Ladder, ...], list[Resource]] = field(default_factory=dict)
    """The ladder of each port -> the CLAs."""
    pieces: Pieces = field(default_factory=Pieces)
    """Of sidecars' listeners and routes."""


class Translator:
    """Makes resources of the fleet as it was at the last `take`; keeps what it made of each service until the service changes."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet
        self._moment = Moment(fleet)
        self.book = PolicyBook()
        """The policies that are in force."""
        self.book.refresh(fleet)
        self._outlooks: dict[View, Outlook] = {}
        self._entries: dict[ServiceKey, _Entry] = {}
        self._outbound: dict[tuple[str, ...], tuple[list[Resource], list[Problem]]] = {}
        """(cluster, namespace, intercept, listen) -> listeners and routes of the sidecars that say so, wherever they run."""
        self._given: dict[View, _Given] = {}
        self._ahead: dict[ServiceKey, Service] = {}

    def take(self, change: FleetChange | None) -> Changed | None:
        """Take what the fleet has now as what everything is made of from now on, and look which policies are in force.

        Args:
            change: what is different from the last time; None: whatever it is.

        Returns:
            The services of which views have to be made anew; None: of all.
        """
        keys = self._fleet.services.keys() | self._moment.services.keys() if change is None else change.services | change.remade
        names = {key: _names(self._moment.services.get(key)) for key in keys}
        self._ahead.clear()
        clusters = self._moment.take(keys, gateways=change is None or change.gateways)
        is_governed_anew = self.book.refresh(self._fleet)
        if change is None or change.members or change.policies or is_governed_anew:
            self._outlooks.clear()
            self._outbound.clear()
            return None
        self._outbound = {key: found for key, found in self._outbound.items() if key[0] not in clusters}
        for key in keys:
            if key not in self._moment.services:
                self._entries.pop(key, None)
        return names

    def take_endpoints(self, keys: Iterable[ServiceKey], *, but: Container[ServiceKey]) -> None:
        """Take the endpoints that the fleet has now of some services: the fast lane.

        Args:
            keys: the services.
            but: those of which more has changed since the last `take`: nothing but their CLAs goes by this.
        """
        for key in keys:
            service = self._fleet.services.get(key)
            if service is not None and key in but:
                self._ahead[key] = service
            elif service is not None:
                self._moment.take_endpoints(service)

    @property
    def ahead(self) -> Collection[ServiceKey]:
        """The services whose CLAs are of a later state than all else."""
        return self._ahead.keys()

    def translate(self, view: View) -> Translation:
        """Return everything for a view."""
        return finish(self.steps(view, None))

    def steps(self, view: View, changed: Changed | None) -> Steps[Translation]:
        """Make what a view is given.

        `take` in between makes it worthless.

        Args:
            view: it.
            changed: what `take` returned since the view was made last; None: make everything.
        """
        resources: Resources = {type_url: {} for type_url in TYPES}
        outlook = self._outlook(view)
        own, given, keys, stale = yield from self._own(view, changed)
        for key in keys:
            service = self._moment.services.get(key)
            if service is not None and service.is_visible(view.cluster):
                if view.role is Role.PROXYLESS:
                    _add(resources, self._proxyless(service))
                else:
                    _add(resources, self._clusters(service, outlook))
                _add(resources, self._assignments(service, outlook))
            yield
        _add(resources, own)
        policies = yield from self._policies(view, given, outlook)
        problems = (*given.problems, *unfollowed(view.role, policies))
        return Translation(resources, problems, None if changed is None else stale, given)

    def took(self, view: View, translation: Translation) -> None:
        """Have the next translation of a view be a change of this one, now that it has it: a build may come to nothing before."""
        if translation.given:
            self._given[view] = translation.given

    def _own(
        self, view: View, changed: Changed | None
    ) -> Steps[tuple[list[Resource], _Given, Collection[ServiceKey], frozenset[str]]]:
        """Make what belongs to no single service.

        Returns:
            That, what to remember of it, the services of which the rest is to be made, and the names that may be gone.
        """
        before = self._given.get(view)
        keys: Collection[ServiceKey] = self._moment.order if changed is None else changed
        stale = {name for key, names in (changed or {}).items() if key.scope in {CLUSTERSET, view.cluster} for name in names}
        own: list[Resource] = []
        problems: list[Problem] = []
        gateways = None
        if view.role is Role.GATEWAY:
            gateways = yield from self._gateways(view, changed, before)
            used, held = gateways[1].services, before.gateways[1].services if before and before.gateways else frozenset()
            own, problems = gateways[1].resources, gateways[1].problems
            keys = sorted(used) if changed is None else sorted(used & {*changed, *(used - held)})
            stale |= {name for key in held - used for name in _names(self._moment.services.get(key))}
        elif view.role is not Role.PROXYLESS:
            own, problems = yield from self._sidecar(view)
        stale |= before.own if before else frozenset()
        given = _Given(frozenset(one.name for one in own), tuple(problems), gateways)
        return own, given, keys, frozenset(stale)

    def _gateways(self, view: View, changed: Changed | None, before: _Given | None) -> Steps[tuple[GatewayInput, GatewayResult]]:
        given = GatewayInput(view, *self._moment.gateways(view.cluster), self._moment.services)
        if before and before.gateways and changed is not None:
            made_of, result = before.gateways
            if (made_of.gateways, made_of.routes) == (given.gateways, given.routes) and result.named.isdisjoint(changed):
                return before.gateways
        return given, (yield from gateway_resources(given))

    def _policies(self, view: View, given: _Given, outlook: Outlook) -> Steps[set[Policy]]:
        """Find the policies that govern something for a view whose clients do not follow all that policies ask."""
        found: set[Policy] = set()
        if view.role not in {Role.GATEWAY, Role.PROXYLESS} or self.book.is_empty:
            return found
        used = given.gateways[1].services if given.gateways else None
        for service in self._moment.visible(view.cluster):
            if used is not None and service.key not in used:
                continue
            found.update(ladder.policy for ladder in outlook.ladders(service))
            yield
        return found

    def endpoints(self, view: View, keys: Iterable[ServiceKey], held: Container[str]) -> dict[str, Resource]:
        """Return the CLAs of some services for a view, of the endpoints that were taken last.

        Args:
            view: whose CLAs.
            keys: the services.
            held: names of the view's present CLAs; one that it does not hold yet waits for its batch.
        """
        found: dict[str, Resource] = {}
        outlook = self._outlook(view)
        for key in keys:
            service = self._ahead.get(key) or self._moment.services.get(key)
            # Other clusters' own services have the same names there.
            if service is not None and service.is_visible(view.cluster):
                found.update(
                    (resource.name, resource) for resource in self._assignments(service, outlook) if resource.name in held
                )
        return found

    def forget(self, live: Iterable[View]) -> Steps[None]:
        """Drop what was made for services that are gone and for places where no live view is."""
        views = frozenset(live)
        for outbound in self._outbound.keys() - {_outbound_key(view) for view in views}:
            del self._outbound[outbound]
        self._given = {view: given for view, given in self._given.items() if view in views}
        self._outlooks = {view: outlook for view, outlook in self._outlooks.items() if view in views}
        ladders = {one for outlook in self._outlooks.values() for one in outlook.ladders_in_use}
        settings = {one for outlook in self._outlooks.values() for one in outlook.settings_in_use}
        clusters = {view.cluster for view in views}
        self.book.forget_ladders(ladders)
        for key, entry in list(self._entries.items()):
            if key not in self._fleet.services:
                self._entries.pop(key, None)
                continue
            for unused in [found for found in entry.assignments if not ladders.issuperset(found)]:
                del entry.assignments[unused]
            for said in entry.clusters.keys() - settings:
                del entry.clusters[said]
            entry.pieces.forget(clusters)
            yield

    def _sidecar(self, view: View) -> Steps[tuple[list[Resource], list[Problem]]]:
        key = _outbound_key(view)
        found = self._outbound.get(key)
        if found is None:
            visible: list[Service] = []
            for service in self._moment.visible(view.cluster):
                visible.append(service)
                yield
            routing = partial(self.book.routing, cluster=view.cluster)
            found = yield from sidecar_resources(view, visible, routing, lambda service: self._entry(service).pieces)
            self._outbound[key] = found
        return found

    def _entry(self, service: Service) -> _Entry:
        entry = self._entries.get(service.key)
        if entry is None or (entry.service is not service and _shape(entry.service) != _shape(service)):
            entry = self._entries[service.key] = _Entry(service)
        elif entry.service is not service:
            entry.service = service
            entry.assignments.clear()
        return entry

    def _outlook(self, view: View) -> Outlook:
        found = self._outlooks.get(view)
        if found is None:
            found = self._outlooks[view] = Outlook(self.book, view)
        return found

    def _clusters(self, service: Service, outlook: Outlook) -> list[Resource]:
        entry, settings = self._entry(service), outlook.settings(service)
        inside = self._inside(service, outlook) if service.resolved else []
        if any(inside):
            made = (service_cluster(service, *one) for one in zip(service.ports, settings, inside, strict=True))
            return [*made]
        found = entry.clusters.get(settings)
        if found is None:
            made = (service_cluster(service, port, one) for port, one in zip(service.ports, settings, strict=True))
            found = entry.clusters[settings] = [*made]
        return found

    def _inside(self, service: Service, outlook: Outlook) -> list[Ladder | None]:
        """Return the ladder of each port whose endpoints stand in its cluster, since some are names to resolve."""
        ladders = outlook.ladders(service)
        return [one if one.resolves(service, port.number) else None for port, one in zip(service.ports, ladders, strict=True)]

    def _proxyless(self, service: Service) -> list[Resource]:
        entry = self._entry(service)
        if entry.proxyless is None:
            entry.proxyless = [made for port in service.ports for made in proxyless_resources(service, port)]
        return entry.proxyless

    def _assignments(self, service: Service, outlook: Outlook) -> list[Resource]:
        entry, ladders = self._entry(service), outlook.ladders(service)
        found = entry.assignments.get(ladders)
        if found is None:
            pairs = [(port.number, one) for port, one in zip(service.ports, ladders, strict=True)]
            made = (assignment(service, port, one) for port, one in pairs if not one.resolves(service, port))
            found = entry.assignments[ladders] = [*made]
        return found


def _outbound_key(view: View) -> tuple[str, ...]:
    """Return what a sidecar's listeners and routes depend on, and no more, so that views share them."""
    return (view.cluster, view.namespace, view.intercept, view.listen)


def _shape(service: Service) -> tuple[object, ...]:
    """Return what all but CLAs is made of; origins too, for the blame."""
    return (service.origins, service.ports, service.keeps_clients, service.vips)


def _names(service: Service | None) -> frozenset[str]:
    """Return what resources of a service may be called."""
    plain = [service.resource_name(port.number) for port in service.ports] if service else ()
    return frozenset((*plain, *(name + THROUGH_GATEWAYS for name in plain)))


def _add(resources: Resources, found: Iterable[Resource]) -> None:
    for resource in found:
        resources[resource.type_url][resource.name] = resource
