"""What one stream may ask for is bounded; what is beyond ends that stream with a text that says why, and no other."""

from __future__ import annotations

import asyncio

import pytest
from xds_world import Client, World, channel_to, cluster, endpoints, names_in, serving

from xds.server import Limits
from xds.server.lifetimes import Silence
from xds.wire import CLUSTER, ENDPOINT

LIMITS = Limits(names=100, name_chars=50, version_chars=40, node_bytes=1000, types=5, type_url_chars=80)
IMPATIENT = Limits(first_request_s=0.2)


@pytest.fixture
async def bounded():
    """A channel to a server with small limits, whose healthy client must be served to the end."""
    world = World()
    world.put(cluster("web"), endpoints("web"))
    async with serving(world, limits=LIMITS) as server, channel_to(server.bound) as channel:
        neighbour = Client(channel, "ads delta", node_id="neighbour")
        await neighbour.send(CLUSTER)
        await neighbour.receive()
        channel.server = server
        yield channel
        world.put(cluster("web", 2))
        assert names_in(await neighbour.receive()) == ("cds", ["web"])
        assert server.counters.refused_streams == 1
    assert not +world.users


async def refused(client, code="RESOURCE_EXHAUSTED"):
    found, text = await client.status()
    assert found == code, text
    return text


@pytest.mark.parametrize("kind", ["ads delta", "eds sotw"])
async def test_a_stream_that_says_nothing(bounded, kind, monkeypatch):
    silence = Silence(IMPATIENT.first_request_s)  # from now on: the neighbour has said something
    monkeypatch.setattr(bounded.server._board, "silence", silence)
    client = Client(bounded, kind)
    asyncio.ensure_future(client.call.read()).add_done_callback(lambda done: done.exception())
    assert await refused(client, "DEADLINE_EXCEEDED") == (
        "no request within 0.2 s of the stream's beginning; open a stream when there is something to ask for"
    )


@pytest.mark.parametrize(
    "method",
    [
        "envoy.service.load_stats.v3.LoadReportingService/StreamLoadStats",
        "envoy.service.status.v3.ClientStatusDiscoveryService/StreamClientStatus",
    ],
)
async def test_a_stream_of_another_service_that_says_nothing(method):
    async with serving(World(), limits=IMPATIENT) as server, channel_to(server.bound) as channel, asyncio.timeout(5):
        call = channel.stream_stream(f"/{method}")()
        await call.wait_for_connection()
        assert (await call.code()).name == "DEADLINE_EXCEEDED"
        assert (await call.details()).startswith("no request within 0.2 s of the stream's beginning; ")


@pytest.mark.parametrize("kind", ["ads delta", "ads sotw"])
async def test_too_many_names_in_one_request(bounded, kind):
    client = Client(bounded, kind)
    await client.send(ENDPOINT, [f"s{number}" for number in range(101)])
    assert await refused(client) == (
        "this stream names 101 resources; 100 is the limit: subscribe to fewer, to '*', or over several streams"
    )


async def test_too_many_names_in_several_requests_and_types(bounded):
    client = Client(bounded, "ads delta")
    for number in range(5):
        await client.send((CLUSTER, ENDPOINT)[number % 2], [f"s{number}-{item}" for item in range(20)])
        await client.receive()
    await client.send(ENDPOINT, [f"s0-{item}" for item in range(20)], resource_names_unsubscribe=["s1-0"])
    assert "names 119 resources" in await refused(client)


async def test_names_that_are_given_back_do_not_count(bounded):
    client = Client(bounded, "ads delta")
    for number in range(5):
        names = [f"s{number}-{item}" for item in range(90)]
        before = [f"s{number - 1}-{item}" for item in range(90)]
        await client.send(ENDPOINT, names, resource_names_unsubscribe=before)
        assert sorted((await client.receive()).removed_resources) == sorted(names)
    await client.send(ENDPOINT, ["x" * 51])
    assert await refused(client) == "a resource name has 51 characters, more than the 50 that one may have"


@pytest.mark.parametrize("field", ["resource_names_unsubscribe", "initial_resource_versions"])
async def test_too_many_names_anywhere_else(bounded, field):
    names = [f"s{number}" for number in range(101)]
    client = Client(bounded, "ads delta")
    await client.send(CLUSTER, **{field: dict.fromkeys(names, "1") if field.startswith("initial") else names})
    assert "names 101 resources" in await refused(client)


async def test_what_a_client_says_it_holds_counts_over_all_types(bounded):
    client = Client(bounded, "ads delta")
    held = {f"s{number}": "1" for number in range(60)}
    # It may subscribe to all of that by name as well.
    await client.send(ENDPOINT, [*held], initial_resource_versions=held)
    await client.receive()
    await client.send(CLUSTER, ["*"], initial_resource_versions=held)
    assert await refused(client) == (
        "this stream has 120 `initial_resource_versions`; 100 is the limit: hold fewer, or over several streams"
    )


@pytest.mark.parametrize(
    ("versions", "words"),
    [
        ({"x" * 51: "1"}, "a resource name has 51 characters, more than the 50 that one may have"),
        ({"a": "1" * 41}, "the version of a resource has 41 characters, more than the 40 that one may have"),
    ],
    ids=["name", "version"],
)
async def test_long_names_and_versions_that_a_client_says_it_holds(bounded, versions, words):
    client = Client(bounded, "ads delta")
    await client.send(ENDPOINT, ["a"], initial_resource_versions=versions)
    assert await refused(client) == words


@pytest.mark.parametrize("kind", ["ads delta", "ads sotw"])
async def test_a_node_with_much_to_say(bounded, kind):
    client = Client(bounded, kind)
    client.node.metadata["notes"] = "x" * 1000
    await client.send(CLUSTER)
    text = await refused(client)
    assert text.startswith("`node` has 10")
    assert text.endswith("bytes, more than 1000: leave out of its metadata what is not for the control plane")


async def test_a_long_node_id(bounded):
    client = Client(bounded, "ads delta", node_id="x" * 51)
    await client.send(CLUSTER)
    assert await refused(client) == "`node.id` has 51 characters, more than the 50 that one may have"


async def test_too_many_types(bounded):
    client = Client(bounded, "ads sotw")
    for number in range(6):
        await client.send(f"type.googleapis.com/t{number}", ["a"])
    assert await refused(client) == "this stream asks for more than 5 types; open another one for further types"


async def test_a_long_type_url(bounded):
    client = Client(bounded, "ads delta")
    await client.send("type.googleapis.com/" + "x" * 61, ["a"])
    assert await refused(client) == "`type_url` has 81 characters, more than 80"


async def test_too_many_streams_on_one_connection_wait():
    world = World()
    world.put(cluster("web"))
    async with serving(world, limits=Limits(streams_per_connection=2)) as server, channel_to(server.bound) as channel:
        clients = [Client(channel, "ads delta", node_id=f"n{number}") for number in range(2)]
        for client in clients:
            await client.send(CLUSTER)
            await client.receive()
        clients.append(Client(channel, "ads delta", node_id="n2"))
        sending = asyncio.ensure_future(clients[2].send(CLUSTER))
        await asyncio.sleep(0.1)
        assert server.open_streams == 2
        clients[0].call.cancel()
        await sending
        assert names_in(await clients[2].receive()) == ("cds", ["web"])


async def test_a_million_subscriptions(connect, server):
    client = connect("ads delta")
    await client.send(ENDPOINT, [f"s{number}" for number in range(1_000_000)])
    assert "names 1000000 resources; 200000 is the limit" in (await client.status())[1]
