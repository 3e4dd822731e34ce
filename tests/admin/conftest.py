"""A fake control plane behind the real admin server, on loopback."""

import aiohttp
import pytest
from fake_plane import FakePlane

from xds.admin.server import AdminServer


@pytest.fixture
def plane():
    return FakePlane()


@pytest.fixture
async def get(plane):
    """Ask the admin API: `await get("/v1/status")` is (status, JSON or text)."""
    server = AdminServer(plane, "127.0.0.1:0")
    address = await server.start()
    async with aiohttp.ClientSession(f"http://{address}") as session:

        async def ask(path, *, method="GET", **arguments):
            async with session.request(method, path, **arguments) as response:
                is_json = response.content_type == "application/json"
                return response.status, await (response.json() if is_json else response.text())

        yield ask
    await server.stop()
