"""Policies from a file to a client: widening, gates, drains, and what the admin API says of it."""

from __future__ import annotations

import json

import aiohttp
import pytest
from fleet_world import endpoint, endpoint_slice, export, make, service
from test_pipeline import OWN, SET, serious, subscribe, tiers_of

from xds.model.events import FLEET, Synced, Upsert
from xds.model.node import Node
from xds.server.source import prepared_view
from xds.wire import CLUSTER, ENDPOINT, envoy, unpack

API = "traffic.isthmus.dev/v1alpha1"
EAST, WEST = ["10.1.0.1", "10.1.0.2"], ["10.2.0.1", "10.2.0.2"]


def policy(**spec):
    spec = {"targetRefs": [{"kind": "Service", "name": "web"}], **spec}
    return {"apiVersion": API, "kind": "TrafficPolicy", "metadata": {"name": "web", "namespace": "shop"}, "spec": spec}


def override(**spec):
    return {"apiVersion": API, "kind": "TrafficOverride", "metadata": {"name": "now"}, "spec": spec}


IMPORT = {"group": "multicluster.x-k8s.io", "kind": "ServiceImport", "name": "web"}
DR = policy(strategy={"type": "RemoteDR", "primary": "r-east", "remote": "r-west"})


async def asked(plane, path, **options):
    async with (
        aiohttp.ClientSession() as session,
        session.request("POST" if "data" in options else "GET", f"http://{plane.admin_address}{path}", **options) as answer,
    ):
        return json.loads(await answer.text())


async def told(client, *names):
    """Return what is told next, until all of some names have been told."""
    found = {}
    while not found or not found.keys() >= {*names}:
        response = await client.receive()
        await client.ack(response)
        found |= {resource.name: tiers_of(resource) for resource in response.resources}
    return found


async def test_a_policy_that_is_there_at_the_start_governs_the_first_client(running, connect, fleet):
    fleet.write("policy.yaml", DR)
    async with running() as plane:
        client = connect(plane)
        await subscribe(client, CLUSTER)
        found = await subscribe(client, ENDPOINT, SET, OWN)
        assert tiers_of(found[OWN]) == {0: EAST, 1: []}
        explained = await asked(plane, "/v1/explain?service=shop/web&from=east")
        assert explained["shares"] == {"east/east-a": 1.0}
        assert explained["tiers"][1]["closed"] == "its gate is Manual, and no override opens it"


async def test_a_policy_touches_what_it_names_and_an_override_opens_its_gate(running, connect, fleet):
    async with running() as plane:
        client = connect(plane)
        await subscribe(client, CLUSTER)
        await subscribe(client, ENDPOINT, SET, OWN)
        fleet.write("policy.yaml", DR)
        assert await told(client) == {OWN: {0: EAST, 1: []}}, "the name of the cluster set is another service"
        fleet.write("override.yaml", override(open={"namespace": "shop", "policy": "web", "tier": "standby"}))
        assert await told(client) == {OWN: {0: EAST, 1: WEST}}
        fleet.write("override.yaml", override(drain={"cluster": "east"}))
        assert await told(client, OWN, SET) == {OWN: {0: [], 1: []}, SET: {0: [], 1: [], 2: WEST}}


async def test_a_policy_that_is_not_accepted_leaves_what_was_in_force(running, connect, fleet, soon):
    fleet.write("policy.yaml", policy(tiers=[{"name": "all", "places": [{"clusters": ["*"]}]}]))
    async with running() as plane:
        client = connect(plane)
        await subscribe(client, CLUSTER)
        found = await subscribe(client, ENDPOINT, OWN)
        assert tiers_of(found[OWN]) == {0: [*EAST, *WEST]}
        fleet.write("policy.yaml", policy(tiers=[{"name": "home", "places": [{"regions": ["r-eest"]}]}]))
        await soon(lambda: serious(plane) == ["XDS0601"])
        (problem,) = [one for one in plane.problems() if one.severity != "info"]
        assert problem.field == "spec.tiers[0].places[0].regions[0]"
        assert problem.hint == "did you mean 'r-west'?"
        assert "the version that was accepted last stays in force" in problem.message
        fleet.endpoints("east", "web", "10.1.0.1")
        assert await told(client) == {OWN: {0: ["10.1.0.1", *WEST]}}


async def test_a_place_that_is_forbidden_before_there_is_anything_is_never_used(running, connect, fleet):
    fleet.write("policy.yaml", policy(targetRefs=[IMPORT], sovereignty=[{"zones": ["west-b"]}]))
    async with running() as plane:
        client = connect(plane)
        await subscribe(client, CLUSTER)
        assert tiers_of((await subscribe(client, ENDPOINT, SET))[SET]) == {0: EAST, 1: [], 2: WEST}
        assert serious(plane) == ["XDS0601"], "no member declares the zone, and nothing is there"
        zones = dict(zip(WEST, ("west-a", "west-b"), strict=True))
        fleet.endpoints("west", "web", *WEST, zones=zones)
        assert await told(client) == {SET: {0: EAST, 1: [], 2: WEST[:1]}}
        assert serious(plane) == []


async def test_a_rehearsal_changes_nothing(running, connect, fleet):
    fleet.write("policy.yaml", DR)
    async with running() as plane:
        found = await asked(plane, "/v1/simulate", data=json.dumps({"drain": ["cluster=east"], "services": ["shop/web"]}))
        assert not found["ok"]
        (own,) = [one for one in found["services"] if (one["service"], one["from"]) == (OWN, "east/")]
        assert (own["before"], own["after"], own["unserved_after"]) == ({"east/east-a": 1.0}, {}, 1.0)
        assert [one["kind"] for one in own["problems"]] == ["blackhole"]
        client = connect(plane)
        await subscribe(client, CLUSTER)
        assert tiers_of((await subscribe(client, ENDPOINT, OWN))[OWN]) == {0: EAST, 1: []}


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("/v1/explain?service=shop/wbe&from=east", "did you mean 'shop/web'?"),
        ("/v1/explain?service=shop/web&from=mars", "there is no cluster and no connected node 'mars'"),
        ("/v1/explain?svc=shop/web", "unknown parameter 'svc'"),
    ],
)
async def test_bad_questions(running, path, words):
    async with running() as plane:
        assert words in (await asked(plane, path))["error"]


@pytest.mark.parametrize("number", ["NaN", "Infinity", -1])
@pytest.mark.parametrize("field", ["loads", "prices"])
async def test_a_rehearsal_takes_no_numbers_that_it_would_pass_with(running, field, number):
    async with running() as plane:
        found = await asked(plane, "/v1/simulate", data=json.dumps({"drain": ["cluster=east"], field: {"shop/web": number}}))
        assert "is no number from 0 up" in found["error"]


async def test_a_place_that_is_well_again_waits_before_it_gets_its_traffic_back(running, connect, fleet):
    fleet.write("policy.yaml", policy(targetRefs=[IMPORT], failBackAfterSeconds=1))
    async with running() as plane:
        client = connect(plane)
        await subscribe(client, CLUSTER)
        await subscribe(client, ENDPOINT, SET)
        seen = []
        for ready in (False, True):
            fleet.endpoints("east", "web", *EAST, ready=ready)
            seen.append(await health_of_first_tier(client))
        soaked = await asked(plane, "/v1/explain?service=web.shop.svc.clusterset.local&from=east")
        seen.append(await health_of_first_tier(client))
        assert seen == ["UNHEALTHY", "DEGRADED", "HEALTHY"]
        assert soaked["shares"] == {"west/west-a": 1.0}
        assert "held back until it has been so for 1 s" in json.dumps(soaked)
        soaked = await asked(plane, "/v1/explain?service=web.shop.svc.clusterset.local&from=east")
        assert soaked["shares"] == {"east/east-a": 1.0}


async def health_of_first_tier(client):
    """Return what is told next of the health of all hosts of the first tier."""
    response = await client.receive()
    await client.ack(response)
    (resource,) = response.resources
    hosts = unpack(ENDPOINT, resource.resource.value).endpoints[0].lb_endpoints
    (found,) = {host.health_status for host in hosts}
    return envoy.HealthStatus.Name(found)


NODE = Node("web-1", metadata={"isthmus": {"cluster": "east", "namespace": "shop"}})


def addresses_of(plane, view, name=OWN):
    found = unpack(ENDPOINT, plane.pipeline.current(view).resources(ENDPOINT)[name].body)
    return {one.endpoint.address.socket_address.address for group in found.endpoints for one in group.lb_endpoints}


async def test_a_client_that_comes_before_the_batch_is_told_of_no_first_endpoint_at_a_forbidden_place(running, fleet):
    fleet.write("policy.yaml", policy(targetRefs=[IMPORT], sovereignty=[{"zones": ["west-b"]}]))
    async with running() as plane:
        slice_ = endpoint_slice("web", [endpoint("10.2.0.9", zone="west-b")], {"http-80": 8080}, name="web-2")
        plane.pipeline.take([Upsert("west", slice_)])
        plane.pipeline.acquire(view := plane.pipeline.view_of(NODE))
        assert addresses_of(plane, view, SET) == {*EAST, *WEST}


async def test_endpoints_of_a_member_that_is_forbidden_by_its_labels_are_not_told_before_it_is_known(running, fleet):
    fleet.write("policy.yaml", policy(sovereignty=[{"clusterSelector": {"matchLabels": {"grade": "low"}}}]))
    async with running() as plane:
        plane.pipeline.acquire(view := plane.pipeline.view_of(NODE))
        plane.pipeline.take([Upsert(FLEET, make("MemberCluster", "north", metadata={"labels": {"grade": "low"}}, spec={}))])
        web = service("web", {"http-80": 80}), export("web"), endpoint_slice("web", [endpoint("10.3.0.1")], {"http-80": 8080})
        plane.pipeline.take([*(Upsert("north", item) for item in web), Synced("north")])
        assert addresses_of(plane, view) == {*EAST, *WEST}
        plane.pipeline.take([Upsert("west", endpoint_slice("web", [endpoint("10.2.0.9")], {"http-80": 8080}, name="web-2"))])
        assert addresses_of(plane, view) == {*EAST, *WEST}, "it waits for the batch"
        plane.pipeline.acquire(
            other := plane.pipeline.view_of(Node("web-2", metadata={"isthmus": {**NODE.metadata["isthmus"], "namespace": "a"}}))
        )
        assert addresses_of(plane, other) == {*EAST, *WEST, "10.2.0.9"}


async def test_who_comes_while_views_are_behind_is_told_of_no_place_that_has_become_forbidden(running, fleet):
    fleet.write("policy.yaml", policy(targetRefs=[IMPORT], sovereignty=[{"regions": ["r-far"]}]))
    fleet.write("far.yaml", fleet.member("far", region="r-far"))
    async with running(quiet_s=1, max_delay_s=1) as plane:
        pipeline = plane.pipeline
        pipeline.acquire(view := pipeline.view_of(NODE))
        assert addresses_of(plane, view, SET) == {*EAST, *WEST}
        plane.pipeline.take([Upsert(FLEET, make("MemberCluster", "west", spec={"region": "r-far"}))])
        view = await prepared_view(pipeline, NODE)
        pipeline.acquire(view)
        assert addresses_of(plane, view, SET) == {*EAST}
