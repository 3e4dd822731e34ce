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
from xds.snapshot.resource import Resource
from xds.translate.listeners import http_filter, socket_address
from xds.translate.routes import retried_routes
from xds.wire import CLUSTER, LISTENER, ROUTE, envoy, to_bytes

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from xds.model.gateway_objects import BackendRef, Gateway, GatewayListener, HTTPRoute, ParentReference, RouteMatch, RouteRule
    from xds.model.view import View
    from xds.problems import Ref

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
    problems: list[Problem]


def gateway_resources(given: GatewayInput) -> GatewayResult:
    """Return what the gateways of a view listen on and where it leads."""
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
    hosts: dict[str, list[_Entry]] = field(default_factory=lambda: defaultdict(list))
    clusters: set[str] = field(default_factory=set)
    origins: set[Ref] = field(default_factory=set)


class _Gateways:
    def __init__(self, given: GatewayInput) -> None:
        self.given = given
        self.problems: list[Problem] = []
        self.used: set[ServiceKey] = set()
        self.ports: dict[int, _Port] = defaultdict(_Port)

    def result(self) -> GatewayResult:
        for gateway in self.given.gateways:
            if self.given.view.gateway in ("", f"{gateway.metadata.namespace}/{gateway.metadata.name}"):
                self.open(gateway)
        for route in self.given.routes:
            self.attach(route)
        resources = [resource for number in sorted(self.ports) for resource in self.port_resources(number)]
        return GatewayResult(resources, frozenset(self.used), self.problems)

    def problem(self, code: str, ref: Ref, message: str, *, at: str = "", hint: str = "") -> None:
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
            elif not any(path.startswith(f"{at}.") or path == at for path in gateway.unsupported):
                self.ports[listener.port].listeners.append((gateway, listener))
                self.ports[listener.port].origins.add(ref)

    def attach(self, route: HTTPRoute) -> None:
        ref = ref_of(self.given.view.cluster, route)
        attached = False
        for index, parent in enumerate(route.spec.parent_refs):
            if not self.names_view(route, parent):
                attached = True  # it belongs to a gateway that this view does not serve
                continue
            targets = list(self.targets(route, parent))
            if not targets:
                message = f"no listener of Gateway {parent.name!r} takes it"
                hint = "check name, namespace (it must be the route's own), sectionName, port and hostnames"
                self.problem("XDS0403", ref, message, at=f"spec.parentRefs[{index}]", hint=hint)
            attached = attached or bool(targets)
            for number, hostname in targets:
                self.add_rules(route, number, hostname)
        if not route.spec.parent_refs:
            self.problem("XDS0403", ref, "it names no Gateway", at="spec.parentRefs", hint="add a parentRef")

    def names_view(self, route: HTTPRoute, parent: ParentReference) -> bool:
        if not self.given.view.gateway:
            return True
        return self.given.view.gateway == f"{parent.namespace or route.metadata.namespace}/{parent.name}"

    def targets(self, route: HTTPRoute, parent: ParentReference) -> Iterable[tuple[int, str]]:
        """Return (port, hostname) of every listener and hostname under which the parent takes the route."""
        own = route.metadata.namespace
        if parent.kind != "Gateway" or (parent.namespace or own) != own:
            return
        seen: set[tuple[int, str]] = set()
        for number, port in self.ports.items():
            for gateway, listener in port.listeners:
                if (gateway.metadata.namespace, gateway.metadata.name) != (own, parent.name):
                    continue
                if parent.section_name not in (None, listener.name) or parent.port not in (None, number):
                    continue
                for hostname in _intersections(listener.hostname, route.spec.hostnames):
                    if (number, hostname) not in seen:
                        seen.add((number, hostname))
                        yield number, hostname

    def add_rules(self, route: HTTPRoute, number: int, hostname: str) -> None:
        port = self.ports[number]
        port.origins.add(ref_of(self.given.view.cluster, route))
        entries = port.hosts[hostname]  # even if every rule is left out: it answers 404, rather than falling to a wildcard
        for index, rule in enumerate(route.spec.rules):
            at = f"spec.rules[{index}]"
            if any(path == at or path.startswith(f"{at}.") for path in route.unsupported):
                continue
            action = self.action(route, rule, at, port)
            entries += [_entry(route, index, order, match, action) for order, match in enumerate(_matches(rule))]

    def action(self, route: HTTPRoute, rule: RouteRule, at: str, port: _Port) -> envoy.RouteAction | None:
        """Return where a rule leads: one cluster, or several by weight; None if there is nothing to send to."""
        found: list[tuple[str, int]] = []
        for index, backend in enumerate(rule.backend_refs):
            name = self.backend(route, backend, f"{at}.backendRefs[{index}]")
            if backend.weight:
                found.append((name or NO_BACKEND, backend.weight))
        port.clusters.update(name for name, _ in found if name != NO_BACKEND)
        if all(name == NO_BACKEND for name, _ in found):
            return None
        if len(found) == 1:
            return envoy.RouteAction(cluster=found[0][0])
        weights = [envoy.WeightedCluster.ClusterWeight(name=name, weight={"value": weight}) for name, weight in found]
        return envoy.RouteAction(
            weighted_clusters=envoy.WeightedCluster(clusters=weights),
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
        service = self.given.services.get(key)
        if service is None or not service.is_visible(self.given.view.cluster):
            hint = "" if scope else "it must be exported by some cluster (ServiceExport)"
            self.problem("XDS0401", ref, f"there is no {backend.kind} {own}/{backend.name}", at=f"{at}.name", hint=hint)
            return None
        numbers = [port.number for port in service.ports]
        if backend.port not in numbers:
            known = f"it has {', '.join(map(str, numbers)) or 'none'}"
            self.problem(
                "XDS0401", ref, f"{backend.kind} {own}/{backend.name} has no port {backend.port}", at=f"{at}.port", hint=known
            )
            return None
        self.used.add(key)
        return service.resource_name(backend.port)

    def port_resources(self, number: int) -> list[Resource]:
        port, name = self.ports[number], f"gateway:{number}"
        listener = envoy.Listener(
            name=name,
            address=socket_address(f"0.0.0.0:{number}"),
            filter_chains=[envoy.FilterChain(filters=[http_filter(name, name, edge=True)])],
        )
        routes = envoy.RouteConfiguration(
            name=name,
            virtual_hosts=[_virtual_host(hostname, entries) for hostname, entries in sorted(port.hosts.items())],
            ignore_port_in_host_matching=True,
        )
        origins = tuple(sorted(port.origins))
        refs = {ROUTE: frozenset((name,))}
        return [
            Resource.of(LISTENER, name, to_bytes(listener), refs=refs, origins=origins),
            Resource.of(ROUTE, name, to_bytes(routes), refs={CLUSTER: frozenset(port.clusters)}, origins=origins),
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
    meta = route.metadata
    created = meta.creation_timestamp or "~"
    return _Entry((kind, length, created, meta.namespace, meta.name, rule, order), found, action)


def _intersections(listener: str | None, hostnames: list[str]) -> list[str]:
    """Return the hostnames that both a listener and a route accept, as Envoy domains; `*` where neither names one."""
    if not listener:
        return [name.lower() for name in hostnames] or ["*"]
    if not hostnames:
        return [listener.lower()]
    return [found for name in hostnames if (found := _intersection(listener.lower(), name.lower()))]


def _intersection(one: str, other: str) -> str | None:
    """Return the narrower of two hostnames if the wider one, a wildcard such as `*.example.com`, covers it."""
    if one == other:
        return one
    for wide, narrow in ((one, other), (other, one)):
        if wide.startswith("*.") and narrow.removeprefix("*").endswith(wide[1:]) and len(narrow) > len(wide) - 1:
            return narrow
    return None
