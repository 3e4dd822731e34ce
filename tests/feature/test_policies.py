"""Policies from files to a client: in force from the first snapshot on, and until their next good version."""

from __future__ import annotations

from test_pipeline import OWN, SET, subscribe, tiers_of

from xds.wire import ENDPOINT


def policy(*places, name="web"):
    """Return a TrafficPolicy that sends clients to one place after the other."""
    tiers = [{"name": f"tier-{index}", "places": [place]} for index, place in enumerate(places)]
    return {
        "apiVersion": "traffic.isthmus.dev/v1alpha1",
        "kind": "TrafficPolicy",
        "metadata": {"name": name, "namespace": "shop"},
        "spec": {"targetRefs": [{"group": "", "kind": "Service", "name": "web"}], "tiers": tiers},
    }


WEST, EAST = {"clusters": ["west"]}, {"clusters": ["east"]}
WEST_FIRST = {0: ["10.2.0.1", "10.2.0.2"], 1: ["10.1.0.1", "10.1.0.2"]}


async def test_a_policy_is_in_force_from_the_first_snapshot_on(running, connect, fleet):
    fleet.write("east/policy.yaml", policy(WEST, EAST))
    async with running() as plane:
        found = await subscribe(connect(plane), ENDPOINT, OWN)
        assert tiers_of(found[OWN]) == WEST_FIRST


async def test_a_bad_version_changes_nothing(running, connect, fleet, soon):
    fleet.write("east/policy.yaml", policy(WEST, EAST))
    async with running() as plane:
        client = connect(plane)
        found = await subscribe(client, ENDPOINT, OWN, SET)
        assert tiers_of(found[OWN]) == WEST_FIRST
        fleet.write("east/policy.yaml", policy({"clusters": ["wets"]}, EAST))
        await soon(lambda: any(problem.code == "XDS0601" for problem in plane.problems()))
        (problem,) = [problem for problem in plane.problems() if problem.code == "XDS0601"]
        assert "did you mean 'west'" in problem.hint
        found = await subscribe(connect(plane, node_id="web-2"), ENDPOINT, OWN)
        assert tiers_of(found[OWN]) == WEST_FIRST
