"""Clusters that take writes as API servers would."""

from __future__ import annotations

from itertools import count

import msgspec

from xds.mcs.addresses import allocate
from xds.mcs.plan import Drop, plan
from xds.mcs.world import World, names_of
from xds.model import objects
from xds.model.cluster import Cluster
from xds.model.events import ObjectKey
from xds.model.kinds import KINDS
from xds.model.members import Member
from xds.model.slices import MCS_MANAGER

NOW = "2026-03-01T00:00:00Z"


class ApiServers:
    """Clusters that take writes as API servers would: a Service without an address gets one."""

    def __init__(self, clusters, ranges=()):
        self.ranges = ranges
        self.clusters = {name: Cluster(name) for name in clusters}
        self.networks = dict.fromkeys(clusters, "default")
        self.unreachable = set()
        self.addresses = (f"10.200.0.{number}" for number in count(1))
        for name, items in clusters.items():
            for item in items:
                self.put(name, item)

    def put(self, cluster, item):
        self.clusters[cluster].replace(ObjectKey(item.kind, item.metadata.namespace, item.metadata.name), item)

    def drop(self, cluster, kind, name, namespace="shop"):
        self.clusters[cluster].replace(ObjectKey(kind, namespace, name), None)

    @property
    def members(self):
        ids = {name: one.cluster_id for name, one in self.clusters.items()}
        return {name: Member(name, network=self.networks[name], property_id=ids[name]) for name in self.clusters}

    @property
    def world(self):
        return World({name: one for name, one in self.clusters.items() if name not in self.unreachable}, self.members)

    def allocated(self, cluster):
        return allocate(self.world, cluster, self.ranges, {})

    def planned(self, cluster):
        world = self.world
        given = self.allocated(cluster).given if self.ranges else None
        return [write for name in sorted(names_of(world.clusters, cluster)) for write in plan(world, cluster, *name, given)]

    def settle(self):
        for _ in range(5):
            reached = self.clusters.keys() - self.unreachable
            written = [(name, write) for name in sorted(reached) for write in self.planned(name)]
            for name, write in written:
                self.write(name, write)
            if not written:
                return self
        raise AssertionError(f"never at rest: {written}")

    def write(self, cluster, write):
        found = self.clusters[cluster]
        if isinstance(write, Drop):
            assert write.key in found.items
            found.replace(write.key, None)
            return
        old = found.items.get(write.key)
        value = msgspec.to_builtins(old) if old else {}
        if write.is_status:
            assert old is not None, f"the status of what does not exist: {write}"
            value["status"] = write.body["status"]
            for condition in value["status"].get("conditions", ()):
                condition.setdefault("lastTransitionTime", NOW)
        else:
            value |= write.body
            if write.key.kind == "Service":
                kept = msgspec.to_builtins(old)["spec"].get("clusterIPs") if old else None
                address = kept or [next(self.addresses)]
                value["spec"] = {**write.body["spec"], "clusterIP": address[0], "clusterIPs": address}
        found.replace(write.key, msgspec.convert(value, KINDS[write.key.kind].struct))

    def item(self, cluster, kind, name="web"):
        return self.clusters[cluster].items.get(ObjectKey(kind, "shop", name))

    def conditions(self, cluster, name="web"):
        return {one.type: (one.status, one.reason) for one in self.item(cluster, "ServiceExport", name).status.conditions}

    def copies(self, cluster):
        return {
            (one.metadata.labels["multicluster.kubernetes.io/source-cluster"], address)
            for one in self.clusters[cluster].items.values()
            if isinstance(one, objects.EndpointSlice)
            and one.metadata.labels.get("endpointslice.kubernetes.io/managed-by") == MCS_MANAGER
            for found in one.endpoints or ()
            for address in found.addresses
        }
