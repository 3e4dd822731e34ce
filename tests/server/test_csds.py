"""Client status, as stock tools ask for it, over real gRPC."""

import grpc
import pytest
from xds_world import channel_to, cluster, endpoints, eventually

from xds.server import Limits
from xds.server.csds import ClientStatus
from xds.snapshot.resource import Resource
from xds.wire import CLUSTER, ENDPOINT, SECRET, envoy, pack, to_bytes

SERVICE = "/envoy.service.status.v3.ClientStatusDiscoveryService"


async def fetch(channel, **request):
    ask = channel.unary_unary(
        f"{SERVICE}/FetchClientStatus",
        request_serializer=envoy.ClientStatusRequest.SerializeToString,
        response_deserializer=envoy.ClientStatusResponse.FromString,
    )
    return (await ask(envoy.ClientStatusRequest(**request), timeout=10)).config


async def entries(channel):
    """Return (type, name) -> entry of the only client."""
    (config,) = await fetch(channel)
    return {(entry.type_url, entry.name): entry for entry in config.generic_xds_configs}


def standing(entry):
    client, config = envoy.ClientResourceStatus.Name(entry.client_status), envoy.ConfigStatus.Name(entry.config_status)
    return client, config


async def test_nobody_is_connected(server, channel):
    assert list(await fetch(channel)) == []


async def test_what_was_sent_and_accepted(world, server, channel, connect):
    web = cluster("web")
    world.put(web)
    client = connect()
    await client.send(CLUSTER)
    response = await client.receive()
    entry = (await entries(channel))[CLUSTER, "web"]
    assert standing(entry) == ("REQUESTED", "STALE")
    await client.ack(response)
    await client.send(ENDPOINT, ["web"])
    await client.receive()
    found = await entries(channel)
    entry = found[CLUSTER, "web"]
    assert standing(entry) == ("ACKED", "SYNCED")
    assert (entry.version_info, entry.xds_config) == (web.version, envoy.Any(type_url=CLUSTER, value=web.body))
    assert entry.last_updated.ToSeconds() > 1_700_000_000
    assert standing(found[ENDPOINT, "web"])[0] == "DOES_NOT_EXIST"


async def test_what_was_rejected_and_what_is_in_force(world, server, channel, connect):
    old, bad = cluster("web"), cluster("web", 9)
    world.put(old)
    client = connect()
    await client.send(CLUSTER)
    await client.ack(await client.receive())
    world.put(bad)
    await client.ack(await client.receive(), error="web: 9 s is too long")
    await eventually(lambda: sum(server.counters.nacks.values()))
    entry = (await entries(channel))[CLUSTER, "web"]
    assert standing(entry) == ("NACKED", "ERROR")
    assert (entry.version_info, entry.HasField("xds_config")) == (old.version, False)
    failure = entry.error_state
    assert (failure.details, failure.version_info) == ("web: 9 s is too long", bad.version)
    assert failure.failed_configuration == envoy.Any(type_url=CLUSTER, value=bad.body)
    assert failure.last_update_attempt.ToSeconds() > 1_700_000_000


async def test_the_node_and_what_tells_its_streams_apart(world, server, channel, connect):
    world.put(cluster("web"), endpoints("web"))
    first, second = connect(node_id="b"), connect("eds sotw", node_id="a")
    await first.send(CLUSTER)
    await second.send(ENDPOINT, ["web"])
    for client in (first, second):
        await client.receive()
    configs = await fetch(channel)
    assert [(config.node.id, config.client_scope) for config in configs] == [("a", "a eds sotw"), ("b", "b ads delta")]
    assert configs[0].node.locality.region == "eu"
    (config,) = await fetch(channel, node_matchers=[{"node_id": {"exact": "a"}}])
    assert config.node.id == "a"


async def test_contents_can_be_left_out(world, server, channel, connect):
    world.put(cluster("web"))
    client = connect()
    await client.send(CLUSTER)
    await client.receive()
    ((entry,),) = [config.generic_xds_configs for config in await fetch(channel, exclude_resource_contents=True)]
    assert (entry.name, entry.HasField("xds_config")) == ("web", False)


async def test_secrets_are_left_out(world, server, channel, connect):
    secret = envoy.Secret(name="cert")
    secret.tls_certificate.private_key.inline_string = "PLANTED"
    context = envoy.UpstreamTlsContext()
    context.common_tls_context.tls_certificates.add().CopyFrom(secret.tls_certificate)
    message = envoy.Cluster(name="web")
    message.transport_socket.typed_config.CopyFrom(pack(context))
    opaque = Resource.of("type.googleapis.com/a.B", "x", b"PLANTED")
    world.put(Resource.of(SECRET, "cert", to_bytes(secret)), Resource.of(CLUSTER, "web", to_bytes(message)), opaque)
    client = connect()
    for type_url, names in ((CLUSTER, ()), (SECRET, ["cert"]), (opaque.type_url, ["x"])):
        await client.send(type_url, names)
        await client.receive()
    configs = await fetch(channel)
    assert {entry.name for entry in configs[0].generic_xds_configs} == {"web", "cert", "x"}
    text = b"".join(config.SerializeToString() for config in configs)
    assert b"PLANTED" not in text
    assert b"[redacted]" in text


async def test_a_stream_of_questions(world, server, channel):
    ask = channel.stream_stream(
        f"{SERVICE}/StreamClientStatus",
        request_serializer=envoy.ClientStatusRequest.SerializeToString,
        response_deserializer=envoy.ClientStatusResponse.FromString,
    )()
    for _ in range(2):
        await ask.write(envoy.ClientStatusRequest())
        assert list((await ask.read()).config) == []
    await ask.done_writing()
    assert await ask.read() is grpc.aio.EOF


async def test_a_matcher_that_is_not_evaluated(server, channel):
    with pytest.raises(grpc.aio.AioRpcError, match="node_id safe_regex is not supported") as raised:
        await fetch(channel, node_matchers=[{"node_id": {"safe_regex": {"regex": "."}}}])
    assert raised.value.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_too_many_matchers(server, channel):
    with pytest.raises(grpc.aio.AioRpcError, match="the request has 100000, more than 100; ask in several requests") as raised:
        await fetch(channel, node_matchers=[envoy.NodeMatcher()] * 100_000)
    assert raised.value.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_an_answer_that_is_too_large(world, server, connect):
    world.put(cluster("web"))
    client = connect()
    await client.send(CLUSTER)
    await client.receive()
    small = grpc.aio.server()
    small.add_generic_rpc_handlers((ClientStatus(server._board.clients, Limits(), response_bytes=10).handler(),))
    port = small.add_insecure_port("127.0.0.1:0")
    await small.start()
    try:
        async with channel_to(f"127.0.0.1:{port}") as channel:
            with pytest.raises(grpc.aio.AioRpcError, match="set exclude_resource_contents") as raised:
                await fetch(channel)
    finally:
        await small.stop(1)
    assert raised.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


@pytest.mark.parametrize("method", ["FetchClientStatus", "StreamClientStatus"])
async def test_garbage_is_told_so(server, channel, method):
    call = getattr(channel, "unary_unary" if method.startswith("Fetch") else "stream_stream")(f"{SERVICE}/{method}")
    call = call(b"\xff" * 9) if method.startswith("Fetch") else call(iter([b"\xff" * 9]))
    assert await call.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert (await call.details()).startswith("the request cannot be decoded: ")


async def test_deep_metadata_of_one_client_spoil_the_answer_for_nobody(server, channel, connect):
    client = connect()
    inner = client.node.metadata.fields["isthmus"].struct_value.fields["labels"].struct_value.fields["deep"]
    for _ in range(45):
        inner = inner.list_value.values.add()
    await client.send(CLUSTER)
    await client.receive()
    (config,) = await fetch(channel)
    assert config.node.id == "web-1"
