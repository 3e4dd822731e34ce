"""Those that read two real API servers, ours and istiod: both the same ones, which are our children as their etcds are."""

from __future__ import annotations

import asyncio
import time
from abc import abstractmethod
from collections import defaultdict
from typing import TYPE_CHECKING

import aiohttp
import compared_world as world
import kubernetes_build
from compared_programs import istiod
from contestants import Contestant
from crds import install
from kubernetes_api import path_of
from local_clusters import LocalProvider
from workload import named, namespace

from xds.cli.demo.control_plane import ControlPlaneProcess
from xds.cli.demo.envoy import http_get
from xds.cli.demo.manifests import replace_file
from xds.cli.demo.processes import Child, ChildError, free_port

if TYPE_CHECKING:
    from collections.abc import Sequence
    from contextlib import AsyncExitStack
    from pathlib import Path

    from local_clusters import LocalCluster

AT_ONCE = 16
READY_S = 120.0
SETTLE_S = 3.0
"""After API servers that were stopped go on, until they have caught up with what they have missed."""
LIVE = {"ours-live", "istiod"}
"""Names of those that need API servers."""
ISTIO = "istio-system"


class Live(Contestant):
    """A server that reads API servers, which are stopped in between: other contestants are to have the machine for themselves.

    Args:
        name: in tables.
        services: how many it serves.
        clusters: whose API servers it reads; endpoints change in the first.
    """

    def __init__(self, name: str, services: int, clusters: Sequence[LocalCluster]) -> None:
        super().__init__(name, services)
        self._clusters = clusters
        self._process: Child | None = None
        self._writer: aiohttp.ClientSession | None = None
        self._changing: dict[int, asyncio.Lock] = defaultdict(asyncio.Lock)
        """By service."""

    async def change(self, number: int, address: str) -> float:
        assert self._writer
        item = world.changed_slice(number, address)
        api = self._clusters[0].api
        async with self._changing[number]:  # or an earlier change could overtake a later one
            began_s = time.monotonic()
            request = self._writer.patch(f"{api.url}{path_of(item)}", json={"endpoints": item["endpoints"]}, ssl=api._tls)  # noqa: SLF001
            async with request as answer:
                answer.raise_for_status()
        return began_s

    async def start(self, log: Path) -> None:
        for cluster in self._clusters:
            cluster.resume()
        await asyncio.gather(*(cluster.restart() for cluster in self._clusters))
        await asyncio.sleep(SETTLE_S)
        headers = {**self._clusters[0].api._headers, "Content-Type": "application/merge-patch+json"}  # noqa: SLF001
        self._writer = aiohttp.ClientSession(headers=headers)
        began_s = time.monotonic()
        await self.serve(log)
        self.ready_s = time.monotonic() - began_s

    async def stop(self) -> None:
        if self._process:
            self._process.kill()
        if self._writer:
            await self._writer.close()
        for cluster in self._clusters:
            cluster.pause()

    @abstractmethod
    async def serve(self, log: Path) -> None:
        """Start the process, and return when it is ready."""


class OursLive(Live):
    """`xdsctl serve` on the clusters; that of the clients, and where all are, is told by files."""

    async def serve(self, log: Path) -> None:
        directory = log.parent / "clusters"
        members = [world.member(name, region) for name, region in world.REGIONS.items()]
        replace_file(directory / "members.yaml", members)
        replace_file(directory / world.CLIENTS / "namespace.yaml", [namespace(world.NAMESPACE)])
        kubeconfigs = [text for cluster in self._clusters for text in ("--kubeconfig", str(cluster.kubeconfig))]
        plane = self._process = ControlPlaneProcess(directory, log, [*kubeconfigs, "--log-format", "json"])
        plane.start()
        self.pid, self.address = plane.pid, plane.xds_address
        await plane.wait_ready(timeout_s=READY_S)


class Istiod(Live):
    """Istiod as it comes, but for what a cluster has and this one lacks: webhooks and a certificate authority.

    It belongs to the first cluster, and reads the others as a Secret there says.
    """

    node = {  # noqa: RUF012
        "id": f"sidecar~10.255.0.1~web-{{number}}.{world.NAMESPACE}~{world.NAMESPACE}.svc.cluster.local",
        "cluster": "web",
        "locality": world.NODE["locality"],
        "metadata": {
            "NAMESPACE": world.NAMESPACE,
            "CLUSTER_ID": "Kubernetes",
            "INSTANCE_IPS": "10.255.0.1",
            "ISTIO_VERSION": "1.29.0",
        },
    }

    async def serve(self, log: Path) -> None:
        self.address, ready = f"127.0.0.1:{free_port()}", f"127.0.0.1:{free_port()}"
        flags = {
            "kubeconfig": self._clusters[0].kubeconfig,
            "clusterID": "Kubernetes",
            "grpcAddr": self.address,
            "httpAddr": ready,
            "secureGRPCAddr": "",
            "httpsAddr": "",
            "monitoringAddr": f"127.0.0.1:{free_port()}",
            "ctrlz_port": 0,
        }
        environment = {"ENABLE_CA_SERVER": "false", "POD_NAMESPACE": ISTIO, "POD_NAME": "istiod"}
        command = (str(istiod()), "discovery", *(f"--{name}={value}" for name, value in flags.items()))
        process = self._process = Child(self.name, command, log, environment)
        process.start()
        self.pid = process.pid
        began_s = time.monotonic()
        while not await asyncio.to_thread(_answers, ready):
            process.check()
            if time.monotonic() - began_s > READY_S:
                raise ChildError(f"istiod is not ready{process.log_tail()}")
            await asyncio.sleep(0.02)


def _answers(address: str) -> bool:
    try:
        return http_get(address, "/ready")[0] == 200
    except OSError:
        return False


def missing() -> str:
    """Return why there can be no API server; "" if there can."""
    return kubernetes_build.missing()


async def live(services: int, directory: Path, stack: AsyncExitStack) -> list[Contestant]:
    """Return those that read API servers, which have all the objects."""
    provider = LocalProvider(kubernetes_build.programs(), directory)
    stack.push_async_callback(provider.stop)
    names = [name for name in world.REGIONS if name != world.CLIENTS]
    clusters = [await provider.start(number, name) for number, name in enumerate(names)]
    await asyncio.gather(*(fill(number, cluster, services) for number, cluster in enumerate(clusters)))
    await clusters[0].api.apply(namespace(ISTIO), *(remote_secret(cluster) for cluster in clusters[1:]))
    for cluster in clusters:
        cluster.pause()
    return [OursLive("ours-live", services, clusters), Istiod("istiod", services, clusters)]


async def fill(number: int, cluster: LocalCluster, services: int) -> None:
    """Write what a cluster has."""
    assert cluster.controllers
    cluster.controllers.kill()  # the slices are ours
    await install(cluster.api, kubernetes_build.crds())
    await cluster.api.apply(namespace(world.NAMESPACE))
    slots = asyncio.Semaphore(AT_ONCE)

    async def write(index: int) -> None:
        async with slots:
            await cluster.api.apply(*world.exported(number, index))

    await asyncio.gather(*map(write, range(services)))


def remote_secret(cluster: LocalCluster) -> world.Object:
    """Return what tells istiod of another cluster."""
    secret = named("v1", "Secret", f"istio-remote-secret-{cluster.name}", ISTIO)
    secret["metadata"]["labels"] = {"istio/multiCluster": "true"}
    secret["stringData"] = {cluster.name: cluster.kubeconfig.read_text()}
    return secret
