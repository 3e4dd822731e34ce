"""The gRPC backends and Python's own proxyless client as processes, for tests that need one of each."""

import asyncio
import json
import os
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

from interop_waiting import eventually
from proxyless_lab import TARGET, ask

from xds.cli.bootstrap import grpc_bootstrap
from xds.cli.demo.lab import EAST
from xds.cli.node import NodeFlags

SCRIPTS = Path(__file__).parent / "scripts"


def bootstrap_of_client(control_plane):
    node = NodeFlags("grpc-client", cluster=EAST.name, region=EAST.region, zone=EAST.zones[0], namespace="shop")
    return grpc_bootstrap(node, control_plane.xds_address)


def answers(client, number):
    """Let the client make calls to the service of the cluster set; return who answered how often."""
    return json.loads(ask(client, f"{number} {TARGET}"))


async def calls(client, number=40):
    return set(await asyncio.to_thread(answers, client, number))


async def eventually_calls(client, places):
    """Wait until only these places, and all of them, answer."""

    async def arrived():
        return await calls(client) == places

    return await eventually(arrived, timeout_s=20)


@contextmanager
def script(name, *arguments, env=None):
    command = (sys.executable, str(SCRIPTS / name), *arguments)
    environment = {**os.environ, "GRPC_VERBOSITY": "ERROR", **(env or {})}
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment) as process:
        try:
            yield process
        finally:
            process.kill()


@contextmanager
def client_of(control_plane, pods, world):
    """Have the world's pods started, and run a client that is given its endpoints by the control plane."""
    for pod in world.pods:
        ask(pods, f"start {pod.address} {pod.place}")
    bootstrap = {"GRPC_XDS_BOOTSTRAP_CONFIG": json.dumps(bootstrap_of_client(control_plane))}
    with script("grpc_client.py", env=bootstrap) as client:
        yield client
