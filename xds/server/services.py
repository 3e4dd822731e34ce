"""The xDS services that we serve, and how a stream on each of them speaks."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from xds.wire import (
    CLUSTER,
    ENDPOINT,
    EXTENSION_CONFIG,
    LISTENER,
    ROUTE,
    RUNTIME,
    SCOPED_ROUTE,
    SECRET,
    VIRTUAL_HOST,
    short_name,
)


@dataclass(frozen=True)
class StreamKind:
    """What was agreed by the method that a stream was opened with. There are few, and each is told of again and again."""

    type_url: str
    """The only type that it carries; "" for all of them (ADS)."""
    delta: bool
    """Incremental xDS, else state of the world."""

    @cached_property
    def service(self) -> str:
        """`ads`, or the short name of the only type, e.g. `eds`."""
        return short_name(self.type_url) if self.type_url else "ads"

    @cached_property
    def variant(self) -> str:
        """`delta` or `sotw`."""
        return "delta" if self.delta else "sotw"

    @cached_property
    def name(self) -> str:
        """Both, e.g. `eds delta`."""
        return f"{self.service} {self.variant}"

    def __str__(self) -> str:
        return self.name


SERVICES: dict[str, dict[str, StreamKind]] = {
    f"envoy.service.{package}": {
        f"Stream{noun}": StreamKind(type_url, delta=False),
        f"Delta{noun}": StreamKind(type_url, delta=True),
    }
    for package, noun, type_url in (
        ("discovery.v3.AggregatedDiscoveryService", "AggregatedResources", ""),
        ("cluster.v3.ClusterDiscoveryService", "Clusters", CLUSTER),
        ("endpoint.v3.EndpointDiscoveryService", "Endpoints", ENDPOINT),
        ("listener.v3.ListenerDiscoveryService", "Listeners", LISTENER),
        ("route.v3.RouteDiscoveryService", "Routes", ROUTE),
        ("route.v3.ScopedRoutesDiscoveryService", "ScopedRoutes", SCOPED_ROUTE),
        ("secret.v3.SecretDiscoveryService", "Secrets", SECRET),
        ("runtime.v3.RuntimeDiscoveryService", "Runtime", RUNTIME),
        ("extension.v3.ExtensionConfigDiscoveryService", "ExtensionConfigs", EXTENSION_CONFIG),
    )
} | {
    # Virtual hosts are asked for as they are needed, which state-of-the-world xDS cannot express.
    "envoy.service.route.v3.VirtualHostDiscoveryService": {"DeltaVirtualHosts": StreamKind(VIRTUAL_HOST, delta=True)},
}
"""Service -> method -> kind. The unary Fetch methods are not served; gRPC answers UNIMPLEMENTED."""
