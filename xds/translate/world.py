"""The translator: everything that the proxies of a view are given.

Work is done once a service where views agree: clusters are the same for every view of Envoys that one policy governs, clusters
and api_listeners for every view of gRPC clients, CLAs for every view on the same ladder. Only listeners and routes are made for
each view.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from xds.model.view import Role
from xds.policy.book import PolicyBook
from xds.policy.outlook import Outlook
from xds.translate.assignments import assignment
from xds.translate.clusters import service_cluster
from xds.translate.gateway import GatewayInput, gateway_resources
from xds.translate.proxyless import proxyless_resources
from xds.translate.sidecar import sidecar_resources
from xds.translate.unfollowed import unfollowed
from xds.wire import CLUSTER, ENDPOINT, LISTENER, ROUTE

if TYPE_CHECKING:
    from collections.abc import Container, Iterable

    from xds.model.fleet import Fleet
    from xds.model.service import Service, ServiceKey
    from xds.model.view import View
    from xds.policy.ladder import Ladder
    from xds.policy.policies import ClusterSettings
    from xds.problems import Problem
    from xds.snapshot.resource import Resource

TYPES = (CLUSTER, ENDPOINT, LISTENER, ROUTE)
"""What is made, in the order in which Envoy wants to hear of it (R24)."""

Resources = dict[str, dict[str, "Resource"]]
"""Type URL -> name -> resource; an entry for each of TYPES."""


@dataclass(frozen=True, slots=True)
class Translation:
    """What a view is given, and what could not be served in it."""

    resources: Resources
    problems: tuple[Problem, ...]


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


class Translator:
    """Makes resources of the fleet's present state; keeps what it made of each service until the service changes."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet
        self.book = PolicyBook()
        """The policies that are in force."""
        self._outlooks: dict[View, Outlook] = {}
        self._entries: dict[ServiceKey, _Entry] = {}
        self._outbound: dict[tuple[str, ...], tuple[list[Resource], list[Problem]]] = {}
        """(cluster, namespace, intercept, listen) -> listeners and routes of the sidecars that say so, wherever they run."""
        self.services_changed()

    def translate(self, view: View) -> Translation:
        """Return everything for a view."""
        visible = list(self._fleet.visible(view.cluster))
        problems: list[Problem] = []
        own: list[Resource] = []
        if view.role is Role.GATEWAY:
            given = GatewayInput(view, self._fleet.gateways(view.cluster), self._fleet.routes(view.cluster), self._fleet.services)
            result = gateway_resources(given)
            own, problems = result.resources, result.problems
            visible = [service for service in visible if service.key in result.services]
        elif view.role is Role.PROXYLESS:
            own = [resource for service in visible for resource in self._proxyless(service)]
        else:
            own, problems = self._sidecar(view, visible)
        resources: Resources = {type_url: {} for type_url in TYPES}
        outlook = self._outlook(view)
        for service in visible:
            if view.role is not Role.PROXYLESS:
                _add(resources, self._clusters(service, outlook))
            _add(resources, self._assignments(service, outlook))
        _add(resources, own)
        policies = {ladder.policy for ladder in outlook.ladders_in_use}
        return Translation(resources, (*problems, *unfollowed(view.role, policies)))

    def endpoints(self, view: View, keys: Iterable[ServiceKey], held: Container[str]) -> dict[str, Resource]:
        """Return the CLAs of some services for a view: the fast lane.

        Args:
            view: whose CLAs.
            keys: the services.
            held: names of the view's present CLAs; one that it does not hold yet waits for its batch.
        """
        found: dict[str, Resource] = {}
        outlook = self._outlook(view)
        for key in keys:
            service = self._fleet.services.get(key)
            # Other clusters' own services have the same names there.
            if service is not None and service.is_visible(view.cluster):
                found.update(
                    (resource.name, resource) for resource in self._assignments(service, outlook) if resource.name in held
                )
        return found

    def forget(self, live: Iterable[View]) -> None:
        """Drop what was made for services that are gone and for places where no live view is."""
        views = frozenset(live)
        for outbound in self._outbound.keys() - {_outbound_key(view) for view in views}:
            del self._outbound[outbound]
        self._outlooks = {view: outlook for view, outlook in self._outlooks.items() if view in views}
        ladders = {one for outlook in self._outlooks.values() for one in outlook.ladders_in_use}
        settings = {one for outlook in self._outlooks.values() for one in outlook.settings_in_use}
        self.book.forget_ladders(ladders)
        for key, entry in list(self._entries.items()):
            if key not in self._fleet.services:
                del self._entries[key]
                continue
            for unused in [found for found in entry.assignments if not ladders.issuperset(found)]:
                del entry.assignments[unused]
            for said in entry.clusters.keys() - settings:
                del entry.clusters[said]

    def services_changed(self) -> None:
        """Forget what was made of all services together, and look which policies are in force.

        Call it when more than endpoints changed.
        """
        self._outbound.clear()
        self._outlooks.clear()
        self.book.refresh(self._fleet)

    def _sidecar(self, view: View, visible: list[Service]) -> tuple[list[Resource], list[Problem]]:
        key = _outbound_key(view)
        found = self._outbound.get(key)
        if found is None:
            found = self._outbound[key] = sidecar_resources(view, visible, partial(self.book.routing, cluster=view.cluster))
        return found

    def _entry(self, service: Service) -> _Entry:
        entry = self._entries.get(service.key)
        if entry is None or (entry.service is not service and _cluster_input(entry.service) != _cluster_input(service)):
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


def _cluster_input(service: Service) -> tuple[object, ...]:
    """Return what clusters are made of; origins too, for the blame."""
    return (service.origins, service.ports, service.keeps_clients)


def _add(resources: Resources, found: Iterable[Resource]) -> None:
    for resource in found:
        resources[resource.type_url][resource.name] = resource
