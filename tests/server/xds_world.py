"""What the tests of the server share: a source in memory, resources made by hand, and plain gRPC clients."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import asynccontextmanager

import grpc

from xds.errors import NodeRejectedError
from xds.protocol import Encoder
from xds.server import XdsServer
from xds.server.services import SERVICES
from xds.snapshot.resource import Resource
from xds.snapshot.store import SnapshotStore
from xds.wire import CLUSTER, ENDPOINT, envoy, short_name, to_bytes

METHODS = {str(kind): f"/{service}/{method}" for service, methods in SERVICES.items() for method, kind in methods.items()}
"""`ads delta` -> the full method name."""


def cluster(name, connect_timeout_s=1):
    message = envoy.Cluster(name=name)
    message.connect_timeout.seconds = connect_timeout_s
    return Resource.of(CLUSTER, name, to_bytes(message), refs={ENDPOINT: frozenset({name})})


def endpoints(name, port=80):
    message = envoy.ClusterLoadAssignment(cluster_name=name)
    address = message.endpoints.add().lb_endpoints.add().endpoint.address.socket_address
    address.address, address.port_value = "10.0.0.1", port
    return Resource.of(ENDPOINT, name, to_bytes(message))


def bulky(name, port):
    """Return a CLA of a megabyte, so that a few of them fill every buffer on the way."""
    message = envoy.ClusterLoadAssignment.FromString(endpoints(name, port).body)
    message.policy.drop_overloads.add(category="x" * 1_000_000)
    return Resource.of(ENDPOINT, name, to_bytes(message))


def port_of(resource):
    """Return the port in a CLA, out of a delta `Resource` or an `Any`."""
    body = resource.resource.value if isinstance(resource, envoy.Resource) else resource.value
    assignment = envoy.ClusterLoadAssignment.FromString(body)
    return assignment.endpoints[0].lb_endpoints[0].endpoint.address.socket_address.port_value


class World:
    """A source whose views are the regions of the nodes; ids that begin with `bad` are refused."""

    def __init__(self):
        self.store = SnapshotStore()
        self.ready = asyncio.Event()
        self.users = Counter()
        self.view_names = {}
        self.publish = lambda _: None

    def put(self, *resources, view="eu", gone=()):
        """Change resources of a view, and tell the server."""
        changes = {}
        for resource in resources:
            changes.setdefault(resource.type_url, {})[resource.name] = resource
        for type_url, name in gone:
            changes.setdefault(type_url, {})[name] = None
        change = self.store.publish(view, changes, at_s=0, trigger="test")
        self.publish(change)
        return change

    async def wait_ready(self):
        await self.ready.wait()

    def view_of(self, node):
        if node.id.startswith("bad"):
            raise NodeRejectedError(node.id, "metadata.isthmus.cluster 'mars' is not a member cluster")
        return self.view_names.get(node.region, node.region)

    async def prepare(self, _view):
        return False

    def acquire(self, view):
        self.users[view] += 1
        if view not in self.store.views():
            self.store.publish(view, {}, at_s=0, trigger="acquired")
        return self.current(view)

    def current(self, view):
        assert self.users[view] > 0, "a stream reads a view that it did not acquire"
        return self.store.current(view)

    def history(self, view):
        return self.store.history(view)

    def release(self, view):
        self.users[view] -= 1
        assert self.users[view] >= 0


class Client:
    """One xDS stream of a well-behaved client, which ACKs when it is told to."""

    def __init__(self, channel, kind, *, node_id="web-1", region="eu", raw=False):
        self.delta = kind.endswith("delta")
        request = envoy.DeltaDiscoveryRequest if self.delta else envoy.DiscoveryRequest
        response = envoy.DeltaDiscoveryResponse if self.delta else envoy.DiscoveryResponse
        self.request_class = request
        self.call = channel.stream_stream(
            METHODS[kind],
            request_serializer=None if raw else request.SerializeToString,
            response_deserializer=response.FromString,
        )()
        self.reading = None
        self.node = envoy.Node(id=node_id)
        self.node.locality.region = region

    async def send(self, type_url="", names=(), **fields):
        """Send a request; the first one carries the node."""
        key = "resource_names_subscribe" if self.delta else "resource_names"
        request = self.request_class(type_url=type_url, **{key: names}, **fields)
        if self.node is not None:
            request.node.CopyFrom(self.node)
            self.node = None
        await self.call.write(request)

    async def receive(self):
        """Return the next response, or the EOF of gRPC."""
        reading = self.reading or asyncio.ensure_future(self.call.read())
        self.reading = None
        async with asyncio.timeout(10):
            return await reading

    async def ack(self, response, names=(), error=""):
        """ACK a response, or reject it with an error; SotW repeats the names (delta would subscribe anew)."""
        fields = {"response_nonce": response.nonce}
        if error:
            fields["error_detail"] = envoy.Status(code=3, message=error)
        if not self.delta:
            fields["version_info"] = "" if error else response.version_info
        await self.send(response.type_url, () if self.delta else names, **fields)

    async def silence(self, quiet_s=0.15):
        """See that nothing arrives for a while."""
        self.reading = self.reading or asyncio.ensure_future(self.call.read())  # to cancel it would cancel the call
        done, _ = await asyncio.wait((self.reading,), timeout=quiet_s)
        assert not done, f"unexpected: {self.reading.result()}"

    async def status(self):
        """Return (code, details) once the server has ended the stream."""
        async with asyncio.timeout(10):
            return (await self.call.code()).name, await self.call.details()


async def eventually(condition, within_s=10):
    """Wait until a condition holds."""
    async with asyncio.timeout(within_s):
        while not condition():  # noqa: ASYNC110 - what is waited for is on the other side of a socket
            await asyncio.sleep(0.005)


@asynccontextmanager
async def serving(world, *addresses, grace_s=1, **options):
    """Serve a world, ready from now on, within the block; it stops whatever goes wrong there, so that no other test sees it.

    `bound` is where the server listens, `bound_to` all such addresses.
    """
    server = XdsServer(world, Encoder("test"), addresses or ["127.0.0.1:0"], **options)
    world.publish = server.publish
    world.ready.set()
    try:
        server.bound, *_ = server.bound_to = await server.start()
        yield server
    finally:
        await server.stop(grace_s)


def names_in(response):
    """Return short type name and the sorted names of a delta response."""
    return short_name(response.type_url), sorted(resource.name for resource in response.resources)


def channel_to(address, **options):
    """Return a channel that shares no connection with other channels of this process."""
    settings = {"grpc.use_local_subchannel_pool": 1, "grpc.max_receive_message_length": 64 << 20, **options}
    return grpc.aio.insecure_channel(address, options=list(settings.items()))
