"""Old connections and a draining server send their clients elsewhere, one by one and without a gap."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from xds_world import Client, World, bulky, channel_to, cluster, eventually, names_in, serving

from xds.server import Limits
from xds.wire import CLUSTER, ENDPOINT


@pytest.fixture
async def serve():
    servers = []

    async def start(address="127.0.0.1:0", **limits):
        world = World()
        world.put(cluster("web"))
        servers.append(await running.enter_async_context(serving(world, address, grace_s=0, limits=Limits(**limits))))
        return world, servers[-1]

    async with AsyncExitStack() as running:
        yield start
    for server in servers:
        await eventually(lambda server=server: not server.open_streams)


async def synced(channel, kind="ads delta", node_id="web-1"):
    client = Client(channel, kind, node_id=node_id)
    await client.send(CLUSTER)
    await client.ack(await client.receive())
    return client


@pytest.mark.parametrize("kind", ["ads delta", "ads sotw"])
async def test_a_stream_on_an_old_connection_ends_in_peace_and_the_next_one_is_on_another(serve, kind):
    world, server = await serve(max_age_s=1)
    async with channel_to(server.bound) as channel:
        peers = set()
        for _ in range(2):
            client = await synced(channel, kind)
            peers |= {info.peer for info in server.streams()}
            assert await client.receive() is grpc.aio.EOF
            assert (await client.status())[0] == "OK"
    assert len(peers) == 2
    assert server.counters.aged_streams == 2
    assert not +world.users


async def test_every_stream_of_a_connection_goes_with_it(serve):
    _, server = await serve(max_age_s=1)
    async with channel_to(server.bound) as channel:
        first = await synced(channel)
        await asyncio.sleep(0.5)
        second = await synced(channel)
        assert len({info.peer for info in server.streams()}) == 1
        for client in (first, second):
            assert await client.receive() is grpc.aio.EOF
            assert (await client.status())[0] == "OK"
    assert server._board._lifetimes._connections == {}


async def test_what_is_due_is_written_before_an_old_stream_ends(serve):
    world, server = await serve(max_age_s=1)
    async with channel_to(server.bound, **{"grpc.http2.bdp_probe": 0}) as channel:
        world.put(bulky("big", 1))
        client = Client(channel, "eds delta")
        await client.send(ENDPOINT, ["big"])
        await eventually(lambda: server.counters.aged_streams)  # while it is in the middle of a write
        assert names_in(await client.receive()) == ("eds", ["big"])
        assert await client.receive() is grpc.aio.EOF
        assert (await client.status())[0] == "OK"


async def test_a_client_that_reads_nothing_is_cut_off_in_the_end(serve):
    world, server = await serve(max_age_s=1)
    world.put(*(bulky(f"s{number}", 1) for number in range(8)))
    async with channel_to(server.bound, **{"grpc.http2.bdp_probe": 0}) as channel:
        client = Client(channel, "eds delta")
        await client.send(ENDPOINT, [f"s{number}" for number in range(8)])
        await eventually(lambda: server.open_streams == 1)
        await eventually(lambda: server.open_streams == 0)


async def test_without_a_maximum_age_nothing_ends(serve):
    _, server = await serve(max_age_s=0)
    async with channel_to(server.bound) as channel:
        client = await synced(channel)
        await client.silence(1.0)
    assert server.counters.aged_streams == 0


async def test_clients_of_a_unix_socket_have_ages_of_their_own(serve, tmp_path):
    _, server = await serve(f"unix:{tmp_path}/xds", max_age_s=1)
    async with channel_to(server.bound) as one, channel_to(server.bound) as two:
        first = await synced(one)
        await asyncio.sleep(0.5)
        second = await synced(two)
        assert await first.receive() is grpc.aio.EOF
        await second.silence(0.1)
        assert await second.receive() is grpc.aio.EOF


class Roamer:
    """A client of two replicas that opens a stream again whenever the server ends it."""

    def __init__(self, addresses, node_id):
        self.channel = channel_to(f"ipv4:{','.join(addresses)}")
        self.node_id = node_id
        self.ends = []
        self.seen = []
        self.task = asyncio.create_task(self.run())

    async def run(self):
        while True:
            client = Client(self.channel, "ads delta", node_id=self.node_id)
            try:
                await client.send(CLUSTER)
                while (response := await client.call.read()) is not grpc.aio.EOF:
                    self.seen.append(response)
                    await client.ack(response)
            except (grpc.aio.AioRpcError, asyncio.InvalidStateError):
                pass
            self.ends.append(await client.status())

    async def close(self):
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)
        await self.channel.close()


async def test_a_drain_moves_every_client_to_the_other_replica_and_not_all_at_once(serve):
    (old_world, old), (new_world, new) = await serve(), await serve()
    roamers = [Roamer((old.bound, new.bound), f"n{number}") for number in range(20)]
    await eventually(lambda: len(old.streams()) == 20)
    stages = []
    drain = asyncio.create_task(old.drain(2))
    while not drain.done():
        stages.append((len(old.streams()), len(new.streams())))
        if 0 < stages[-1][0] < 10:  # those that have not moved yet are still told of changes
            for world in (old_world, new_world):
                world.put(cluster("late"))
        await asyncio.sleep(0.02)
    await eventually(lambda: len(new.streams()) == 20)
    await eventually(lambda: all(any("late" in names_in(seen)[1] for seen in roamer.seen) for roamer in roamers))
    assert old.open_streams == 0
    # Each was sent away once, in words, and found the other one at once: no stream of anybody failed.
    assert {tuple(roamer.ends) for roamer in roamers} == {
        (("UNAVAILABLE", "the control plane is shutting down; reconnect"),),
    }
    assert len({here for here, _ in stages}) >= 5
    assert max(here + there for here, there in stages) == 20
    for roamer in roamers:
        await roamer.close()


async def test_a_draining_server_says_so_accepts_nobody_and_can_be_stopped_at_once(serve):
    _, server = await serve()
    async with channel_to(server.bound) as channel, channel_to(server.bound) as other:
        client = await synced(channel)
        watch = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest())
        assert (await watch.read()).status == health_pb2.HealthCheckResponse.SERVING
        drain = asyncio.create_task(server.drain(600))
        assert (await watch.read()).status == health_pb2.HealthCheckResponse.NOT_SERVING
        late = Client(other, "ads delta")
        with pytest.raises((asyncio.InvalidStateError, grpc.aio.AioRpcError)):
            await late.send(CLUSTER)
        assert (await late.status())[0] == "UNAVAILABLE"
        assert server.open_streams == 1
        async with asyncio.timeout(10):
            await server.stop(1)
            await drain
        assert await client.status() == ("UNAVAILABLE", "the control plane is shutting down; reconnect")


async def test_a_drain_without_clients_is_over_at_once(serve):
    _, server = await serve()
    async with asyncio.timeout(10):
        await server.drain(600)
        await server.stop(1)
