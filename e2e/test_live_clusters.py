"""The control plane on real API servers: it is connected to both, and what they hold reaches a real Envoy."""

import json
import statistics
import time

import pytest
from interop_waiting import eventually
from live_lab import serving, states, xdsctl

from xds.cli.demo.lab import EAST, WEST
from xds.cli.demo.traffic import Client, shares_of

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_both_members_are_connected(plane):
    assert await are_connected(plane)
    codes = {problem["code"] for problem in (await plane.admin("/v1/problems"))["items"]}
    assert not [code for code in codes if code.startswith("XDS03")]


async def test_kubeconfigs_are_all_that_is_needed(kubeconfigs, tmp_path):
    with serving(tmp_path, kubeconfigs.values(), declared=False) as plane:
        await plane.wait_ready()
        await eventually(lambda: are_connected(plane))
        found = {item["name"]: (item["region"], item["zones"]) for item in (await plane.admin("/v1/members"))["items"]}
    assert found == {cluster.name: (cluster.region, list(cluster.zones)) for cluster in (EAST, WEST)}


async def are_connected(plane):
    return await states(plane) == {"east": "Connected", "west": "Connected"}


async def test_a_service_that_both_export_is_served_from_both(plane, shop, sidecar):
    await eventually(lambda: sidecar.knows(shop))
    items = json.loads(await xdsctl(plane, "endpoints", sidecar.name, shop.name, "-o", "json"))["items"]
    found = {(item["cluster"], item["priority"], address) for item in items for address in item["addresses"]}
    own = {("east", 0, address) for address in shop.addresses("east")}
    assert found == own | {("west", 2, address) for address in shop.addresses("west")}


async def test_requests_follow_the_pods_that_are_ready(shop, sidecar, backends):
    client = Client("application", sidecar.port, shop.name)
    await eventually(lambda: sidecar.knows(shop))
    await eventually(lambda: served_by(client, EAST))
    for pod in shop.pods.values():
        if pod.place.cluster == "east":
            await shop.report(pod, ready=False)
    await eventually(lambda: served_by(client, WEST))


async def served_by(client, cluster):
    answers = await client.burst(50)
    return all(answer.ok for answer in answers) and shares_of(answers).keys() == {str(place) for place in cluster.places}


async def test_a_change_of_scale_arrives(shop, sidecar):
    times_s = []
    await eventually(lambda: sidecar.knows(shop))
    for place in (*EAST.places, *WEST.places):
        began_s = time.monotonic()
        pod = await shop.add(place)
        await eventually(lambda: sidecar.knows(shop), every_s=0.005)
        times_s.append(time.monotonic() - began_s)
        await shop.remove(pod)
        await eventually(lambda: sidecar.knows(shop), every_s=0.005)
    print(f"one more pod, from its creation: {statistics.median(times_s):.3f} s (median), {max(times_s):.3f} s (worst)")


@pytest.mark.parametrize("version", ["v1alpha1", "v1beta1"])
async def test_an_export_that_is_deleted_takes_its_endpoints_along(version, clusters, shop, sidecar):
    await eventually(lambda: sidecar.knows(shop))
    await clusters["west"].api.delete(shop.export(version))
    await eventually(lambda: has_only(sidecar, shop, EAST))
    await clusters["west"].api.apply(shop.export(version))
    await eventually(lambda: sidecar.knows(shop))


async def has_only(sidecar, shop, cluster):
    return (await sidecar.health(shop)).keys() == shop.addresses(cluster.name)
