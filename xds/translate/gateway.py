"""Gateways: Gateway and HTTPRoute of the Gateway API become listeners and routes into services of many clusters.

The subset is that of `xds.model.gateway_objects`. A rule or listener that uses more is left out with a problem, never served
as something else.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from xds.model.events import ref_of
from xds.model.service import CLUSTERSET, Service, ServiceKey
from xds.problems import Problem
from xds.translate.affinity import by_connection
from xds.translate.hostnames import A_HOSTNAME, intersections, is_hostname
from xds.translate.listeners import http_filter, socket_address
from xds.translate.resources import resource_of
from xds.translate.routes import KEEP_PATH, retried_routes
from xds.wire import CLUSTER, LISTENER, ROUTE, envoy, to_bytes

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Mapping

    from xds.model.gateway_objects import BackendRef, Gateway, GatewayListener, HTTPRoute, ParentReference, RouteMatch, RouteRule
    from xds.model.view import View
    from xds.problems import Ref
    from xds.snapshot.resource import Resource

GATEWAY_GROUP = "gateway.networking.k8s.io"
IMPORT_GROUP = "multicluster.x-k8s.io"
NO_BACKEND = "no-backend"
"""A cluster that never exists: its share of a rule's requests is answered with 500, as the Gateway API demands."""


@dataclass(frozen=True, slots=True)
class GatewayInput:
    """What the gateways of one view are made of."""

    view: View
    gateways: tuple[Gateway, ...]
    routes: tuple[HTTPRoute, ...]
    services: Mapping[ServiceKey, Service]


@dataclass(frozen=True, slots=True)
class GatewayResult:
    """Listeners and routes, the services that they lead to, and what could not be served."""

    resources: list[Resource]
    services: frozenset[ServiceKey]
    named: frozenset[ServiceKey]
    """Those that the routes name, whether they are there or not."""
    problems: list[Problem]


def gateway_resources(given: GatewayInput) -> Generator[None, None, GatewayResult]:
    """Make what the gateways of a view listen on and where it leads; yields after each route, to be interrupted."""
    return _Gateways(given).result()


@dataclass(frozen=True, slots=True)
class _Entry:
    """One match of one rule under one hostname, with what decides about its place among the others."""

    order: tuple[int, int, str, str, str, int, int]
    match: envoy.RouteMatch
    action: envoy.RouteAction | None
    """None: nothing valid to send to; answered with 500."""


@dataclass(slots=True)
class _Port:
    """Everything on one port of the view: Envoy has one listener for it, however many Gateways share it."""

    listeners: list[tuple[Gateway, GatewayListener]] = field(default_factory=list)
    hosts: dict[str, list[_Entry]] = field(default_factory=dict)
    owners: dict[str, str] = field(default_factory=dict)
    """Hostname -> the namespace whose routes it belongs to."""
    clusters: set[str] = field(default_factory=set)
    origins: set[Ref] = field(default_factory=set)


class _Gateways:
    def __init__(self, given: GatewayInput) -> None:
        self.given = given
        self.problems: list[Problem] = []
        self.used: set[ServiceKey] = set()
        self.named: set[ServiceKey] = set()
        self.through_gateways: set[str] = set()
        """Clusters that put paths in front of a request's."""
        self.keeping: set[str] = set()
        """Clusters that keep clients to endpoints."""
        self.ports: dict[int, _Port] = defaultdict(_Port)

    def result(self) -> Generator[None, None, GatewayResult]:
        gateways = {f"{found.metadata.namespace}/{found.metadata.name}": found for found in self.given.gateways}
        wanted = self.given.view.gateway
        if wanted and wanted not in gateways:
            self.missing(sorted(gateways))
        for name, gateway in gateways.items():
            if wanted in ("", name):
                self.open(gateway)
        for route in sorted(self.given.routes, key=_age_key):
            self.attach(route)
            yield
        resources: list[Resource] = []
        for number in sorted(self.ports):
            resources += yield from self.port_resources(number)
        return GatewayResult(resources, frozenset(self.used), frozenset(self.named), self.problems)

    def missing(self, known: list[str]) -> None:
        """Report that there is nothing for the clients of this view to serve."""
        view = self.given.view
        message = f"cluster {view.cluster or '-'} has no Gateway {view.gateway}, which a gateway is to serve"
        hint = f"it has {', '.join(known) or 'none'}"
        self.problems.append(Problem("XDS0407", message, field="node.metadata.isthmus.gateway", hint=hint))

    def problem(self, code: str, ref: Ref, message: str, at: str = "", hint: str = "") -> None:
        self.problems.append(Problem(code, message, ref, at, hint))

    def open(self, gateway: Gateway) -> None:
        """Take the listeners of a Gateway that we can serve; discovery has reported fields outside the subset."""
        ref = ref_of(self.given.view.cluster, gateway)
        if any(not path.startswith("spec.listeners[") for path in gateway.unsupported):
            return
        for index, listener in enumerate(gateway.spec.listeners):
            at = f"spec.listeners[{index}]"
            if listener.protocol != "HTTP":
                message = f"protocol {listener.protocol!r} is not served; the listener is left out"
                self.problem("XDS0402", ref, message, at=f"{at}.protocol", hint="use HTTP")
            elif listener.hostname and not is_hostname(listener.hostname):
                message = f"{listener.hostname!r} is not {A_HOSTNAME}; the listener is left out"
                self.problem("XDS0402", ref, message, at=f"{at}.hostname")
            elif not _asks_more(gateway.unsupported, at):
                self.ports[listener.port].listeners.append((gateway, listener))
                self.ports[listener.port].origins.add(ref)

    def attach(self, route: HTTPRoute) -> None:
        """Put the rules of a route under every hostname of every listener that takes it, once each."""
        ref = ref_of(self.given.view.cluster, route)
        if any(not path.startswith(("spec.rules[", "spec.parentRefs[")) for path in route.unsupported):
            return
        if not route.spec.parent_refs:
            self.problem("XDS0403", ref, "it names no Gateway", at="spec.parentRefs", hint="add a parentRef")
        hostnames = self.hostnames(route)
        targets: dict[tuple[int, str], None] = {}
        for index, parent in enumerate(route.spec.parent_refs):
            at = f"spec.parentRefs[{index}]"
            if hostnames is None or _asks_more(route.unsupported, at) or not self.names_view(route, parent):
                continue
            found = dict.fromkeys(self.targets(route, parent, hostnames))
            if not found:
                self.problem("XDS0403", ref, *_why_nowhere(parent, at))
            targets |= found
        if targets:
            self.add_rules(route, list(targets))

    def hostnames(self, route: HTTPRoute) -> list[str] | None:
        """Return the valid hostnames of a route; None if it has only others, which must not become "any"."""
        valid = [name for name in route.spec.hostnames if is_hostname(name)]
        for index, name in enumerate(route.spec.hostnames):
            if name not in valid:
                message = f"{name!r} is not {A_HOSTNAME}; the hostname is left out"
                self.problem("XDS0402", ref_of(self.given.view.cluster, route), message, at=f"spec.hostnames[{index}]")
        return valid if valid or not route.spec.hostnames else None

    def names_view(self, route: HTTPRoute, parent: ParentReference) -> bool:
        """Return False for a parent that another view serves."""
        if not self.given.view.gateway:
            return True
        return self.given.view.gateway == f"{parent.namespace or route.metadata.namespace}/{parent.name}"

    def targets(self, route: HTTPRoute, parent: ParentReference, hostnames: list[str]) -> Iterable[tuple[int, str]]:
        """Return (port, hostname) of every listener and hostname under which the parent takes the route."""
        own = route.metadata.namespace
        if not _is_gateway(parent) or (parent.namespace or own) != own:
            return
        for number, port in self.ports.items():
            for gateway, listener in port.listeners:
                if (gateway.metadata.namespace, gateway.metadata.name) != (own, parent.name):
                    continue
                if parent.section_name not in (None, listener.name) or parent.port not in (None, number):
                    continue
                for hostname in intersections(listener.hostname, hostnames):
                    yield number, hostname

    def add_rules(self, route: HTTPRoute, targets: list[tuple[int, str]]) -> None:
        ref = ref_of(self.given.view.cluster, route)
        entries, clusters = self.entries(route)
        for number, hostname in targets:
            port = self.ports[number]
            owner = port.owners.setdefault(hostname, route.metadata.namespace)
            if owner != route.metadata.namespace:
                message = f"hostname {hostname!r} on port {number} belongs to an older route in namespace {owner!r}"
                self.problem("XDS0406", ref, message, hint="use another hostname or port")
                continue
            port.origins.add(ref)
            port.clusters |= clusters
            # Even if every rule is left out: it answers 404, rather than falling to a wildcard.
            port.hosts.setdefault(hostname, []).extend(entries)

    def entries(self, route: HTTPRoute) -> tuple[list[_Entry], set[str]]:
        """Return what the rules of a route match and do, and the clusters that they lead to."""
        entries: list[_Entry] = []
        clusters: set[str] = set()
        for index, rule in enumerate(route.spec.rules):
            at = f"spec.rules[{index}]"
            if _asks_more(route.unsupported, f"{at}.matches") or not self.paths_are_valid(route, rule, at):
                continue
            # What a rule asks beyond its matches must not be passed over, e.g. a redirect: requests that match get 500.
            action = None if _asks_more(route.unsupported, at) else self.action(route, rule, at, clusters)
            entries += [_entry(route, index, order, match, action) for order, match in enumerate(_matches(rule))]
        return entries, clusters

    def paths_are_valid(self, route: HTTPRoute, rule: RouteRule, at: str) -> bool:
        """Report paths that mean nothing, and of which Envoy would refuse the whole configuration."""
        bad = [index for index, match in enumerate(rule.matches) if not _is_path(match.path.value)]
        for index in bad:
            message = f"{rule.matches[index].path.value!r} is not a path; the rule is left out"
            where = f"{at}.matches[{index}].path.value"
            hint = "begin it with /, and leave out //, ? and #"
            self.problem("XDS0402", ref_of(self.given.view.cluster, route), message, at=where, hint=hint)
        return not bad

    def action(self, route: HTTPRoute, rule: RouteRule, at: str, clusters: set[str]) -> envoy.RouteAction | None:
        """Return where a rule leads: one cluster, or several by weight; None if there is nothing to send to.

        Adds to the clusters that are led to.
        """
        found: list[tuple[str, int]] = []
        for index, backend in enumerate(rule.backend_refs):
            name = self.backend(route, backend, f"{at}.backendRefs[{index}]")
            if backend.weight:
                found.append((name or NO_BACKEND, backend.weight))
        clusters.update(name for name, _ in found if name != NO_BACKEND)
        if all(name == NO_BACKEND for name, _ in found):
            return None
        kept = [by_connection()] if any(name in self.keeping for name, _ in found) else ()
        if len(found) == 1:
            return envoy.RouteAction(cluster=found[0][0], hash_policy=kept)
        weights = [envoy.WeightedCluster.ClusterWeight(name=name, weight={"value": weight}) for name, weight in found]
        return envoy.RouteAction(
            weighted_clusters=envoy.WeightedCluster(clusters=weights),
            hash_policy=kept,
            cluster_not_found_response_code=envoy.RouteAction.INTERNAL_SERVER_ERROR,
        )

    def backend(self, route: HTTPRoute, backend: BackendRef, at: str) -> str | None:
        """Return the cluster of a backend, or None with a problem."""
        ref = ref_of(self.given.view.cluster, route)
        own = route.metadata.namespace
        scopes = {("", "Service"): self.given.view.cluster, (IMPORT_GROUP, "ServiceImport"): CLUSTERSET}
        scope = scopes.get((backend.group, backend.kind))
        if scope is None:
            known = f"use Service, or ServiceImport of group {IMPORT_GROUP}"
            self.problem(
                "XDS0401", ref, f"backends of kind {backend.kind!r} in group {backend.group!r} are unknown", at=at, hint=known
            )
            return None
        if (backend.namespace or own) != own:
            self.problem("XDS0401", ref, f"namespace {backend.namespace!r} is not the route's own", at=f"{at}.namespace")
            return None
        key = ServiceKey(own, backend.name, scope)
        self.named.add(key)
        service = self.given.services.get(key)
        if service is None or not service.is_visible(self.given.view.cluster):
            hint = "" if scope else "it must be exported by some cluster (ServiceExport)"
            self.problem("XDS0401", ref, f"there is no {backend.kind} {own}/{backend.name}", at=f"{at}.name", hint=hint)
            return None
        numbers = [port.number for port in service.ports]
        if backend.port not in numbers:
            known = f"it has {', '.join(map(str, numbers)) or 'none'}"
            wrong = f"{backend.kind} {own}/{backend.name} has no port {backend.port}" if backend.port else "is missing"
            self.problem("XDS0401", ref, wrong, at=f"{at}.port", hint=known)
            return None
        self.used.add(key)
        name = service.resource_name(backend.port)
        if service.has_gateways:
            self.through_gateways.add(name)
        if service.keeps_clients:
            self.keeping.add(name)
        return name

    def port_resources(self, number: int) -> Generator[None, None, list[Resource]]:
        port, name = self.ports[number], f"gateway:{number}"
        hosts: list[envoy.VirtualHost] = []
        for hostname, entries in sorted(port.hosts.items()):
            hosts.append(_virtual_host(hostname, entries))
            yield
        listener = envoy.Listener(
            name=name,
            address=socket_address(f"0.0.0.0:{number}"),
            filter_chains=[envoy.FilterChain(filters=[http_filter(name, name, edge=True)])],
        )
        routes = envoy.RouteConfiguration(
            name=name,
            virtual_hosts=hosts,
            ignore_port_in_host_matching=True,
            request_headers_to_add=() if port.clusters.isdisjoint(self.through_gateways) else [KEEP_PATH],
        )
        origins = tuple(sorted(port.origins))
        refs = {ROUTE: frozenset((name,))}
        return [
            resource_of(LISTENER, name, to_bytes(listener), refs=refs, origins=origins),
            resource_of(ROUTE, name, to_bytes(routes), refs={CLUSTER: frozenset(port.clusters)}, origins=origins),
        ]


def _virtual_host(hostname: str, entries: list[_Entry]) -> envoy.VirtualHost:
    routes: list[envoy.Route] = []
    for entry in sorted(entries, key=lambda entry: entry.order):
        if entry.action is None:
            routes.append(envoy.Route(match=entry.match, direct_response=envoy.DirectResponseAction(status=500)))
        else:
            routes += retried_routes(entry.match, entry.action)
    return envoy.VirtualHost(name=hostname, domains=[hostname], routes=routes)


def _matches(rule: RouteRule) -> list[tuple[tuple[int, int], envoy.RouteMatch]]:
    """Return the matches of a rule with their precedence: exact paths first, then longer prefixes before shorter ones."""
    if not rule.matches:
        return [((1, -1), envoy.RouteMatch(prefix="/"))]
    return [_path_match(match) for match in rule.matches]


def _path_match(match: RouteMatch) -> tuple[tuple[int, int], envoy.RouteMatch]:
    value = match.path.value
    if match.path.type == "Exact":
        return (0, -len(value)), envoy.RouteMatch(path=value)
    prefix = value.rstrip("/")
    if not prefix:
        return (1, -1), envoy.RouteMatch(prefix="/")
    return (1, -len(prefix)), envoy.RouteMatch(path_separated_prefix=prefix)


def _entry(
    route: HTTPRoute, rule: int, order: int, match: tuple[tuple[int, int], envoy.RouteMatch], action: envoy.RouteAction | None
) -> _Entry:
    """Return a match in its place: by path, then the older route, then its name, then the order within it (Gateway API)."""
    (kind, length), found = match
    return _Entry((kind, length, *_age_key(route), rule, order), found, action)


def _age_key(route: HTTPRoute) -> tuple[str, str, str]:
    """Oldest first, then by namespace and name."""
    meta = route.metadata
    return (meta.age, meta.namespace, meta.name)


def _asks_more(unsupported: tuple[str, ...], at: str) -> bool:
    """Return whether what is at a path, an object or a list, has a field outside the subset."""
    return any(path == at or path.startswith((f"{at}.", f"{at}[")) for path in unsupported)


def _is_path(text: str) -> bool:
    return text.startswith("/") and not any(bad in text for bad in ("//", "?", "#"))


def _is_gateway(parent: ParentReference) -> bool:
    return (parent.group, parent.kind) == (GATEWAY_GROUP, "Gateway")


def _why_nowhere(parent: ParentReference, at: str) -> tuple[str, str, str]:
    """Return message, field and hint for a parent that does not take the route."""
    if not _is_gateway(parent):
        hint = f"use a Gateway of {GATEWAY_GROUP}"
        return f"parents of kind {parent.kind!r} in group {parent.group!r} are not served", at, hint
    hint = "check name, namespace (it must be the route's own), sectionName, port and hostnames"
    return f"no listener of Gateway {parent.name!r} takes it", at, hint
