"""What happens to a cluster's data and to the way there: a backup restored, another certificate. Traffic goes on."""

import pytest
import pytest_asyncio
from interop_waiting import eventually
from live_lab import is_as_a_fresh_start, states
from reader_access import write_access

from xds.cli.demo.lab import EAST, WEST
from xds.cli.demo.traffic import Client, traffic

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(300)]


@pytest_asyncio.fixture(loop_scope="session")
async def west(clusters, provider):
    """The cluster that has the faults."""
    if not provider.reaches_pods:
        pytest.skip("this provider's clusters cannot be restored")
    return clusters["west"]


async def test_an_older_backup_is_restored(west, plane, shop, sidecar, backends, tmp_path):
    await eventually(lambda: sidecar.knows(shop))
    client = Client("application", sidecar.port, shop.name)
    west.back_up(tmp_path / "backup")
    await west.restart()
    await eventually(lambda: is_connected(plane), timeout_s=60)
    late = await shop.add(WEST.places[0])
    await backends.start([late])
    await eventually(lambda: sidecar.knows(shop), timeout_s=60)
    async with traffic([client], rate=100):
        await west.restore(tmp_path / "backup")
        del shop.pods[late.address]
        await eventually(lambda: sidecar.knows(shop), timeout_s=60)
        await eventually(lambda: is_connected(plane), timeout_s=60)
        for place in (*EAST.places, *WEST.places):
            await backends.start([await shop.add(place)])
        await eventually(lambda: sidecar.knows(shop))
    assert [answer for answer in client.answers if not answer.ok] == []
    await is_as_a_fresh_start(plane)


async def test_the_certificate_changes(west, plane, kubeconfigs, shop, sidecar, backends):
    await eventually(lambda: sidecar.knows(shop))
    client = Client("application", sidecar.port, shop.name)
    async with traffic([client], rate=100):
        await west.change_certificate()
        await eventually(lambda: is_stale(plane), timeout_s=60)
        (problem,) = [one for one in (await plane.admin("/v1/problems"))["items"] if one["code"] == "XDS0301"]
        assert "certificate" in problem["message"]
        await write_access(west, kubeconfigs["west"])
        await eventually(lambda: is_connected(plane), timeout_s=60)
        await backends.start([await shop.add(WEST.places[0])])
        await eventually(lambda: sidecar.knows(shop))
    assert [answer for answer in client.answers if not answer.ok] == []
    await is_as_a_fresh_start(plane)


async def is_stale(plane):
    return (await states(plane))["west"] == "Stale"


async def is_connected(plane):
    return (await states(plane))["west"] == "Connected"
