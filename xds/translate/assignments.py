"""ClusterLoadAssignments: the tiers of one service port, as priorities, for the clients on one ladder."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from xds.translate.resources import resource_of
from xds.wire import ENDPOINT, envoy, to_bytes

if TYPE_CHECKING:
    from xds.model.service import Endpoint, Service
    from xds.policy.ladder import Ladder
    from xds.policy.tiers import Tier
    from xds.problems import Ref
    from xds.snapshot.resource import Resource

METADATA: Final = "isthmus"
"""The key of our metadata of an endpoint."""
PATH: Final = "path"
"""What is put in front of the path of requests to it."""


THROUGH_GATEWAYS: Final = "+gateways"
"""Behind the name of a CLA with gateways: a cluster that puts no paths in front, and is on its way out, never sees it."""


def assignment_name(service: Service, port: int, *, through_gateways: bool) -> str:
    """Return what the CLA of a port is called: as its cluster, but for one with gateways."""
    return service.resource_name(port) + (THROUGH_GATEWAYS if through_gateways else "")


def assignment(service: Service, port: int, ladder: Ladder) -> Resource:
    """Return the CLA: tier index = priority, each locality once a priority, each address once.

    Raises nothing: the model has sorted out what Envoy would reject (R31).
    """
    message = load_assignment(service, port, ladder)
    return resource_of(ENDPOINT, message.cluster_name, to_bytes(message), origins=origins_of(service, port, ladder))


def load_assignment(service: Service, port: int, ladder: Ladder) -> envoy.ClusterLoadAssignment:
    """Return the same as a message."""
    return envoy.ClusterLoadAssignment(
        cluster_name=assignment_name(service, port, through_gateways=ladder.through_gateways),
        endpoints=[group for tier in ladder.tiers(service, port) for group in _localities(tier)],
        policy=envoy.ClusterLoadAssignment.Policy(
            overprovisioning_factor=envoy.UInt32Value(value=ladder.policy.overprovisioning)
        ),
    )


def origins_of(service: Service, port: int, ladder: Ladder) -> tuple[Ref, ...]:
    """Return the objects that it comes from."""
    sources = {endpoint.origin for endpoint in service.endpoints[port] if endpoint.origin is not None}
    policies = (ladder.policy.origin,) if ladder.policy.origin else ()
    return (*service.origins, *policies, *sorted(sources - {*service.origins}))


def _localities(tier: Tier) -> list[envoy.LocalityLbEndpoints]:
    if not tier.shares:
        # An empty tier keeps its priority: Envoy mistreats gaps, and hosts must not move to another priority.
        return [envoy.LocalityLbEndpoints(locality=envoy.Locality(), load_balancing_weight={"value": 1}, priority=tier.index)]
    return [
        envoy.LocalityLbEndpoints(
            locality=envoy.Locality(region=share.locality.region, zone=share.locality.zone, sub_zone=share.locality.cluster),
            lb_endpoints=[_lb_endpoint(endpoint) for endpoint in share.endpoints],
            load_balancing_weight={"value": share.weight},
            priority=tier.index,
        )
        for share in tier.shares
    ]


def _lb_endpoint(endpoint: Endpoint) -> envoy.LbEndpoint:
    # Filled in place, since there are many: nested constructors take three times as long.
    message = envoy.LbEndpoint(health_status=endpoint.health.value)
    primary, *others = endpoint.addresses
    _fill(message.endpoint.address.socket_address, primary, endpoint.port)
    if endpoint.gateway.rstrip("/"):
        message.metadata.filter_metadata[METADATA].update({PATH: endpoint.gateway.rstrip("/")})
    for address in others:
        _fill(message.endpoint.additional_addresses.add().address.socket_address, address, endpoint.port)
    return message


def _fill(socket: envoy.SocketAddress, address: str, port: int) -> None:
    socket.address = address
    socket.port_value = port
