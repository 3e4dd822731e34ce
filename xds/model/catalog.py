"""The catalog: every service as clients are told it, and how much of each has changed."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from xds.model.events import PortPlace, Recovering
from xds.model.hints import INTERNAL_POLICY
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
    remade: frozenset[ServiceKey]
    """Made anew, and the same but for the versions of the objects that they come from."""


class Catalog:
    """Holds the services, each with its places that are well again."""

    def __init__(self) -> None:
        self.services: dict[ServiceKey, Service] = {}
        """Every service: each cluster's own and those of the cluster set."""
        self.hinting: dict[ServiceKey, Service] = {}
        """Those with hints, or weights of their exports."""
        self.node_first: set[ServiceKey] = set()
        """Those of which clients want endpoints on their own node first, or no others."""
        self._localities: Counter[Locality] = Counter()
        """Place -> how many services have endpoints there."""
        self._order: list[ServiceKey] | None = None
        """Their keys, sorted; None when one was added or removed."""
        self._names: Mapping[str, frozenset[str]] | None = None
        self._recovering: dict[tuple[str, str], dict[tuple[int, Locality], Recovery]] = {}
        """(namespace, name) of services -> their places that are well again."""
        self._recovered: set[ServiceKey] = set()
        """Services of which that has changed."""
        self._endpoints: set[ServiceKey] = set()
        self._services: set[ServiceKey] = set()
        self._remade: set[ServiceKey] = set()

    def put(self, key: ServiceKey, new: Service | None) -> None:
        """Take a service as it is now, None for one that is gone."""
        old = self.services.pop(key, None)
        if new is not None:
            recovering = self._recovering.get((key.namespace, key.name), {})
            new = self.services[key] = replace(new, recovering=recovering) if new.recovering != recovering else new
        self._index(key, old, new)
        if old is None or new is None:
            if old is not new:
                self._services.add(key)
                self._order = self._names = None
        elif _shape(old) != _shape(new):
            self._services.add(key)
        elif _reach(old) != _reach(new):
            self._endpoints.add(key)
            if old.origins != new.origins:  # of which clusters and routes tell, too
                self._remade.add(key)
        elif old is not new:
            self._remade.add(key)

    def _index(self, key: ServiceKey, old: Service | None, new: Service | None) -> None:
        """Keep what is asked of all services up to date."""
        self.hinting.pop(key, None)
        self.node_first.discard(key)
        if old is not None:
            self._localities.subtract(old.localities)
        if new is None:
            return
        self._localities.update(new.localities)
        if new.hints or new.export_weights:
            self.hinting[key] = new
        if new.traffic_distribution == "PreferSameNode" or INTERNAL_POLICY in new.hints:
            self.node_first.add(key)

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

    @property
    def names(self) -> Mapping[str, frozenset[str]]:
        """Namespace -> the names of its services; the same object while none is added or removed."""
        if self._names is None:
            found: dict[str, set[str]] = defaultdict(set)
            for key in self.services:
                found[key.namespace].add(key.name)
            self._names = {namespace: frozenset(names) for namespace, names in found.items()}
        return self._names

    @property
    def localities(self) -> frozenset[Locality]:
        """Where endpoints of services are."""
        self._localities = +self._localities
        return frozenset(self._localities)

    def take_changes(self) -> Changes:
        """Return what is told otherwise than when this was asked last."""
        for key in self._recovered & self.services.keys():
            self.put(key, self.services[key])
        self._recovered.clear()
        endpoints = self._endpoints - self._services
        remade = self._remade - self._services
        changes = Changes(frozenset(endpoints), frozenset(self._services), frozenset(remade))
        for noted in (self._endpoints, self._services, self._remade):
            noted.clear()
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
