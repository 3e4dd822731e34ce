"""KEP-1645 restated plainly, on objects as JSON has them, and random things that users of several clusters do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator
    from random import Random

NAMESPACE = "shop"
NAMES = ("web", "api")
MCS = "multicluster.x-k8s.io/v1alpha1"
SLICES = "discovery.k8s.io/v1"
OWNER = "kubernetes.io/service-name"

Object = dict[str, Any]
World = dict[str, dict[tuple[str, str], Object]]
"""Cluster -> (kind, name) -> what its users wrote."""


class Operation(NamedTuple):
    """A user writes an object, or deletes it (`item` is None)."""

    cluster: str
    kind: str
    name: str
    item: Object | None


def operations(random: Random, clusters: list[str], count: int) -> Iterator[Operation]:
    """Yield so many of them, in any order."""
    makers = {"Service": _service, "ServiceExport": _export, "EndpointSlice": _slice}
    for number in range(count):
        kind, cluster, name = random.choice([*makers]), random.choice(clusters), random.choice(NAMES)
        item = makers[kind](random, name) if random.random() < 0.75 else None
        if item and kind == "EndpointSlice":
            item["endpoints"] = [
                {"addresses": [f"10.{clusters.index(cluster) + 1}.{number % 250}.{pod + 1}"], "conditions": {"ready": True}}
                for pod in range(random.randint(0, 3))
            ]
        yield Operation(cluster, kind, f"{name}-1" if kind == "EndpointSlice" else name, item)


def _service(random: Random, name: str) -> Object:
    item = _named("v1", "Service", name)
    if random.random() < 0.1:
        return {**item, "spec": {"type": "ExternalName", "externalName": "example.org"}}
    ports = [("http", random.choice([80, 80, 80, 81])), *random.choice([[], [], [("admin", 8081)], [("grpc", 9090)]])]
    spec: Object = {"ports": [{"name": key, "port": number, "protocol": "TCP"} for key, number in ports]}
    if random.random() < 0.2:
        spec["clusterIP"] = "None"
    if random.random() < 0.2:
        spec |= {
            "sessionAffinity": "ClientIP",
            "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": random.choice([60, 90])}},
        }
    if random.random() < 0.2:
        spec["trafficDistribution"] = "PreferClose"
    if random.random() < 0.2:
        spec["internalTrafficPolicy"] = "Local"
    return {**item, "spec": spec}


def _export(random: Random, name: str) -> Object:
    item = _named(MCS, "ServiceExport", name)
    if random.random() < 0.2:
        item["spec"] = {"exportedLabels": {"tier": random.choice(["gold", "silver"])}}
    return item


def _slice(random: Random, name: str) -> Object:
    item = _named(SLICES, "EndpointSlice", f"{name}-1", labels={OWNER: name})
    names = ["http", *random.choice([[], ["admin"], ["grpc"]])]
    ports = [{"name": key, "port": 8000 + number, "protocol": "TCP"} for number, key in enumerate(names)]
    return {**item, "addressType": "IPv4", "ports": ports}


def _named(version: str, kind: str, name: str, **metadata: Any) -> Object:
    return {"apiVersion": version, "kind": kind, "metadata": {"name": name, "namespace": NAMESPACE, **metadata}}


def expected_imports(world: World, name: str) -> Object | None:
    """Return what every cluster that has the namespace imports; None if nobody exports the name."""
    exports = _exports(world, name)
    if not exports:
        return None
    oldest = exports[0]
    spec = _spec(world, oldest, name)
    ports = _ports(world, exports, name)
    return {
        "type": "Headless" if _is_headless(spec) else "ClusterSetIP",
        "ports": {(port["name"], port["port"]) for port, _ in ports},
        "affinity": spec.get("sessionAffinity", "None"),
        "distribution": spec.get("trafficDistribution", ""),
        "labels": _carried(world, oldest, name),
        "clusters": sorted(exports),
    }


def expected_copies(world: World, name: str) -> set[tuple[str, str, frozenset[str]]]:
    """Return (cluster, address, names of ports) of what is served: ports of those that agree with the oldest."""
    exports = _exports(world, name)
    result = set()
    for cluster in exports:
        served = {port["name"] for port, clusters in _ports(world, exports, name) if cluster in clusters}
        found = world[cluster].get(("EndpointSlice", f"{name}-1"), {"endpoints": []})
        names = frozenset(port["name"] for port in found.get("ports") or ()) & served
        result |= {(cluster, address, names) for one in found["endpoints"] or () for address in one["addresses"]}
    return result


def expected_conditions(world: World, cluster: str, name: str) -> dict[str, tuple[str, frozenset[str]]] | None:
    """Return type -> (status, reasons) of a cluster's export; None if there is none."""
    if ("ServiceExport", name) not in world[cluster]:
        return None
    exports = _exports(world, name)
    if cluster not in exports:
        has_service = ("Service", name) in world[cluster]
        reason = "InvalidServiceType" if has_service else "NoService"
        return {"Valid": ("False", frozenset([reason])), "Ready": ("False", frozenset(["Pending"]))}
    conflicts = _conflicts(world, exports, name)
    conflict = ("True", conflicts) if conflicts else ("False", frozenset(["NoConflicts"]))
    return {"Valid": ("True", frozenset(["Valid"])), "Ready": ("True", frozenset(["Exported"])), "Conflict": conflict}


def _exports(world: World, name: str) -> list[str]:
    """Return the clusters with a valid export, the oldest first."""
    found = []
    for cluster, items in world.items():
        export, service = items.get(("ServiceExport", name)), items.get(("Service", name))
        if export and service and service["spec"].get("type") != "ExternalName":
            found.append((export["metadata"].get("creationTimestamp") or "", cluster))
    return [cluster for _, cluster in sorted(found)]


def _ports(world: World, exports: list[str], name: str) -> list[tuple[Object, set[str]]]:
    """Return each port of the import and the clusters that have it as it is there."""
    result: list[tuple[Object, set[str]]] = []
    for cluster in exports:
        for port in _spec(world, cluster, name)["ports"]:
            same = [clusters for other, clusters in result if _port(other) == _port(port)]
            if same:
                same[0].add(cluster)
            elif all(other["name"] != port["name"] and other["port"] != port["port"] for other, _ in result):
                result.append((port, {cluster}))
    return result


def _conflicts(world: World, exports: list[str], name: str) -> frozenset[str]:
    specs = [_spec(world, cluster, name) for cluster in exports]
    compared = {
        "TypeConflict": [_is_headless(spec) for spec in specs],
        "PortConflict": [sorted(map(_port, spec["ports"])) for spec in specs],
        "SessionAffinityConflict": [spec.get("sessionAffinity", "None") for spec in specs],
        "SessionAffinityConfigConflict": [spec.get("sessionAffinityConfig") for spec in specs],
        "InternalTrafficPolicyConflict": [spec.get("internalTrafficPolicy", "Cluster") for spec in specs],
        "TrafficDistributionConflict": [spec.get("trafficDistribution", "") for spec in specs],
        "LabelsConflict": [_carried(world, cluster, name) for cluster in exports],
    }
    return frozenset(reason for reason, values in compared.items() if any(value != values[0] for value in values))


def _port(port: Object) -> tuple[str, int, str]:
    return port["name"], port["port"], port.get("protocol", "TCP")


def _spec(world: World, cluster: str, name: str) -> Object:
    spec: Object = world[cluster]["Service", name]["spec"]
    return spec


def _is_headless(spec: Object) -> bool:
    return spec.get("clusterIP") == "None"


def _carried(world: World, cluster: str, name: str) -> Object:
    labels: Object = (world[cluster]["ServiceExport", name].get("spec") or {}).get("exportedLabels") or {}
    return labels
