"""Streams over a real socket: what well-behaved clients of every kind are sent."""

from __future__ import annotations

import asyncio

import grpc
import pytest
from xds_world import METHODS, Client, bulky, channel_to, cluster, endpoints, eventually, names_in, port_of

from xds.snapshot.resource import Resource
from xds.wire import CLUSTER, ENDPOINT, SHORT_NAMES


async def test_delta_ads(world, connect):
    world.put(cluster("web"), endpoints("web", 80))
    client = connect("ads delta")
    await client.send(CLUSTER)
    first = await client.receive()
    assert names_in(first) == ("cds", ["web"])
    await client.ack(first)
    await client.send(ENDPOINT, ["web"])
    second = await client.receive()
    assert (names_in(second), port_of(second.resources[0])) == (("eds", ["web"]), 80)
    await client.ack(second)
    await client.silence()
    world.put(endpoints("web", 81))
    third = await client.receive()
    assert (names_in(third), port_of(third.resources[0])) == (("eds", ["web"]), 81)
    assert len({first.nonce, second.nonce, third.nonce}) == 3
    world.put(gone=[(CLUSTER, "web")])
    assert list((await client.receive()).removed_resources) == ["web"]


async def test_sotw_ads(world, connect):
    world.put(cluster("web"), endpoints("web", 80))
    client = connect("ads sotw")
    await client.send(CLUSTER)
    first = await client.receive()
    assert (first.type_url, len(first.resources), bool(first.version_info)) == (CLUSTER, 1, True)
    await client.ack(first)
    await client.send(ENDPOINT, ["web"])
    second = await client.receive()
    await client.ack(second, ["web"])
    await client.silence()
    world.put(endpoints("web", 81))
    third = await client.receive()
    assert [port_of(response.resources[0]) for response in (second, third)] == [80, 81]
    assert third.version_info != second.version_info


@pytest.mark.parametrize("kind", sorted(set(METHODS) - {"ads delta", "ads sotw"}))
async def test_per_type_services_know_their_type(world, connect, kind):
    type_url = SHORT_NAMES[kind.partition(" ")[0]]
    world.put(*(Resource.of(url, "web", b"") for url in SHORT_NAMES.values()))
    client = connect(kind)
    await client.send(names=["web"])  # the type URL is implied by the service
    response = await client.receive()
    assert (response.type_url, len(response.resources)) == (type_url, 1)
    await client.silence()


def test_every_type_with_a_short_name_has_a_service():
    expected = {f"{name} {variant}" for name in ("ads", *SHORT_NAMES) for variant in ("delta", "sotw")}
    assert set(METHODS) == expected - {"vhds sotw"}  # which Envoy does not have either


async def test_a_reconnecting_delta_client_is_sent_only_what_it_lacks(world, connect):
    old, new = endpoints("old"), endpoints("new")
    world.put(old, new)
    client = connect("eds delta")
    await client.send(ENDPOINT, ["old", "new"], initial_resource_versions={"old": old.version, "new": "other"})
    assert names_in(await client.receive()) == ("eds", ["new"])
    await client.silence()


async def test_nothing_is_answered_before_the_first_sync(world, connect):
    world.ready.clear()
    client = connect("ads delta")
    await client.send(CLUSTER)
    await client.silence()
    world.put(cluster("web"))
    world.ready.set()
    assert names_in(await client.receive()) == ("cds", ["web"])


async def test_two_streams_may_have_one_node_id(world, connect, server):
    world.put(cluster("web"))
    both = [connect("ads delta", node_id="twin"), connect("ads sotw", node_id="twin")]
    for client in both:
        await client.send(CLUSTER)
        assert len((await client.receive()).resources) == 1
    assert sorted((info.node_id, info.kind) for info in server.streams()) == [("twin", "delta"), ("twin", "sotw")]
    both[0].call.cancel()
    await eventually(lambda: [info.kind for info in server.streams()] == ["sotw"])
    assert +world.users == {"eu": 1}


async def test_views_are_kept_apart(world, connect):
    here, there = connect(region="eu"), connect(region="us")
    for client in (here, there):
        await client.send(CLUSTER)
        assert names_in(await client.receive()) == ("cds", [])
    world.put(cluster("only-us"), view="us")
    assert names_in(await there.receive()) == ("cds", ["only-us"])
    await here.silence()


class Recorder:
    """gRPC's side of a stream, which keeps what is written."""

    def __init__(self, context, written):
        self.context, self.written = context, written

    def __getattr__(self, name):
        return getattr(self.context, name)

    async def write(self, body):
        self.written.append(body)
        await self.context.write(body)


async def test_the_streams_of_a_view_are_written_the_same_bytes_object(world, connect, server, monkeypatch):
    written = []
    serve = server._board.serve
    monkeypatch.setattr(server._board, "serve", lambda kind, context: serve(kind, Recorder(context, written)))
    names = [f"s{number}" for number in range(50)]
    world.put(*map(endpoints, names))
    clients = [connect("eds delta", node_id=f"n{number}") for number in range(3)]
    for client in clients:
        await client.send(ENDPOINT, names)
        await client.ack(await client.receive())
    world.put(endpoints("s7", 8080))
    for client in clients:
        await client.receive()
    assert len(written) == 6
    assert len({id(body) for body in written}) == 2


async def test_a_nack_is_counted_logged_and_told(world, connect, server, nacks):
    world.put(cluster("web"))
    client = connect("ads delta", node_id="picky")
    await client.send(CLUSTER)
    response = await client.receive()
    await client.ack(response, error="no such thing")
    await eventually(lambda: nacks)
    ((node_id, view, nack),) = nacks
    assert (node_id, view, nack.type_url, nack.error) == ("picky", "eu", CLUSTER, "no such thing")
    assert [resource.name for resource in nack.resources] == ["web"]
    assert server.counters.nacks == {"cds": 1}
    await client.silence()  # not sent again until it changes
    world.put(cluster("web", 2))
    assert names_in(await client.receive()) == ("cds", ["web"])


async def test_streams_whose_clients_reject_something_are_told_apart(world, connect, server, nacks):
    world.put(cluster("web"))
    picky, content = connect("ads delta", node_id="picky"), connect("ads delta", node_id="content")
    for client, error in ((picky, "no such thing"), (content, "")):
        await client.send(CLUSTER)
        await client.ack(await client.receive(), error=error)
    await eventually(lambda: nacks and server.counters.requests["cds"] == 4)
    assert [info.node_id for info in server.rejecting()] == ["picky"]
    picky.call.cancel()
    await eventually(lambda: not server.rejecting())


async def test_a_moved_node_is_sent_what_differs(world, connect, server):
    world.put(cluster("same"), cluster("theirs"), view="us")
    world.put(cluster("same"), cluster("ours"), view="eu")
    client = connect(region="eu")
    await client.send(CLUSTER)
    await client.receive()
    world.view_names["eu"] = "us"
    await server.reassign()
    changes = [await client.receive() for _ in range(2)]
    assert (names_in(changes[0]), list(changes[1].removed_resources)) == (("cds", ["theirs"]), ["ours"])
    world.put(cluster("late"), view="us")
    assert names_in(await client.receive()) == ("cds", ["late"])
    assert +world.users == {"us": 1}
    assert [info.view for info in server.streams()] == ["us"]


async def test_reassigning_what_stays_sends_nothing(world, connect, server):
    world.put(cluster("web"))
    client = connect()
    await client.send(CLUSTER)
    await client.receive()
    await server.reassign()
    await client.silence()


async def test_counters_and_infos(world, connect, server):
    world.put(cluster("web"))
    client = connect("ads delta")
    await client.send(CLUSTER)
    response = await client.receive()
    await client.ack(response)
    await client.send(CLUSTER, response_nonce="never sent")
    await eventually(lambda: server.counters.requests["cds"] == 3)
    counters = server.counters
    assert (counters.streams_opened, counters.responses, counters.stale_nonces) == ({"ads delta": 1}, {"cds": 1}, {"cds": 1})
    assert counters.response_bytes == {"cds": response.ByteSize()}
    (info,) = server.streams()
    assert (info.node_id, info.view, info.service, info.kind, info.peer[:5]) == ("web-1", "eu", "ads", "delta", "ipv4:")
    assert info.types[CLUSTER].state == "SYNCED"


async def test_half_close_still_gets_its_answer_and_then_ok(world, connect, server):
    world.put(cluster("web"))
    client = connect("ads sotw")
    await client.send(CLUSTER)
    await client.call.done_writing()
    assert len((await client.receive()).resources) == 1
    assert await client.receive() is grpc.aio.EOF
    assert (await client.status())[0] == "OK"
    await eventually(lambda: not server.streams())
    assert not +world.users


async def test_half_close_answers_what_was_asked_during_a_write(world, connect, server):
    big = [bulky(f"s{number}", 1) for number in range(8)]
    world.put(*big, cluster("last"))
    client = connect("ads delta")
    await client.send(ENDPOINT, [resource.name for resource in big])
    await eventually(lambda: server.counters.requests["eds"])
    await client.send(CLUSTER)
    await client.call.done_writing()
    types = []
    while (response := await client.receive()) is not grpc.aio.EOF:
        types.append(response.type_url)
    assert types[-1] == CLUSTER
    assert (await client.status())[0] == "OK"


async def test_two_hundred_streams_hear_of_one_change(world, server):
    world.put(cluster("web"), endpoints("web", 1))
    channels = [channel_to(server.bound) for _ in range(20)]
    clients = [Client(channels[number % 20], "ads delta", node_id=f"n{number}") for number in range(200)]

    async def sync(client):
        await client.send(ENDPOINT, ["web"])
        await client.ack(await client.receive())

    await asyncio.gather(*map(sync, clients))
    loop = asyncio.get_running_loop()
    took_s = []
    for port in range(2, 12):
        begun = loop.time()
        world.put(endpoints("web", port))
        responses = await asyncio.gather(*(client.receive() for client in clients))
        took_s.append(loop.time() - begun)
        assert {port_of(response.resources[0]) for response in responses} == {port}
        assert len({response.nonce for response in responses}) == 1  # one body for all
        await asyncio.gather(*(client.ack(response) for client, response in zip(clients, responses, strict=True)))
    print(
        f"one change to 200 streams, client included: median {sorted(took_s)[5] * 1000:.1f} ms, best {min(took_s) * 1000:.1f} ms"
    )
    for open_channel in channels:
        await open_channel.close()


async def test_what_a_client_quotes_of_a_secret_is_neither_kept_nor_logged(world, server, connect, nacks, capsys):
    world.put(cluster("web"))
    client = connect()
    await client.send(CLUSTER)
    text = 'bad private_key { inline_string: "PLANTED" } -----BEGIN PRIVATE KEY-----PLANTED-----END PRIVATE KEY-----'
    await client.ack(await client.receive(), error=text)
    await eventually(lambda: nacks)
    (info,) = server.streams()
    kept = info.types[CLUSTER].nack_error
    assert kept == 'bad private_key { inline_string: "[redacted]" } [redacted]'
    assert nacks[0][2].error == kept
    logged = capsys.readouterr().out
    assert "response rejected" in logged
    assert "PLANTED" not in logged
