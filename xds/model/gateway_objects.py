"""Gateway and HTTPRoute: the subset of the Gateway API that we serve.

Here an unknown field is not ignored: what a route asks and we do not do must not pass silently. Discovery decodes these
objects tolerantly with `unsupported` collecting the paths of the fields outside the subset; translation leaves out the
listener or rule that uses one, with a problem.
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

from xds.model.objects import KubernetesObject, Port


class GatewayListener(Struct, frozen=True, rename="camel", kw_only=True):
    """One listener of a Gateway; only protocol HTTP is served."""

    name: str
    port: Port
    protocol: str = "HTTP"
    hostname: str | None = None


class GatewaySpec(Struct, frozen=True, rename="camel", kw_only=True):
    """`spec` of a Gateway."""

    gateway_class_name: str = ""
    listeners: list[GatewayListener] = []


class Gateway(KubernetesObject, frozen=True, rename="camel", kw_only=True):
    """gateway.networking.k8s.io/v1 Gateway."""

    spec: GatewaySpec = GatewaySpec()
    unsupported: tuple[str, ...] = ()
    """Paths of fields outside the subset, e.g. `spec.listeners[0].tls`; set by discovery, never by the user."""


class ParentReference(Struct, frozen=True, rename="camel", kw_only=True):
    """Attaches a route to a Gateway, to one listener (`section_name`) or one port of it."""

    name: str
    namespace: str | None = None
    group: str = "gateway.networking.k8s.io"
    kind: str = "Gateway"
    section_name: str | None = None
    port: Port | None = None


class PathMatch(Struct, frozen=True, rename="camel", kw_only=True):
    """How a path is matched; RegularExpression is outside the subset."""

    type: Literal["Exact", "PathPrefix"] = "PathPrefix"
    value: str = "/"


class RouteMatch(Struct, frozen=True, rename="camel", kw_only=True):
    """One match of a rule."""

    path: PathMatch = PathMatch()


class BackendRef(Struct, frozen=True, rename="camel", kw_only=True):
    """A Service of the route's cluster, or a ServiceImport: the service of the cluster set."""

    name: str
    port: Port | None = None
    namespace: str | None = None
    group: str = ""
    kind: str = "Service"
    weight: Annotated[int, Meta(ge=0, le=1_000_000)] = 1


class RouteRule(Struct, frozen=True, rename="camel", kw_only=True):
    """One rule: any of its matches leads to its backends, by weight."""

    matches: list[RouteMatch] = []
    backend_refs: Annotated[list[BackendRef], Meta(max_length=16)] = []
    """At most 16, as the Gateway API has it: Envoy refuses all routes if the weights of one exceed 32 bits."""


class HTTPRouteSpec(Struct, frozen=True, rename="camel", kw_only=True):
    """`spec` of an HTTPRoute."""

    parent_refs: list[ParentReference] = []
    hostnames: list[str] = []
    rules: list[RouteRule] = []


class HTTPRoute(KubernetesObject, frozen=True, rename="camel", kw_only=True):
    """gateway.networking.k8s.io/v1 HTTPRoute."""

    spec: HTTPRouteSpec = HTTPRouteSpec()
    unsupported: tuple[str, ...] = ()
    """As in Gateway, e.g. `spec.rules[1].filters`."""
