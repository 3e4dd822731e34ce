"""What is known of a client goes with its stream: the garbage collector looks at what lives long only now and then."""

import gc
import weakref

import pytest
from xds_world import bulky, cluster, endpoints, eventually

from xds.server.stream import Stream
from xds.wire import CLUSTER, ENDPOINT


@pytest.mark.parametrize("kind", ["ads delta", "ads sotw"])
async def test_without_the_garbage_collector(server, world, connect, kind):
    world.put(cluster("web"), endpoints("web"))
    client = connect(kind)
    await client.send(CLUSTER)
    await client.ack(await client.receive())
    await client.send(ENDPOINT, ["web"])
    await client.ack(await client.receive(), ["web"])
    await client.silence()
    await goes_with_its_stream("_protocol", server, client)


async def test_what_was_being_written_goes_with_the_stream_too(server, world, connect):
    names = [f"s{number}" for number in range(8)]
    world.put(*(bulky(name, 1) for name in names))
    client = connect("eds delta")
    await client.send(ENDPOINT, names)
    await eventually(lambda: server.counters.responses["eds"])
    await goes_with_its_stream("_writer", server, client)


async def goes_with_its_stream(part, server, client):
    """See that a part of the only stream is freed when its client goes, without the garbage collector."""
    (stream,) = server._board._streams.values()
    known = weakref.ref(getattr(stream, part))
    del stream
    gc.collect()
    gc.disable()
    try:
        client.call.cancel()
        await eventually(lambda: not server._board._streams)
        await eventually(lambda: known() is None, within_s=3)
    finally:
        gc.enable()


async def test_a_request_that_was_refused_is_not_kept(server, connect):
    gc.collect()  # what tests before have left
    client = connect("ads delta")
    await client.send("x" * 10_000)
    await client.status()
    (kept,) = [one for one in gc.get_objects() if isinstance(one, Stream)]
    assert kept._ending.__traceback__ is None
