"""Clients that send garbage, each over a stream or connection of its own; each sees that it ends as it must."""

from __future__ import annotations

import asyncio
import os
import random
from contextlib import suppress

import grpc
from test_lrs import METHOD as LRS
from xds_world import METHODS, Client, channel_to

from xds.wire import CLUSTER, ENDPOINT, envoy
from xds.wire.type_urls import PREFIX

CSDS = "/envoy.service.status.v3.ClientStatusDiscoveryService/StreamClientStatus"
KINDS = ("ads delta", "ads sotw", "eds delta", "eds sotw")
CHANCE = random.Random("garbage")
BULKY = [f"bulky{number}" for number in range(8)]
"""Names of resources of a megabyte each that the world must have, beside the cluster `web`."""
TLS_HELLO = bytes.fromhex("1603010200010001fc0303") + bytes(range(256)) * 2
H2 = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


async def ends(client, expected, text=""):
    """See how the server ends a stream, after whatever it was still sent."""
    with suppress(grpc.aio.AioRpcError):
        while await client.receive() is not grpc.aio.EOF:
            pass
    code, details = await client.status()
    assert code == expected, (code, details)
    assert text in details, details


async def raw_stream(channel, method, *messages):
    """Send messages on a stream and half-close it; return its status."""
    call = channel.stream_stream(method)()
    async with asyncio.timeout(20):
        with suppress(grpc.aio.AioRpcError, asyncio.InvalidStateError):  # ended by the server: that is what its status is about
            for message in messages:
                await call.write(message)
            await call.done_writing()
            while await call.read() is not grpc.aio.EOF:
                pass
        return (await call.code()).name


async def noise(channel, address):
    """Random bytes: few of them happen to be a message, and none of those has a node."""
    for kind in KINDS:
        for length in (1, 10, 1000, 100_000):
            assert await raw_stream(channel, METHODS[kind], CHANCE.randbytes(length)) == "INVALID_ARGUMENT"


async def broken_messages(channel, address):
    """Requests that are cut off, changed in some bytes, or messages of another type."""
    whole = envoy.DeltaDiscoveryRequest(node=envoy.Node(id="cut"), type_url=CLUSTER, resource_names_subscribe=["web"] * 9)
    whole.node.locality.region = "eu"
    data = whole.SerializeToString()
    expected = {"OK", "INVALID_ARGUMENT", "RESOURCE_EXHAUSTED"}
    for kind in KINDS:
        for _ in range(10):
            changed = bytearray(data)
            for _ in range(3):
                changed[CHANCE.randrange(len(data))] = CHANCE.randrange(256)
            assert await raw_stream(channel, METHODS[kind], data[: CHANCE.randrange(len(data))]) in expected
            assert await raw_stream(channel, METHODS[kind], bytes(changed)) in expected
        other = envoy.Cluster(name="web", connect_timeout={"seconds": 1}).SerializeToString()
        assert await raw_stream(channel, METHODS[kind], other) == "INVALID_ARGUMENT"


async def absurd_types(channel, address):
    """Any type URL is a type, of which there is nothing; those without a name, or far too long, are none."""
    for url in ("x", "/", "\x00", "type.googleapis.com/", PREFIX + "é", "http://[::1]:99999/%00", CLUSTER + "x", "x" * 512):
        client = Client(channel, "ads delta")
        await client.send(url, ["a"])
        assert list((await client.receive()).removed_resources) == ["a"]
        client.call.cancel()
        client = Client(channel, "eds sotw")
        await client.send(url, ["a"])
        await ends(client, "INVALID_ARGUMENT", text="this stream carries")
    client = Client(channel, "ads sotw")
    await client.send("x" * 1_000_000, ["a"])
    await ends(client, "RESOURCE_EXHAUSTED", text="`type_url` has 1000000 characters")


async def thousands_of_types(channel, address):
    for kind in ("ads delta", "ads sotw"):
        client = Client(channel, kind)
        for number in range(65):
            await client.send(f"{PREFIX}t{number}", ["a"])
        await ends(client, "RESOURCE_EXHAUSTED", text="more than 64 types")


async def absurd_nonces(channel, address):
    """They are ignored: the stream goes on, and what rides on them counts."""
    for kind in ("ads delta", "ads sotw"):
        client = Client(channel, kind)
        await client.send(CLUSTER, ["*"], response_nonce="999")
        response = await client.receive()
        for nonce in ("0", "-1", "9" * 1000, "²", "\x00", response.nonce + " ", "x" * 1_000_000):
            await client.send(CLUSTER, [] if client.delta else ["*"], response_nonce=nonce)
            await client.send(CLUSTER, [] if client.delta else ["*"], response_nonce=nonce, error_detail={"message": "x" * 1000})
        await client.ack(response, ["*"])
        await client.send(ENDPOINT, [BULKY[0]], response_nonce="never")
        while (await client.receive()).type_url != ENDPOINT:  # meanwhile clusters change
            pass
        client.call.cancel()


async def a_million_names(channel, address):
    names = [f"s{number}" for number in range(1_000_000)]
    for kind in ("ads delta", "eds sotw"):
        client = Client(channel, kind)
        await client.send(ENDPOINT, names)
        await ends(client, "RESOURCE_EXHAUSTED", text="names 1000000 resources; 200000 is the limit")


async def a_million_names_in_pieces(channel, address):
    """As many as are allowed are answered; the first piece beyond that ends the stream."""
    client = Client(channel, "ads delta")
    for piece in range(3):
        names = [f"service-{piece}-{number}" for number in range(90_000)]
        await client.send(ENDPOINT, names)
        if piece < 2:
            removed = 0
            while removed < len(names):
                removed += len((await client.receive()).removed_resources)
    await ends(client, "RESOURCE_EXHAUSTED", text="names 270000 resources; 200000 is the limit")


async def huge_names(channel, address):
    for kind in ("ads delta", "ads sotw"):
        client = Client(channel, kind)
        await client.send(ENDPOINT, ["x" * 10_000_000])
        await ends(client, "RESOURCE_EXHAUSTED", text="a resource name has 10000000 characters")
    client = Client(channel, "ads delta")
    await client.send(ENDPOINT, initial_resource_versions={"a": "1" * 10_000_000})
    await ends(client, "RESOURCE_EXHAUSTED", text="the version of a resource has 10000000 characters")


async def huge_nodes(channel, address):
    client = Client(channel, "ads delta")
    for number in range(50_000):
        client.node.metadata[f"key-{number}"] = "x" * 50
    await client.send(CLUSTER)
    await ends(client, "RESOURCE_EXHAUSTED", text="leave out of its metadata")
    client = Client(channel, "ads sotw", node_id="x" * 100_000)
    await client.send(CLUSTER)
    await ends(client, "RESOURCE_EXHAUSTED", text="`node.id` has 100000 characters")
    for depth in (20, 2_000):  # protobuf allows 100 levels of messages
        node = envoy.Node(id="deep", locality={"region": "eu"})
        message = envoy.DeltaDiscoveryRequest(node=node, type_url=CLUSTER).SerializeToString() + _nested_metadata(depth)
        assert await raw_stream(channel, METHODS["ads delta"], message) == ("OK" if depth == 20 else "INVALID_ARGUMENT")


def _nested_metadata(depth):
    """Return the bytes of a `node` whose metadata are lists in lists; merged into the node that stands before it."""
    value = b""
    for _ in range(depth):
        value = _field(0x32, _field(0x0A, value))  # Value.list_value, ListValue.values
    return _field(0x0A, _field(0x1A, _field(0x0A, _field(0x0A, b"deep") + _field(0x12, value))))


def _field(tag, data):
    length, number = bytearray(), len(data)
    while number >= 0x80:
        length.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes((tag, *length, number)) + data


async def a_message_too_large(channel, address):
    client = Client(channel, "ads delta", raw=True)
    await client.call.write(bytes(33 << 20))
    await ends(client, "RESOURCE_EXHAUSTED")


async def endless_errors(channel, address):
    client = Client(channel, "ads delta")
    await client.send(ENDPOINT, BULKY[:1])
    for _ in range(3):
        await client.ack(await client.receive(), error="x" * 8_000_000)
        await client.send(ENDPOINT, BULKY[:1])
    await client.receive()
    client.call.cancel()


async def half_closed_streams(channel, address):
    """What was asked before is answered; then the stream ends with OK."""
    for kind in KINDS:
        assert await raw_stream(channel, METHODS[kind]) == "OK"
        client = Client(channel, kind)
        await client.send(ENDPOINT, BULKY[:2])
        await client.call.done_writing()
        assert len((await client.receive()).resources) >= 1
        await ends(client, "OK")


async def vanishing_clients(channel, address):
    """Those that reset their stream in the middle of responses, that never read, and that never send."""
    for kind in KINDS:
        for reads in (0, 1):
            client = Client(channel, kind)
            await client.send(ENDPOINT, BULKY)
            if reads:
                await client.receive()
            client.call.cancel()
        channel.stream_stream(METHODS[kind])().cancel()
    async with channel_to(address) as other:  # goes with its streams open
        silent = [other.stream_stream(METHODS[kind])() for kind in KINDS]
        deaf = [Client(other, kind) for kind in KINDS]
        for client in deaf:
            await client.send(ENDPOINT, BULKY)
        await asyncio.sleep(0.1)
        assert not any(call.done() for call in silent)


async def other_protocols(channel, address):
    """HTTP/1.1, TLS, noise, and HTTP/2 that goes wrong: the connection ends, or waits for more and is closed by the client."""
    host, _, port = address.rpartition(":")
    frames = [
        b"\x00\x40\x00\x00\x00\x00\x00\x00\x01" + b"x" * 0x4000,  # data of a stream that was never opened
        b"\xff\xff\xff\x01\x05\x00\x00\x00\x01" + b"x" * 1000,  # headers of 16 MiB
        b"\x00\x00\x05\x01\x05\x00\x00\x00\x01" + b"\xff" * 5,  # headers that cannot be decompressed
        b"\x00\x00\x04\x08\x00\x00\x00\x00\x00\x00\x00\x00\x00" * 1000,  # window updates by nothing
        os.urandom(5000),
    ]
    beginnings = [b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", TLS_HELLO, b"", b"\x00" * 100_000, os.urandom(10_000), H2]
    for data in (*beginnings, *(H2 + b"\x00\x00\x00\x04\x00\x00\x00\x00\x00" + frame for frame in frames)):
        reader, writer = await asyncio.open_connection(host, int(port))
        with suppress(TimeoutError, ConnectionError):
            writer.write(data)
            async with asyncio.timeout(0.2):
                await reader.read()
        writer.transport.abort()


async def other_services(channel, address):
    """Garbage for LRS and CSDS."""
    node = envoy.Node(id="huge", locality={"region": "eu"}, metadata={"x": "x" * 1_000_000})
    assert await raw_stream(channel, LRS, envoy.LoadStatsRequest(node=node).SerializeToString()) == "RESOURCE_EXHAUSTED"
    node.ClearField("metadata")
    report = envoy.LoadStatsRequest(node=node)
    for number in range(10_000):
        report.cluster_stats.add(cluster_name="web").upstream_locality_stats.add(
            locality={"region": f"{number}" * 100}, total_issued_requests=2**64 - 1
        )
    assert await raw_stream(channel, LRS, *[report.SerializeToString()] * 3) == "OK"
    for length in (1, 1000):
        assert await raw_stream(channel, LRS, b"\xff" * length) == "INVALID_ARGUMENT"
        assert await raw_stream(channel, CSDS, b"\xff" * length) == "INVALID_ARGUMENT"


ZOO = (
    noise,
    broken_messages,
    absurd_types,
    thousands_of_types,
    absurd_nonces,
    a_million_names,
    a_million_names_in_pieces,
    huge_names,
    huge_nodes,
    a_message_too_large,
    endless_errors,
    half_closed_streams,
    vanishing_clients,
    other_protocols,
    other_services,
)
