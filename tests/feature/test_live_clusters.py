"""From fake API servers to a client, through all stages."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager

import pytest
from fake_api_server import FakeApiServer
from fake_objects import MEMBER_CLUSTER, serve_further
from fake_store import Answer, Resource
from test_pipeline import OWN, SET, subscribe, tiers_of

from xds.app import ControlPlane
from xds.config import Config
from xds.wire import CLUSTER, ENDPOINT

POLICIES = Resource("TrafficPolicy", "traffic.isthmus.dev", "v1alpha1", "trafficpolicies")


@pytest.fixture
async def clusters():
    """Two clusters that export one service."""
    found = {}
    for index, name in enumerate(("east", "west"), start=1):
        server = found[name] = await FakeApiServer().start()
        store = server.store
        store.add_kind("ServiceExport")
        store.put("Namespace", "shop")
        store.put("Service", "web", spec={"ports": [{"name": "http", "port": 80}]})
        store.put("ServiceExport", "web")
        put_endpoints(store, f"10.{index}.0.1")
    yield found
    for server in found.values():
        server.resume()
        await server.stop()


def put_endpoints(store, *addresses):
    endpoints = [{"addresses": [address], "conditions": {"ready": True}} for address in addresses]
    labels, ports = {"kubernetes.io/service-name": "web"}, [{"name": "http", "port": 8080}]
    store.put("EndpointSlice", "web-1", labels=labels, addressType="IPv4", ports=ports, endpoints=endpoints)


@pytest.fixture
def live(clusters, tmp_path):
    """Return a context manager: the control plane on both clusters."""

    @asynccontextmanager
    async def run(**settings):
        file = clusters["east"].kubeconfig(tmp_path / "kubeconfig", "east", others={"west": clusters["west"]})
        addresses = {"xds_address": "127.0.0.1:0", "admin_address": "127.0.0.1:0"}
        plane, ready = ControlPlane(Config(kubeconfigs=(file,), quiet_s=0.01, **addresses, **settings)), asyncio.Event()
        task = asyncio.create_task(plane.run(lambda _: ready.set()))
        waiting = asyncio.create_task(ready.wait())
        async with asyncio.timeout(30):
            await asyncio.wait([task, waiting], return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            task.result()
        try:
            yield plane
        finally:
            task.cancel()
            await asyncio.gather(task, waiting, return_exceptions=True)

    return run


@pytest.fixture
def write(fleet):
    """Return a function that makes a directory of the fleet's MemberClusters alone."""
    for cluster in ("east", "west"):
        for file in (fleet.path / cluster).iterdir():
            file.unlink()
        (fleet.path / cluster).rmdir()
    return fleet


def put_policy(store, place):
    """Write a policy by which clients of the cluster go to one place first."""
    store.resources.setdefault("TrafficPolicy", POLICIES)
    tiers = [{"name": "first", "places": [{"clusters": [place]}]}, {"name": "then", "places": [{"clusters": ["*"]}]}]
    store.put("TrafficPolicy", "web", spec={"targetRefs": [{"kind": "Service", "name": "web"}], "tiers": tiers})


def codes(plane):
    return {problem.code for problem in plane.problems()}


@pytest.mark.parametrize("streamed_lists", ["known", "refused"])
async def test_nothing_is_served_before_all_is_read(live, connect, clusters, streamed_lists):
    for server in clusters.values():
        server.store.streamed_lists = streamed_lists
    async with live() as plane:
        assert set(plane.members) == {"east", "west"}
        client = connect(plane)
        assert set(await subscribe(client, CLUSTER)) == {SET, OWN}
        found = await subscribe(client, ENDPOINT, SET, OWN)
        assert sorted(address for tier in tiers_of(found[SET]).values() for address in tier) == ["10.1.0.1", "10.2.0.1"]
        assert tiers_of(found[OWN])[0] == ["10.1.0.1"]


async def test_a_changed_endpoint_goes_out(live, connect, clusters):
    async with live() as plane:
        client = connect(plane)
        await subscribe(client, CLUSTER)
        await subscribe(client, ENDPOINT, SET, OWN)
        put_endpoints(clusters["west"].store, "10.2.0.9")
        response = await client.receive()
        assert [resource.name for resource in response.resources] == [SET]
        assert "10.2.0.9" in [address for tier in tiers_of(response.resources[0]).values() for address in tier]


async def test_fleet_wide_objects_come_from_a_directory(live, connect, clusters, write):
    async with live(clusters=write.path) as plane:
        assert {name: (member.region, member.declared) for name, member in plane.members.items()} == {
            "east": ("r-east", True),
            "west": ("r-west", True),
        }
        client = connect(plane)
        await subscribe(client, CLUSTER)
        found = await subscribe(client, ENDPOINT, SET)
        assert tiers_of(found[SET]) == {0: ["10.1.0.1"], 1: [], 2: ["10.2.0.1"]}
        assert codes(plane) & {"XDS0111", "XDS0201", "XDS0217", "XDS0301", "XDS0304"} == set()


@pytest.mark.parametrize("how", ["refused", "silent"])
async def test_a_cluster_that_cannot_be_reached_does_not_keep_the_start_waiting(live, connect, clusters, how):
    if how == "refused":
        await clusters["west"].stop()
    else:
        clusters["west"].silent = True
    async with live() as plane:
        client = connect(plane)
        found = await subscribe(client, ENDPOINT, OWN)
        assert tiers_of(found[OWN])[0] == ["10.1.0.1"]
        assert "XDS0301" in codes(plane)


async def test_a_directory_of_a_live_clusters_name_is_ignored_until_it_goes(live, connect, clusters, fleet, soon):
    fleet.service("east", "only-in-files", "10.9.0.9")
    async with live(clusters=fleet.path) as plane:
        assert "XDS0304" in codes(plane)
        told = [problem.message for problem in plane.problems() if problem.code == "XDS0304"]
        assert len(told) == 2
        assert not any(key.name == "only-in-files" for key in plane.services)
        for cluster in ("east", "west"):
            for file in (fleet.path / cluster).iterdir():
                file.unlink()
            (fleet.path / cluster).rmdir()
        await soon(lambda: "XDS0304" not in codes(plane))
        assert set(plane.members) == {"east", "west"}


async def test_the_last_good_version_of_a_policy_survives_a_restart(live, connect, clusters, soon, tmp_path):
    put_policy(clusters["east"].store, "west")
    west_first = {0: ["10.2.0.1"], 1: ["10.1.0.1"]}
    async with live(state_directory=tmp_path / "state") as plane:
        assert tiers_of((await subscribe(connect(plane), ENDPOINT, OWN))[OWN]) == west_first
        put_policy(clusters["east"].store, "wets")
        clusters["east"].wake()
        await soon(lambda: "XDS0601" in codes(plane))
    for _ in range(2):
        async with live(state_directory=tmp_path / "state") as plane:
            assert "XDS0601" in codes(plane)
            assert tiers_of((await subscribe(connect(plane), ENDPOINT, OWN))[OWN]) == west_first
    async with live() as plane:
        assert "XDS0601" in codes(plane)
        assert tiers_of((await subscribe(connect(plane), ENDPOINT, OWN))[OWN])[0] == ["10.1.0.1"]


@pytest.fixture
async def hub(clusters, tmp_path):
    """An API server with a fleet-wide policy, and its kubeconfig; leases can be had of it, and of the members."""
    server = await FakeApiServer().start()
    for one in (server, *clusters.values()):
        serve_further(one, MEMBER_CLUSTER, POLICIES)
    put_policy(server.store, "wets")
    yield server, f"{server.kubeconfig(tmp_path / 'hub', 'hub')}:hub"
    await server.stop()


def accepted(server):
    """Return the condition Accepted of a server's policy as it is written there."""
    ((_, item),) = server.store.objects("TrafficPolicy").items()
    return {one["type"]: one for one in item.get("status", {}).get("conditions", ())}.get("Accepted", {})


async def test_policies_say_whether_they_are_accepted_where_we_may_write(live, clusters, hub, soon):
    server, place = hub
    for one in clusters.values():
        put_policy(one.store, "west")
    async with live(hub=place, mcs=("east",)) as plane:
        await soon(lambda: accepted(server) and accepted(clusters["east"]), within_s=20)
        found = accepted(server)
        assert (found["status"], found["reason"], found["observedGeneration"]) == ("False", "Invalid", 1)
        assert found["message"].endswith("there is no cluster 'wets' (did you mean 'west'?); nothing of it is in force")
        assert accepted(clusters["east"])["reason"] == "Accepted"
        put_policy(clusters["east"].store, "wets")
        clusters["east"].wake()
        await soon(lambda: accepted(clusters["east"]).get("status") == "False", within_s=20)
        found = accepted(clusters["east"])
        assert found["observedGeneration"] == 2
        assert found["message"].endswith("the version that was accepted last stays in force")
        assert accepted(clusters["west"]) == {}, "we do not write to it"
        assert "XDS0313" not in codes(plane)
        written = server.store.objects("TrafficPolicy")
        await asyncio.sleep(2)
        assert server.store.objects("TrafficPolicy") == written, "written once"


async def test_a_hub_that_does_not_let_us_write_what_became_of_policies(live, hub, soon):
    server, place = hub
    server.fault = lambda path, _: Answer(403, b"no") if path.endswith("/status") else None
    async with live(hub=place) as plane:
        await soon(lambda: "XDS0313" in codes(plane), within_s=20)
        (problem,) = [problem for problem in plane.problems() if problem.code == "XDS0313"]
        assert problem.message.startswith("conditions of TrafficPolicies in the hub cannot be written: ")
        assert "trafficpolicies/status" in problem.hint
