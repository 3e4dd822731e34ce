"""The catalog: every service as clients are told it, and how much of each has changed."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from xds.model.events import PortPlace, Recovering
from xds.model.service import CLUSTERSET, ServiceKey

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from xds.model.events import Recovery
    from xds.model.service import Locality, Service


class Changes(NamedTuple):
    """Services that are told otherwise."""

    endpoints: frozenset[ServiceKey]
    """Of which nothing but endpoints changed: the fast lane."""
    services: frozenset[ServiceKey]
    """Added, removed, or changed in more than their endpoints."""


class Catalog:
    """Holds the services, each with its places that are well again."""

    def __init__(self) -> None:
        self.services: dict[ServiceKey, Service] = {}
        """Every service: each cluster's own and those of the cluster set."""
        self._order: list[ServiceKey] | None = None
        """Their keys, sorted; None when one was added or removed."""
        self._recovering: dict[tuple[str, str], dict[tuple[int, Locality], Recovery]] = {}
        """(namespace, name) of services -> their places that are well again."""
        self._recovered: set[ServiceKey] = set()
        """Services of which that has changed."""
        self._endpoints: set[ServiceKey] = set()
        self._services: set[ServiceKey] = set()

    def put(self, key: ServiceKey, new: Service | None) -> None:
        """Take a service as it is now, None for one that is gone."""
        old = self.services.pop(key, None)
        if new is not None:
            recovering = self._recovering.get((key.namespace, key.name), {})
            new = self.services[key] = replace(new, recovering=recovering) if new.recovering != recovering else new
        if old is None or new is None:
            if old is not new:
                self._services.add(key)
                self._order = None
        elif _shape(old) != _shape(new):
            self._services.add(key)
        elif _reach(old) != _reach(new):
            self._endpoints.add(key)

    def recover(self, told: Recovering, members: Iterable[str]) -> None:
        """Take which places are well again, for the services of the cluster set and of members."""
        before, self._recovering = self._recovering, {}
        for place, recovery in told.places.items():
            self._recovering.setdefault((place.namespace, place.service), {})[place.port, place.locality] = recovery
        names = {name for name in before.keys() | self._recovering.keys() if before.get(name) != self._recovering.get(name)}
        self._recovered.update(ServiceKey(*name, scope) for name in names for scope in (CLUSTERSET, *members))

    @property
    def recovering(self) -> Mapping[PortPlace, Recovery]:
        """The places that are well again."""
        return {PortPlace(*name, *at): one for name, found in self._recovering.items() for at, one in found.items()}

    def take_changes(self) -> Changes:
        """Return what is told otherwise than when this was asked last."""
        for key in self._recovered & self.services.keys():
            self.put(key, self.services[key])
        self._recovered.clear()
        changes = Changes(frozenset(self._endpoints - self._services), frozenset(self._services))
        self._endpoints.clear()
        self._services.clear()
        return changes

    def of_scope(self, scope: str) -> Iterator[ServiceKey]:
        """Yield the services of a cluster, or of the cluster set for CLUSTERSET."""
        return (key for key in self.services if key.scope == scope)

    def visible(self, cluster: str) -> Iterator[Service]:
        """Yield the services that clients in a member may use, or for "" those of the cluster set; in order of their keys."""
        if self._order is None:
            self._order = sorted(self.services)
        for key in self._order:
            service = self.services[key]
            if service.is_visible(cluster):
                yield service


def _shape(service: Service) -> tuple[object, ...]:
    """Return everything but endpoints and origins: what a change of needs more than the fast lane."""
    names = (service.ports, service.vips, service.visible_in, service.age)
    said = (service.hints, service.export_weights, service.traffic_distribution, service.capacities)
    given = (service.has_copies, service.has_gateways, service.resolved, service.keeps_clients)
    # What is resolved stands in the cluster itself.
    inside = tuple(service.endpoints[port] for port in sorted(service.resolved))
    return (*names, *said, *given, inside, service.headless)


def _reach(service: Service) -> tuple[object, ...]:
    """Return what the fast lane is for."""
    return (service.endpoints, service.has_degraded, service.widened_by, service.recovering)
