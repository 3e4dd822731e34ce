"""200 things that users do in three clusters, in any order: what is written is what KEP-1645 says, and what a restart writes."""

from __future__ import annotations

from random import Random

import msgspec
import pytest
from api_servers import ApiServers
from kep_model import NAMES, Operation, expected_conditions, expected_copies, expected_imports, operations
from msgspec import structs

from xds.model.kinds import KINDS
from xds.ranges import parsed

CLUSTERS = ["east", "west", "north"]
RANGES = parsed(["10.9.0.0/16"])
SHOP = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}}


class Users:
    """Writes what users write to clusters, and keeps it as JSON."""

    def __init__(self, ranges=()):
        self.servers = ApiServers({cluster: [struct(SHOP)] for cluster in CLUSTERS}, ranges)
        self.world = {cluster: {} for cluster in CLUSTERS}
        self._seconds = 0

    def do(self, operation: Operation):
        cluster, kind, name, item = operation
        known = self.world[cluster].get((kind, name))
        if item is None:
            self.world[cluster].pop((kind, name), None)
            if known:
                self.servers.drop(cluster, kind, name)
            return
        self._seconds += 1
        created = (
            known["metadata"]["creationTimestamp"]
            if known
            else f"2026-01-01T00:{self._seconds // 60:02}:{self._seconds % 60:02}Z"
        )
        item["metadata"]["creationTimestamp"] = created
        self.world[cluster][kind, name] = item
        old = self.servers.item(cluster, kind, name)
        new = struct(item)
        if kind == "ServiceExport" and old is not None:
            new = structs.replace(new, status=old.status)
        self.servers.put(cluster, new)

    def check(self):
        for name in NAMES:
            wanted = expected_imports(self.world, name)
            for cluster in CLUSTERS:
                assert imported(self.servers.item(cluster, "ServiceImport", name)) == wanted
                assert copies(self.servers, cluster, name) == expected_copies(self.world, name)
                assert conditions(self.servers.item(cluster, "ServiceExport", name)) == expected_conditions(
                    self.world, cluster, name
                )

    def restarted(self):
        """Return the clusters as they become when only what users wrote is there."""
        items = {cluster: [SHOP, *found.values()] for cluster, found in self.world.items()}
        return ApiServers({cluster: [*map(struct, found)] for cluster, found in items.items()}, self.servers.ranges).settle()


def struct(item):
    return msgspec.convert(item, KINDS[item["kind"]].struct)


def imported(item):
    if item is None:
        return None
    labels = {key: value for key, value in item.metadata.labels.items() if key != "app.kubernetes.io/managed-by"}
    return {
        "type": item.spec.type,
        "ports": {(port.name, port.port) for port in item.spec.ports},
        "affinity": item.spec.session_affinity,
        "distribution": item.spec.traffic_distribution or "",
        "labels": labels,
        "clusters": [one.cluster for one in item.status.clusters],
    }


def copies(servers, cluster, name):
    found = servers.clusters[cluster].copies.get(("shop", name), {}).values()
    return {
        (
            one.metadata.labels["multicluster.kubernetes.io/source-cluster"],
            address,
            frozenset(port.name for port in one.ports or ()),
        )
        for one in found
        for endpoint in one.endpoints or ()
        for address in endpoint.addresses
    }


def conditions(export):
    return export and {one.type: (one.status, frozenset(one.reason.split(","))) for one in export.status.conditions}


@pytest.mark.parametrize(("seed", "ranges"), [*((seed, ()) for seed in range(40)), *((seed, RANGES) for seed in range(10))])
def test_any_order(seed, ranges):
    """Users may be faster than we: only sometimes all is settled between two things that they do."""
    random = Random(seed)
    patience = random.randint(1, 20)
    users = Users(ranges)
    for number, operation in enumerate(operations(random, CLUSTERS, 200)):
        users.do(operation)
        if number % patience == 0:
            users.servers.settle()
            users.check()
        elif random.random() < 0.3:
            step(users.servers, random)
    users.servers.settle()
    users.check()
    fresh = users.restarted()
    for cluster in CLUSTERS:
        assert without_addresses(fresh, cluster) == without_addresses(users.servers, cluster)


def step(servers, random):
    """Write some of what is to be written in one cluster, as a writer that is interrupted."""
    cluster = random.choice(CLUSTERS)
    writes = servers.planned(cluster)
    for write in writes[: random.randint(0, len(writes))]:
        servers.write(cluster, write)


def without_addresses(servers, cluster):
    result = {}
    for key, item in servers.clusters[cluster].items.items():
        value = msgspec.to_builtins(item)
        if key.kind in {"Service", "ServiceImport"}:
            for field in ("clusterIP", "clusterIPs", "ips", "ipFamilies"):
                value["spec"].pop(field, None)
        result[key] = value
    return result


def test_the_model_has_all_kinds_of_worlds():
    """Random worlds that are all alike would prove nothing."""
    seen = set()
    for seed in range(10):
        users = Users()
        for operation in operations(Random(seed), CLUSTERS, 200):
            users.do(operation)
            for cluster in CLUSTERS:
                told = expected_conditions(users.world, cluster, "web") or {}
                seen |= {reason for _, reasons in told.values() for reason in reasons}
    assert seen == {
        *("Valid", "Exported", "NoConflicts", "NoService", "InvalidServiceType", "Pending", "TypeConflict", "PortConflict"),
        *("SessionAffinityConflict", "SessionAffinityConfigConflict", "InternalTrafficPolicyConflict"),
        *("TrafficDistributionConflict", "LabelsConflict"),
    }
