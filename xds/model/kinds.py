"""Which kinds we read, in which API groups and versions, and at which level of the fleet they stand."""

from __future__ import annotations

from dataclasses import dataclass
from difflib import SequenceMatcher
from enum import Flag, auto
from functools import lru_cache

from xds.model import exports, flomesh_objects, gateway_objects, istio_objects, karmada_objects, objects, traffic_objects


class Level(Flag):
    """Where objects of a kind stand."""

    MEMBER = auto()
    """In a member cluster, `DIR/<cluster>/**/*.yaml`: they are about that cluster, or its clients."""
    FLEET = auto()
    """On the hub, `DIR/*.yaml`: they are about the fleet."""


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind that we read."""

    kind: str
    """As its API calls it."""
    group: str
    versions: tuple[str, ...]
    struct: type[objects.KubernetesObject]
    namespaced: bool = True
    selector: str = ""
    """Only objects with these labels are asked for, as `kubectl -l` writes them."""
    level: Level = Level.MEMBER
    """Which levels it may stand at."""
    is_qualified: bool = False
    """Other groups have a kind that is called like this one, which therefore goes by kind and group."""

    @property
    def name(self) -> str:
        """What it goes by in keys, references and for people: its kind, or `KIND.GROUP`, as kubectl tells kinds apart."""
        return f"{self.kind}.{self.group}" if self.is_qualified else self.kind

    @property
    def api_versions(self) -> tuple[str, ...]:
        """The accepted values of `apiVersion`."""
        return tuple(f"{self.group}/{version}" if self.group else version for version in self.versions)


KINDS = {
    kind.name: kind
    for kind in (
        Kind("Namespace", "", ("v1",), objects.Namespace, namespaced=False),
        Kind("Node", "", ("v1",), objects.Node, namespaced=False),
        Kind("Service", "", ("v1",), objects.Service),
        Kind("Pod", "", ("v1",), objects.Pod),
        Kind("EndpointSlice", "discovery.k8s.io", ("v1",), objects.EndpointSlice),
        Kind("ServiceExport", "multicluster.x-k8s.io", ("v1alpha1", "v1beta1"), objects.ServiceExport),
        Kind("ServiceExport", exports.FLEET_GROUP, ("v1beta1", "v1alpha1"), objects.ServiceExport, is_qualified=True),
        Kind("ServiceImport", "multicluster.x-k8s.io", ("v1alpha1", "v1beta1"), objects.ServiceImport),
        Kind("ClusterProperty", "about.k8s.io", ("v1alpha1", "v1beta1"), objects.ClusterProperty, namespaced=False),
        Kind("Gateway", "gateway.networking.k8s.io", ("v1", "v1beta1"), gateway_objects.Gateway),
        Kind("HTTPRoute", "gateway.networking.k8s.io", ("v1", "v1beta1"), gateway_objects.HTTPRoute),
        Kind("DestinationRule", "networking.istio.io", ("v1", "v1beta1", "v1alpha3"), istio_objects.DestinationRule),
        Kind("MemberCluster", "traffic.isthmus.dev", ("v1alpha1",), objects.MemberCluster, namespaced=False, level=Level.FLEET),
        Kind(
            "MultiClusterService",
            "networking.karmada.io",
            ("v1alpha1",),
            karmada_objects.MultiClusterService,
            level=Level.FLEET,
        ),
        Kind(
            "TrafficPolicy", "traffic.isthmus.dev", ("v1alpha1",), traffic_objects.TrafficPolicy, level=Level.FLEET | Level.MEMBER
        ),
        Kind(
            "TrafficOverride",
            "traffic.isthmus.dev",
            ("v1alpha1",),
            traffic_objects.TrafficOverride,
            namespaced=False,
            level=Level.FLEET,
        ),
        *(
            Kind(kind, group, ("v1alpha1",), struct, is_qualified=True)
            for group in flomesh_objects.GROUPS
            for kind, struct in flomesh_objects.STRUCTS.items()
        ),
    )
}
"""Name -> what we read of it. No two kinds that we read share a name."""
_OF_API = {(kind.group, kind.kind): kind for kind in KINDS.values()}

ALIKE = 0.85
"""From here on, by difflib's ratio, a name is a slip of ours, and not another one: TCPRoute is like HTTPRoute by 0.82."""


def kind_of(group: str, kind: str) -> Kind | None:
    """Return what we read of a kind, as its API calls it; None if we do not."""
    return _OF_API.get((group, kind))


@lru_cache(maxsize=1024)
def nearest_kind(group: str, name: str) -> Kind | None:
    """Return the kind that was probably meant by one that we do not read: its name is alike, its group alike or forgotten."""
    near = (kind for kind in KINDS.values() if _alike(kind.kind, name) and (not group or _alike(kind.group, group)))
    return next(near, None)


def _alike(one: str, other: str) -> bool:
    return SequenceMatcher(None, one.casefold(), other.casefold()).ratio() >= ALIKE
