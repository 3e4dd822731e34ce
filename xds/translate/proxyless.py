"""What proxyless gRPC clients ask for: a listener named `<fqdn>:<port>` with its routes inside (A27, A71), and its cluster."""

from __future__ import annotations

from typing import TYPE_CHECKING

from xds.translate.affinity import by_channel
from xds.translate.clusters import service_cluster
from xds.translate.listeners import router
from xds.translate.resources import resource_of
from xds.wire import CLUSTER, LISTENER, envoy, pack, to_bytes

if TYPE_CHECKING:
    from xds.model.service import Port, Service
    from xds.snapshot.resource import Resource


def proxyless_resources(service: Service, port: Port) -> tuple[Resource, Resource]:
    """Return the listener of one port and its cluster."""
    return _api_listener(service, port), service_cluster(service, port, proxyless=True)


def _api_listener(service: Service, port: Port) -> Resource:
    """Return the listener of `xds:///<fqdn>:<port>`; Envoy rejects such listeners, so they go to gRPC clients alone.

    The routes are inside, so that a client never holds a listener without them.
    """
    name = service.resource_name(port.number)
    kept = [by_channel()] if service.keeps_clients else ()
    route = envoy.Route(match=envoy.RouteMatch(prefix=""), route=envoy.RouteAction(cluster=name, hash_policy=kept))
    manager = envoy.HttpConnectionManager(
        route_config=envoy.RouteConfiguration(
            name=name, virtual_hosts=[envoy.VirtualHost(name=name, domains=["*"], routes=[route])]
        ),
        http_filters=[router()],
    )
    message = envoy.Listener(name=name, api_listener=envoy.ApiListener(api_listener=pack(manager)))
    return resource_of(LISTENER, name, to_bytes(message), refs={CLUSTER: frozenset((name,))}, origins=service.origins)
