"""A way to a cluster that is cut 200 times: traffic goes on, and in the end everything is known."""

import asyncio

import pytest
import pytest_asyncio
from cutting_proxy import CuttingProxy
from interop_waiting import eventually
from live_lab import is_as_a_fresh_start, states

from xds.cli.demo.lab import WEST
from xds.cli.demo.traffic import Client, traffic

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(300)]
CUTS = 200


@pytest_asyncio.fixture(loop_scope="session")
async def way(clusters):
    """To the API server of west."""
    async with CuttingProxy(clusters["west"].api.url) as proxy:
        yield proxy


@pytest_asyncio.fixture(loop_scope="session")
async def plane_files(kubeconfigs, way, tmp_path):
    """That of west leads along the way."""
    return [kubeconfigs["east"], way.kubeconfig(kubeconfigs["west"], tmp_path / "west.yaml")]


async def test_watches_are_cut_200_times(way, plane, shop, sidecar, backends):
    client = Client("application", sidecar.port, shop.name)
    await eventually(lambda: sidecar.knows(shop))
    pod = None
    async with traffic([client], rate=100):
        while way.cuts < CUTS:
            for _ in range(10):
                way.cut()
                await asyncio.sleep(0.05)
            pod = await another(shop, backends, pod)
        await eventually(lambda: sidecar.knows(shop), timeout_s=60)
        await eventually(lambda: is_connected(plane), timeout_s=60)
    assert [answer for answer in client.answers if not answer.ok] == []
    print(f"{way.cuts} connections cut, {len(client.answers)} requests")
    await is_as_a_fresh_start(plane)


async def another(shop, backends, pod):
    """Run one more pod in the west, in the place of another."""
    new = await shop.add(WEST.places[0])
    await backends.start([new])
    if pod:
        await shop.remove(pod)
    return new


async def is_connected(plane):
    return (await states(plane))["west"] == "Connected"
