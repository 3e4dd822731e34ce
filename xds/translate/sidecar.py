"""What a sidecar (or a node's proxy) listens on and how it routes: the `outbound` listener, explicit or transparent."""

from __future__ import annotations

import ipaddress
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from xds.model.view import Intercept
from xds.problems import Problem
from xds.snapshot.resource import Resource
from xds.translate.affinity import by_address, by_client, client_filter
from xds.translate.clusters import PASSTHROUGH, passthrough_cluster
from xds.translate.listeners import http_filter, socket_address, tcp_filter
from xds.translate.routes import service_host
from xds.wire import CLUSTER, LISTENER, ROUTE, envoy, pack, to_bytes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from xds.model.service import Port, Service, ServiceKey
    from xds.model.view import View
    from xds.policy.policies import RouteSettings
    from xds.problems import Ref

    Routing = Callable[[Service, int], RouteSettings]

OUTBOUND = "outbound"
HTTP_PORT = 80
"""What a Host header without a port means (RFC 9110, 4.2.1)."""


@dataclass(slots=True)
class _Clash:
    """What one service claims that another one has."""

    service: Service
    owner: Service
    names: dict[str, None] = field(default_factory=dict)

    def problem(self) -> Problem:
        # An address is claimed with and without its port; once is enough to say.
        names = [name for name in self.names if name.rpartition(":")[0] not in self.names]
        owner = self.owner.key.fqdn
        message = (
            f"{', '.join(names)} of {self.service.key.fqdn} is also claimed by {owner}: "
            "the older one, or the first in alphabetical order, keeps it"
        )
        hint = f"give one of the two another address; {owner} keeps it until then"
        return Problem("XDS0405", message, self.service.origins[0] if self.service.origins else None, hint=hint)


@dataclass(slots=True)
class Claims:
    """Who has which name: Envoy refuses a whole route configuration or listener in which one is taken twice."""

    owners: dict[tuple[str, str], Service] = field(default_factory=dict)
    clashes: dict[tuple[ServiceKey, ServiceKey], _Clash] = field(default_factory=dict)

    def take(self, service: Service, table: str, names: Iterable[str]) -> list[str]:
        """Return the names that are free in the table and give them to the service: who comes first keeps them."""
        free = []
        for name in names:
            owner = self.owners.setdefault((table, name), service)
            if owner is service:
                free.append(name)
            else:
                clash = self.clashes.setdefault((service.key, owner.key), _Clash(service, owner))
                clash.names[name] = None
        return list(dict.fromkeys(free))

    def problems(self) -> list[Problem]:
        """Return one problem for each two services that claim the same."""
        return [clash.problem() for clash in self.clashes.values()]


def sidecar_resources(view: View, services: Iterable[Service], routing: Routing) -> tuple[list[Resource], list[Problem]]:
    """Return listeners and routes of a sidecar's view, and what could not be served in it.

    Args:
        view: whose.
        services: those that its clients may use, in order of their keys.
        routing: returns what policies say of the routes to a port.
    """
    # A new service must not take an address from one that works: the oldest keeps it, as in KEP-1645 and the Gateway API.
    # The sort is stable, so that the order of keys decides among equals.
    by_age = sorted(services, key=lambda service: service.age)
    if view.intercept is Intercept.TRANSPARENT:
        return _Transparent(view, routing).resources(by_age)
    return _explicit(view, by_age, routing)


def _explicit(view: View, services: Iterable[Service], routing: Routing) -> tuple[list[Resource], list[Problem]]:
    claims = Claims()
    problems: list[Problem] = []
    hosts: list[envoy.VirtualHost] = []
    clusters: list[str] = []
    origins: set[Ref] = set()
    filters: list[envoy.HttpFilter] = []
    for service in services:
        problems += _not_routable(service)
        for port in _http_ports(service):
            domains = claims.take(service, OUTBOUND, _domains(service, port, view))
            if domains:
                cluster = service.resource_name(port.number)
                hosts.append(_host(service, cluster, domains, routing(service, port.number)))
                filters = filters or _filters(service, view)
                clusters.append(cluster)
                origins.update(service.origins)
    route = _routes(OUTBOUND, hosts, clusters, origins)
    listener = envoy.Listener(
        name=OUTBOUND,
        address=socket_address(view.listen),
        traffic_direction=envoy.TrafficDirection.OUTBOUND,
        filter_chains=[envoy.FilterChain(filters=[http_filter(OUTBOUND, OUTBOUND, filters)])],
    )
    refs = {ROUTE: frozenset((OUTBOUND,))}
    return [Resource.of(LISTENER, OUTBOUND, to_bytes(listener), refs=refs), route], [*problems, *claims.problems()]


class _Transparent:
    """A filter chain for each service VIP and port; everything else goes where it was going."""

    def __init__(self, view: View, routing: Routing) -> None:
        self.view = view
        self.routing = routing
        self.claims = Claims()
        self.chains: list[envoy.FilterChain] = []
        self.clusters: set[str] = {PASSTHROUGH}
        self.http: set[int] = set()
        """Ports on which some chain asks for routes."""
        self.hosts: dict[int, list[envoy.VirtualHost]] = defaultdict(list)
        self.routed: dict[int, list[str]] = defaultdict(list)
        self.origins: dict[int, set[Ref]] = defaultdict(set)

    def resources(self, services: Iterable[Service]) -> tuple[list[Resource], list[Problem]]:
        for service in services:
            for port in service.ports:
                self.add(service, port)
        routes = [self.routes(number) for number in sorted(self.http)]
        passthrough = tcp_filter(PASSTHROUGH, PASSTHROUGH)
        listener = envoy.Listener(
            name=OUTBOUND,
            address=socket_address(self.view.listen),
            traffic_direction=envoy.TrafficDirection.OUTBOUND,
            listener_filters=[
                envoy.ListenerFilter(name="envoy.filters.listener.original_dst", typed_config=pack(envoy.OriginalDst()))
            ],
            filter_chains=self.chains,
            default_filter_chain=envoy.FilterChain(name=PASSTHROUGH, filters=[passthrough]),
        )
        refs = {CLUSTER: frozenset(self.clusters), ROUTE: frozenset(route.name for route in routes)}
        origins = tuple(sorted(set().union(*self.origins.values())))
        outbound = Resource.of(LISTENER, OUTBOUND, to_bytes(listener), refs=refs, origins=origins)
        return [passthrough_cluster(), outbound, *routes], self.claims.problems()

    def add(self, service: Service, port: Port) -> None:
        vips = self.claims.take(service, f"vip:{port.number}", service.vips.get(self.view.cluster, ()))
        cluster = service.resource_name(port.number)
        if port.protocol.is_http:
            names = _domains_on_port(service, port, self.view, vips)
            if domains := self.claims.take(service, f"host:{port.number}", names):
                self.hosts[port.number].append(_host(service, cluster, domains, self.routing(service, port.number)))
                self.routed[port.number].append(cluster)
        if vips:
            match = envoy.FilterChainMatch(
                prefix_ranges=[_prefix(address) for address in vips], destination_port=envoy.UInt32Value(value=port.number)
            )
            filters = [self.filter(service, port, cluster)]
            self.chains.append(envoy.FilterChain(name=cluster, filter_chain_match=match, filters=filters))
        self.origins[port.number].update(service.origins)

    def filter(self, service: Service, port: Port, cluster: str) -> envoy.Filter:
        if not port.protocol.is_http:
            self.clusters.add(cluster)
            return tcp_filter(cluster, cluster, by_address() if service.keeps_clients else None)
        self.http.add(port.number)
        route = f"{OUTBOUND}:{port.number}"
        return http_filter(route, route, _filters(service, self.view))

    def routes(self, number: int) -> Resource:
        unmatched = envoy.VirtualHost(
            name=PASSTHROUGH,
            domains=["*"],
            routes=[
                envoy.Route(
                    match=envoy.RouteMatch(prefix="/"), route=envoy.RouteAction(cluster=PASSTHROUGH, timeout=envoy.Duration())
                )
            ],
        )
        clusters = [*self.routed[number], PASSTHROUGH]
        return _routes(f"{OUTBOUND}:{number}", [*self.hosts[number], unmatched], clusters, self.origins[number])


def _host(service: Service, cluster: str, domains: list[str], settings: RouteSettings) -> envoy.VirtualHost:
    return service_host(cluster, domains, settings, by_client() if service.keeps_clients else None)


def _filters(service: Service, view: View) -> list[envoy.HttpFilter]:
    """Return what has to stand before the routes to a service."""
    return [client_filter(view)] if service.keeps_clients else []


def _routes(name: str, hosts: list[envoy.VirtualHost], clusters: list[str], origins: set[Ref]) -> Resource:
    message = envoy.RouteConfiguration(name=name, virtual_hosts=hosts)
    refs = {CLUSTER: frozenset(clusters)}
    return Resource.of(ROUTE, name, to_bytes(message), refs=refs, origins=tuple(sorted(origins)))


def _prefix(address: str) -> envoy.CidrRange:
    length = ipaddress.ip_address(address).max_prefixlen
    return envoy.CidrRange(address_prefix=address, prefix_len=envoy.UInt32Value(value=length))


def _not_routable(service: Service) -> list[Problem]:
    """Return what the owner of a service should know whose ports cannot be told apart by a Host."""
    found = [f"{port.number} ({port.name or 'unnamed'})" for port in service.ports if not port.protocol.is_http]
    if not found:
        return []
    message = f"ports of {service.key.fqdn} that are not HTTP cannot be reached through explicit sidecars: {', '.join(found)}"
    hint = "if they speak HTTP, set appProtocol, or name them http, http-…; otherwise intercept transparently"
    return [Problem("XDS0404", message, service.origins[0] if service.origins else None, "spec.ports", hint)]


def _http_ports(service: Service) -> list[Port]:
    return [port for port in service.ports if port.protocol.is_http]


def _domains(service: Service, port: Port, view: View) -> Iterator[str]:
    """Return the Host values that mean one port, where the port of the connection says nothing."""
    ports = _http_ports(service)
    default = next((candidate for candidate in ports if candidate.number == HTTP_PORT), ports[0])
    for name in _names(service, view, service.vips.get(view.cluster, ())):
        yield f"{name}:{port.number}"
        if port is default:
            yield name


def _domains_on_port(service: Service, port: Port, view: View, vips: Iterable[str]) -> Iterator[str]:
    """Return the Host values that mean one port on connections to that port."""
    for name in _names(service, view, vips):
        yield name
        yield f"{name}:{port.number}"


def _names(service: Service, view: View, vips: Iterable[str]) -> Iterator[str]:
    """Return the names under which clients in the view know the service.

    The short forms mean what cluster DNS makes of them: the cluster's own service.
    """
    key = service.key
    yield key.fqdn
    if key.scope:
        yield f"{key.name}.{key.namespace}.svc"
        yield f"{key.name}.{key.namespace}"
        if key.namespace == view.namespace:
            yield key.name
    for address in vips:
        yield f"[{address}]" if ":" in address else address
