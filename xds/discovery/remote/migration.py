"""Where the services of another multi-cluster system are placed, and which exports they lack. Pure.

KubeFed: `kubernetes-retired/kubefed`, v2 with `spec.placement`, its alpha with `clusterNames`, and v1 (federation) with
annotations. Karmada: MultiClusterService. Flomesh and ErieCanal: ServiceExport. Istio: remote secrets. Others: `meshes`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any, Final

import msgspec

from xds.discovery.remote.meshes import FLEET_EXPORTS, placed
from xds.model.labels import LabelSelector

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from xds.discovery.remote.foreign import Foreign, Object

MCS: Final = ("multicluster.x-k8s.io", "ServiceExport")
KUBEFED: Final = ("types.kubefed.io", "types.kubefed.k8s.io", "types.federation.k8s.io")
FLOMESH: Final = ("multicluster.flomesh.io", "flomesh.io")
INGRESSES: Final = "federation.kubernetes.io/service-ingresses"
"""What KubeFed v1 wrote to a Service: the clusters that it is in, with their addresses."""
KARMADA: Final = "Karmada"
ALL: Final = "*"


@dataclass(frozen=True, slots=True)
class Move:
    """One service, and what it needs with Isthmus."""

    system: str
    namespace: str
    name: str
    clusters: tuple[str, ...]
    """Where it is placed; `*`: in all of them."""
    exports: tuple[str, ...]
    """Where a ServiceExport is missing."""


def moves(found: Mapping[str, Foreign]) -> list[Move]:
    """Return every service that something else places.

    Args:
        found: cluster -> its objects; exports that are there already count for the cluster of that name.
    """
    exported = {
        (cluster, *_key(item))
        for cluster, foreign in found.items()
        for exports in (MCS, FLEET_EXPORTS)
        for item in foreign.get(exports, ())
    }  # (cluster, namespace, name)
    result: set[Move] = set()
    federated = (one for cluster, foreign in found.items() for one in _placed(cluster, foreign))
    for system, item, clusters in chain(federated, placed(found)):
        namespace, name = _key(item)
        shared = system == KARMADA  # what it says is read as it is
        missing = tuple(one for one in clusters if not shared and (one, namespace, name) not in exported)
        result.add(Move(system, namespace, name, clusters, missing))
    return sorted(result, key=lambda one: (one.namespace, one.name, one.system))


def placement(given: Mapping[str, Any], clusters: Mapping[str, Mapping[str, str]]) -> tuple[str, ...]:
    """Return the clusters of a KubeFed placement: names win over a selector, an empty selector is all, nothing is none.

    Args:
        given: `spec.placement`.
        clusters: name -> labels of every KubeFedCluster.
    """
    if given.get("clusters") is not None:
        return tuple(sorted(str(one["name"]) for one in given["clusters"]))
    if given.get("clusterNames") is not None:
        return tuple(sorted(map(str, given["clusterNames"])))
    selector = given.get("clusterSelector")
    if selector is None:
        return ()
    if not clusters and not selector:
        return (ALL,)
    chosen = msgspec.convert(selector, LabelSelector)
    return tuple(sorted(name for name, labels in clusters.items() if chosen.matches(labels)))


def _placed(cluster: str, foreign: Foreign) -> Iterator[tuple[str, Object, tuple[str, ...]]]:
    """Yield (system, object, clusters) of every service that is placed by something in one cluster."""
    known = {item["metadata"]["name"]: _labels(item) for item in foreign.get(("core.kubefed.io", "KubeFedCluster"), ())}
    for group in KUBEFED:
        spaces = {
            item["metadata"].get("namespace") or item["metadata"]["name"]: placement(placement_of(item), known)
            for item in foreign.get((group, "FederatedNamespace"), ())
        }
        apart = {  # the alpha had placements in objects of their own
            _key(item): placement(item.get("spec") or {}, known) for item in foreign.get((group, "FederatedServicePlacement"), ())
        }
        for item in foreign.get((group, "FederatedService"), ()):
            clusters = apart.get(_key(item)) or placement(placement_of(item), known)
            allowed = spaces.get(item["metadata"].get("namespace", ""))
            # KubeFed puts nothing where it does not put the namespace.
            yield "KubeFed", item, tuple(one for one in clusters if allowed is None or one in allowed or ALL in (one, *allowed))
    for item in foreign.get(("federation", "Service"), ()):
        yield "KubeFed v1", item, _ingress_clusters(item)
    for item in foreign.get(("networking.karmada.io", "MultiClusterService"), ()):
        spec = item.get("spec") or {}
        providers = [one["name"] for one in spec.get("providerClusters") or ()]
        providers = providers or spec.get("serviceProvisionClusters") or [ALL]
        yield KARMADA, item, tuple(sorted(providers))
    for group in FLOMESH:
        for item in foreign.get((group, "ServiceExport"), ()):
            yield "Flomesh", item, (cluster,)


def _ingress_clusters(item: Object) -> tuple[str, ...]:
    """Return where KubeFed v1 has a Service; as it federates every Service, all clusters if it does not say."""
    try:
        items = json.loads((item["metadata"].get("annotations") or {}).get(INGRESSES, ""))["items"]
        return tuple(sorted(str(one["cluster"]) for one in items)) or (ALL,)
    except (ValueError, KeyError, TypeError):
        return (ALL,)


def placement_of(item: Object) -> Mapping[str, Any]:
    """Return `spec.placement` of a Federated object."""
    found: Mapping[str, Any] = (item.get("spec") or {}).get("placement") or {}
    return found


def _key(item: Object) -> tuple[str, str]:
    return item["metadata"].get("namespace", ""), item["metadata"]["name"]


def _labels(item: Object) -> dict[str, str]:
    return item["metadata"].get("labels") or {}
