"""The registries' objects, as msgspec structs of just the fields we use, and the kinds that they are read as."""

from __future__ import annotations

from typing import Any, Final

from msgspec import Struct, field

from xds.model.kinds import Kind
from xds.model.objects import Condition, KubernetesObject, SecretRef


class Secret(KubernetesObject, frozen=True, rename="camel", kw_only=True):
    """v1 Secret; values are base64."""

    data: dict[str, str] = field(default_factory=dict)


class Taint(Struct, frozen=True, rename="camel", kw_only=True):
    """A reason to run nothing in a cluster, as nodes have them."""

    key: str
    value: str = ""
    effect: str = ""
    """`NoSchedule`: nothing new; `NoExecute`: what runs there is to leave."""

    def __str__(self) -> str:
        return f"{self.key}{'=' if self.value else ''}{self.value}:{self.effect}"


class KarmadaSpec(Struct, frozen=True, rename="camel", kw_only=True):
    """`spec` of a Karmada Cluster."""

    sync_mode: str = "Push"
    api_endpoint: str = ""
    secret_ref: SecretRef | None = None
    insecure_skip_tls_verification: bool = field(default=False, name="insecureSkipTLSVerification")
    proxy_url: str = field(default="", name="proxyURL")
    provider: str = ""
    region: str = ""
    zone: str = ""
    zones: list[str] = []
    taints: list[Taint] = []


class KarmadaStatus(Struct, frozen=True, rename="camel", kw_only=True):
    """`status` of a Karmada Cluster."""

    conditions: list[Condition] = []


class KarmadaCluster(KubernetesObject, frozen=True, rename="camel", kw_only=True):
    """cluster.karmada.io Cluster."""

    spec: KarmadaSpec = KarmadaSpec()
    status: KarmadaStatus = KarmadaStatus()


class FlomeshSpec(Struct, frozen=True, rename="camel", kw_only=True):
    """`spec` of a Flomesh Cluster; its kubeconfig stands there in plain text."""

    region: str = "default"
    zone: str = "default"
    group: str = "default"
    gateway_host: str = ""
    gateway_port: int = 80
    kubeconfig: str = ""
    is_in_cluster: bool = False


class FlomeshCluster(KubernetesObject, frozen=True, rename="camel", kw_only=True):
    """multicluster.flomesh.io or flomesh.io Cluster."""

    spec: FlomeshSpec = FlomeshSpec()


class KubeFedSpec(Struct, frozen=True, rename="camel", kw_only=True):
    """`spec` of a KubeFedCluster."""

    api_endpoint: str = ""
    ca_bundle: str = ""
    secret_ref: SecretRef | None = None
    disabled_tls_validations: list[str] = field(default_factory=list, name="disabledTLSValidations")
    proxy_url: str = field(default="", name="proxyURL")


class KubeFedStatus(Struct, frozen=True, rename="camel", kw_only=True):
    """`status` of a KubeFedCluster."""

    region: str = ""
    zones: list[str] = []


class KubeFedCluster(KubernetesObject, frozen=True, rename="camel", kw_only=True):
    """core.kubefed.io KubeFedCluster."""

    spec: KubeFedSpec = KubeFedSpec()
    status: KubeFedStatus = KubeFedStatus()


class AccessProvider(Struct, frozen=True, rename="camel", kw_only=True):
    """One way to reach a ClusterProfile's cluster: the cluster part of a kubeconfig, by the name of a plugin."""

    name: str
    cluster: dict[str, Any] = {}


class Property(Struct, frozen=True, rename="camel", kw_only=True):
    """One property of a ClusterProfile."""

    name: str
    value: str = ""


class ProfileStatus(Struct, frozen=True, rename="camel", kw_only=True):
    """`status` of a ClusterProfile."""

    access_providers: list[AccessProvider] = []
    credential_providers: list[AccessProvider] = []
    """The older name of the same."""
    properties: list[Property] = []


class ClusterProfile(KubernetesObject, frozen=True, rename="camel", kw_only=True):
    """multicluster.x-k8s.io ClusterProfile (KEP-4322)."""

    status: ProfileStatus = ProfileStatus()


CLUSTER_LABEL: Final = "traffic.isthmus.dev/cluster"
"""On a Secret with a kubeconfig under the key `kubeconfig`: the name of the cluster."""
ISTIO_LABEL: Final = "istio/multiCluster"
"""On a Secret each of whose keys is a cluster's name, with its kubeconfig."""

OWN_SECRET: Final = Kind("Secret", "", ("v1",), Secret, selector=CLUSTER_LABEL)
ISTIO_SECRET: Final = Kind("Secret", "", ("v1",), Secret, selector=f"{ISTIO_LABEL}=true")
KARMADA: Final = Kind("Cluster", "cluster.karmada.io", ("v1alpha1",), KarmadaCluster, namespaced=False)
FLOMESH: Final = Kind("Cluster", "multicluster.flomesh.io", ("v1alpha1",), FlomeshCluster, namespaced=False)
ERIE_CANAL: Final = Kind("Cluster", "flomesh.io", ("v1alpha1",), FlomeshCluster, namespaced=False)
KUBEFED: Final = Kind("KubeFedCluster", "core.kubefed.io", ("v1beta1",), KubeFedCluster)
PROFILE: Final = Kind("ClusterProfile", "multicluster.x-k8s.io", ("v1alpha1",), ClusterProfile)
