"""A service that both clusters run and export, in a namespace of its own; its pods are backends of ours."""

from __future__ import annotations

import itertools
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import workload

from xds.cli.demo.lab import EAST, WEST

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from provider import Cluster

    from xds.cli.demo.places import Place

REGIONS = (EAST, WEST)
SERVICE = "web"
EAST_A, EAST_B, WEST_A, WEST_B = (place for region in REGIONS for place in region.places)
_namespaces, _numbers = itertools.count(1), itertools.count(1)


@dataclass(frozen=True)
class RunningPod:
    """A pod, as `xds.cli.demo.backends` wants it."""

    name: str
    place: Place
    address: str


class Shop:
    """The service.

    Args:
        clusters: where it runs.
        port: of every pod.
    """

    def __init__(self, clusters: Mapping[str, Cluster], port: int) -> None:
        self.namespace = f"shop-{next(_namespaces)}"
        self.name = f"{SERVICE}.{self.namespace}.svc.clusterset.local"
        self.port = port
        self.pods: dict[str, RunningPod] = {}
        """By address."""
        self._clusters = clusters

    async def open(self, cluster: str) -> None:
        """Make the service in a cluster, and export it."""
        namespace, service = workload.namespace(self.namespace), workload.service(SERVICE, self.namespace)
        await self._clusters[cluster].api.apply(namespace, service, self.export())

    def export(self, version: str = "v1beta1") -> workload.Object:
        """Return the export."""
        return workload.named(f"multicluster.x-k8s.io/{version}", "ServiceExport", SERVICE, self.namespace)

    async def add(self, place: Place) -> RunningPod:
        """Run one more pod there."""
        number = next(_numbers)
        address = f"10.{1 if place.cluster == 'east' else 2}.{number // 250}.{number % 250 + 1}"
        pod = RunningPod(f"{SERVICE}-{number}", place, address)
        self.pods[address] = pod
        await self.report(pod, ready=True)
        return pod

    async def report(self, pod: RunningPod, *, ready: bool) -> None:
        """Say whether a pod is ready."""
        item = workload.pod(pod.name, self.namespace, app=SERVICE, node_name=f"node-{pod.place.zone}", port=self.port)
        await workload.run_pod(self._clusters[pod.place.cluster].api, item, pod.address, ready=ready)

    async def remove(self, pod: RunningPod) -> None:
        """End a pod."""
        await self._clusters[pod.place.cluster].api.delete(workload.named("v1", "Pod", pod.name, self.namespace))
        del self.pods[pod.address]

    async def close(self) -> None:
        """Delete everything."""
        for cluster in self._clusters.values():
            await cluster.api.delete(workload.namespace(self.namespace))

    def addresses(self, cluster: str = "") -> set[str]:
        """Return the addresses with ports, of all pods or of one cluster's."""
        return {f"{pod.address}:{self.port}" for pod in self.pods.values() if cluster in {"", pod.place.cluster}}


def members() -> list[workload.Object]:
    """Return the MemberCluster of each cluster."""
    kind = ("traffic.isthmus.dev/v1alpha1", "MemberCluster")
    return [workload.named(*kind, region.name, spec={"region": region.region, "zones": list(region.zones)}) for region in REGIONS]


async def make_nodes(cluster: Cluster) -> None:
    """Make a node for each zone of the cluster."""
    (region,) = (region for region in REGIONS if region.name == cluster.name)
    await cluster.api.apply(*(workload.node(f"node-{zone}", region=region.region, zone=zone) for zone in region.zones))


@asynccontextmanager
async def open_shop(clusters: Mapping[str, Cluster], port: int) -> AsyncIterator[Shop]:
    """Run the service with a pod in each zone while the context is open."""
    shop = Shop(clusters, port)
    try:
        for region in REGIONS:
            await shop.open(region.name)
            for place in region.places:
                await shop.add(place)
        yield shop
    finally:
        await shop.close()
