"""First syncs are written a few at a time, the oldest stream first; nobody is refused, and nobody holds up the others."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

import pytest
from xds_world import Client, World, bulky, channel_to, cluster, endpoints, eventually, names_in, port_of, serving

from xds.server import Limits
from xds.server.admission import Admission
from xds.wire import CLUSTER, ENDPOINT

SLOW = {"grpc.http2.bdp_probe": 0}
"""A client that leaves a response unread makes the server keep it."""


async def test_the_lowest_place_is_next():
    admission, order = Admission(2, 60), []
    go_on = asyncio.Event()

    async def sync(place):
        async with admission.slot(place):
            order.append(place)
            assert admission.active <= 2
            await go_on.wait()

    async with asyncio.TaskGroup() as tasks:
        for place in (7, 8, 5, 9, 1, 3):
            tasks.create_task(sync(place))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert (order, admission.active, admission.waiting) == ([7, 8], 2, 4)
        go_on.set()
    assert order == [7, 8, 1, 3, 5, 9]
    assert (admission.active, admission.waiting, admission.admitted, admission.overdue) == (0, 0, 6, 0)


async def test_a_slot_that_is_held_too_long_goes_to_the_next():
    admission, go_on = Admission(1, 0.02), asyncio.Event()

    async def stall():
        async with admission.slot(1):
            await go_on.wait()

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(stall())
        await asyncio.sleep(0)
        async with asyncio.timeout(5), admission.slot(2):
            assert (admission.active, admission.overdue) == (1, 1)
            go_on.set()
            await asyncio.sleep(0)
            assert admission.active == 1  # what was taken back is not given back again
    assert (admission.active, admission.overdue) == (0, 1)


async def test_those_that_leave_while_they_wait_cost_no_slot():
    admission = Admission(1, 60)

    async def sync(place):
        async with admission.slot(place):
            pass

    async with admission.slot(0):
        waiting = [asyncio.create_task(sync(place)) for place in range(1, 6)]
        await asyncio.sleep(0)
        waiting[0].cancel()
        waiting[3].cancel()
        await asyncio.sleep(0)
        assert admission.waiting == 3
    waiting[1].cancel()  # whose turn it is, but it does not know yet
    async with asyncio.timeout(5):
        await asyncio.gather(*waiting, return_exceptions=True)
    assert [task.cancelled() for task in waiting] == [True, True, False, True, False]
    assert (admission.active, admission.waiting) == (0, 0)


async def test_those_that_left_while_they_waited_keep_nobody_busy(monkeypatch):
    admission, looks = Admission(1, 0.02), []
    take_back = admission._take_back
    monkeypatch.setattr(admission, "_take_back", lambda: looks.append(take_back()))

    async def sync():
        async with admission.slot(2):
            pytest.fail("somebody else has the slot")

    async with admission.slot(1):
        waiting = asyncio.create_task(sync())
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.sleep(0.1)
        assert len(looks) == 1
        assert (admission.active, admission.waiting, admission.overdue) == (1, 0, 0)  # whom nobody waits for may go on


@pytest.fixture
async def serve():
    """Start a server with these limits; it must have given back every slot at its end."""
    servers = []

    async def start(**limits):
        world = World()
        servers.append(await running.enter_async_context(serving(world, grace_s=0, limits=Limits(**limits))))
        return world, servers[-1]

    async with AsyncExitStack() as running:
        yield start
    for server in servers:
        await eventually(lambda server=server: not server.open_streams)
        assert (server.admission.active, server.admission.waiting) == (0, 0)


class InFlight:
    """Counts the bytes that gRPC was given and that it has not passed on yet."""

    def __init__(self, server, monkeypatch):
        self.now = self.most = self.largest = 0
        self.order = []
        serve = server._board.serve
        monkeypatch.setattr(server._board, "serve", lambda kind, context: serve(kind, _Counted(context, self)))


class _Counted:
    def __init__(self, context, seen):
        self.context, self.seen = context, seen

    def __getattr__(self, name):
        return getattr(self.context, name)

    async def write(self, body):
        seen = self.seen
        seen.order.append(self.context.peer())
        seen.now += len(body)
        seen.most, seen.largest = max(seen.most, seen.now), max(seen.largest, len(body))
        try:
            await self.context.write(body)
        finally:
            seen.now -= len(body)


@pytest.mark.parametrize("slots", [3, 1_000])
async def test_a_crowd_costs_as_many_messages_as_there_are_slots(serve, monkeypatch, slots):
    world, server = await serve(first_syncs=slots, first_sync_s=60)
    seen = InFlight(server, monkeypatch)
    world.put(bulky("web", 1))
    channels = [channel_to(server.bound, **SLOW) for _ in range(60)]
    clients = [Client(channel, "eds delta", node_id=f"n{number}") for number, channel in enumerate(channels)]
    for client in clients:
        await client.send(ENDPOINT, ["web"])
    await eventually(lambda: server.counters.requests["eds"] == len(clients))
    await eventually(lambda: server.admission.active == min(slots, 60) and len(seen.order) == min(slots, 60))
    await eventually(lambda: server.admission.waiting == max(0, 60 - slots))
    assert seen.most == seen.now == min(slots, 60) * seen.largest
    for client in clients:
        client.reading = asyncio.ensure_future(client.call.read())
    for client in clients:
        assert port_of((await client.receive()).resources[0]) == 1
    assert seen.most == min(slots, 60) * seen.largest
    assert len(set(seen.order)) == 60
    assert server.admission.overdue == 0
    for channel in channels:
        await channel.close()


async def test_who_came_first_is_done_first_with_all_its_types(serve, monkeypatch):
    world, server = await serve(first_syncs=1, first_sync_s=60)
    world.put(cluster("web"), bulky("web", 1), bulky("stall", 1))
    async with channel_to(server.bound, **SLOW) as first, channel_to(server.bound) as second:
        stalled = Client(first, "eds delta", node_id="stalled")
        await stalled.send(ENDPOINT, ["stall", "web"])
        await eventually(lambda: server.admission.active)
        clients, done = [], []

        async def sync(number):
            client = clients[number]
            await client.receive()
            await client.send(ENDPOINT, ["web"])
            await client.receive()
            done.append(number)

        for number in range(8):
            clients.append(Client(second, "ads delta", node_id=f"n{number}"))
            await clients[-1].send(CLUSTER)
            await eventually(lambda: server.admission.waiting == len(clients))
        syncs = [asyncio.create_task(sync(number)) for number in range(8)]
        await stalled.receive()
        await asyncio.gather(*syncs)
        # A client's next request takes a moment to come; meanwhile the next client has its turn.
        assert max(abs(place - number) for place, number in enumerate(done)) <= 3


async def test_a_stalled_crowd_delays_no_update_and_for_long_no_other_first_sync(serve):
    world, server = await serve(first_syncs=2, first_sync_s=0.3)
    world.put(cluster("web"), *(bulky(f"s{number}", 1) for number in range(8)))
    async with channel_to(server.bound, **SLOW) as slow, channel_to(server.bound) as quick:
        neighbour = Client(quick, "ads delta", node_id="neighbour")
        await neighbour.send(CLUSTER)
        await neighbour.ack(await neighbour.receive())
        for number in range(4):
            await Client(slow, "eds delta", node_id=f"stalled-{number}").send(ENDPOINT, [f"s{number}" for number in range(8)])
        await eventually(lambda: server.admission.active == 2 and server.admission.waiting == 2)
        world.put(cluster("web", 2))
        assert names_in(await neighbour.receive()) == ("cds", ["web"])
        assert server.admission.admitted == 3  # the update needed none
        late = Client(quick, "ads delta", node_id="late")
        await late.send(CLUSTER)
        assert names_in(await late.receive()) == ("cds", ["web"])
        assert server.admission.overdue >= 2


async def test_who_comes_back_with_all_that_there_is_needs_no_slot_nor_does_the_next_update(serve):
    world, server = await serve(first_syncs=1, first_sync_s=60)
    web = cluster("web")
    world.put(web, *(bulky(f"s{number}", 1) for number in range(8)))
    async with channel_to(server.bound, **SLOW) as slow, channel_to(server.bound) as quick:
        await Client(slow, "eds delta", node_id="stalled").send(ENDPOINT, [f"s{number}" for number in range(8)])
        await eventually(lambda: server.admission.active == 1)
        back = Client(quick, "ads delta", node_id="back")
        await back.send(CLUSTER, initial_resource_versions={"web": web.version})
        await back.silence()
        world.put(cluster("web", 2))
        assert names_in(await back.receive()) == ("cds", ["web"])
        assert (server.admission.admitted, server.admission.waiting) == (1, 0)


async def test_a_stream_that_is_synced_waits_for_nobody_whatever_else_it_asks_for(serve, monkeypatch):
    monkeypatch.setattr("xds.server.stream.FIRST_SYNC_S", 0.0)
    world, server = await serve(first_syncs=1, first_sync_s=60)
    world.put(cluster("web"), endpoints("web"), *(bulky(f"s{number}", 1) for number in range(8)))
    async with channel_to(server.bound, **SLOW) as slow, channel_to(server.bound) as quick:
        synced = Client(quick, "ads delta", node_id="synced")
        await synced.send(CLUSTER)
        await synced.receive()
        await Client(slow, "eds delta", node_id="stalled").send(ENDPOINT, [f"s{number}" for number in range(8)])
        await eventually(lambda: server.admission.active == 1)
        await synced.send(ENDPOINT, ["web"])
        assert names_in(await synced.receive()) == ("eds", ["web"])
        assert server.admission.active == 1


async def test_a_stop_does_not_wait_for_those_that_wait(serve):
    world, server = await serve(first_syncs=1, first_sync_s=60)
    world.put(*(bulky(f"s{number}", 1) for number in range(8)))
    async with channel_to(server.bound, **SLOW) as slow:
        for number in range(5):
            await Client(slow, "eds delta", node_id=f"n{number}").send(ENDPOINT, [f"s{number}" for number in range(8)])
        await eventually(lambda: server.admission.waiting == 4)
        async with asyncio.timeout(10):
            await server.stop(0.1)
