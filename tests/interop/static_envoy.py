"""An Envoy with static listeners and clusters, whose further parts come from a server of ours in this process."""

from __future__ import annotations

from contextlib import asynccontextmanager

import aiohttp
import xds_world

from xds.cli.demo.backends import Backends
from xds.cli.demo.envoy import EnvoyProcess
from xds.cli.demo.lab import EAST
from xds.cli.demo.places import World
from xds.cli.demo.processes import free_port
from xds.snapshot.resource import Resource
from xds.wire import to_bytes

XDS = "xds"
EXTENSIONS = "type.googleapis.com/envoy.extensions"
ROUTER = {"name": "router", "typed_config": {"@type": f"{EXTENSIONS}.filters.http.router.v3.Router"}}


def resource(type_url, name, message, *, ttl_s=None):
    """Return a resource with a message of any protobuf library in it."""
    body = to_bytes(message) if hasattr(message, "DESCRIPTOR") else bytes(message)
    return Resource.of(type_url, name, body, ttl_s=ttl_s)


class Source:
    """How Envoy fetches a part of its configuration: over ADS, or over a stream of its own; delta or SotW."""

    def __init__(self, *, delta, aggregated):
        self.delta = delta
        self.aggregated = aggregated
        self.grpc = {
            "api_type": "DELTA_GRPC" if delta else "GRPC",
            "transport_api_version": "V3",
            "grpc_services": [{"envoy_grpc": {"cluster_name": XDS}}],
        }

    @property
    def config(self):
        found = {"ads": {}} if self.aggregated else {"api_config_source": self.grpc}
        return {"resource_api_version": "V3", **found}


class Plane:
    """A server of ours with a source in memory; what it publishes goes to the view `eu`."""

    def __init__(self, world, server, address, nacks):
        self.world = world
        self.server = server
        self.address = address
        self.nacks = nacks

    def put(self, *resources, gone=()):
        self.world.put(*resources, gone=gone)

    def subscribed(self, type_url):
        """Return what the streams want of a type: (wildcard, names)."""
        streams = self.server._board._streams.values()
        return [held[type_url] for stream in streams if type_url in (held := stream._protocol.subscriptions())]


@asynccontextmanager
async def running_plane():
    world, nacks = xds_world.World(), []
    async with xds_world.serving(world, on_nack=lambda _node, _view, nack: nacks.append(nack)) as server:
        yield Plane(world, server, server.bound, nacks)


def bootstrap(plane, source, *, listeners=(), clusters=(), **rest):
    """Return a bootstrap with an ADS stream if the source wants one."""
    http2 = {
        f"{EXTENSIONS.partition('/')[2]}.upstreams.http.v3.HttpProtocolOptions": {
            "@type": f"{EXTENSIONS}.upstreams.http.v3.HttpProtocolOptions",
            "explicit_http_config": {"http2_protocol_options": {}},
        }
    }
    xds = {**static_cluster(XDS, plane.address), "typed_extension_protocol_options": http2}
    result = {
        "node": {"id": "envoy", "cluster": "test", "locality": {"region": "eu"}},
        "static_resources": {"listeners": list(listeners), "clusters": [xds, *clusters]},
        **rest,
    }
    if source.aggregated:
        result["dynamic_resources"] = {"ads_config": source.grpc}
    return result


def static_cluster(name, address):
    host, _, port = address.rpartition(":")
    endpoint = {"address": {"socket_address": {"address": host, "port_value": int(port)}}}
    assignment = {"cluster_name": name, "endpoints": [{"lb_endpoints": [{"endpoint": endpoint}]}]}
    return {"name": name, "type": "STATIC", "connect_timeout": "1s", "load_assignment": assignment}


def http_listener(port, *, filters=(), transport_socket=None, **routing):
    """Return a listener whose connection manager has these filters, then the router."""
    manager = {
        "@type": f"{EXTENSIONS}.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "test",
        "http_filters": [*filters, ROUTER],
        **routing,
    }
    chain = {"filters": [{"name": "manager", "typed_config": manager}]}
    if transport_socket:
        chain["transport_socket"] = transport_socket
    address = {"socket_address": {"address": "127.0.0.1", "port_value": port}}
    return {"name": "test", "address": address, "filter_chains": [chain]}


def answering(text, *, name="all", domains=("*",)):
    """Return a virtual host that answers by itself."""
    answer = {"status": 200, "body": {"inline_string": text}}
    return {"name": name, "domains": list(domains), "routes": [{"match": {"prefix": "/"}, "direct_response": answer}]}


@asynccontextmanager
async def running_envoy(binary, directory, config):
    with EnvoyProcess("envoy", config, directory, binary) as process:
        try:
            await process.wait_ready()
            yield process
        finally:
            print(process.log.read_text())


class Http:
    """Asks one port of the Envoy."""

    def __init__(self):
        self.port = free_port()

    async def get(self, host="test", timeout_s=10.0, **headers):
        """Return (status, body)."""
        found = {"host": host, **{key.replace("_", "-"): value for key, value in headers.items()}}
        timeout = aiohttp.ClientTimeout(total=timeout_s)
        async with (
            aiohttp.ClientSession(timeout=timeout) as session,
            session.get(f"http://127.0.0.1:{self.port}/", headers=found) as response,
        ):
            return response.status, await response.text()

    async def gives(self, wanted, **arguments):
        try:
            return await self.get(**arguments) == wanted
        except (OSError, aiohttp.ClientError, TimeoutError):
            return False


@asynccontextmanager
async def backend():
    """Run an HTTP server that answers 200; gives its address."""
    pod = World.of((EAST,), pods_per_zone=1).pods[0]
    servers = Backends(free_port())
    await servers.start([pod])
    try:
        yield f"{pod.address}:{servers.port}"
    finally:
        servers.close()
