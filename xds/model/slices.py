"""EndpointSlices: whose endpoints they tell, in each of the ways in which systems label them.

- Kubernetes and users: the label `kubernetes.io/service-name` names a Service of the cluster that holds the slice.
- An MCS implementation (KEP-1645): the labels `multicluster.kubernetes.io/service-name` and `source-cluster` name what another
  cluster exports; a Service of the holder may be named, too, that stands for it.
- Karmada, for a MultiClusterService: the annotation `endpointslice.karmada.io/provision-cluster` names where the endpoints of a
  Service of the holder run.
- Cilium, for a global Service whose endpoints it copies: the label `multicluster.kubernetes.io/source-cluster` alone does that.
- Karmada, for a ServiceImport: the slice is named `imported-<cluster>-<slice>`, and belongs to a Service `derived-<name>`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from xds.model.objects import EndpointSlice

SERVICE_NAME_LABEL: Final = "kubernetes.io/service-name"
MCS_SERVICE_LABEL: Final = "multicluster.kubernetes.io/service-name"
MCS_CLUSTER_LABEL: Final = "multicluster.kubernetes.io/source-cluster"
MANAGED_BY_LABEL: Final = "endpointslice.kubernetes.io/managed-by"
MCS_MANAGER: Final = "mcs.isthmus.dev"
"""Value of that label in slices that we write as an MCS implementation: Kubernetes' own controllers leave them alone."""
KARMADA_PROVIDER: Final = "endpointslice.karmada.io/provision-cluster"
KARMADA_IMPORTER: Final = "endpointslice-controller.karmada.io"


class Owner(NamedTuple):
    """Whose endpoints a slice tells."""

    service: str
    """The Service of the cluster that holds the slice; "" if there is none."""
    exported: str = ""
    """The exported service of which the slice is a copy; "" if it is none."""
    source: str = ""
    """Where the endpoints run, as the slice names that cluster; "" for the one that holds it."""


def owner_of(item: EndpointSlice) -> Owner:
    """Return whose endpoints a slice tells."""
    meta = item.metadata
    service = meta.labels.get(SERVICE_NAME_LABEL, "")
    if exported := meta.labels.get(MCS_SERVICE_LABEL, ""):
        return Owner(service, exported, meta.labels.get(MCS_CLUSTER_LABEL, ""))
    if meta.labels.get(MANAGED_BY_LABEL) == KARMADA_IMPORTER and service.startswith("derived-"):
        exported = service.removeprefix("derived-")
        # The slice's own name, at the end, begins with the service's.
        source, _, _ = meta.name.removeprefix("imported-").partition(f"-{exported}-")
        return Owner(service, exported, source)
    return Owner(service, source=meta.annotations.get(KARMADA_PROVIDER) or meta.labels.get(MCS_CLUSTER_LABEL, ""))
