"""What real clusters cost: two API servers with SERVICES exported services, ENDPOINTS of each in each cluster, and a real Envoy.

    PYTHONPATH=e2e:tests/interop .venv/bin/python bench/live_clusters.py [SERVICES] [ENDPOINTS] [CHANGES]

Needs what `make e2e` needs. Prints how long the control plane takes until it is ready, the memory that it has then (resident,
and the share of it that the world takes, for a service and for an endpoint), and how long a changed EndpointSlice takes from
just before it is written until a bare watch of the same API server has it, which is the floor, and until Envoy counts it.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import sys
import tempfile
import time
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import aiohttp
import kubernetes_build
import workload
from compared_programs import memory_mib
from crds import install
from live_lab import serving
from local_clusters import LocalProvider
from reader_access import make_reader, write_access
from shop import make_nodes

from xds.cli.demo import lab
from xds.cli.demo.envoy import EnvoyProcess, find_envoy, http_get
from xds.cli.envoy_bootstrap import envoy_bootstrap

if TYPE_CHECKING:
    from kubernetes_api import KubernetesApi
    from provider import Cluster

    from xds.cli.demo.control_plane import ControlPlaneProcess

NAMESPACE = "shop"
AT_ONCE = 16
Object = dict[str, Any]


def slice_of(cluster: int, service: int, endpoints: int, zones: tuple[str, ...]) -> Object:
    item = workload.named("discovery.k8s.io/v1", "EndpointSlice", f"s{service}-1", NAMESPACE, addressType="IPv4")
    item["metadata"]["labels"] = {"kubernetes.io/service-name": f"s{service}", "endpointslice.kubernetes.io/managed-by": "bench"}
    item["ports"] = [{"name": workload.PORT_NAME, "port": 8080, "protocol": "TCP", "appProtocol": "http"}]
    item["endpoints"] = [
        {
            "addresses": [f"10.{cluster * 64 + service // 250}.{service % 250}.{pod + 1}"],
            "conditions": {"ready": True, "serving": True, "terminating": False},
            "zone": zones[pod % len(zones)],
            "nodeName": f"node-{zones[pod % len(zones)]}",
            "targetRef": {"kind": "Pod", "namespace": NAMESPACE, "name": f"s{service}-{pod}"},
        }
        for pod in range(endpoints)
    ]
    return item


async def prepare(cluster: Cluster) -> None:
    await install(cluster.api, kubernetes_build.crds())
    await make_nodes(cluster)
    await make_reader(cluster)
    await cluster.api.apply(workload.namespace(NAMESPACE))


async def fill(number: int, cluster: Cluster, services: int, endpoints: int, zones: tuple[str, ...]) -> None:
    """Write the world of one cluster."""
    slots = asyncio.Semaphore(AT_ONCE)

    async def write(index: int) -> None:
        service = workload.service(f"s{index}", NAMESPACE)
        del service["spec"]["selector"]  # the slices are ours
        export = workload.named("multicluster.x-k8s.io/v1beta1", "ServiceExport", f"s{index}", NAMESPACE)
        async with slots:
            await cluster.api.apply(service, export, slice_of(number, index, endpoints, zones))

    await asyncio.gather(*map(write, range(services)))


async def watch(api: KubernetesApi, seen: asyncio.Queue[tuple[str, float]]) -> None:
    """Tell the resourceVersion of each slice that changes, and when we have it: the least that any control plane needs."""
    path = f"/apis/discovery.k8s.io/v1/namespaces/{NAMESPACE}/endpointslices"
    version = (await api.get(path, limit="1"))["metadata"]["resourceVersion"]
    query = {"watch": "true", "resourceVersion": version}
    async with (
        aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=None), headers=api._headers) as session,  # noqa: SLF001
        session.get(f"{api.url}{path}", params=query, ssl=api._tls) as response,  # noqa: SLF001
    ):
        async for line in response.content:
            at_s = time.monotonic()
            seen.put_nowait((json.loads(line)["object"]["metadata"]["resourceVersion"], at_s))


async def change(cluster: Cluster, proxy: EnvoyProcess, items: list[Object]) -> list[tuple[float, float]]:
    """Change slices one by one; return (seconds until a bare watch has it, seconds until Envoy has it)."""
    seen: asyncio.Queue[tuple[str, float]] = asyncio.Queue()
    watcher = asyncio.create_task(watch(cluster.api, seen))
    await asyncio.sleep(1)
    times = []
    for item in items:
        name = f"{item['metadata']['labels']['kubernetes.io/service-name']}.{NAMESPACE}.svc.clusterset.local:80"
        count = await members(proxy, name)
        item["endpoints"].pop()
        began_s = time.monotonic()
        (written,) = await cluster.api.apply(item)
        while await members(proxy, name) != count - 1:
            assert time.monotonic() - began_s < 30, f"{name} stays at {count}"
            await asyncio.sleep(0.002)
        there_s = time.monotonic()
        version, at_s = await seen.get()
        assert version == written["metadata"]["resourceVersion"]
        times.append((at_s - began_s, there_s - began_s))
        await asyncio.sleep(0.05)
    watcher.cancel()
    return times


async def members(proxy: EnvoyProcess, name: str) -> int:
    """Return how many endpoints Envoy has in a cluster."""
    # Envoy writes the colon of a name as an underscore in the names of its statistics.
    statistic = f"^cluster.{name.replace(':', '_')}.membership_total$"
    _, body = await asyncio.to_thread(http_get, proxy.admin_address, f"/stats?filter={statistic}")
    return int(body.rpartition(":")[2])


async def access(cluster: Cluster, directory: Path) -> Path:
    return await write_access(cluster, directory / f"{cluster.name}.yaml")


async def start(plane: ControlPlaneProcess) -> float:
    """Start the control plane; return the MiB that are resident when it is ready."""
    began_s = time.monotonic()
    plane.start()
    await plane.wait_ready(timeout_s=60)
    took_s = time.monotonic() - began_s
    now, most = memory_mib(plane.pid)
    print(f"control plane ready after {took_s:.2f} s: {now:.0f} MiB resident, {most:.0f} MiB at most")
    return now


async def ask_s(proxy: EnvoyProcess) -> float:
    began_s = time.monotonic()
    await members(proxy, f"s0.{NAMESPACE}.svc.clusterset.local:80")
    return time.monotonic() - began_s


async def bench(services: int, endpoints: int, changes: int) -> None:
    async with AsyncExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="isthmus-bench-")))
        provider = LocalProvider(kubernetes_build.programs(), directory)
        stack.push_async_callback(provider.stop)
        regions = (lab.EAST, lab.WEST)
        clusters = [await provider.start(number, region.name) for number, region in enumerate(regions)]
        await asyncio.gather(*(prepare(cluster) for cluster in clusters))
        plane = serving(directory, [await access(cluster, directory) for cluster in clusters])
        stack.callback(plane.stop)
        print("two empty clusters:")
        empty = await start(plane)
        plane.stop()
        both = enumerate(zip(clusters, regions, strict=True))
        await asyncio.gather(*(fill(n, cluster, services, endpoints, region.zones) for n, (cluster, region) in both))
        print(f"{services} services in both, {services * endpoints * 2} endpoints:")
        full = await start(plane)
        grown = (full - empty) * 1024
        print(f"{grown / services / 2:.1f} KiB a service and cluster, {grown / services / endpoints / 2:.2f} KiB an endpoint")
        proxy = await connected(stack, directory, plane)
        asked_s = [await ask_s(proxy) for _ in range(20)]
        print(f"a question to Envoy takes {statistics.median(asked_s) * 1000:.1f} ms, which is part of each time that follows")
        for number, (cluster, region) in enumerate(zip(clusters, regions, strict=True)):
            items = [slice_of(number, index * 7 % services, endpoints, region.zones) for index in range(changes)]
            times = await change(cluster, proxy, items)
            (floor_s, _), (all_s, worst_s) = ((statistics.median(column), max(column)) for column in zip(*times, strict=True))
            print(
                f"a slice in {cluster.name} changes, {changes} times: bare watch {floor_s * 1000:.1f} ms, "
                f"Envoy {all_s * 1000:.1f} ms (medians; ratio {all_s / floor_s:.1f}), worst {worst_s * 1000:.1f} ms"
            )
        now, most = memory_mib(plane.pid)
        print(f"then {now:.0f} MiB resident, {most:.0f} MiB at most")


async def connected(stack: AsyncExitStack, directory: Path, plane: ControlPlaneProcess) -> EnvoyProcess:
    """Return an Envoy that has everything."""
    sidecar = lab.sidecar(lab.EAST)
    bootstrap = envoy_bootstrap(sidecar.node, plane.xds_address, admin_address="127.0.0.1:0", delta=True)
    began_s = time.monotonic()
    proxy = stack.enter_context(EnvoyProcess(sidecar.name, bootstrap, directory, find_envoy()))
    await proxy.wait_ready(timeout_s=60)
    print(f"Envoy ready after {time.monotonic() - began_s:.2f} s")
    return proxy


if __name__ == "__main__":
    asyncio.run(bench(*(int(text) for text in [*sys.argv[1:], *("1000", "5", "50")[len(sys.argv) - 1 :]])))
