"""What a sidecar (or a node's proxy) listens on and how it routes: the `outbound` listener, explicit or transparent.

Who has which name is looked at for all services together; what is made of one is kept as bytes, to be put together again.
"""

from __future__ import annotations

import ipaddress
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from xds.model.view import Intercept
from xds.problems import Problem
from xds.snapshot.resource import Resource, joined
from xds.translate.affinity import by_address, by_client, client_filter
from xds.translate.clusters import PASSTHROUGH, passthrough_cluster
from xds.translate.listeners import http_filter, socket_address, tcp_filter
from xds.translate.resources import resource_of
from xds.translate.routes import service_host
from xds.wire import CLUSTER, LISTENER, ROUTE, envoy, pack, to_bytes

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Generator, Iterable, Iterator, Mapping

    from xds.model.service import Port, Service, ServiceKey
    from xds.model.view import View
    from xds.policy.policies import RouteSettings
    from xds.problems import Ref

    Routing = Callable[[Service, int], RouteSettings]
    Names = tuple[tuple[Port, tuple[str, ...]], ...]
    """HTTP ports of a service, each with the Host values that mean it."""
    Building = Generator[None, None, tuple[list[Resource], list[Problem]]]
    """Yields after each service, so that it can be interrupted."""
    Making = Generator[None, None, Resource]

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

    owners: dict[str, dict[str, Service]] = field(default_factory=lambda: defaultdict(dict))
    """Table -> name -> who has it."""
    clashes: dict[tuple[ServiceKey, ServiceKey], _Clash] = field(default_factory=dict)

    def take(self, service: Service, table: str, names: Iterable[str]) -> list[str]:
        """Return the names that are free in the table and give them to the service: who comes first keeps them."""
        free, owners = [], self.owners[table]
        for name in names:
            owner = owners.setdefault(name, service)
            if owner is service:
                free.append(name)
            else:
                clash = self.clashes.setdefault((service.key, owner.key), _Clash(service, owner))
                clash.names[name] = None
        return list(dict.fromkeys(free))

    def problems(self) -> list[Problem]:
        """Return one problem for each two services that claim the same."""
        return [clash.problem() for clash in self.clashes.values()]


@dataclass(slots=True)
class Pieces:
    """What was made of one service for sidecars, as long as its ports, addresses and origins stay as they are."""

    names: dict[tuple[str, bool, bool], Names] = field(default_factory=dict)
    """(cluster of the clients, whether the service's namespace is theirs, transparent) -> Host values."""
    hosts: dict[tuple[str, int, tuple[str, ...]], tuple[RouteSettings, bytes]] = field(default_factory=dict)
    """(cluster of the clients, port, Host values) -> what policies said, and the virtual host in a route configuration."""
    chains: dict[tuple[int, tuple[str, ...]], bytes] = field(default_factory=dict)
    """(port, addresses) -> the filter chain in a listener."""

    def forget(self, clusters: Container[str]) -> None:
        """Drop what was made for clients in other clusters than these."""
        for key in [key for key in self.names if key[0] not in clusters]:
            del self.names[key]
        for host in [key for key in self.hosts if key[0] not in clusters]:
            del self.hosts[host]

    def host(self, cluster: str, service: Service, port: Port, domains: list[str], settings: RouteSettings) -> bytes:
        """Return the virtual host of a port as it stands in a route configuration for clients in a cluster."""
        key = cluster, port.number, tuple(domains)
        found = self.hosts.get(key)
        if found is None or found[0] != settings:
            kept_by = by_client() if service.keeps_clients else None
            host = service_host(service.resource_name(port.number), domains, settings, kept_by)
            found = self.hosts[key] = settings, to_bytes(envoy.RouteConfiguration(virtual_hosts=[host]))
        return found[1]


def sidecar_resources(
    view: View, services: Iterable[Service], routing: Routing, pieces: Callable[[Service], Pieces] = lambda _: Pieces()
) -> Building:
    """Make listeners and routes of a sidecar's view, and find what could not be served in it.

    Args:
        view: whose.
        services: those that its clients may use, in order of their keys.
        routing: returns what policies say of the routes to a port.
        pieces: returns what was made of a service so far.
    """
    # A new service must not take an address from one that works: the oldest keeps it, as in KEP-1645 and the Gateway API.
    # The sort is stable, so that the order of keys decides among equals.
    by_age = sorted(services, key=lambda service: service.age)
    if view.intercept is Intercept.TRANSPARENT:
        return _Transparent(view, routing, pieces).resources(by_age)
    return _explicit(view, by_age, routing, pieces)


def _explicit(view: View, services: Iterable[Service], routing: Routing, pieces: Callable[[Service], Pieces]) -> Building:
    claims = Claims()
    problems: list[Problem] = []
    hosts: list[bytes] = []
    clusters: list[str] = []
    origins: dict[Ref, None] = {}
    filters: list[envoy.HttpFilter] = []
    for service in services:
        problems += _not_routable(service)
        made = pieces(service)
        for port, names in _host_values(service, view, made):
            if domains := claims.take(service, OUTBOUND, names):
                hosts.append(made.host(view.cluster, service, port, domains, routing(service, port.number)))
                filters = filters or _filters(service, view)
                clusters.append(service.resource_name(port.number))
                origins.update(dict.fromkeys(service.origins))
        yield
    route = yield from _routes(OUTBOUND, hosts, clusters, origins)
    listener = envoy.Listener(
        name=OUTBOUND,
        address=socket_address(view.listen),
        traffic_direction=envoy.TrafficDirection.OUTBOUND,
        filter_chains=[envoy.FilterChain(filters=[http_filter(OUTBOUND, OUTBOUND, filters)])],
    )
    refs = {ROUTE: frozenset((OUTBOUND,))}
    return [resource_of(LISTENER, OUTBOUND, to_bytes(listener), refs=refs), route], [*problems, *claims.problems()]


class _Transparent:
    """A filter chain for each service VIP and port; everything else goes where it was going."""

    def __init__(self, view: View, routing: Routing, pieces: Callable[[Service], Pieces]) -> None:
        self.view = view
        self.routing = routing
        self.pieces = pieces
        self.claims = Claims()
        self.chains: list[bytes] = []
        self.clusters: set[str] = {PASSTHROUGH}
        self.http: set[int] = set()
        """Ports on which some chain asks for routes."""
        self.hosts: dict[int, list[bytes]] = defaultdict(list)
        self.routed: dict[int, list[str]] = defaultdict(list)
        self.origins: dict[int, dict[Ref, None]] = defaultdict(dict)

    def resources(self, services: Iterable[Service]) -> Building:
        for service in services:
            made = self.pieces(service)
            names = dict(_host_values(service, self.view, made))
            for port in service.ports:
                self.add(service, port, names.get(port, ()), made)
            yield
        routes: list[Resource] = []
        for number in sorted(self.http):
            route = yield from self.routes(number)
            routes.append(route)
        refs = {CLUSTER: frozenset(self.clusters), ROUTE: frozenset(one.name for one in routes)}
        origins: dict[Ref, None] = {}
        for found in self.origins.values():
            origins.update(found)  # dictionaries, so that none of many is hashed again
        outbound = yield from _made(LISTENER, OUTBOUND, self.listener(), refs, origins)
        return [passthrough_cluster(), outbound, *routes], self.claims.problems()

    def listener(self) -> list[bytes]:
        """Return the listener in pieces, its fields in the order of their numbers."""
        before = envoy.Listener(name=OUTBOUND, address=socket_address(self.view.listen))
        passthrough = tcp_filter(PASSTHROUGH, PASSTHROUGH)
        behind = envoy.Listener(
            traffic_direction=envoy.TrafficDirection.OUTBOUND,
            listener_filters=[
                envoy.ListenerFilter(name="envoy.filters.listener.original_dst", typed_config=pack(envoy.OriginalDst()))
            ],
            default_filter_chain=envoy.FilterChain(name=PASSTHROUGH, filters=[passthrough]),
        )
        return [to_bytes(before), *self.chains, to_bytes(behind)]

    def add(self, service: Service, port: Port, names: tuple[str, ...], made: Pieces) -> None:
        vips = self.claims.take(service, f"vip:{port.number}", service.vips.get(self.view.cluster, ()))
        cluster = service.resource_name(port.number)
        if port.protocol.is_http:
            names = (*names, *_with_port(_literals(vips), port))
            if domains := self.claims.take(service, f"host:{port.number}", names):
                settings = self.routing(service, port.number)
                self.hosts[port.number].append(made.host(self.view.cluster, service, port, domains, settings))
                self.routed[port.number].append(cluster)
        if vips:
            self.chains.append(self.chain(service, port, cluster, vips, made))
            if port.protocol.is_http:
                self.http.add(port.number)
            else:
                self.clusters.add(cluster)
        self.origins[port.number].update(dict.fromkeys(service.origins))

    def chain(self, service: Service, port: Port, cluster: str, vips: list[str], made: Pieces) -> bytes:
        """Return the filter chain of a port as it stands in a listener."""
        key = port.number, tuple(vips)
        found = made.chains.get(key)
        if found is None:
            match = envoy.FilterChainMatch(
                prefix_ranges=[_prefix(address) for address in vips], destination_port=envoy.UInt32Value(value=port.number)
            )
            filters = [self.filter(service, port, cluster)]
            chain = envoy.FilterChain(name=cluster, filter_chain_match=match, filters=filters)
            found = made.chains[key] = to_bytes(envoy.Listener(filter_chains=[chain]))
        return found

    def filter(self, service: Service, port: Port, cluster: str) -> envoy.Filter:
        if not port.protocol.is_http:
            return tcp_filter(cluster, cluster, by_address() if service.keeps_clients else None)
        route = f"{OUTBOUND}:{port.number}"
        return http_filter(route, route, _filters(service, self.view))

    def routes(self, number: int) -> Making:
        unmatched = envoy.VirtualHost(
            name=PASSTHROUGH,
            domains=["*"],
            routes=[
                envoy.Route(
                    match=envoy.RouteMatch(prefix="/"), route=envoy.RouteAction(cluster=PASSTHROUGH, timeout=envoy.Duration())
                )
            ],
        )
        hosts = [*self.hosts[number], to_bytes(envoy.RouteConfiguration(virtual_hosts=[unmatched]))]
        return _routes(f"{OUTBOUND}:{number}", hosts, [*self.routed[number], PASSTHROUGH], self.origins[number])


def _filters(service: Service, view: View) -> list[envoy.HttpFilter]:
    """Return what has to stand before the routes to a service."""
    return [client_filter(view)] if service.keeps_clients else []


def _routes(name: str, hosts: list[bytes], clusters: list[str], origins: Iterable[Ref]) -> Making:
    """Make a route configuration: its name, then the virtual hosts in it, as their fields are numbered."""
    return _made(ROUTE, name, [to_bytes(envoy.RouteConfiguration(name=name)), *hosts], {CLUSTER: frozenset(clusters)}, origins)


def _made(type_url: str, name: str, pieces: list[bytes], refs: Mapping[str, frozenset[str]], origins: Iterable[Ref]) -> Making:
    body, version = yield from joined(pieces)
    return resource_of(type_url, name, body, refs=refs, origins=tuple(origins), version=version)


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


def _host_values(service: Service, view: View, made: Pieces) -> Names:
    """Return the HTTP ports of a service, each with the Host values that mean it for clients in the view.

    Where it is the port of the connection that says which is meant, without those of its addresses.
    """
    is_transparent = view.intercept is Intercept.TRANSPARENT
    key = view.cluster, service.key.namespace == view.namespace, is_transparent
    found = made.names.get(key)
    if found is None:
        ports = [port for port in service.ports if port.protocol.is_http]
        if is_transparent:
            found = tuple((port, tuple(_with_port(_names(service, view), port))) for port in ports)
        else:
            found = tuple((port, tuple(_domains(service, port, ports, view))) for port in ports)
        made.names[key] = found
    return found


def _domains(service: Service, port: Port, ports: list[Port], view: View) -> Iterator[str]:
    """Return the Host values that mean one of the HTTP ports, where the port of the connection says nothing."""
    default = next((candidate for candidate in ports if candidate.number == HTTP_PORT), ports[0])
    for name in (*_names(service, view), *_literals(service.vips.get(view.cluster, ()))):
        yield f"{name}:{port.number}"
        if port is default:
            yield name


def _with_port(names: Iterable[str], port: Port) -> Iterator[str]:
    """Return the Host values that mean one port on connections to that port."""
    for name in names:
        yield name
        yield f"{name}:{port.number}"


def _names(service: Service, view: View) -> Iterator[str]:
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


def _literals(addresses: Iterable[str]) -> Iterator[str]:
    """Return addresses as they stand in a Host header."""
    return (f"[{address}]" if ":" in address else address for address in addresses)
