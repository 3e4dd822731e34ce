"""Two clusters of gRPC backends, the control plane, and one proxyless client in the east."""

import asyncio
import json
import os
import subprocess
import sys
from collections import Counter
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from pathlib import Path

from interop_waiting import eventually

from xds.cli.bootstrap import grpc_bootstrap
from xds.cli.demo.control_plane import ControlPlaneProcess
from xds.cli.demo.lab import EAST, WEST
from xds.cli.demo.manifests import HOST, Manifests
from xds.cli.demo.places import World, in_cluster
from xds.cli.demo.processes import free_port
from xds.cli.node import NodeFlags

PODS = (sys.executable, str(Path(__file__).parent / "scripts" / "grpc_pods.py"))
TARGET = f"xds:///{HOST}:80"
"""The service of the cluster set."""
ANSWER_TIMEOUT_S = 45
"""A client that takes longer, whatever it was asked, hangs: its calls have deadlines."""
ACCEPTED = dict.fromkeys(("cds", "eds", "lds"), "SYNCED")
"""Routes are inside listeners."""


class ProxylessLab:
    """Everything that runs; starts on entering the context, ends on leaving it."""

    def __init__(self, directory, client, client_directory):
        self.everything = World.of((EAST, WEST), pods_per_zone=2)
        self.manifests = Manifests(directory / "clusters", backend_port=free_port(), app_protocol="kubernetes.io/h2c")
        self.control_plane = ControlPlaneProcess(self.manifests.directory, directory / "control-plane.log")
        self._pods = {}
        self._client_program = client
        self._client_directory = client_directory
        self._client = None
        self._one_at_a_time = asyncio.Lock()
        self._running = AsyncExitStack()

    async def __aenter__(self):
        self.show(self.everything)
        async with AsyncExitStack() as running:
            running.enter_context(self.control_plane)
            for cluster in self.everything.clusters:
                self.start_pods(cluster.name)
                running.callback(self.kill_pods, cluster.name)
            await self.control_plane.wait_ready()
            self._client = running.enter_context(self._start_client())
            self._running = running.pop_all()
        return self

    async def __aexit__(self, *_):
        await self._running.aclose()

    def show(self, world):
        """Make the manifests say this."""
        self.manifests.write(world)

    def add_service(self, name, affinity="None"):
        """Export another service of the east's pods, to be found as `xds:///<name>.shop.svc.clusterset.local:80`."""
        changes = (
            *(("name: web", f"name: {name}"), ("service-name: web", f"service-name: {name}"), ("96.0.10", "96.0.20")),
            ("  clusterIP:", f"  sessionAffinity: {affinity}\n  clusterIP:"),
        )
        for path in self._files(name):
            text = path.with_name(path.name.replace(name, "web")).read_text()
            for old, new in changes:
                text = text.replace(old, new)
            path.write_text(text)

    def remove_service(self, name):
        """Take it away again."""
        for path in self._files(name):
            path.unlink()

    def _files(self, service):
        return [self.manifests.directory / EAST.name / f"{service}{rest}.yaml" for rest in ("-endpoints", "")]

    def start_pods(self, cluster):
        """Start a cluster's backends, all in one process."""
        command = (*PODS, str(self.manifests.backend_port))
        process = self._pods[cluster] = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for pod in self.everything.select(in_cluster(cluster)):
            assert ask(process, f"start {pod.address} {pod.place}") == "ok\n"

    def kill_pods(self, cluster):
        """End a cluster's backends as a power cut would, if they run."""
        process = self._pods.pop(cluster, None)
        if process is not None:
            end(process)

    async def calls(self, number=40, target=TARGET):
        """Let the client make calls, one after the other; return who answered how often, or with which error."""
        async with self._one_at_a_time, asyncio.timeout(ANSWER_TIMEOUT_S):
            line = await asyncio.to_thread(ask, self._client, f"{number} {target}")
        assert line, f"the {self._client_program.name} client has ended with {self._client.wait(5)}"
        return json.loads(line)

    async def eventually_calls(self, places, target=TARGET, *, timeout_s=25):
        """Wait until only these places, and all of them, answer; return what else came until then."""
        others = Counter()

        async def arrived():
            answers = await self.calls(target=target)
            others.update({answer: count for answer, count in answers.items() if answer not in places})
            return set(answers) == set(places)

        await eventually(arrived, timeout_s=timeout_s)
        return others

    @asynccontextmanager
    async def traffic(self, targets):
        """Let the client call all the time; gives what it got."""
        answers, ended = Counter(), asyncio.Event()

        async def call():
            while not ended.is_set():
                for target in targets:
                    answers.update(await self.calls(10, target))
                await asyncio.sleep(0.02)

        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(call())
            try:
                yield answers
            finally:
                ended.set()

    async def settled(self):
        """Wait until the client has accepted what it asked for on each of its streams, and return how many these are.

        Raises:
            AssertionError: it has rejected something, or has not asked for all that it needs, or does not answer in time.
        """
        streams = 0

        async def accepted():
            nonlocal streams
            found = [stream["types"] for stream in (await self.control_plane.admin("/v1/proxies")).get("items", [])]
            assert not any(kind["nacks"] or kind["state"] == "ERROR" for types in found for kind in types), found
            streams = len(found)
            return found and all({kind["type"]: kind["state"] for kind in types} == ACCEPTED for types in found)

        await eventually(accepted, timeout_s=25)
        return streams

    @contextmanager
    def _start_client(self):
        node = NodeFlags("grpc-client", cluster=EAST.name, region=EAST.region, zone=EAST.zones[0], namespace="shop")
        bootstrap = json.dumps(grpc_bootstrap(node, self.control_plane.xds_address))
        environment = {**os.environ, **self._client_program.env, "GRPC_XDS_BOOTSTRAP_CONFIG": bootstrap}
        process = subprocess.Popen(
            self._client_program.command,
            cwd=self._client_directory,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )
        try:
            yield process
        finally:
            end(process)


def ask(process, line):
    process.stdin.write(line + "\n")
    process.stdin.flush()
    return process.stdout.readline()


def end(process):
    with process:
        process.kill()
