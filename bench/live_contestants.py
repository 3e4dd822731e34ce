"""Those that read a real API server, ours and istiod: both read the same objects of one, which is our child as its etcd is."""

from __future__ import annotations

import asyncio
import time
from abc import abstractmethod
from typing import TYPE_CHECKING

import aiohttp
import compared_world as world
import kubernetes_build
from compared_programs import istiod
from contestants import Contestant
from kubernetes_api import path_of
from local_clusters import LocalProvider
from workload import namespace

from xds.cli.demo.control_plane import ControlPlaneProcess
from xds.cli.demo.envoy import http_get
from xds.cli.demo.processes import Child, ChildError, free_port

if TYPE_CHECKING:
    from contextlib import AsyncExitStack
    from pathlib import Path

    from local_clusters import LocalCluster

CLUSTER = "east"
AT_ONCE = 16
READY_S = 120.0
LIVE = {"ours-live", "istiod"}
"""Names of those that need an API server."""


class Live(Contestant):
    """A server that reads an API server, which is stopped in between: other contestants are to have the machine for themselves.

    Args:
        name: in tables.
        services: how many it serves.
        cluster: whose API server it reads.
    """

    reads_api = True

    def __init__(self, name: str, services: int, cluster: LocalCluster) -> None:
        super().__init__(name, services)
        self._cluster = cluster
        self._process: Child | None = None
        self._writer: aiohttp.ClientSession | None = None

    async def change(self, number: int, address: str) -> float:
        assert self._writer
        item = world.endpoint_slice(0, number, world.ENDPOINTS, address)
        api = self._cluster.api
        began_s = time.monotonic()
        async with self._writer.patch(f"{api.url}{path_of(item)}", json={"endpoints": item["endpoints"]}, ssl=api._tls) as answer:  # noqa: SLF001
            answer.raise_for_status()
        return began_s

    async def start(self, log: Path) -> None:
        self._cluster.resume()
        await self._cluster.restart()
        headers = {**self._cluster.api._headers, "Content-Type": "application/merge-patch+json"}  # noqa: SLF001
        self._writer = aiohttp.ClientSession(headers=headers)
        await self.serve(log)

    async def stop(self) -> None:
        if self._process:
            self._process.kill()
        if self._writer:
            await self._writer.close()
        self._cluster.pause()

    @abstractmethod
    async def serve(self, log: Path) -> None:
        """Start the process, and return when it is ready."""


class OursLive(Live):
    """`xdsctl serve`."""

    node = {**world.NODE, "metadata": {"isthmus": {"cluster": CLUSTER, "namespace": world.NAMESPACE}}}  # noqa: RUF012

    async def serve(self, log: Path) -> None:
        flags = ("--kubeconfig", str(self._cluster.kubeconfig), "--log-format", "json")
        plane = self._process = ControlPlaneProcess(None, log, flags)
        plane.start()
        self.pid, self.address = plane.pid, plane.xds_address
        await plane.wait_ready(timeout_s=READY_S)


class Istiod(Live):
    """Istiod as it comes, but for what a cluster has and this one lacks: webhooks and a certificate authority."""

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
            "kubeconfig": self._cluster.kubeconfig,
            "clusterID": "Kubernetes",
            "grpcAddr": self.address,
            "httpAddr": ready,
            "secureGRPCAddr": "",
            "httpsAddr": "",
            "monitoringAddr": f"127.0.0.1:{free_port()}",
            "ctrlz_port": 0,
        }
        environment = {"ENABLE_CA_SERVER": "false", "POD_NAMESPACE": "istio-system", "POD_NAME": "istiod"}
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
    """Return those that read an API server, which has all the objects."""
    provider = LocalProvider(kubernetes_build.programs(), directory)
    stack.push_async_callback(provider.stop)
    cluster = await provider.start(0, CLUSTER)
    assert cluster.controllers
    cluster.controllers.kill()  # the slices are ours
    await cluster.api.apply(namespace(world.NAMESPACE), namespace("istio-system"))
    slots = asyncio.Semaphore(AT_ONCE)

    async def write(number: int) -> None:
        async with slots:
            await cluster.api.apply(world.service(number), world.endpoint_slice(0, number, world.ENDPOINTS))

    await asyncio.gather(*map(write, range(services)))
    cluster.pause()
    return [OursLive("ours-live", services, cluster), Istiod("istiod", services, cluster)]
