"""A running server over loopback, with a source in memory."""

from __future__ import annotations

import pytest
from xds_world import Client, World, channel_to, eventually, serving


@pytest.fixture
async def world():
    return World()


@pytest.fixture
def nacks():
    return []


@pytest.fixture
async def server(world, nacks, caplog):
    """A server whose world is ready; at the end every stream must have left hub and views, and gRPC saw no exception."""
    async with serving(world, grace_s=2, on_nack=lambda node, view, nack: nacks.append((node.id, view, nack))) as server:
        yield server
    await eventually(lambda: server.counters.streams_opened == server.counters.streams_closed)
    assert not +world.users
    assert server._board.hub._seats == {}
    assert server._board._streams == {}
    assert [record.getMessage() for record in caplog.get_records("call") if record.levelname == "ERROR"] == []


@pytest.fixture
async def channel(server):
    async with channel_to(server.bound) as channel:
        yield channel


@pytest.fixture
def connect(channel):
    """Open a stream: `connect("ads delta", node_id=…, region=…)`."""
    return lambda kind="ads delta", **fields: Client(channel, kind, **fields)
