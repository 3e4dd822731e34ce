"""The fleet as it was at one moment: what is built in slices is built of one state, whatever the fleet is told meanwhile."""

from __future__ import annotations

from bisect import bisect_left, insort
from typing import TYPE_CHECKING

from xds.model.service import CLUSTERSET

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from xds.model.fleet import Fleet
    from xds.model.gateway_objects import Gateway, HTTPRoute
    from xds.model.service import Service, ServiceKey

    GatewayObjects = tuple[tuple[Gateway, ...], tuple[HTTPRoute, ...]]


class Moment:
    """Services and gateway objects as they were when `take` was called last.

    Args:
        fleet: whose.
    """

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet
        self._services: dict[ServiceKey, Service] = {}
        self._order: list[ServiceKey] = []
        self._gateways: dict[str, GatewayObjects] = {}
        """Of clusters that were asked for."""
        self.take(fleet.services, gateways=True)

    @property
    def services(self) -> Mapping[ServiceKey, Service]:
        """Every service."""
        return self._services

    @property
    def order(self) -> list[ServiceKey]:
        """The keys of the services, sorted."""
        return self._order

    def take(self, keys: Collection[ServiceKey], *, gateways: bool) -> frozenset[str]:
        """Bring some services, and the gateway objects if they changed, up to what the fleet has now.

        Returns:
            The clusters to whose clients it matters, "" for clients outside every member.
        """
        clusters: set[str] = set()
        added: list[ServiceKey] = []
        for key in keys:
            old, new = self._services.get(key), self._fleet.services.get(key)
            for service in (old, new):
                clusters.update(service.visible_in if service else ())
            if key.scope == CLUSTERSET:
                clusters.add("")
            if new is not None:
                self._services[key] = new
                if old is None:
                    added.append(key)
            elif old is not None:
                del self._services[key]
                del self._order[bisect_left(self._order, key)]
        if len(added) * 8 > len(self._order):
            self._order = sorted(self._services)
        else:
            for key in added:
                insort(self._order, key)
        if gateways:
            self._gateways = {cluster: self._objects(cluster) for cluster in self._gateways}
        return frozenset(clusters)

    def take_endpoints(self, service: Service) -> None:
        """Take a service of which nothing but endpoints has changed."""
        if service.key in self._services:
            self._services[service.key] = service

    def visible(self, cluster: str) -> Iterator[Service]:
        """Yield the services that clients in a member may use, as `Fleet.visible` does."""
        services = self._services
        return (service for key in self._order if (service := services[key]).is_visible(cluster))

    def gateways(self, cluster: str) -> GatewayObjects:
        """Return Gateways and HTTPRoutes of a member."""
        if cluster not in self._gateways:
            self._gateways[cluster] = self._objects(cluster)
        return self._gateways[cluster]

    def _objects(self, cluster: str) -> GatewayObjects:
        return self._fleet.gateways(cluster), self._fleet.routes(cluster)
