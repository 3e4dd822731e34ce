"""What the control plane's own user may do, and whether it is still accepted."""

import pytest
import workload
from interop_waiting import eventually
from live_lab import serving, states
from reader_access import NAMESPACE, role, write_access

from xds.cli.demo.lab import EAST

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_a_kind_that_may_not_be_read_is_named_and_the_rest_is_served(clusters, kubeconfigs, tmp_path, shop):
    east = clusters["east"].api
    await east.apply(role(without="httproutes"))
    try:
        with serving(tmp_path, kubeconfigs.values()) as plane:
            await plane.wait_ready()
            (problem,) = await eventually(lambda: problems(plane, "XDS0302"))
            assert "httproutes.gateway.networking.k8s.io is forbidden" in problem["message"]
            assert await has_endpoints(plane, shop, 4)
            assert await is_in_state(plane, "Connected")
            await east.apply(role())
            await eventually(lambda: has_no(plane, "XDS0302"), timeout_s=40)
    finally:
        await east.apply(role())


async def test_credentials_that_are_withdrawn_and_replaced(clusters, kubeconfigs, tmp_path, shop):
    east, secret = clusters["east"], workload.named("v1", "Secret", "isthmus-token", NAMESPACE)
    await east.api.apply(secret)
    file = await write_access(east, tmp_path / "east.yaml", secret)
    with serving(tmp_path, [file, kubeconfigs["west"]]) as plane:
        await plane.wait_ready()
        assert await has_endpoints(plane, shop, 4)
        await east.api.delete(secret)
        await eventually(lambda: is_in_state(plane, "Stale"), timeout_s=40)
        assert "Unauthorized" in (await problems(plane, "XDS0301"))[0]["message"]
        assert await has_endpoints(plane, shop, 4)
        await write_access(east, file)
        await eventually(lambda: is_in_state(plane, "Connected"), timeout_s=40)
        await shop.add(EAST.places[0])
        await eventually(lambda: has_endpoints(plane, shop, 5))


async def is_in_state(plane, state):
    return (await states(plane))["east"] == state


async def problems(plane, code):
    return [item for item in (await plane.admin("/v1/problems"))["items"] if item["code"] == code]


async def has_no(plane, code):
    return not await problems(plane, code)


async def has_endpoints(plane, shop, number):
    services = (await plane.admin("/v1/services"))["items"]
    return [item["endpoints_ready"] for item in services if item["name"] == shop.name] == [number]
