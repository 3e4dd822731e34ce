"""Clients that are kept to one endpoint (`sessionAffinity: ClientIP`): which hash of what, for each kind of client.

Envoy chooses the tier by the hash, then the endpoint of a table in which localities have their weights, so that a client stays
where it is for as long as its tier keeps its share of clients and the endpoint is healthy. Maglev's table, with the size that
it has by default, keeps to weights within a fraction of a percent, and moves hardly anybody but those who have to. Envoy's ring
grows and shrinks with its endpoints: where one of four goes, it moves a third of all clients. gRPC knows a ring alone (A42).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from xds.model.view import Intercept
from xds.wire import envoy, pack

if TYPE_CHECKING:
    from xds.model.view import View

RING_SIZE: Final = 4096
"""What gRPC allows by default (A42): the larger a ring, the closer to the weights."""

CLIENT: Final = "x-isthmus-client"
"""The header that says who the client is; upstreams may read it. Envoy 1.36 hashes no text but that of headers."""
_ADDRESS: Final = "%DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT%"
"""Of the connection; what a client's own X-Forwarded-For says of others is not the client."""
_SIDECAR: Final = "%CEL(xds.node.id)%"


def keep_clients(message: envoy.Cluster, *, proxyless: bool) -> None:
    """Have the clients of a cluster spread by hash. Nothing of a cluster that takes turns (slow start) can stand beside it."""
    if proxyless:
        message.lb_policy = envoy.Cluster.RING_HASH
        message.ring_hash_lb_config.minimum_ring_size.value = RING_SIZE
    else:
        message.lb_policy = envoy.Cluster.MAGLEV


def by_channel() -> envoy.RouteAction.HashPolicy:
    """Return what gRPC hashes: the channel, as it knows no address (A42)."""
    state = envoy.RouteAction.HashPolicy.FilterState(key="io.grpc.channel_id")
    return envoy.RouteAction.HashPolicy(filter_state=state)


def by_connection() -> envoy.RouteAction.HashPolicy:
    """Return what gateways hash: the address that connects, since they take X-Forwarded-For from nobody."""
    found = envoy.RouteAction.HashPolicy.ConnectionProperties(source_ip=True)
    return envoy.RouteAction.HashPolicy(connection_properties=found)


def by_client() -> envoy.RouteAction.HashPolicy:
    """Return what sidecars and node proxies hash: what `client_filter` says of the client."""
    return envoy.RouteAction.HashPolicy(header=envoy.RouteAction.HashPolicy.Header(header_name=CLIENT))


def by_address() -> envoy.HashPolicy:
    """Return what they hash of a connection that is not HTTP."""
    return envoy.HashPolicy(source_ip=envoy.HashPolicy.SourceIp())


def client_filter(view: View) -> envoy.HttpFilter:
    """Return the HTTP filter that says who the client is, whatever the client says.

    Applications connect to an explicit sidecar from loopback, so that they would all be one client if the proxy did not count.
    """
    who = _ADDRESS if view.intercept is Intercept.TRANSPARENT else f"{_SIDECAR} {_ADDRESS}"
    said = envoy.HeaderValueOption(
        header=envoy.HeaderValue(key=CLIENT, value=who), append_action=envoy.HeaderValueOption.OVERWRITE_IF_EXISTS_OR_ADD
    )
    mutation = envoy.HeaderMutation(mutations=envoy.Mutations(request_mutations=[{"append": said}]))
    return envoy.HttpFilter(name="envoy.filters.http.header_mutation", typed_config=pack(mutation))
