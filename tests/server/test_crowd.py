"""A crowd that comes back at once is taken in, however long the event loop was busy when it came."""

from __future__ import annotations

import asyncio
import sys
import time
from functools import partial
from pathlib import Path

import pytest
from xds_world import endpoints, eventually

from xds.server.turns import LEAST, TURN_S
from xds.wire import ENDPOINT

STREAMS = 3_500
"""By default gRPC turns away all that wait beyond 3,000."""


@pytest.mark.timeout(120)
async def test_nobody_is_turned_away_because_the_loop_was_busy(world, server):
    world.put(endpoints("web"))
    client = Path(__file__).with_name("crowd_client.py")
    command = (sys.executable, str(client), server.bound, str(STREAMS))
    crowd = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    try:
        await eventually(lambda: server.open_streams)
        time.sleep(5)  # noqa: ASYNC251 - the crowd goes on arriving
        said, _ = await asyncio.wait_for(crowd.communicate(), 60)
    finally:
        if crowd.returncode is None:
            crowd.kill()
    assert int(said) == STREAMS


async def test_what_a_crowd_says_is_taken_in_several_turns(world, server, connect, monkeypatch):
    world.put(endpoints("web"))
    clients = [connect(node_id=f"web-{number}") for number in range(60)]
    for client in clients:
        await client.send(ENDPOINT, ["web"])
        await client.receive()
    turns = [0]
    """How many requests were decoded in each turn of the event loop."""

    def count():
        turns.append(0)
        asyncio.get_running_loop().call_soon(count)

    def slowly(parse, data):
        turns[-1] += 1
        time.sleep(2 * TURN_S)
        return parse(data)

    for stream in server._board._streams.values():
        monkeypatch.setattr(stream, "_decode", partial(slowly, stream._decode))
    names = [f"a-long-name-{number:04}" for number in range(300)]
    writing = [asyncio.create_task(client.send(ENDPOINT, names)) for client in clients]
    await asyncio.sleep(0)
    time.sleep(0.5)  # noqa: ASYNC251 - so that all of them are there at once
    count()
    await asyncio.gather(*writing)
    await eventually(lambda: sum(turns) == len(clients), within_s=30)
    assert max(turns) <= LEAST + 1
