"""The connection to one API server, whenever its owner goes."""

from __future__ import annotations

import asyncio

import pytest

from xds.discovery.live import connection
from xds.discovery.live.access import Credentials
from xds.discovery.live.connection import Watch, keep_connected


class Server:
    def __init__(self):
        self.is_open = True

    async def get(self, *_):
        return b"{}"

    async def close(self):
        await asyncio.sleep(0)
        self.is_open = False


class Access:
    """Other credentials whenever they are asked for."""

    def __init__(self):
        self.asked = 0

    async def credentials(self):
        self.asked += 1
        return Credentials({}, "c", bytes([self.asked]))


class Reader:
    """Takes a while to end."""

    is_unauthorized = False

    def __init__(self):
        self.ending = asyncio.Event()

    async def run(self, _):
        try:
            await asyncio.sleep(60)
        finally:
            self.ending.set()
            await asyncio.sleep(0.05)


async def test_who_is_cancelled_while_one_connection_takes_over_from_another_leaves_none_open(monkeypatch, tmp_path):
    servers = []

    async def connect(*_, **__):
        servers.append(Server())
        return servers[-1]

    monkeypatch.setattr(connection.ApiServer, "connect", connect)
    monkeypatch.setattr(connection, "LOOK_S", 0.01)
    reader = Reader()
    task = asyncio.create_task(keep_connected(Access(), reader, tmp_path, Watch(failed=lambda *_: None)))
    await reader.ending.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert len(servers) == 2
    assert not any(server.is_open for server in servers)
