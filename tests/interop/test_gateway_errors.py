"""Outlier detection of a DestinationRule on a real Envoy: what answers 503 is left, and what answers 500 is not."""

from contextlib import AsyncExitStack, asynccontextmanager

import aiohttp
import yaml
from flomesh_lab import HOST, Backend, manifest
from interop_waiting import eventually

from xds.cli.demo.control_plane import ControlPlaneProcess
from xds.cli.demo.envoy import EnvoyProcess
from xds.cli.demo.processes import free_port
from xds.cli.envoy_bootstrap import envoy_bootstrap
from xds.cli.node import NodeFlags

OUTLIERS = {"consecutive5xxErrors": 0, "consecutiveGatewayErrors": 2, "baseEjectionTime": "10m", "maxEjectionPercent": 50}
REQUESTS = 40


def slice_of(backend):
    found = manifest("discovery.k8s.io/v1", "EndpointSlice", labels={"kubernetes.io/service-name": "pay"})
    found["metadata"]["name"] = f"pay-{backend.place}"
    endpoints = [{"addresses": ["127.0.0.1"], "zone": "a"}]
    return {**found, "addressType": "IPv4", "ports": [{"name": "http", "port": backend.port}], "endpoints": endpoints}


@asynccontextmanager
async def sidecar(directory, binary, backends):
    """Yield the address of a sidecar for which a rule governs a service with these endpoints."""
    rule = manifest("networking.istio.io/v1", "DestinationRule", host="pay", trafficPolicy={"outlierDetection": OUTLIERS})
    own = manifest("v1", "Service", clusterIP="10.96.0.1", ports=[{"name": "http", "port": 80}])
    file = directory / "clusters" / "east" / "all.yaml"
    file.parent.mkdir(parents=True)
    file.write_text(yaml.safe_dump_all([own, rule, *map(slice_of, backends)]))
    async with AsyncExitStack() as stack:
        for one in backends:
            await one.start()
            stack.push_async_callback(one.stop)
        plane = stack.enter_context(ControlPlaneProcess(directory / "clusters", directory / "control-plane.log"))
        await plane.wait_ready()
        said = {"role": "sidecar", "namespace": "shop", "intercept": "explicit", "listen": f"127.0.0.1:{free_port()}"}
        node = NodeFlags("web-1", cluster="east", region="r", zone="a", **said)
        bootstrap = envoy_bootstrap(node, plane.xds_address, admin_address="127.0.0.1:0", delta=True)
        envoy = stack.enter_context(EnvoyProcess("sidecar", bootstrap, directory, binary))
        await envoy.wait_ready()
        yield said["listen"]


async def test_gateway_errors_eject_and_errors_of_the_application_do_not(envoy, tmp_path):
    good, bad = Backend("good"), Backend("bad")
    async with sidecar(tmp_path, envoy, [good, bad]) as address, aiohttp.ClientSession() as session:

        async def ask():
            """Return whether a request was answered well."""
            async with session.post(f"http://{address}/", headers={"host": HOST}) as response:
                return response.status == 200

        await eventually(ask)
        bad.status = 500
        bad.asked.clear()
        assert not all([await ask() for _ in range(REQUESTS)])
        assert len(bad.asked) >= REQUESTS // 4
        bad.status = 503
        bad.asked.clear()
        assert [await ask() for _ in range(REQUESTS)].count(False) == len(bad.asked)
        assert 2 <= len(bad.asked) < REQUESTS // 4
