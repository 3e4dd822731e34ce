"""Clients that break rules, stall or vanish: each gets one clear status, nobody else notices, nothing stays behind."""

from __future__ import annotations

import asyncio

import grpc
import pytest
from xds_world import METHODS, Client, bulky, channel_to, cluster, endpoints, eventually, names_in, port_of

from xds.server.switchboard import REJECTIONS
from xds.wire import CLUSTER, ENDPOINT, envoy


@pytest.fixture
async def neighbour(world, connect):
    """A healthy client that must go on being served; calling it changes something and sees that it is told."""
    world.put(cluster("web"))
    client = connect("ads delta", node_id="neighbour")
    await client.send(CLUSTER)
    await client.receive()
    timeouts_s = iter(range(2, 100))

    async def is_served():
        world.put(cluster("web", next(timeouts_s)))
        assert names_in(await client.receive()) == ("cds", ["web"])

    return is_served


@pytest.mark.parametrize("kind", ["ads delta", "ads sotw", "eds delta"])
@pytest.mark.parametrize("node_id", [None, ""])
async def test_a_first_request_without_a_node(connect, neighbour, kind, node_id):
    client = connect(kind)
    client.node = None if node_id is None else envoy.Node(cluster="web")
    await client.send(ENDPOINT, ["web"])
    code, text = await client.status()
    assert (code, text) == (
        "INVALID_ARGUMENT",
        "the first request of a stream must carry `node` with an `id`; set node.id in the client's bootstrap",
    )
    await neighbour()


async def test_a_rejected_node_is_told_why_counted_and_remembered_until_it_is_right(world, connect, server, neighbour):
    client = connect(node_id="bad-1")
    await client.send(CLUSTER)
    reason = "node 'bad-1': metadata.isthmus.cluster 'mars' is not a member cluster"
    assert await client.status() == ("INVALID_ARGUMENT", reason)
    (problem,) = server.problems()
    assert (problem.code, problem.message) == ("XDS0501", reason)
    assert server.counters.rejected_nodes == server.counters.refused_streams == 1
    await neighbour()
    assert world.users["eu"] == 1  # the neighbour's


async def test_rejections_are_forgotten_when_the_node_is_accepted(world, connect, server, monkeypatch):
    client = connect(node_id="bad-1")
    await client.send(CLUSTER)
    await client.status()
    monkeypatch.setattr(world, "view_of", lambda node: node.region)
    client = connect(node_id="bad-1")
    await client.send(CLUSTER)
    await client.receive()
    assert server.problems() == ()


async def test_rejections_are_bounded(connect, server):
    for number in range(REJECTIONS + 5):
        client = connect(node_id=f"bad-{number}-{'x' * 2_000}")
        await client.send(CLUSTER)
        code, text = await client.status()
        assert (code, text[:10], len(text) < 1100) == ("INVALID_ARGUMENT", "node 'bad-", True)
    problems = server.problems()
    assert len(problems) == REJECTIONS
    assert sum(len(problem.message) for problem in problems) < REJECTIONS * 1100


async def test_a_node_that_would_be_refused_now_keeps_its_view(world, connect, server, monkeypatch):
    world.put(cluster("web"))
    client = connect(node_id="fine")
    await client.send(CLUSTER)
    await client.receive()
    refuse = world.view_of
    monkeypatch.setattr(world, "view_of", lambda node: refuse(type(node)(id=f"bad-{node.id}")))
    await server.reassign()
    assert len(server.problems()) == 1
    world.put(cluster("web", 9))
    assert names_in(await client.receive()) == ("cds", ["web"])


@pytest.mark.parametrize("variant", ["delta", "sotw"])
async def test_another_type_on_a_per_type_service(world, connect, neighbour, variant):
    world.put(endpoints("web"))
    client = connect(f"eds {variant}")
    await client.send(ENDPOINT, ["web"])
    await client.receive()
    await client.send(CLUSTER)
    code, text = await client.status()
    assert code == "INVALID_ARGUMENT"
    assert text == f"this stream carries {ENDPOINT} alone, not {CLUSTER}; open an ADS stream for several types"
    await neighbour()


async def test_an_aggregated_request_without_a_type(connect, neighbour):
    client = connect()
    await client.send("")
    assert await client.status() == ("INVALID_ARGUMENT", "a request on an aggregated (ADS) stream must carry `type_url`")
    await neighbour()


@pytest.mark.parametrize(
    "garbage", [b"\xff" * 100, b"\x0a\xff\xff\xff\xff\x0f", b"\x22\x02\xc3\x28"], ids=["noise", "length", "utf-8"]
)
@pytest.mark.parametrize("kind", ["ads delta", "ads sotw"])
async def test_garbage_instead_of_a_request(channel, neighbour, server, kind, garbage):
    client = Client(channel, kind, raw=True)
    await client.call.write(garbage)
    code, text = await client.status()
    assert code == "INVALID_ARGUMENT"
    assert text.startswith(f"a request on this {kind} stream cannot be decoded: ")
    await neighbour()
    assert server.counters.refused_streams == 1


async def test_a_request_of_a_type_that_nobody_serves(connect, server):
    client = connect("ads delta")
    await client.send("type.googleapis.com/no.such.Type", ["a"])
    assert list((await client.receive()).removed_resources) == ["a"]
    assert server.counters.requests == {"other": 1}


async def test_a_unary_fetch_is_not_served(channel):
    method = METHODS["eds sotw"].replace("StreamEndpoints", "FetchEndpoints")
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await channel.unary_unary(method)(b"")
    assert raised.value.code() == grpc.StatusCode.UNIMPLEMENTED


async def test_clients_that_vanish_leave_nothing(world, connect, server, neighbour):
    world.put(*(endpoints(f"s{number}") for number in range(100)))
    for cut in range(6):
        client = connect("ads delta", node_id=f"gone-{cut}")
        if cut:
            await client.send(ENDPOINT, [f"s{number}" for number in range(100)])
        if cut > 2:
            await client.receive()
        client.call.cancel()
    await eventually(lambda: len(server.streams()) == 1)
    await eventually(lambda: +world.users == {"eu": 1})
    await neighbour()


async def test_clients_that_vanish_before_the_first_sync_leave_nothing(world, connect, server):
    world.ready.clear()
    client = connect()
    await client.send(CLUSTER)
    await eventually(lambda: server.counters.streams_opened["ads delta"])
    client.call.cancel()
    await eventually(lambda: server.counters.streams_closed["ads delta"])
    assert not +world.users


@pytest.mark.parametrize("kind", ["eds delta", "eds sotw"])
async def test_a_client_that_does_not_read_gets_the_newest_state_and_costs_no_memory(world, server, neighbour, kind):
    world.put(bulky("web", 1))
    async with channel_to(server.bound, **{"grpc.http2.bdp_probe": 0, "grpc.max_receive_message_length": 1 << 30}) as channel:
        client = Client(channel, kind)
        await client.send(ENDPOINT, ["web"])
        first = await client.receive()
        if not client.delta:
            await client.ack(first, ["web"])
        for port in range(2, 1002):
            world.put(bulky("web", port) if port % 50 == 0 else endpoints("web", port))
            await asyncio.sleep(0)
        sent = server.counters.responses["eds"]
        ports = [port_of(first.resources[0])]
        while ports[-1] != 1001:
            response = await client.receive()
            ports.append(port_of(response.resources[0]))
            await client.ack(response, ["web"])
        assert ports == sorted(ports)
        assert len(ports) <= sent + 3 < 500
        (info,) = [info for info in server.streams() if info.service == "eds"]
        assert info.types[ENDPOINT].responses == len(ports)
    await neighbour()


async def test_a_client_that_vanishes_in_the_middle_of_a_write(world, server, neighbour):
    world.put(*(bulky(f"s{number}", 1) for number in range(30)))
    async with channel_to(server.bound) as channel:
        client = Client(channel, "eds delta")
        await client.send(ENDPOINT, [f"s{number}" for number in range(30)])
        await eventually(lambda: server.counters.requests["eds"])
        await asyncio.sleep(0.1)
        assert server.counters.responses["eds"] < 10  # it is stuck in a write
    await eventually(lambda: len(server.streams()) == 1)
    assert +world.users == {"eu": 1}
    await neighbour()
