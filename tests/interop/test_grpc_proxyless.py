"""grpcio's own xds:/// client takes endpoints from us and fails over by our priorities."""

import asyncio
import json
import os
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest
from interop_waiting import eventually

from xds.cli.bootstrap import grpc_bootstrap
from xds.cli.demo.control_plane import ControlPlaneProcess
from xds.cli.demo.lab import EAST, WEST
from xds.cli.demo.manifests import HOST, Manifests
from xds.cli.demo.places import Place, World, in_cluster, in_zone
from xds.cli.demo.processes import free_port
from xds.cli.node import NodeFlags

pytestmark = pytest.mark.interop

SCRIPTS = Path(__file__).parent / "scripts"


async def test_a_proxyless_client_fails_over_by_our_priorities(tmp_path):
    world = World.of((EAST, WEST), pods_per_zone=2)
    manifests = Manifests(tmp_path / "clusters", backend_port=free_port(), app_protocol="kubernetes.io/h2c")
    manifests.write(world)
    with (
        ControlPlaneProcess(manifests.directory, tmp_path / "control-plane.log") as control_plane,
        script("grpc_pods.py", str(manifests.backend_port)) as pods,
    ):
        await control_plane.wait_ready()
        for pod in world.pods:
            ask(pods, f"start {pod.address} {pod.place}")
        bootstrap = {"GRPC_XDS_BOOTSTRAP_CONFIG": json.dumps(bootstrap_of_client(control_plane))}
        with script("grpc_client.py", f"xds:///{HOST}:80", env=bootstrap) as client:
            assert await calls(client) == {"east/east-a", "east/east-b"}

            manifests.write(world := world.not_ready(in_zone(Place("east", "east-a"))))
            assert await eventually_calls(client, {"east/east-b"})

            manifests.write(world := world.not_ready(in_cluster("east")))
            assert await eventually_calls(client, {"west/west-a", "west/west-b"})

            # Dead without notice: connections fail, and the next priority takes over.
            manifests.write(world := World.of((EAST, WEST), pods_per_zone=2))
            assert await eventually_calls(client, {"east/east-a", "east/east-b"})
            for pod in world.select(in_cluster("east")):
                ask(pods, f"stop {pod.address}")
            assert await eventually_calls(client, {"west/west-a", "west/west-b"})


def bootstrap_of_client(control_plane):
    node = NodeFlags("grpc-client", cluster=EAST.name, region=EAST.region, zone=EAST.zones[0], namespace="shop")
    return grpc_bootstrap(node, control_plane.xds_address)


async def calls(client, number=40):
    return set(json.loads(await asyncio.to_thread(ask, client, str(number))))


async def eventually_calls(client, places):
    """Wait until only these places, and all of them, answer."""
    return await eventually(lambda: calls_give(client, places), timeout_s=20)


async def calls_give(client, places):
    return await calls(client) == places


def ask(process, line):
    process.stdin.write(line + "\n")
    process.stdin.flush()
    return process.stdout.readline()


@contextmanager
def script(name, *arguments, env=None):
    command = (sys.executable, str(SCRIPTS / name), *arguments)
    environment = {**os.environ, "GRPC_VERBOSITY": "ERROR", **(env or {})}
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment) as process:
        try:
            yield process
        finally:
            process.kill()
