"""Garbage ends its own stream with a proper status or is ignored; a neighbour is served throughout, and memory stays."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest
from garbage_zoo import BULKY, ZOO
from xds_world import Client, bulky, channel_to, cluster, endpoints, eventually, names_in

from xds.protocol.ledger import State
from xds.server.rounds import _Round
from xds.wire import CLUSTER, ENDPOINT

SERVER = Path(__file__).parent / "garbage_server.py"
ROUNDS = 6
GROWTH_MIB = 64
"""How much more there may be after the second half of the rounds than after the first: one round asks for more."""
GROWTH_BLOCKS = 20_000
"""The same of Python's objects, which are not blurred by what an allocator cannot give back."""
LEFT_MIB = 192
"""How much more there may be in the end than before: the encoder keeps up to 64 MiB, and allocators what they like."""


@pytest.mark.parametrize("garbage", ZOO, ids=lambda garbage: garbage.__name__)
async def test_garbage(world, server, channel, garbage):
    world.put(cluster("web"), *(bulky(name, 1) for name in BULKY))
    neighbour = Client(channel, "ads delta", node_id="neighbour")
    await neighbour.send(CLUSTER)
    await neighbour.receive()
    async with channel_to(server.bound) as other, asyncio.TaskGroup() as tasks:
        going = tasks.create_task(garbage(other, server.bound))
        timeout_s = 1
        while not going.done() or timeout_s < 3:
            timeout_s += 1
            world.put(cluster("web", timeout_s))
            assert names_in(await neighbour.receive()) == ("cds", ["web"])
            await asyncio.sleep(0.01)
    await eventually(lambda: server.open_streams == 1)
    assert +world.users == {"eu": 1}


async def test_a_client_that_half_closes_before_the_first_sync_is_answered(world, server, connect):
    world.ready.clear()
    client = connect("eds delta")
    await client.send(ENDPOINT, ["web"])
    await client.call.done_writing()
    await eventually(lambda: server.counters.streams_opened["eds delta"])
    world.put(endpoints("web"))
    world.ready.set()
    assert names_in(await client.receive()) == ("eds", ["web"])
    assert await client.status() == ("OK", "")


async def test_a_client_that_half_closes_is_told_first_what_its_turn_to_hear_of_has_not_come(world, server, connect, monkeypatch):
    web = cluster("web")
    world.put(web)
    client = connect("ads delta")
    await client.send(CLUSTER, initial_resource_versions={"web": web.version})
    await eventually(lambda: [stream.types[CLUSTER].state for stream in server.streams()] == [State.SYNCED])
    monkeypatch.setattr(_Round, "_tell", lambda _: None)
    world.put(cluster("web", 2))
    await client.call.done_writing()
    assert names_in(await client.receive()) == ("cds", ["web"])
    assert await client.status() == ("OK", "")


@pytest.mark.timeout(300)
async def test_memory_returns_to_its_level():
    with subprocess.Popen([sys.executable, SERVER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:  # noqa: ASYNC220 - starts at once
        try:
            address = process.stdout.readline().strip()
            levels = [await _level(process)]
            for _ in range(ROUNDS):
                async with channel_to(address) as channel:
                    for garbage in ZOO:
                        await garbage(channel, address)
                levels.append(await _level(process))
            process.stdin.close()
            assert process.wait(20) == 0
        finally:
            process.kill()
    print(f"(RSS in MiB, blocks of Python objects): {levels}")
    (first_mib, _), (middle_mib, middle_blocks), (last_mib, last_blocks) = levels[0], levels[ROUNDS // 2], levels[-1]
    assert last_mib - middle_mib < GROWTH_MIB, levels
    assert last_mib - first_mib < LEFT_MIB, levels
    assert last_blocks - middle_blocks < GROWTH_BLOCKS, levels


async def _level(process):
    """Ask the server for its resident memory and its blocks, once every stream has ended."""
    process.stdin.write("level\n")
    process.stdin.flush()
    resident_mib, blocks = (await asyncio.to_thread(process.stdout.readline)).split()
    return int(resident_mib), int(blocks)
