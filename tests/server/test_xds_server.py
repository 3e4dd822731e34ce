"""The server as a whole: addresses, health, reflection, stop."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import grpc
import pytest
from grpc_channelz.v1 import channelz_pb2, channelz_pb2_grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from xds_world import Client, World, channel_to, cluster, eventually, serving

from xds.errors import XdsError
from xds.protocol import Encoder
from xds.server import Limits, ListenError, XdsServer, csds, lrs
from xds.server.address import check_listenable
from xds.server.ending import StreamEndError
from xds.server.services import SERVICES
from xds.wire import CLUSTER, ENDPOINT

Status = health_pb2.HealthCheckResponse.ServingStatus


async def check(channel, service=""):
    answer = await health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(service=service))
    return Status.Name(answer.status)


async def test_a_port_in_use_is_one_clear_error(server):
    second = XdsServer(World(), Encoder("test"), [server.bound])
    with pytest.raises(ListenError, match=f"cannot serve xDS on '{server.bound}': another program listens there") as raised:
        await second.start()
    assert isinstance(raised.value, XdsError)
    await second.stop(0)  # nothing to do


async def test_several_addresses_and_unix_sockets(tmp_path):
    world = World()
    world.put(cluster("web"))
    async with serving(world, "127.0.0.1:0", f"unix:{tmp_path}/xds") as server:
        assert server.bound_to[1] == f"unix:{tmp_path}/xds"
        for address in server.bound_to:
            async with channel_to(address) as channel:
                client = Client(channel, "ads delta")
                await client.send(CLUSTER)
                assert len((await client.receive()).resources) == 1


async def test_health_flips_when_the_source_is_ready(world, server):
    world = World()
    server = XdsServer(world, Encoder("test"), ["127.0.0.1:0"])
    (bound,) = await server.start()
    async with channel_to(bound) as channel:
        assert {await check(channel, service) for service in ("", *SERVICES)} == {"NOT_SERVING"}
        watch = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest())
        assert Status.Name((await watch.read()).status) == "NOT_SERVING"
        world.ready.set()
        assert Status.Name((await watch.read()).status) == "SERVING"
        assert {await check(channel, service) for service in ("", *SERVICES)} == {"SERVING"}
        watch.cancel()
        await server.stop(1)


async def reflect(channel, **request):
    call = reflection_pb2_grpc.ServerReflectionStub(channel).ServerReflectionInfo()
    await call.write(reflection_pb2.ServerReflectionRequest(**request))
    answer = await call.read()
    call.cancel()
    return answer


async def test_reflection_lists_and_describes_every_service(channel):
    listed = await reflect(channel, list_services="")
    names = {service.name for service in listed.list_services_response.service}
    others = {"grpc.health.v1.Health", "grpc.channelz.v1.Channelz", "grpc.reflection.v1alpha.ServerReflection"}
    assert names == {*SERVICES, lrs.SERVICE, csds.SERVICE} | others
    for name in names:
        answer = await reflect(channel, file_containing_symbol=name)
        assert answer.file_descriptor_response.file_descriptor_proto, name


async def test_channelz_shows_our_connections(server, connect, channel):
    client = connect()
    await client.send(CLUSTER)
    await client.receive()
    ask = channelz_pb2_grpc.ChannelzStub(channel)
    servers = (await ask.GetServers(channelz_pb2.GetServersRequest())).server
    # Other tests' servers are listed as long as something holds them, without a socket.
    ours = max([found for found in servers if found.listen_socket], key=lambda found: found.ref.server_id)
    assert ours.listen_socket[0].name.endswith("ipv4:127.0.0.1:0")  # as it was asked for, not as it was bound
    sockets = (await ask.GetServerSockets(channelz_pb2.GetServerSocketsRequest(server_id=ours.ref.server_id))).socket_ref
    (socket,) = [(await ask.GetSocket(channelz_pb2.GetSocketRequest(socket_id=ref.socket_id))).socket for ref in sockets]
    assert socket.data.streams_started == 4  # ours, and the three questions before
    assert socket.data.messages_sent >= 1


async def test_stop_ends_streams_at_once_and_says_why(world):
    async with serving(world) as server, channel_to(server.bound) as channel:
        clients = [Client(channel, "ads delta"), Client(channel, "ads sotw"), Client(channel, "ads delta")]
        for client in clients[:2]:
            await client.send(CLUSTER)
            await client.receive()
        await eventually(lambda: sum(server.counters.streams_opened.values()) == 3)  # the third one never said a word
        async with asyncio.timeout(5):
            await server.stop(60)
        for client in clients:
            assert await client.status() == ("UNAVAILABLE", "the control plane is shutting down; reconnect")
    assert not +world.users


async def test_stop_before_the_first_sync(world):
    world.ready.clear()
    server = XdsServer(world, Encoder("test"), ["127.0.0.1:0"])
    (bound,) = await server.start()
    async with channel_to(bound) as channel:
        client = Client(channel, "ads delta")
        await client.send(CLUSTER)
        await eventually(lambda: server.counters.streams_opened["ads delta"])
        await server.stop(60)
        assert (await client.status())[0] == "UNAVAILABLE"


async def test_a_server_that_never_started_can_be_stopped():
    server = XdsServer(World(), Encoder("test"), ["127.0.0.1:0"])
    await server.stop(0)


async def test_one_bad_address_leaves_none_open(tmp_path):
    good = f"unix:{tmp_path}/xds"
    server = XdsServer(World(), Encoder("test"), [good, "127.0.0.1:99999"])
    with pytest.raises(ListenError, match=r"'127\.0\.0\.1:99999': use HOST:PORT"):
        await server.start()
    check_listenable(good)


async def test_a_stream_that_opens_during_the_stop_is_ended_too(world, server, connect):
    server._board.end(StreamEndError(grpc.StatusCode.UNAVAILABLE, "going"))
    client = connect()
    with suppress(grpc.aio.AioRpcError):  # it may have ended before we say anything
        await client.send(CLUSTER)
    assert await client.status() == ("UNAVAILABLE", "going")


async def test_a_request_over_the_limit():
    world = World()
    async with serving(world, limits=Limits(request_bytes=100_000)) as server, channel_to(server.bound) as channel:
        client = Client(channel, "ads delta")
        await client.send(ENDPOINT, ["x" * 200_000])
        assert (await client.status())[0] == "RESOURCE_EXHAUSTED"
    assert not +world.users


async def test_a_reconnecting_client_may_name_more_than_four_megabytes(connect):
    client = connect("eds delta")
    names = {f"service-{number}-{'x' * 180}": "0123456789abcdef" for number in range(40_000)}
    await client.send(ENDPOINT, list(names), initial_resource_versions=names)
    removed = 0
    while removed < len(names):
        removed += len((await client.receive()).removed_resources)


async def test_two_servers_on_one_port_do_not_share_it(server):
    host, _, port = server.bound.rpartition(":")
    rude = grpc.aio.server(options=(("grpc.so_reuseport", 1),))
    with pytest.raises(RuntimeError, match=f"{port}"):
        rude.add_insecure_port(f"{host}:{port}")
    await rude.stop(None)
