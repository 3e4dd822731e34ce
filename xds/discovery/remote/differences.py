"""What other multi-cluster systems have beside services, and what there is in its place. Pure."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from xds.discovery.remote.foreign import KUBEFED_V1
from xds.discovery.remote.meshes import FLEET_EXPORTS, counterparts
from xds.discovery.remote.migration import KUBEFED, placement_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from xds.discovery.remote.foreign import Foreign, Object

SELECTOR: Final = "federation.alpha.kubernetes.io/cluster-selector"
"""Where KubeFed v1 takes an object to, in an annotation of it."""
BY_NAME: Final = "none: an export is made in each cluster by name"
MEMBERS: Final = "`serve --hub` makes these clusters members"
SHARED: Final = "`serve --hub` reads them: names under cluster.local; one under clusterset.local needs exports"
EXPORTED: Final = "read as they are: each exports the Service of its name, under clusterset.local"
OBEYED: Final = "obeyed as they are: gateways of imports become tiers, under cluster.local"
COUNTERPARTS: Final[tuple[tuple[str, str, str, str], ...]] = (
    ("core.kubefed.io", "KubeFedCluster", "KubeFed", MEMBERS),
    (KUBEFED_V1, "Cluster", "KubeFed v1", "`xdsctl clusters join` makes each a member: these are not read"),
    (
        "scheduling.kubefed.io",
        "ReplicaSchedulingPreference",
        "KubeFed",
        "none: Isthmus places no replicas, traffic goes where they are ready",
    ),
    ("multiclusterdns.kubefed.io", "ServiceDNSRecord", "KubeFed", "`serve --dns-address`: clusterset.local, no public DNS"),
    ("multiclusterdns.kubefed.io", "IngressDNSRecord", "KubeFed", "none: Isthmus writes no public DNS"),
    ("networking.karmada.io", "MultiClusterService", "Karmada", SHARED),
    ("networking.karmada.io", "MultiClusterIngress", "Karmada", "a Gateway and HTTPRoutes in the clusters that take traffic"),
    ("multicluster.flomesh.io", "GlobalTrafficPolicy", "Flomesh", OBEYED),
    ("flomesh.io", "GlobalTrafficPolicy", "Flomesh", OBEYED),
    ("multicluster.flomesh.io", "Cluster", "Flomesh", MEMBERS),
    ("flomesh.io", "Cluster", "Flomesh", MEMBERS),
    (*FLEET_EXPORTS, "Azure Fleet", EXPORTED),
    (FLEET_EXPORTS[0], "MultiClusterService", "Azure Fleet", "none: Isthmus makes no load balancers; a Gateway and HTTPRoutes"),
    (FLEET_EXPORTS[0], "TrafficManagerProfile", "Azure Fleet", "none: Isthmus writes no public DNS"),
)
"""(API group, kind, system, what there is instead)."""


@dataclass(frozen=True, slots=True)
class Difference:
    """Some objects, and what becomes of what they do."""

    system: str
    objects: str
    instead: str


def differences(found: Iterable[Foreign]) -> list[Difference]:
    """Return what there is to say of the objects of every cluster, each thing once."""
    return list(dict.fromkeys(one for foreign in found for one in _of_cluster(foreign)))


def _of_cluster(foreign: Foreign) -> Iterator[Difference]:
    for group, kind, system, instead in COUNTERPARTS:
        if items := foreign.get((group, kind)):
            yield Difference(system, _counted(len(items), kind), instead)
    yield from (Difference(*one) for one in counterparts(foreign))
    yield from _of_kubefed([pair for pair in _federated(foreign) if not pair[0].endswith(("Placement", "Override"))])
    marked = [
        item for item in foreign.get((KUBEFED_V1, "Service"), ()) if SELECTOR in (item["metadata"].get("annotations") or {})
    ]
    if marked:
        yield Difference("KubeFed v1", f"cluster selector of {_counted(len(marked), 'Service')}", BY_NAME)
    if names := sorted(name for item in foreign.get(("", "Secret"), ()) for name in item.get("data") or {}):
        instead = f"{MEMBERS}; services of one name are merged only where each cluster exports its own"
        yield Difference("Istio", f"remote secrets of {', '.join(names)}", instead)


def _of_kubefed(federated: list[tuple[str, Object]]) -> Iterator[Difference]:
    kinds = Counter(kind for kind, _ in federated if kind != "FederatedService")
    if kinds:
        others = ", ".join(_counted(number, kind) for kind, number in sorted(kinds.items()))
        yield Difference("KubeFed", others, "none: Isthmus copies no objects; KubeFed, Karmada or GitOps may go on with it")
    if number := sum(bool((item.get("spec") or {}).get("overrides")) for _, item in federated):
        yield Difference(
            "KubeFed", f"overrides in {_counted(number, 'object')}", "none: each cluster's manifests differ by themselves"
        )
    if number := sum(_selects(item) for _, item in federated):
        yield Difference("KubeFed", f"clusterSelector in {_counted(number, 'object')}", BY_NAME)


def _federated(foreign: Foreign) -> Iterator[tuple[str, Object]]:
    for (group, kind), items in foreign.items():
        if group in KUBEFED:
            yield from ((kind, item) for item in items)


def _selects(item: Object) -> bool:
    given = placement_of(item)
    return given.get("clusterSelector") is not None and given.get("clusters") is None


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
