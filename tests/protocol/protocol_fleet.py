"""Real resources in protocol scripts: those of a golden case of `tests/translate/testdata`, and what they say in a few words."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from xds.wire import CLUSTER, ENDPOINT, LISTENER, envoy, unpack

sys.path.append(str(Path(__file__).parents[1] / "translate"))

from golden_case import outcome

if TYPE_CHECKING:
    from collections.abc import Iterator

    from xds.snapshot.resource import Resource


def translated(case: str, role: str) -> dict[str, dict[str, Resource]]:
    """Return what a golden case gives, made anew, for its own node in its own role or another one."""
    return {type_url: dict(held) for type_url, held in outcome.__wrapped__(case, role).resources.items()}


def name_in(type_url: str, body: bytes) -> str:
    """Return the name that a resource carries inside."""
    message = unpack(type_url, body)
    return message.cluster_name if type_url == ENDPOINT else message.name


def lines(type_url: str, body: bytes) -> list[str]:
    """Return what a resource says, as far as rules are about it."""
    message = unpack(type_url, body)
    describe = {CLUSTER: _cluster, ENDPOINT: _assignment, LISTENER: _listener}.get(type_url)
    return [f"   {message.name or name_in(type_url, body)}"] if describe is None else [f"   {line}" for line in describe(message)]


def _cluster(message: envoy.Cluster) -> Iterator[str]:
    kind = envoy.Cluster.DiscoveryType.Name(message.type)
    source = message.eds_cluster_config
    if kind == "EDS":
        kind += f" {source.service_name or message.name} from {source.eds_config.WhichOneof('config_source_specifier')}"
    yield f"{message.name}: {kind}, outlier detection {'yes' if message.HasField('outlier_detection') else 'no'}"


def _assignment(message: envoy.ClusterLoadAssignment) -> Iterator[str]:
    yield f"{message.cluster_name}: overprovisioning {message.policy.overprovisioning_factor.value} %"
    for group in message.endpoints:
        place = f"{group.locality.region}/{group.locality.zone}/{group.locality.sub_zone}".strip("/") or "nowhere"
        weight = group.load_balancing_weight.value
        yield f"  priority {group.priority} {place} weight {weight}: {' '.join(map(_endpoint, group.lb_endpoints)) or 'none'}"


def _endpoint(message: envoy.LbEndpoint) -> str:
    socket = message.endpoint.address.socket_address
    health = envoy.HealthStatus.Name(message.health_status)
    return f"{socket.address}:{socket.port_value}" + (f" {health}" if health != "HEALTHY" else "")


def _listener(message: envoy.Listener) -> Iterator[str]:
    if not message.HasField("api_listener"):
        socket = message.address.socket_address
        manager = _manager(message.filter_chains[-1].filters[-1].typed_config)
        source = manager.rds.config_source.WhichOneof("config_source_specifier")
        yield f"{message.name}: {socket.address}:{socket.port_value}, routes {manager.rds.route_config_name} from {source}"
        return
    manager = _manager(message.api_listener.api_listener)
    routes = manager.route_config.name if manager.WhichOneof("route_specifier") == "route_config" else "elsewhere"
    yield f"{message.name}: api_listener, last filter {manager.http_filters[-1].name}, routes {routes} inside"
    for host in manager.route_config.virtual_hosts:
        for route in host.routes:
            yield f"  {' '.join(host.domains)} {route.match.prefix!r} -> {route.route.cluster}"


def _manager(packed: envoy.Any) -> envoy.HttpConnectionManager:
    return unpack(packed.type_url, packed.value)
