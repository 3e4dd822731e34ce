"""Real clients leave an old connection, or a control plane that drains, without a failed request, and are sent nothing twice."""

import asyncio
import os
import signal
from contextlib import asynccontextmanager

from grpc_scripts import calls, client_of, eventually_calls, script
from interop_waiting import eventually, health_of

from xds.cli.demo.control_plane import ControlPlaneProcess
from xds.cli.demo.lab import EAST, WEST, Lab, sidecar
from xds.cli.demo.manifests import HOST, Manifests
from xds.cli.demo.places import Place, World, in_zone
from xds.cli.demo.processes import free_port
from xds.cli.demo.traffic import traffic
from xds.cli.envoy_bootstrap import XDS_CLUSTER, envoy_bootstrap

RESPONSES = r"^(cluster_manager\.cds|listener_manager\.lds)\.update_success$"


class ReplicatedLab(Lab):
    """A lab whose Envoys know two control planes on the same manifests."""

    def __init__(self, directory, envoy, settings, *, delta):
        super().__init__(directory, envoy, [sidecar(EAST)], delta=delta)
        config = directory / "isthmus.yaml"
        config.write_text(f"apiVersion: xds/v1\n{settings}\n")
        self.replicas = [
            ControlPlaneProcess(self.manifests.directory, directory / f"control-plane-{number}.log", ("--config", str(config)))
            for number in range(2)
        ]
        self.control_plane = self.replicas[0]

    def _envoy(self, proxy):
        made = super()._envoy(proxy)
        bootstrap = envoy_bootstrap(proxy.node, self.replicas[0].xds_address, admin_address="127.0.0.1:0", delta=self.delta)
        (cluster,) = bootstrap["static_resources"]["clusters"]
        assert cluster["name"] == XDS_CLUSTER
        port = int(self.replicas[1].xds_address.rpartition(":")[2])
        other = {"endpoint": {"address": {"socket_address": {"address": "127.0.0.1", "port_value": port}}}}
        cluster["load_assignment"]["endpoints"][0]["lb_endpoints"].append(other)
        return type(made)(proxy.name, bootstrap, self.directory, self._binary)


@asynccontextmanager
async def replicated(tmp_path, envoy, settings, *, delta):
    lab = ReplicatedLab(tmp_path, envoy, settings, delta=delta)
    lab.manifests.write(lab.world)
    with lab.replicas[1]:
        await lab.replicas[1].wait_ready()
        async with lab:
            yield lab
            for envoy_process in lab.envoys.values():
                envoy_process.check()


async def streams_of(replica):
    return len((await replica.admin("/v1/proxies")).get("items", []))


async def is_served_by(replica):
    """Whether the replica has the proxy, and has seen it accept everything."""
    proxies = (await replica.admin("/v1/proxies")).get("items", [])
    types = [kind["state"] for proxy in proxies for kind in proxy.get("types", [])]
    return len(types) >= 4 and set(types) == {"SYNCED"}


async def sees_unhealthy(envoy):
    return "UNHEALTHY" in health_of(await envoy.hosts(f"{HOST}:80")).values()


async def test_an_old_connection_is_left_without_a_failed_request(tmp_path, envoy, delta):
    async with replicated(tmp_path, envoy, "connection: {maxAgeSeconds: 2}", delta=delta) as lab:
        (client,), (process,) = lab.clients, lab.envoys.values()
        before = await process.stats(RESPONSES)
        async with traffic([client], rate=200):
            await eventually(lambda: aged(lab.replicas, 3), timeout_s=30)
            lab.turn_not_ready(in_zone(Place("east", "east-a")))
            await eventually(lambda: sees_unhealthy(process))
        assert [answer for answer in client.answers if not answer.ok] == []
        assert len(client.answers) > 500
        connections = await process.stats(f"^cluster.{XDS_CLUSTER}.upstream_cx_total$")
        assert min(connections.values()) >= 4
        if delta:
            assert await process.stats(RESPONSES) == before
        assert not any((await process.stats("update_rejected")).values())


async def aged(replicas, number):
    metrics = [await replica.metrics() for replica in replicas]
    return sum(found["xds_aged_streams_total"] for found in metrics) >= number


async def test_a_draining_control_plane_is_left_for_the_other_without_a_failed_request(tmp_path, envoy, delta):
    async with replicated(tmp_path, envoy, "drain: {windowSeconds: 2}", delta=delta) as lab:
        (client,), (process,) = lab.clients, lab.envoys.values()
        old, new = lab.replicas if await streams_of(lab.replicas[0]) else reversed(lab.replicas)
        await eventually(lambda: is_served_by(old))
        before = await process.stats(RESPONSES)
        async with traffic([client], rate=200):
            await asyncio.sleep(0.5)
            os.kill(old.pid, signal.SIGTERM)
            await eventually(lambda: is_served_by(new), timeout_s=30)
            lab.turn_not_ready(in_zone(Place("east", "east-a")))
            await eventually(lambda: sees_unhealthy(process))
        assert [answer for answer in client.answers if not answer.ok] == []
        if delta:
            assert await process.stats(RESPONSES) == before
        assert not any((await process.stats("update_rejected")).values())
        assert "draining" in old.log.read_text()


async def test_a_proxyless_client_leaves_an_old_connection_without_a_failed_call(tmp_path):
    world = World.of((EAST, WEST), pods_per_zone=1)
    manifests = Manifests(tmp_path / "clusters", backend_port=free_port(), app_protocol="kubernetes.io/h2c")
    manifests.write(world)
    config = tmp_path / "isthmus.yaml"
    config.write_text("apiVersion: xds/v1\nconnection: {maxAgeSeconds: 2}\n")
    with (
        ControlPlaneProcess(manifests.directory, tmp_path / "control-plane.log", ("--config", str(config))) as control_plane,
        script("grpc_pods.py", str(manifests.backend_port)) as pods,
    ):
        await control_plane.wait_ready()
        with client_of(control_plane, pods, world) as client:
            while not await aged([control_plane], 3):
                assert await calls(client) == {"east/east-a", "east/east-b"}
            manifests.write(world.not_ready(in_zone(Place("east", "east-a"))))
            assert await eventually_calls(client, {"east/east-b"})
