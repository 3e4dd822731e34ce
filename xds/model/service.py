"""Services and endpoints as the rest of Isthmus sees them: merged, resolved, immutable."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from xds.model.events import Standing
from xds.model.objects import UNDATED

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from xds.model.events import Recovery
    from xds.problems import Ref

CLUSTERSET = ""
"""The scope of a service that is merged over the clusters by export."""


class ServiceKey(Struct, frozen=True, order=True, gc=False):
    """Identity of a service: one cluster's own, or the exported one of the cluster set."""

    namespace: str
    name: str
    scope: str = CLUSTERSET
    """The member whose own service it is, or CLUSTERSET."""

    @property
    def fqdn(self) -> str:
        """`<name>.<namespace>.svc.cluster.local`, or `…clusterset.local` for the exported one."""
        domain = "cluster.local" if self.scope else "clusterset.local"
        return f"{self.name}.{self.namespace}.svc.{domain}"


class Locality(Struct, frozen=True, order=True, gc=False):
    """Where an endpoint runs; Envoy's `{region, zone, sub_zone}` with the cluster as sub-zone."""

    region: str
    zone: str
    cluster: str


class Health(StrEnum):
    """What EDS says of an endpoint."""

    HEALTHY = "HEALTHY"
    UNHEALTHY = "UNHEALTHY"
    """Was ready before and is not now: it stays in the CLA so that Envoy's arithmetic sees what is missing."""
    DRAINING = "DRAINING"
    """Serving and terminating."""
    DEGRADED = "DEGRADED"
    """To be used when no other is left: it may be gone."""


_OF_HEALTH: Final = {
    Health.HEALTHY: "ready",
    Health.UNHEALTHY: "not ready, but was before",
    Health.DRAINING: "terminating, and still serving",
    Health.DEGRADED: "ready when its cluster lost it with much else, which is doubted",
}
_OF_STANDING: Final = {
    Standing.DEMOTED: "the last resort for clients of other clusters, as its whole cluster is",
    Standing.REMOVED: "left out for clients of other clusters, as its whole cluster is",
}


@dataclass(frozen=True, slots=True, order=True)
class Endpoint:
    """One endpoint of one service port."""

    locality: Locality
    addresses: tuple[str, ...]
    """Canonical IP addresses, the primary first; the second family of a dual-stack pod follows."""
    port: int
    health: Health
    network: str = "default"
    node: str = ""
    hostname: str = ""
    standing: Standing = Standing.FULL
    """Of its cluster, for clients of other clusters."""
    gateway: str = ""
    """Of an HTTP gateway of another cluster, the path that it wants in front of every other, / for none; "" of all others.

    Its address may be a name to resolve."""
    note: str = ""
    """Why its health is not what its cluster says, where a policy sees it otherwise."""
    origin: Ref | None = field(default=None, compare=False)
    """The EndpointSlice."""

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why its health is what it is, and what else clients of other clusters are told, in words."""
        of_cluster = _OF_STANDING.get(self.standing)
        of_health = self.note or _OF_HEALTH[self.health]
        return (of_health, of_cluster) if of_cluster else (of_health,)

    def without(self, addresses: Collection[str]) -> Endpoint | None:
        """Return the endpoint without some of its addresses; None if its primary is among them.

        No address may appear twice in a CLA, additional ones included (R31).
        """
        if not addresses:
            return self
        if self.addresses[0] in addresses:
            return None
        return replace(self, addresses=tuple(address for address in self.addresses if address not in addresses))


class Protocol(StrEnum):
    """What a port speaks, as far as translation cares."""

    TCP = "TCP"
    HTTP = "HTTP"
    """HTTP/1.1, WebSocket included."""
    HTTP2 = "HTTP2"
    """HTTP/2 without TLS, gRPC included."""

    @property
    def is_http(self) -> bool:
        """True if requests can be routed."""
        return self is not Protocol.TCP


@dataclass(frozen=True, slots=True)
class Port:
    """One TCP port of a service."""

    number: int
    name: str
    protocol: Protocol


@dataclass(frozen=True, slots=True)
class Service:
    """One service, its ports and its endpoints."""

    key: ServiceKey
    ports: tuple[Port, ...]
    """By number, ascending."""
    endpoints: Mapping[int, tuple[Endpoint, ...]]
    """Port number -> endpoints, sorted; an entry for every port."""
    vips: Mapping[str, tuple[str, ...]]
    """Member -> the addresses under which its clients know the service."""
    visible_in: frozenset[str]
    """The members whose clients may use it: its own, or every one that has the namespace (KEP-1645)."""
    headless: bool = False
    traffic_distribution: str = ""
    """`PreferSameZone`, `PreferSameNode` or ""; PreferClose is the older name of PreferSameZone (KEP-3015)."""
    age: str = UNDATED
    """Sorts the oldest first: the creation time of the Service, or of the oldest export."""
    origins: tuple[Ref, ...] = ()
    """Service, ServiceExports and ServiceImports that made it, sorted."""
    has_degraded: bool = False
    """Some of its endpoints are DEGRADED, or of a cluster without full standing."""
    has_copies: bool = False
    """A cluster's own, into which endpoints of other clusters are copied."""
    widened_by: frozenset[str] = frozenset()
    """Other clusters whose exports a cluster's own has because a policy names it: they count if that is in force."""
    recovering: Mapping[tuple[int, Locality], Recovery] = field(default_factory=dict)
    """(port, place) that had lost all its traffic, and is well again."""
    capacities: Mapping[str, float] = field(default_factory=dict)
    """Cluster -> what one endpoint there can bear, in requests a second, where its Service says so."""
    hints: Mapping[str, str] = field(default_factory=dict)
    """Of a cluster's own: what its Service says for other systems (`xds.model.hints`)."""
    export_weights: Mapping[str, str] = field(default_factory=dict)
    """Of the cluster set, if any export says one: cluster -> the weight that its export says, "" for none."""
    has_gateways: bool = False
    """A cluster's own with gateways of other clusters, by Flomesh's import: they count if its policy is in force."""
    resolved: frozenset[int] = frozenset()
    """Ports with gateways that are called by name, which clients resolve."""
    keeps_clients: bool = False
    """`sessionAffinity: ClientIP`: a client's requests go to one endpoint, as long as that is there."""

    @property
    def localities(self) -> set[Locality]:
        """Where its endpoints are."""
        return {one.locality for found in self.endpoints.values() for one in found}

    @property
    def spans(self) -> bool:
        """Whether it may have endpoints in several clusters."""
        return self.has_copies or self.key.scope == CLUSTERSET

    def is_visible(self, cluster: str) -> bool:
        """Return whether clients in a member may use it; clients outside every member ("") know the cluster set alone."""
        return cluster in self.visible_in if cluster else self.key.scope == CLUSTERSET

    def resource_name(self, port: int) -> str:
        """Return the name of the Envoy cluster and CLA of one port, e.g. `web.shop.svc.clusterset.local:80`."""
        return f"{self.key.fqdn}:{port}"
