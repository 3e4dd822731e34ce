"""The translator: everything that the proxies of a view are given.

Work is done once a service where views agree: clusters are the same for every view of Envoys, clusters and api_listeners for
every view of gRPC clients, CLAs for every view of the same place. Only listeners and routes are made for each view.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from xds.model.view import Role
from xds.policy.ladder import place_of
from xds.translate.assignments import assignment
from xds.translate.clusters import service_cluster
from xds.translate.gateway import GatewayInput, gateway_resources
from xds.translate.proxyless import proxyless_resources
from xds.translate.sidecar import sidecar_resources
from xds.wire import CLUSTER, ENDPOINT, LISTENER, ROUTE

if TYPE_CHECKING:
    from collections.abc import Container, Iterable

    from xds.model.fleet import Fleet
    from xds.model.service import Port, Service, ServiceKey
    from xds.model.view import View
    from xds.policy.tiers import Place
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
    clusters: list[Resource] | None = None
    """Made when the first Envoy comes."""
    proxyless: list[Resource] | None = None
    """api_listeners and their clusters, made when the first gRPC client comes."""
    assignments: dict[Place, list[Resource]] = field(default_factory=dict)


class Translator:
    """Makes resources of the fleet's present state; keeps what it made of each service until the service changes."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet
        self._entries: dict[ServiceKey, _Entry] = {}
        self._outbound: dict[tuple[str, ...], tuple[list[Resource], list[Problem]]] = {}
        """(cluster, namespace, intercept, listen) -> listeners and routes of the sidecars that say so, wherever they run."""

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
        for service in visible:
            if view.role is not Role.PROXYLESS:
                _add(resources, self._clusters(service))
            _add(resources, self._assignments(service, view))
        _add(resources, own)
        return Translation(resources, tuple(problems))

    def endpoints(self, view: View, keys: Iterable[ServiceKey], held: Container[str]) -> dict[str, Resource]:
        """Return the CLAs of some services for a view: the fast lane.

        Args:
            view: whose CLAs.
            keys: the services.
            held: names of the view's present CLAs; one that it does not hold yet waits for its batch.
        """
        found: dict[str, Resource] = {}
        for key in keys:
            service = self._fleet.services.get(key)
            # Other clusters' own services have the same names there.
            if service is not None and service.is_visible(view.cluster):
                found.update((resource.name, resource) for resource in self._assignments(service, view) if resource.name in held)
        return found

    def forget(self, live: Iterable[View]) -> None:
        """Drop what was made for services that are gone and for places where no live view is."""
        views = list(live)
        for outbound in self._outbound.keys() - {_outbound_key(view) for view in views}:
            del self._outbound[outbound]
        for key, entry in list(self._entries.items()):
            service = self._fleet.services.get(key)
            if service is None:
                del self._entries[key]
                continue
            places = {place_of(service, view) for view in views}
            for place in entry.assignments.keys() - places:
                del entry.assignments[place]

    def services_changed(self) -> None:
        """Forget what was made of all services together; call it when more than endpoints changed."""
        self._outbound.clear()

    def _sidecar(self, view: View, visible: list[Service]) -> tuple[list[Resource], list[Problem]]:
        key = _outbound_key(view)
        found = self._outbound.get(key)
        if found is None:
            found = self._outbound[key] = sidecar_resources(view, visible)
        return found

    def _entry(self, service: Service) -> _Entry:
        entry = self._entries.get(service.key)
        if entry is None or (entry.service is not service and _cluster_input(entry.service) != _cluster_input(service)):
            entry = self._entries[service.key] = _Entry(service)
        elif entry.service is not service:
            entry.service = service
            entry.assignments.clear()
        return entry

    def _clusters(self, service: Service) -> list[Resource]:
        entry = self._entry(service)
        if entry.clusters is None:
            entry.clusters = [service_cluster(service, port) for port in service.ports]
        return entry.clusters

    def _proxyless(self, service: Service) -> list[Resource]:
        entry = self._entry(service)
        if entry.proxyless is None:
            entry.proxyless = [made for port in service.ports for made in proxyless_resources(service, port)]
        return entry.proxyless

    def _assignments(self, service: Service, view: View) -> list[Resource]:
        entry = self._entry(service)
        place = place_of(service, view)
        found = entry.assignments.get(place)
        if found is None:
            found = entry.assignments[place] = [assignment(service, port.number, place) for port in service.ports]
        return found


def _outbound_key(view: View) -> tuple[str, ...]:
    """Return what a sidecar's listeners and routes depend on, and no more, so that views share them."""
    return (view.cluster, view.namespace, view.intercept, view.listen)


def _cluster_input(service: Service) -> tuple[object, tuple[Port, ...]]:
    """Return what clusters are made of; origins too, for the blame."""
    return (service.origins, service.ports)


def _add(resources: Resources, found: Iterable[Resource]) -> None:
    for resource in found:
        resources[resource.type_url][resource.name] = resource
