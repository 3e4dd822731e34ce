"""Flomesh's objects by which services are used from other clusters, as msgspec structs of just the fields we use.

FSM has them in one API group, ErieCanal and fsm-classic in another, with the same fields. ServiceExport and ServiceImport are not
those of the MCS API: an import leads to the HTTP gateways of other clusters, a path prefix for each, and never to pods.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal

from msgspec import Meta, Struct, field

from xds.model.objects import KubernetesObject, Port

LbType = Literal["Locality", "FailOver", "ActiveActive"]


class ExportRule(Struct, frozen=True, rename="camel", kw_only=True):
    """At which path of its cluster's gateway a port of the Service is found."""

    port_number: Annotated[int, Meta(ge=0, le=65535)] = 0
    path: str = ""
    path_type: Literal["Exact", "Prefix"]


class PathRewrite(Struct, frozen=True, rename="camel", kw_only=True):
    """What the gateway makes of the paths of all rules."""

    from_: str = field(default="", name="from")
    to: str = ""


class FlomeshExportSpec(Struct, frozen=True, rename="camel", kw_only=True):
    """`spec` of a ServiceExport."""

    rules: list[ExportRule] = []
    path_rewrite: PathRewrite | None = None
    session_sticky: bool = False
    load_balancer: str = ""
    target_clusters: list[str] = []
    """Cluster keys; none: every cluster."""
    service_account_name: str = ""


class FlomeshExport(KubernetesObject, frozen=True, rename="camel", kw_only=True):
    """ServiceExport: shows the Service of its own name at the gateway of its cluster."""

    spec: FlomeshExportSpec = FlomeshExportSpec()


class Target(Struct, frozen=True, rename="camel", kw_only=True):
    """The gateway of a cluster, and where the service is there."""

    host: str = ""
    ip: str = ""
    port: int = 0
    path: str = ""


class ImportEndpoint(Struct, frozen=True, rename="camel", kw_only=True):
    """One cluster that exports a port."""

    cluster_key: str = ""
    target: Target = Target()


class FlomeshImportPort(Struct, frozen=True, rename="camel", kw_only=True):
    """One port of a ServiceImport."""

    port: Port
    name: str = ""
    protocol: str = "TCP"
    app_protocol: str | None = None
    endpoints: list[ImportEndpoint] = []


class FlomeshImportSpec(Struct, frozen=True, rename="camel", kw_only=True):
    """`spec` of a ServiceImport; nothing follows from `type` in FSM either."""

    type: str = ""
    ports: list[FlomeshImportPort] = []
    service_account_name: str = ""


class FlomeshImport(KubernetesObject, frozen=True, rename="camel", kw_only=True):
    """ServiceImport: where a service is found in the clusters that export it. FSM makes it in every other cluster."""

    spec: FlomeshImportSpec = FlomeshImportSpec()


class PolicyTarget(Struct, frozen=True, rename="camel", kw_only=True):
    """One cluster of a policy."""

    cluster_key: str = ""
    weight: Annotated[int, Meta(le=2**31 - 1)] | None = None


class GlobalTrafficPolicySpec(Struct, frozen=True, rename="camel", kw_only=True):
    """`spec` of a GlobalTrafficPolicy."""

    lb_type: LbType = "Locality"
    targets: list[PolicyTarget] = []
    """None: every cluster that is imported from."""


class GlobalTrafficPolicy(KubernetesObject, frozen=True, rename="camel", kw_only=True):
    """GlobalTrafficPolicy: how the clients of its cluster use the import of its own name."""

    spec: GlobalTrafficPolicySpec = GlobalTrafficPolicySpec()


GROUPS: Final = ("multicluster.flomesh.io", "flomesh.io")
"""FSM's, which counts first where a cluster has both, and ErieCanal's."""
STRUCTS: Final[dict[str, type[KubernetesObject]]] = {
    "ServiceExport": FlomeshExport,
    "ServiceImport": FlomeshImport,
    "GlobalTrafficPolicy": GlobalTrafficPolicy,
}
"""Kind, as both groups call it -> what we read of it."""
