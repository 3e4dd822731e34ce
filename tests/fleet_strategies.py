"""Generated fleets: several clusters, regions, networks, zones, services, exports, slices in every state."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING

from fleet_world import Object, endpoint, endpoint_slice, export, make, member, node, service, tier, traffic_policy
from flomesh_world import ERIE_CANAL, FSM, exported, gateway, imported, policy
from hypothesis import strategies as st

from xds.model.events import FLEET, Aliases, Health, MemberState, Standing, Synced, Upsert
from xds.model.fleet import Fleet
from xds.model.view import Intercept, Role, View

if TYPE_CHECKING:
    from collections.abc import Iterator

    from xds.model.events import Event
    from xds.model.objects import KubernetesObject

CLUSTERS = ("east", "north", "west")
REGIONS = ("eu", "us", "")
ZONES = ("a", "b", "")
NETWORKS = ("default", "blue")
NAMES = ("web", "api")
PORTS = ({"http": 80}, {"http": 80, "tcp": 9000}, {"http": 8080}, {"grpc": 80}, {"": 80}, {})

READY: Object = {"ready": True}
DRAINING: Object = {"ready": False, "serving": True, "terminating": True}
WAITING: Object = {"ready": False}
STATES = (READY, READY, {}, DRAINING, WAITING)

Placed = tuple[str, "KubernetesObject"]
"""(cluster, object)."""


@dataclass(frozen=True)
class World:
    """The objects of a fleet; none twice."""

    objects: tuple[Placed, ...]
    said: tuple[Event, ...] = ()
    """What is said of the clusters themselves."""

    def fleet(self) -> Fleet:
        fleet = Fleet()
        fleet.apply([*(Upsert(*placed) for placed in self.objects), *self.said, *(Synced(name) for name in (FLEET, *CLUSTERS))])
        return fleet


@st.composite
def endpoints(draw: st.DrawFn, addresses: Iterator[str] | None, states: tuple[Object, ...]) -> Object:
    """Return one endpoint; without a source of addresses, they come from a few, so that they clash."""
    address = next(addresses) if addresses else f"10.0.0.{draw(st.integers(1, 6))}"
    more: Object = {}
    if name := draw(st.sampled_from(("", "n1", "n2", "n9"))):
        more["nodeName"] = name
    if zone := draw(st.sampled_from(ZONES)):
        more["zone"] = zone
    target = "" if addresses else draw(st.sampled_from(("", "pod-0", "pod-1")))
    return endpoint(address, target=target, **draw(st.sampled_from(states)), **more)


@st.composite
def services(draw: st.DrawFn, addresses: Iterator[str] | None, states: tuple[Object, ...]) -> list[KubernetesObject]:
    """Return what one cluster has of one service."""
    name, found = draw(st.sampled_from(NAMES)), []
    ports = draw(st.sampled_from(PORTS))
    if draw(st.integers(0, 5)):
        spec = {"clusterIP": draw(st.sampled_from(("None", "10.96.0.1", "10.96.0.2", "fd00::1")))}
        if preference := draw(st.sampled_from(("", "", "PreferSameZone", "PreferSameNode"))):
            spec["trafficDistribution"] = preference
        if draw(st.booleans()):
            spec["sessionAffinity"] = "ClientIP"
        found.append(service(name, ports, **spec))
    if draw(st.booleans()):
        found.append(export(name, created=draw(st.sampled_from((None, "2026-01-01T00:00:00Z", "2026-02-01T00:00:00Z")))))
    if draw(st.booleans()):
        declared = [{"name": key, "port": number} for key, number in ports.items()] if draw(st.booleans()) else []
        spec = {"ips": draw(st.sampled_from(([], ["241.0.0.1"], ["241.0.0.2"]))), "ports": declared}
        found.append(make("ServiceImport", name, spec=spec))
    for number in range(draw(st.integers(0, 2))):
        listed = draw(st.lists(endpoints(addresses, states), max_size=4))
        targets = {key: 8000 + draw(st.integers(0, 1)) for key in ports}
        slice_name = f"{name}-{number}"
        found.append(endpoint_slice(name, listed, targets, name=slice_name, **draw(copies(name))))
    return found


@st.composite
def copies(draw: st.DrawFn, exported: str) -> Object:
    """Return what marks a slice as a copy of another cluster's; mostly nothing."""
    source = draw(st.sampled_from(("", "", "", *CLUSTERS, "id-of-east", "far")))
    if not source:
        return {}
    if draw(st.booleans()):
        return {"annotations": {"endpointslice.karmada.io/provision-cluster": source}}
    labels = {"multicluster.kubernetes.io/service-name": exported, "multicluster.kubernetes.io/source-cluster": source}
    owner = draw(st.sampled_from(("", exported, "api")))
    return {"labels": {**labels, "kubernetes.io/service-name": owner} if owner else labels}


@st.composite
def sharings(draw: st.DrawFn) -> KubernetesObject:
    """Return a MultiClusterService, perhaps of clusters that there are not."""
    names = st.lists(st.sampled_from((*CLUSTERS, "far", "id-of-east", "again-west")), max_size=2, unique=True)
    spec: Object = {"types": [draw(st.sampled_from(("CrossCluster", "CrossCluster", "LoadBalancer")))]}
    for role in ("providerClusters", "consumerClusters"):
        spec[role] = [{"name": name} for name in draw(names)]
    if draw(st.booleans()):
        spec["ports"] = [{"port": 80}]
    return make("MultiClusterService", draw(st.sampled_from(NAMES)), spec=spec)


@st.composite
def flomesh_objects(draw: st.DrawFn) -> list[KubernetesObject]:
    """Return what one cluster has of Flomesh's objects of one service; mostly nothing."""
    name, group = draw(st.sampled_from(NAMES)), draw(st.sampled_from((FSM, ERIE_CANAL)))
    keys = st.sampled_from([*(f"default/default/default/{cluster}" for cluster in CLUSTERS), "a/b/c/id-of-east", "east"])
    kinds = draw(st.sets(st.sampled_from(("export", "import", "policy")))) if draw(st.booleans()) else ()
    found = []
    if "export" in kinds:
        found.append(exported(name, (draw(st.sampled_from((80, 9000))), "/"), group=group))
    if "import" in kinds:
        found.append(imported(name, *map(gateway, draw(st.lists(keys, max_size=2))), group=group))
    if "policy" in kinds:
        found.append(
            policy(draw(st.sampled_from(("Locality", "FailOver"))), *draw(st.lists(keys, max_size=2)), name=name, group=group)
        )
    return found


SUBJECTS: dict[str, Object] = {
    "web": {"targetRefs": [{"kind": "Service", "name": "web"}]},
    "web-80": {"targetRefs": [{"kind": "Service", "name": "web", "port": 80}]},
    "web-import": {"targetRefs": [{"group": "multicluster.x-k8s.io", "kind": "ServiceImport", "name": "web"}]},
    "api": {"targetRefs": [{"kind": "Service", "name": "api"}]},
    "namespace": {"defaultFor": "Namespace"},
    "broken": {"targetRefs": [{"kind": "Service", "name": "api"}]},
}
"""What a policy of each name is about."""
ALL: Object = {"clusters": ["*"]}
PLACES: tuple[Object, ...] = (
    {"clusters": ["@own"]},
    {"regions": ["@own"]},
    {"zones": ["@own"]},
    {"providers": ["@own"]},
    {"clusters": ["@own"], "zones": ["@own"]},
    {"clusterSelector": {"matchExpressions": [{"key": "grade", "operator": "DoesNotExist"}]}},
)
LADDERS: tuple[Object, ...] = (
    {},
    *({"strategy": {"type": name}} for name in ("Nearest", "Locality", "FailOver", "ActiveActive")),
    {"strategy": {"type": "ActiveActive", "weights": [{"zone": "@own", "weight": 0}, {"weight": 3}]}},
    {
        "tiers": [
            tier("own zone", {"zones": ["@own"]}, weighBy="Capacity"),
            tier("own cluster", {"clusters": ["@own"]}),
            tier("all", ALL, gate="Manual"),
        ]
    },
    {
        "tiers": [
            tier("weighed", ALL, weights=[{"cluster": "@own", "weight": 70}, {"region": "@own", "weight": 30}]),
            tier("all", ALL),
        ]
    },
)
SETTINGS: tuple[Object, ...] = (
    {},
    {},
    {"timeoutSeconds": 3, "retry": {"attempts": 1}, "spillBelowHealthyPercent": 100},
    {"outlierDetection": {}, "healthCheck": {"path": "/"}, "panicBelowHealthyPercent": 10, "slowStartSeconds": 5},
)


@st.composite
def traffic_policies(draw: st.DrawFn) -> KubernetesObject:
    """Return a TrafficPolicy that is accepted in any fleet or, called `broken`, in none; its name says what it is about.

    So what is in force depends on no version before: a fleet that is told everything at once has never accepted one.
    """
    name = draw(st.sampled_from(tuple(SUBJECTS)))
    spec = {**SUBJECTS[name], **draw(st.sampled_from(LADDERS)), **draw(st.sampled_from(SETTINGS))}
    if not draw(st.integers(0, 2)):
        spec["sovereignty"] = [draw(st.sampled_from(PLACES))]
    if name == "broken":
        spec["sovereignty"] = [{}]
    return traffic_policy(name, created=draw(st.sampled_from((None, "2026-01-01T00:00:00Z"))), **spec)


@st.composite
def worlds(draw: st.DrawFn, *, clashes: bool = True, states: tuple[Object, ...] = STATES) -> World:
    """Return a fleet's objects; without clashes, every endpoint has an address of its own."""
    addresses = None if clashes else (f"10.{number // 250}.1.{number % 250 + 1}" for number in count())
    placed: dict[tuple[str, str, str], Placed] = {}
    for cluster in draw(st.lists(st.sampled_from(CLUSTERS), min_size=1, unique=True)):
        found: list[KubernetesObject] = []
        if draw(st.integers(0, 4)):
            place = {"zones": draw(st.sampled_from(([], ["a"], ["a", "b"]))), "network": draw(st.sampled_from(NETWORKS))}
            item = member(cluster, draw(st.sampled_from(REGIONS)), **place)
            placed[FLEET, "MemberCluster", cluster] = (FLEET, item)
        found += [
            node(name, draw(st.sampled_from(ZONES)), draw(st.sampled_from(REGIONS)))
            for name in draw(st.sets(st.sampled_from(("n1", "n2"))))
        ]
        if draw(st.booleans()):
            found.append(make("Namespace", "shop"))
        if not draw(st.integers(0, 3)):
            found.append(
                make(
                    "ClusterProperty",
                    "cluster.clusterset.k8s.io",
                    spec={"value": draw(st.sampled_from((f"id-of-{cluster}", "id-of-all", "west")))},
                )
            )
        for _ in range(draw(st.integers(0, 2))):
            found += draw(services(addresses, states))
        found += draw(flomesh_objects())
        for item in found:
            placed[cluster, item.kind, item.metadata.name] = (cluster, item)
    if draw(st.booleans()):
        item = draw(sharings())
        placed[FLEET, item.kind, item.metadata.name] = (FLEET, item)
    for holder in draw(st.lists(st.sampled_from((FLEET, *CLUSTERS)), max_size=2)):
        item = draw(traffic_policies())
        placed[holder, item.kind, item.metadata.name] = (holder, item)
    return World(tuple(placed.values()))


@st.composite
def said(draw: st.DrawFn) -> list[Event]:
    """Return what is said of each cluster itself: mostly that nothing is wrong."""
    found: list[Event] = []
    for cluster in CLUSTERS:
        state = draw(st.sampled_from((MemberState.CONNECTED, MemberState.CONNECTED, MemberState.STALE, MemberState.LOST)))
        standing = draw(st.sampled_from((Standing.FULL, Standing.FULL, Standing.DEMOTED, Standing.REMOVED)))
        aliases = frozenset((f"again-{cluster}",) if draw(st.booleans()) else ())
        found += [Health(cluster, state, standing=standing), Aliases(cluster, aliases)]
    return found


def views() -> st.SearchStrategy[View]:
    """Return views of every role."""
    return st.builds(
        View,
        cluster=st.sampled_from((*CLUSTERS, "")),
        network=st.sampled_from(NETWORKS),
        region=st.sampled_from(REGIONS),
        zone=st.sampled_from(ZONES),
        role=st.sampled_from(tuple(Role)),
        namespace=st.just("shop"),
        intercept=st.sampled_from(tuple(Intercept)),
        listen=st.just("127.0.0.1:15001"),
        node_name=st.sampled_from(("", "n1")),
    )
