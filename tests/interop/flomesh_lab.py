"""A cluster with pods of its own, and two others that are reached through HTTP gateways with a path prefix each, as in FSM."""

from __future__ import annotations

import json
from collections import Counter
from contextlib import AsyncExitStack, asynccontextmanager

import aiohttp
import yaml
from aiohttp import web

from xds.cli.demo.control_plane import ControlPlaneProcess
from xds.cli.demo.envoy import EnvoyProcess
from xds.cli.demo.processes import free_port
from xds.cli.envoy_bootstrap import envoy_bootstrap
from xds.cli.node import NodeFlags

OWN, WEST, NORTH = "cn/cn-a/default/east", "us/us-a/default/west", "eu/eu-a/default/north"
HOST = "pay.shop"
GROUP = "multicluster.flomesh.io/v1alpha1"


class Backend:
    """An HTTP server that says where it is and which path it was asked for, or fails when it is told to."""

    def __init__(self, place, prefix=""):
        self.place = place
        self.prefix = prefix
        """What a gateway takes off the path; another path is not found there."""
        self.port = free_port()
        self.status = 200
        self.asked = []
        self._runner = None

    async def start(self):
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._answer)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self.port).start()

    async def stop(self):
        if self._runner:
            await self._runner.cleanup()
            self._runner = None

    async def _answer(self, request):
        self.asked.append(request.raw_path)
        if not request.raw_path.startswith(f"{self.prefix}/"):
            return web.json_response({"place": self.place, "wrong": request.raw_path}, status=404)
        path = request.raw_path.removeprefix(self.prefix)
        return web.json_response({"place": self.place, "path": path}, status=self.status)


class FlomeshLab:
    """Three backends, the control plane on files, and a sidecar in `east`."""

    def __init__(self, directory, binary, *, delta=True, gateway_host="127.0.0.1"):
        self.directory = directory
        self.binary = binary
        self.delta = delta
        self.gateway_host = gateway_host
        self.own, self.west, self.north = Backend("east"), Backend("west", "/west/pay"), Backend("north", "/north/pay")
        self.port = free_port()
        self.envoy = None
        self.control_plane = None

    @asynccontextmanager
    async def running(self, lb_type, *targets):
        async with AsyncExitStack() as stack:
            for one in (self.own, self.west, self.north):
                await one.start()
                stack.push_async_callback(one.stop)
            self.write(lb_type, *targets)
            self.control_plane = stack.enter_context(ControlPlaneProcess(self.clusters, self.directory / "control-plane.log"))
            await self.control_plane.wait_ready()
            said = {"role": "sidecar", "namespace": "shop", "intercept": "explicit", "listen": f"127.0.0.1:{self.port}"}
            node = NodeFlags("web-1", cluster="east", region="cn", zone="cn-a", **said)
            bootstrap = envoy_bootstrap(node, self.control_plane.xds_address, admin_address="127.0.0.1:0", delta=self.delta)
            self.envoy = stack.enter_context(EnvoyProcess("sidecar", bootstrap, self.directory, self.binary))
            await self.envoy.wait_ready()
            yield self

    @property
    def clusters(self):
        return self.directory / "clusters"

    def write(self, lb_type, *targets):
        """Write manifests; targets are cluster keys, alone or with weights."""
        listed = [{"clusterKey": one} if isinstance(one, str) else {"clusterKey": one[0], "weight": one[1]} for one in targets]
        east = [
            manifest("v1", "Service", clusterIP="10.96.0.1", ports=[{"name": "http", "port": 80}]),
            {
                **manifest("discovery.k8s.io/v1", "EndpointSlice", labels={"kubernetes.io/service-name": "pay"}),
                "addressType": "IPv4",
                "ports": [{"name": "http", "port": self.own.port}],
                "endpoints": [{"addresses": ["127.0.0.1"], "zone": "cn-a"}],
            },
            manifest(GROUP, "ServiceImport", ports=[{"port": 80, "endpoints": [*self._gateways()]}]),
            manifest(GROUP, "GlobalTrafficPolicy", lbType=lb_type, targets=listed),
        ]
        member = {**manifest("traffic.isthmus.dev/v1alpha1", "MemberCluster", region="cn", zones=["cn-a"])}
        member["metadata"] = {"name": "east"}
        for name, objects in (("fleet.yaml", [member]), ("east/all.yaml", east)):
            file = self.clusters / name
            file.parent.mkdir(parents=True, exist_ok=True)
            written = file.with_suffix(".new")
            written.write_text(yaml.safe_dump_all(objects))
            written.replace(file)

    def _gateways(self):
        for key, backend in ((WEST, self.west), (NORTH, self.north)):
            yield {"clusterKey": key, "target": {"host": self.gateway_host, "port": backend.port, "path": backend.prefix}}

    async def ask(self, path="/a/b?c=d", method="GET"):
        """Return (status, place, path as the application sees it)."""
        async with aiohttp.ClientSession() as session:
            return await self._ask(session, path, method)

    async def _ask(self, session, path, method="GET"):
        url = f"http://127.0.0.1:{self.port}{path}"
        async with session.request(method, url, headers={"host": HOST}) as response:
            try:
                found = json.loads(await response.text())
            except ValueError:
                found = {}
            return response.status, found.get("place", ""), found.get("path", "")

    async def shares(self, requests):
        """Return what each place gets of so many requests, all of which succeed with the right path."""
        counted = Counter()
        async with aiohttp.ClientSession() as session:
            for _ in range(requests):
                status, place, path = await self._ask(session, "/a/b?c=d")
                assert (status, path) == (200, "/a/b?c=d")
                counted[place] += 1
        return {place: number / requests for place, number in counted.items()}


def manifest(api_version, kind, *, labels=None, **spec):
    metadata = {"name": "pay", "namespace": "shop", **({"labels": labels} if labels else {})}
    return {"apiVersion": api_version, "kind": kind, "metadata": metadata, **({"spec": spec} if spec else {})}
