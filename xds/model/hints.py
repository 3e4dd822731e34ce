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
EXPORTED: Final = "mirror.linkerd.io/exported"
FEDERATED: Final = "mirror.linkerd.io/federated"
MIRRORED: Final = "mirror.linkerd.io/mirrored-service"
MIRRORED_CLUSTER: Final = "mirror.linkerd.io/cluster-name"
REMOTE_DISCOVERY: Final = "multicluster.linkerd.io/remote-discovery"
ANNOTATIONS: Final = (GLOBAL, SHARED, AFFINITY, ALGORITHM)
"""Of Services."""
LABELS: Final = (EXPORTED, FEDERATED, MIRRORED, MIRRORED_CLUSTER, REMOTE_DISCOVERY)
"""Of Services."""
EXPORT_WEIGHT: Final = "networking.fleet.azure.com/weight"
"""Annotation of a ServiceExport."""
DISTRIBUTION: Final = "networking.istio.io/traffic-distribution"
"""Annotation of a Service, or of the Namespace for those that say nothing themselves."""
NONE: Final[Mapping[str, str]] = {}


def hints_of(service: objects.Service) -> Mapping[str, str]:
    """Return the hints of a Service, by the annotation, label or field."""
    found = {key: value for key in ANNOTATIONS if (value := service.metadata.annotations.get(key)) is not None}
    found |= {key: value for key in LABELS if (value := service.metadata.labels.get(key)) is not None}
    if service.spec.internal_traffic_policy == "Local":
        found[INTERNAL_POLICY] = "Local"
    if service.spec.session_affinity == "ClientIP":
        found[SESSION_AFFINITY] = "ClientIP"
    return found or NONE


def is_global(service: objects.Service) -> bool:
    """Return whether Cilium would join the Services of this name, so that policies of places mean all clusters."""
    return is_true(service.metadata.annotations.get(GLOBAL, ""))


def is_true(text: str) -> bool:
    """Return whether Cilium reads an annotation as true."""
    return text.casefold() == "true"
