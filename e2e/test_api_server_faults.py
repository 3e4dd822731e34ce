"""An API server that does not answer is not pods that are gone: endpoints stay, and what changes afterwards arrives."""

import time
from contextlib import asynccontextmanager

import pytest
from interop_waiting import eventually
from live_lab import states

from xds.cli.demo.lab import EAST, WEST
from xds.cli.demo.traffic import Client, traffic

pytestmark = pytest.mark.asyncio(loop_scope="session")
STALE_S, BACK_S = 60.0, 60.0


@pytest.mark.parametrize("how", ["paused", "killed"])
async def test_endpoints_stay_while_an_api_server_does_not_answer(how, clusters, plane, shop, sidecar, backends):
    client = Client("application", sidecar.port, shop.name)
    await eventually(lambda: sidecar.knows(shop))
    before = await sidecar.health(shop)
    async with traffic([client], rate=100):
        async with outage(clusters["east"], how):
            stale_s = await seconds_until(plane, {"east": "Stale", "west": "Connected"}, STALE_S)
            assert await sidecar.health(shop) == before
            await backends.start([await shop.add(WEST.places[0])])
            await eventually(lambda: sidecar.knows(shop))
        back_s = await seconds_until(plane, {"east": "Connected", "west": "Connected"}, BACK_S)
        await backends.start([await shop.add(EAST.places[0])])
        await eventually(lambda: sidecar.knows(shop))
    print(f"{how}: Stale after {stale_s:.1f} s, Connected {back_s:.1f} s after the API server was ready again")
    assert [answer for answer in client.answers if not answer.ok] == []


@asynccontextmanager
async def outage(cluster, how):
    if how == "paused":
        cluster.pause()
    else:
        cluster.kill()
    try:
        yield
    finally:
        if how == "paused":
            cluster.resume()
        await cluster.restart()


async def seconds_until(plane, wanted, timeout_s):
    began_s = time.monotonic()
    await eventually(lambda: are(plane, wanted), timeout_s=timeout_s)
    return time.monotonic() - began_s


async def are(plane, wanted):
    return await states(plane) == wanted
