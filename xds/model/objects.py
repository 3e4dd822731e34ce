"""The Kubernetes objects that we read, as msgspec structs of just the fields we use.

Objects are the same wherever they come from, a file or an API server. Unknown fields are ignored, as Kubernetes itself
does when it reads; a known field of the wrong type fails with a path such as `$.spec.ports[0].port`. Gateway and
HTTPRoute are stricter: see `xds.model.gateway_objects`.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct, field

from xds.model.labels import LabelSelector  # noqa: TC001 - msgspec reads annotations

Port = Annotated[int, Meta(ge=1, le=65535)]
# Both end up in host names, of which one that Envoy refuses would cost all routes; `\Z`, because `$` lets a newline through.
Name = Annotated[str, Meta(min_length=1, max_length=253, pattern=r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?\Z")]
NamespaceName = Annotated[str, Meta(max_length=63, pattern=r"^([a-z0-9]([-a-z0-9]*[a-z0-9])?)?\Z")]
"""An RFC 1123 label, or nothing for what is in no namespace."""


UNDATED = "~"
"""Sorts after every timestamp."""


class ObjectMeta(Struct, frozen=True, rename="camel", kw_only=True):
    """`metadata` of every object."""

    name: Name
    namespace: NamespaceName = ""
    uid: str = ""
    resource_version: str = ""
    generation: int = 0
    """How often what is wanted of it has changed, by its API server; 0 where that is not counted."""
    creation_timestamp: str | None = None
    """RFC 3339; sorts as text because Kubernetes always writes UTC."""
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}

    @property
    def age(self) -> str:
        """What sorts the oldest object first; one without a creation time, as in most files, counts as the youngest."""
        return self.creation_timestamp or UNDATED


class KubernetesObject(Struct, frozen=True, rename="camel", kw_only=True):
    """What every object has."""

    api_version: str
    kind: str
    metadata: ObjectMeta


class NamespaceStatus(Struct, frozen=True, rename="camel", kw_only=True):
    """`status` of a Namespace."""

    phase: str = ""
    """`Terminating`: it is being deleted, and nothing can be created in it."""


class Namespace(KubernetesObject, frozen=True, rename="camel", kw_only=True):
    """v1 Namespace."""

    status: NamespaceStatus = NamespaceStatus()


class Node(KubernetesObject, frozen=True, rename="camel", kw_only=True):
    """v1 Node; its labels `topology.kubernetes.io/{region,zone}` place the endpoints that run there."""


class ServicePort(Struct, frozen=True, rename="camel", kw_only=True):
    """One port of a Service; `target_port` matters only where there is no EndpointSlice port of that name."""

    port: Port
    name: str = ""
    protocol: str = "TCP"
    app_protocol: str | None = None


class ServiceSpec(Struct, frozen=True, rename="camel", kw_only=True):
    """`spec` of a Service."""

    type: Literal["ClusterIP", "NodePort", "LoadBalancer", "ExternalName"] = "ClusterIP"
    cluster_ip: str = field(default="", name="clusterIP")
    cluster_ips: list[str] = field(default_factory=list, name="clusterIPs")
    ports: list[ServicePort] = []
    session_affinity: str = "None"
    session_affinity_config: dict[str, Any] | None = None
    internal_traffic_policy: str = "Cluster"
    traffic_distribution: str | None = None


class Service(KubernetesObject, frozen=True, rename="camel", kw_only=True):
    """v1 Service."""

    spec: ServiceSpec = ServiceSpec()


class SlicePort(Struct, frozen=True, rename="camel", kw_only=True):
    """One port of an EndpointSlice; its name links it to the Service port of that name."""

    port: Port | None = None
    name: str | None = ""
    protocol: str = "TCP"
    app_protocol: str | None = None


class EndpointConditions(Struct, frozen=True, rename="camel", kw_only=True):
    """Unknown (None) means: ready true, serving as ready, terminating false (Kubernetes API, EndpointConditions)."""

    ready: bool | None = None
    serving: bool | None = None
    terminating: bool | None = None


class ObjectReference(Struct, frozen=True, rename="camel", kw_only=True):
    """`targetRef` of an endpoint."""

    kind: str = ""
    namespace: str = ""
    name: str = ""
    uid: str = ""


class SliceEndpoint(Struct, frozen=True, rename="camel", kw_only=True):
    """One endpoint of an EndpointSlice; all its addresses are the same endpoint."""

    addresses: list[str]
    conditions: EndpointConditions = EndpointConditions()
    hostname: str | None = None
    node_name: str | None = None
    zone: str | None = None
    target_ref: ObjectReference | None = None


class EndpointSlice(KubernetesObject, frozen=True, rename="camel", kw_only=True):
    """discovery.k8s.io/v1 EndpointSlice."""

    address_type: Literal["IPv4", "IPv6", "FQDN"]
    ports: list[SlicePort] | None = None
    endpoints: list[SliceEndpoint] | None = None


class Pod(KubernetesObject, frozen=True, rename="camel", kw_only=True):
    """v1 Pod; read for its labels."""


class Condition(Struct, frozen=True, rename="camel", kw_only=True):
    """One entry of `status.conditions` (metav1.Condition), as far as it is ours to say."""

    type: str
    status: str = "Unknown"
    reason: str = ""
    message: str = ""
    last_transition_time: str = ""
    """When `status` became what it is, RFC 3339."""


class ExportStatus(Struct, frozen=True, rename="camel", kw_only=True):
    """`status` of a ServiceExport."""

    conditions: list[Condition] = []


class ExportSpec(Struct, frozen=True, rename="camel", kw_only=True):
    """`spec` of a ServiceExport: what the imports are to carry."""

    exported_labels: dict[str, str] = {}
    exported_annotations: dict[str, str] = {}


class ServiceExport(KubernetesObject, frozen=True, rename="camel", kw_only=True):
    """multicluster.x-k8s.io ServiceExport: exports the Service of its own name (KEP-1645); Azure Fleet's, too."""

    spec: ExportSpec = ExportSpec()
    status: ExportStatus = ExportStatus()


class ImportPort(Struct, frozen=True, rename="camel", kw_only=True):
    """One port of a ServiceImport."""

    port: Port
    name: str = ""
    protocol: str = "TCP"
    app_protocol: str | None = None


class ImportSpec(Struct, frozen=True, rename="camel", kw_only=True):
    """`spec` of a ServiceImport; `ips` are its VIPs in the cluster that holds it."""

    type: Literal["ClusterSetIP", "Headless"] = "ClusterSetIP"
    ips: list[str] = []
    ip_families: list[str] = []
    ports: list[ImportPort] = []
    session_affinity: str = ""
    session_affinity_config: dict[str, Any] | None = None
    internal_traffic_policy: str | None = None
    traffic_distribution: str | None = None


class ImportedFrom(Struct, frozen=True, rename="camel", kw_only=True):
    """One entry of `status.clusters`."""

    cluster: str


class ImportStatus(Struct, frozen=True, rename="camel", kw_only=True):
    """`status` of a ServiceImport."""

    clusters: list[ImportedFrom] = []
    conditions: list[Condition] = []


class ServiceImport(KubernetesObject, frozen=True, rename="camel", kw_only=True):
    """multicluster.x-k8s.io ServiceImport."""

    spec: ImportSpec = ImportSpec()
    status: ImportStatus = ImportStatus()


class ClusterPropertySpec(Struct, frozen=True, rename="camel", kw_only=True):
    """`spec` of a ClusterProperty."""

    value: Annotated[str, Meta(min_length=1, max_length=128_000)]


class ClusterProperty(KubernetesObject, frozen=True, rename="camel", kw_only=True):
    """about.k8s.io ClusterProperty: what a cluster says of itself (KEP-2149)."""

    spec: ClusterPropertySpec


class SecretRef(Struct, frozen=True, rename="camel", kw_only=True):
    """A Secret, and the key in it."""

    name: Name
    namespace: NamespaceName = ""
    key: str = ""


class StaleSpec(Struct, frozen=True, rename="camel", kw_only=True):
    """`spec.stale` of a MemberCluster: what its endpoints are to clients of other clusters while nothing is heard of it."""

    demote_after_seconds: float | None = None
    """Then they are DEGRADED; None: as the control plane is set."""
    remove_after_seconds: float | None = None
    """Then they are left out, and the member is Lost; None: as the control plane is set."""


class ScopeSpec(Struct, frozen=True, rename="camel", kw_only=True):
    """`spec.scope` of a MemberCluster: what is read of a live cluster."""

    namespace_selector: LabelSelector | None = None
    """The namespaces, by their labels; None: all."""
    exported_only: bool = False
    """Whether only Services and EndpointSlices are read that other clusters get: its own clients are served elsewhere."""


class MemberClusterSpec(Struct, frozen=True, rename="camel", kw_only=True):
    """`spec` of a MemberCluster."""

    region: str = ""
    zones: list[str] = []
    provider: str = ""
    """Who runs it, e.g. a cloud: policies may select by it."""
    network: str = "default"
    """Members of one network reach each other's pod addresses."""
    kubeconfig_secret: SecretRef | None = None
    """How to reach its API server, where that is not said otherwise."""
    stale: StaleSpec = StaleSpec()
    scope: ScopeSpec = ScopeSpec()


class MemberClusterStatus(Struct, frozen=True, rename="camel", kw_only=True):
    """`status` of a MemberCluster."""

    conditions: list[Condition] = []


class MemberCluster(KubernetesObject, frozen=True, rename="camel", kw_only=True):
    """traffic.isthmus.dev/v1alpha1 MemberCluster: one cluster of the fleet (fleet-wide object)."""

    spec: MemberClusterSpec = MemberClusterSpec()
    status: MemberClusterStatus = MemberClusterStatus()
