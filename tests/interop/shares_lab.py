"""A generated fleet's stage: a server in this process, an Envoy at each client's place, one backend for all, and much traffic."""

import asyncio
import json
import re
from collections import Counter
from contextlib import AsyncExitStack, asynccontextmanager

from google.protobuf.json_format import ParseDict
from grpc_scripts import script
from interop_waiting import eventually
from proxyless_lab import ask
from static_envoy import answering, http_listener

from xds.admin.explanations import explanation
from xds.cli.bootstrap import grpc_bootstrap
from xds.cli.demo.envoy import EnvoyProcess
from xds.cli.demo.processes import free_port
from xds.cli.envoy_bootstrap import envoy_bootstrap
from xds.cli.node import NodeFlags
from xds.model.fleet import Fleet
from xds.model.node import Node, view_of
from xds.protocol import Encoder
from xds.server import XdsServer
from xds.views import LiveViews
from xds.wire import ENDPOINT, POOL, envoy

CONNECTIONS = 8
DEPTH = 25
"""Requests that are sent on a connection at once; Envoy takes them one after the other."""
UNHEALTHY, DRAINING = envoy.HealthStatus.UNHEALTHY, envoy.HealthStatus.DRAINING
NOBODY = "nobody"
"""Who gets requests that nobody is there for."""


class Plane:
    """A control plane that is told of events by the test; a `ViewSource`."""

    def __init__(self):
        self.fleet = Fleet()
        self.nacks = []
        self.server = XdsServer(self, Encoder("shares"), ["127.0.0.1:0"], on_nack=lambda *nack: self.nacks.append(nack))
        self.views = LiveViews(self.fleet, self.server.publish, idle_s=60)
        self.seen = {}
        """Node id -> its view."""

    def tell(self, events):
        """Take events, as the application does."""
        change = self.fleet.apply(events)
        self.views.changed(change)
        self.views.rebuild("the test")

    def explain(self, asked, node):
        """Return what `xdsctl explain` says."""
        return explanation(self.fleet, self.views.policies, asked, self.seen[node])

    async def wait_ready(self):
        pass

    def view_of(self, node):
        self.seen[node.id], _ = view_of(node, self.fleet.known, by_node=False)
        return self.seen[node.id]

    async def prepare(self, _view):
        return False

    def acquire(self, view):
        return self.views.acquire(view)

    def current(self, view):
        return self.views.store.current(view)

    def history(self, view):
        return self.views.store.history(view)

    def release(self, view):
        self.views.release(view)


class SharesLab:
    """Starts everything on entering the context and ends it on leaving.

    Args:
        generated: the fleet, in which nothing has gone wrong yet.
        gateway_port: of its Gateway.
        binary: the Envoy.
        directory: for logs.
        delta: whether the Envoys speak the incremental variant.
    """

    def __init__(self, generated, gateway_port, binary, directory, *, delta):
        self.generated = generated
        self.plane = Plane()
        self.ports = [gateway_port if one.role == "gateway" else free_port() for one in generated.clients]
        self.envoys = []
        self._binary, self._directory, self._delta = binary, directory, delta
        self._stack = AsyncExitStack()

    async def __aenter__(self):
        async with AsyncExitStack() as stack:
            self.plane.tell(self.generated.begins)
            (address,) = await self.plane.server.start()
            stack.push_async_callback(self.plane.server.stop, 1)
            for number in range(len(self.ports)):
                self.envoys.append(stack.enter_context(self._envoy(number, address)))
            await asyncio.gather(*(envoy.wait_ready() for envoy in self.envoys))
            self._stack = stack.pop_all()
        return self

    async def __aexit__(self, *_):
        await self._stack.aclose()

    def _envoy(self, number, address):
        node = node_of(self.generated, number, self.ports[number])
        bootstrap = envoy_bootstrap(node, address, admin_address="127.0.0.1:0", delta=self._delta)
        return EnvoyProcess(node.node_id, bootstrap, self._directory, self._binary)

    async def fail(self):
        """Let go wrong what is to; return when every Envoy knows."""
        self.plane.tell(self.generated.fails)
        await eventually(self._settled, every_s=0.1)
        await asyncio.sleep(0.2)  # what an Envoy's main thread shows, its workers do soon after
        assert not self.plane.nacks

    async def _settled(self):
        for number, proxy in enumerate(self.envoys):
            proxy.check()
            snapshot = self.plane.current(self.plane.seen[id_of(number)])
            if hosts_in_force(await proxy.config_dump()) != hosts_wanted(snapshot):
                return False
        return True

    def explain(self, world):
        """Return what `xdsctl explain` says of a world."""
        return self.plane.explain(world.asked, id_of(world.client))

    async def measure(self, world, requests):
        """Return address -> how many requests it got, and NOBODY's."""
        return await send(self.ports[world.client], world.host, requests)


class GrpcLab:
    """The same for proxyless clients of gRPC, at the places of the sidecars: everything has gone wrong when they start.

    Args:
        generated: the fleet.
    """

    def __init__(self, generated):
        self.generated = generated
        self.plane = Plane()
        self._clients = {}
        self._stack = AsyncExitStack()

    async def __aenter__(self):
        async with AsyncExitStack() as stack:
            self.plane.tell(self.generated.begins)
            self.plane.tell(self.generated.fails)
            (address,) = await self.plane.server.start()
            stack.push_async_callback(self.plane.server.stop, 1)
            for number, client in enumerate(self.generated.clients):
                if client.role != "gateway":
                    node = NodeFlags(id_of(number), cluster=client.cluster, region=client.region, zone=client.zone)
                    bootstrap = grpc_bootstrap(node, address)
                    environment = {"GRPC_XDS_BOOTSTRAP_CONFIG": json.dumps(bootstrap)}
                    self._clients[number] = stack.enter_context(script("grpc_client.py", env=environment))
                    metadata = bootstrap["node"]["metadata"]
                    self.plane.view_of(Node(node.node_id, region=node.region, zone=node.zone, metadata=metadata))
            self._stack = stack.pop_all()
        return self

    async def __aexit__(self, *_):
        await self._stack.aclose()
        assert not self.plane.nacks

    def explain(self, world):
        """Return what `xdsctl explain` says of a world."""
        found = self.plane.explain(world.asked, id_of(world.client))
        assert found.role == "proxyless"
        return found

    async def measure(self, world, requests):
        """Return address -> how many calls it got, and NOBODY's."""
        line = await asyncio.to_thread(ask, self._clients[world.client], f"{requests} xds:///{world.host}:80")
        found = Counter()
        for answer, count in json.loads(line).items():
            code, _, detail = answer.partition(": ")
            assert code in {"NOT_FOUND", "UNAVAILABLE"}, answer
            found[detail.partition(":")[0] if code == "NOT_FOUND" else NOBODY] += count
        return found


def id_of(number):
    return f"client-{number}"


def node_of(generated, number, port):
    """Return what a fleet's client says of itself."""
    client = generated.clients[number]
    where = {"cluster": client.cluster, "region": client.region, "zone": client.zone, "namespace": "apps"}
    listen = {} if client.role == "gateway" else {"listen": f"127.0.0.1:{port}"}
    if client.intercept == "transparent":
        listen = {"listen": f"0.0.0.0:{port}", "intercept": client.intercept}
    return NodeFlags(id_of(number), role=client.role, **where, **listen)


@asynccontextmanager
async def backend_everywhere(binary, directory):
    """Run an Envoy that answers on one port of all addresses, with the address in the answer; gives the port."""
    port = free_port()
    address = "%DOWNSTREAM_LOCAL_ADDRESS%"
    # Calls of gRPC are answered with an error that says the address: a message would be the same everywhere.
    headers = {"at": address, "grpc-status": "5", "grpc-message": address}
    added = [{"header": {"key": key, "value": value}} for key, value in headers.items()]
    answer = {**answering(""), "response_headers_to_add": added}
    listener = http_listener(port, route_config={"virtual_hosts": [answer]})
    listener["address"]["socket_address"]["address"] = "0.0.0.0"
    bootstrap = {"static_resources": {"listeners": [listener]}}
    with EnvoyProcess("backend", bootstrap, directory, binary) as process:
        await process.wait_ready()
        yield port


def hosts_wanted(snapshot):
    """Return all hosts of a snapshot, with what Envoy goes by."""
    messages = (envoy.ClusterLoadAssignment.FromString(one.body) for one in snapshot.resources(ENDPOINT).values())
    return {host for message in messages for host in _hosts(message)}


def hosts_in_force(dump):
    """Return the same of what an Envoy has in force."""
    found = [one for section in dump["configs"] for one in section.get("dynamic_endpoint_configs", ())]
    contents = [{key: value for key, value in one["endpoint_config"].items() if key != "@type"} for one in found]
    messages = (ParseDict(one, envoy.ClusterLoadAssignment(), descriptor_pool=POOL) for one in contents)
    return {host for message in messages for host in _hosts(message)}


def _hosts(message):
    factor = message.policy.overprovisioning_factor.value
    for group in message.endpoints:
        at, weight = group.locality, group.load_balancing_weight.value
        for one in group.lb_endpoints:
            # Envoy's dump says UNHEALTHY of those that are DRAINING, too.
            health = UNHEALTHY if one.health_status == DRAINING else one.health_status
            address = one.endpoint.address.socket_address.address
            yield message.cluster_name, factor, group.priority, (at.region, at.zone, at.sub_zone), weight, address, health


async def send(port, host, requests):
    """Send requests for a host; return address -> how many of them it got, and NOBODY's."""
    async with asyncio.timeout(60):
        found = await asyncio.gather(*(_send(port, host, requests // CONNECTIONS) for _ in range(CONNECTIONS)))
    return sum(found, Counter())


async def _send(port, host, requests):
    """Send requests one after the other, on as many connections as it takes: Envoy closes some on which it had nobody to ask."""
    found, request = Counter(), f"GET / HTTP/1.1\r\nhost: {host}\r\n\r\n".encode()
    while left := requests - found.total():
        pipe = Pipe(request, left)
        await asyncio.get_running_loop().create_connection(lambda pipe=pipe: pipe, "127.0.0.1", port)
        answers = await pipe.done
        assert answers, "a connection is closed without any answer"
        found.update(map(who, answers))
    return found


class Pipe(asyncio.Protocol):
    """One connection, on which many requests are sent at once."""

    def __init__(self, request, requests):
        self.done = asyncio.get_running_loop().create_future()
        self._request = request
        self._left, self._owed, self._depth = requests, 0, 1
        self._heads = []
        self._received = b""

    def connection_made(self, transport):
        self._transport = transport
        self._send()

    def connection_lost(self, _):
        if not self.done.done():
            self.done.set_result(self._heads)

    def data_received(self, data):
        *heads, self._received = (self._received + data).split(b"\r\n\r\n")
        self._heads += heads
        self._owed -= len(heads)
        # Behind an answer of its own, Envoy closes a connection on which more has come already.
        self._depth = 1 if any(map(_is_refusal, heads)) else DEPTH
        if not self._owed:
            self._send()

    def _send(self):
        self._owed = min(self._depth, self._left)
        self._left -= self._owed
        if self._owed:
            self._transport.write(self._owed * self._request)
        else:
            self._transport.close()


_ADDRESS = re.compile(rb"\r\nat: ([0-9.]+):")


def _is_refusal(head):
    return b"HTTP/1.1 503" in head


def who(head):
    """Return who answered; what comes before the status is the body of the answer before."""
    if _is_refusal(head):
        return NOBODY
    found = _ADDRESS.search(head)
    assert b"HTTP/1.1 200" in head, head
    assert found, head
    return found[1].decode()
