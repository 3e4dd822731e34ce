"""What Services and exports say for other systems of the endpoints that clients use: as it is written, for `xds.policy.hints`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

    from xds.model import objects

INTERNAL_POLICY: Final = "spec.internalTrafficPolicy"
SESSION_AFFINITY: Final = "spec.sessionAffinity"
CILIUM: Final = "service.cilium.io/"
GLOBAL: Final = f"{CILIUM}global"
SHARED: Final = f"{CILIUM}shared"
AFFINITY: Final = f"{CILIUM}affinity"
ALGORITHM: Final = f"{CILIUM}lb-algorithm"
OLDER: Final[Mapping[str, str]] = {
    GLOBAL: "io.cilium/global-service",
    SHARED: "io.cilium/shared-service",
    AFFINITY: "io.cilium/service-affinity",
}
"""Names that count where the newer one is not there."""
EXPORTED: Final = "mirror.linkerd.io/exported"
FEDERATED: Final = "mirror.linkerd.io/federated"
MIRRORED: Final = "mirror.linkerd.io/mirrored-service"
MIRRORED_CLUSTER: Final = "mirror.linkerd.io/cluster-name"
REMOTE_DISCOVERY: Final = "multicluster.linkerd.io/remote-discovery"
ANNOTATIONS: Final = (GLOBAL, SHARED, AFFINITY, ALGORITHM, *OLDER.values())
"""Of Services."""
LABELS: Final = (EXPORTED, FEDERATED, MIRRORED, MIRRORED_CLUSTER, REMOTE_DISCOVERY)
"""Of Services."""
EXPORT_WEIGHT: Final = "networking.fleet.azure.com/weight"
"""Annotation of a ServiceExport."""
DISTRIBUTION: Final = "networking.istio.io/traffic-distribution"
"""Annotation of a Service, or of the Namespace for those that say nothing themselves."""
GLOBAL_NAMESPACE: Final = "clustermesh.cilium.io/global"
"""Annotation of a Namespace: if it is false, Cilium keeps all Services in it to their cluster."""
OF_NAMESPACES: Final = (DISTRIBUTION, GLOBAL_NAMESPACE)
SLICE_WEIGHT: Final = f"{CILIUM}weight"
"""Annotation of an EndpointSlice: 0 takes its endpoints out of use."""
NONE: Final[Mapping[str, str]] = {}


def hints_of(service: objects.Service, namespace: Mapping[str, str] = NONE) -> Mapping[str, str]:
    """Return the hints of a Service, by the annotation, label or field.

    Args:
        service: the object.
        namespace: what its Namespace says (`said_of`).
    """
    found = {key: value for key in ANNOTATIONS if (value := service.metadata.annotations.get(key)) is not None}
    found |= {key: value for key in LABELS if (value := service.metadata.labels.get(key)) is not None}
    if GLOBAL_NAMESPACE in namespace and not is_true(namespace[GLOBAL_NAMESPACE]):
        found[GLOBAL_NAMESPACE] = namespace[GLOBAL_NAMESPACE]
    if service.spec.internal_traffic_policy == "Local":
        found[INTERNAL_POLICY] = "Local"
    if service.spec.session_affinity == "ClientIP":
        found[SESSION_AFFINITY] = "ClientIP"
    return found or NONE


def said_of(namespace: objects.KubernetesObject | None) -> Mapping[str, str]:
    """Return what a Namespace says for the Services in it, by the annotation."""
    annotations = namespace.metadata.annotations if namespace else NONE
    return {key: annotations[key] for key in OF_NAMESPACES if key in annotations}


def written(given: Mapping[str, str], key: str) -> str:
    """Return by which name an annotation is given, if it is: the newer one counts first."""
    older = OLDER.get(key, key)
    return older if key not in given and older in given else key


def is_global(given: Mapping[str, str]) -> bool:
    """Return whether Cilium would join the Services of this name, so that policies of places mean all clusters.

    Args:
        given: the annotations of a Service, or its hints, in which its Namespace may forbid that.
    """
    return is_true(given.get(written(given, GLOBAL), "")) and not is_false(given.get(GLOBAL_NAMESPACE, ""))


def is_shared(given: Mapping[str, str]) -> bool:
    """Return whether Cilium would let other clusters use the endpoints."""
    return is_global(given) and is_true(given.get(written(given, SHARED), "true"))


def is_true(text: str) -> bool:
    """Return whether Cilium reads an annotation as true."""
    return text.casefold() == "true"


def is_false(text: str) -> bool:
    """Return whether an annotation says false; Cilium takes slips for that, too."""
    return text.casefold() == "false"
