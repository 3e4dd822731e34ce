"""The real pipeline in process: a directory of manifests, the control plane on loopback, and raw xDS clients."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest
import yaml
from xds_world import Client, channel_to, eventually

from xds.app import ControlPlane
from xds.config import Config

CLUSTERS = {"east": "r-east", "west": "r-west"}


@dataclass
class Fleet:
    """A directory of manifests to write to."""

    path: object

    def write(self, file, *objects):
        target = self.path / file
        target.parent.mkdir(parents=True, exist_ok=True)
        scratch = target.with_name(f".{target.name}")
        scratch.write_text(yaml.safe_dump_all(objects))
        scratch.replace(target)

    def member(self, name, **spec):
        metadata = {"name": name}
        return {"apiVersion": "traffic.isthmus.dev/v1alpha1", "kind": "MemberCluster", "metadata": metadata, "spec": spec}

    def service(self, cluster, name, *addresses, ready=True, ports=(80,)):
        """Write Service, ServiceExport and EndpointSlice of one service of one cluster, a file each."""
        meta = {"name": name, "namespace": "shop"}
        spec = {"ports": [{"name": f"http-{port}", "port": port} for port in ports]}
        self.write(f"{cluster}/{name}.yaml", {"apiVersion": "v1", "kind": "Service", "metadata": meta, "spec": spec})
        export = {"apiVersion": "multicluster.x-k8s.io/v1beta1", "kind": "ServiceExport", "metadata": meta}
        self.write(f"{cluster}/{name}-export.yaml", export)
        self.endpoints(cluster, name, *addresses, ready=ready, ports=ports)

    def endpoints(self, cluster, name, *addresses, ready=True, ports=(80,), zones=None):
        slice_ = {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {"name": f"{name}-1", "namespace": "shop", "labels": {"kubernetes.io/service-name": name}},
            "addressType": "IPv4",
            "ports": [{"name": f"http-{port}", "port": 8000 + port} for port in ports],
            "endpoints": [
                {"addresses": [address], "zone": (zones or {}).get(address, f"{cluster}-a"), "conditions": {"ready": ready}}
                for address in addresses
            ],
        }
        self.write(f"{cluster}/{name}-endpoints.yaml", slice_)


@pytest.fixture
def fleet(tmp_path):
    """Two clusters with one service, `web`, exported by both."""
    made = Fleet(tmp_path / "clusters")
    made.write("fleet.yaml", *(made.member(name, region=region) for name, region in CLUSTERS.items()))
    for index, cluster in enumerate(CLUSTERS, start=1):
        made.service(cluster, "web", f"10.{index}.0.1", f"10.{index}.0.2")
    return made


@pytest.fixture
def running(fleet):
    """Return a context manager: the control plane on the directory."""

    @asynccontextmanager
    async def run(**settings):
        config = Config(
            clusters=fleet.path, xds_address="127.0.0.1:0", admin_address="127.0.0.1:0", **{"quiet_s": 0.01, **settings}
        )
        plane, ready = ControlPlane(config), asyncio.Event()
        task = asyncio.create_task(plane.run(lambda _: ready.set()))
        done, _ = await asyncio.wait([task, waiting := asyncio.create_task(ready.wait())], return_when=asyncio.FIRST_COMPLETED)
        if task in done:
            waiting.cancel()
            await task
        try:
            yield plane
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    return run


@pytest.fixture
async def connect():
    """Return a function that connects a client, in cluster east unless told otherwise."""
    channels = []

    def connect(plane, kind="ads delta", *, node_id="web-1", **metadata):
        channels.append(channel_to(plane.xds_address))
        client = Client(channels[-1], kind, node_id=node_id, region="")
        client.node.metadata.update({"isthmus": {"cluster": "east", "namespace": "shop", **metadata}})
        return client

    yield connect
    for channel in channels:
        await channel.close()


@pytest.fixture
def soon():
    """Return a function that waits until a condition holds."""
    return eventually
