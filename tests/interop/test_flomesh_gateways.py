"""GlobalTrafficPolicies on a real Envoy: where requests go, with which path, and where they go next when that fails."""

import asyncio

import pytest
from flomesh_lab import NORTH, OWN, WEST, FlomeshLab
from interop_waiting import eventually

from xds.cli.demo.story import TOLERANCE

REQUESTS = 2000
ASKED = "/a/b?c=d"


@pytest.fixture
def lab(envoy, tmp_path, delta):
    return FlomeshLab(tmp_path, envoy, delta=delta)


async def answers(lab, wanted):
    await eventually(lambda: is_answered(lab, wanted))


async def is_answered(lab, wanted):
    return (await lab.ask(ASKED))[:2] == wanted


async def is_shared(lab, places):
    """Return whether requests go to these places, all of them well."""
    return (await lab.shares(20)).keys() == places


async def test_locality_stays_at_home_whatever_fails(lab):
    async with lab.running("Locality", WEST):
        await answers(lab, (200, "east"))
        await lab.own.stop()
        assert (await lab.ask())[0] == 503
        assert lab.west.asked == lab.north.asked == []


async def test_fail_over_goes_on_to_the_next_gateway_with_its_own_path(lab):
    async with lab.running("FailOver", NORTH, WEST):
        await answers(lab, (200, "east"))
        assert lab.north.asked == []
        await lab.own.stop()
        assert await lab.ask(ASKED) == (200, "north", ASKED)
        lab.north.status = 503
        lab.north.asked.clear()
        # Each try begins with the path that the client sent, not with what the one before made of it.
        assert await lab.ask(ASKED) == (200, "west", ASKED)
        assert lab.north.asked == [f"/north/pay{ASKED}"]
        assert lab.west.asked == [f"/west/pay{ASKED}"]
        lab.north.status = 500
        assert await lab.ask("/") == (200, "west", "/")
        assert (await lab.ask(ASKED, "POST"))[:2] == (500, "north")


async def test_an_answer_of_500_at_home_is_tried_again_elsewhere(lab):
    async with lab.running("FailOver", WEST):
        await answers(lab, (200, "east"))
        lab.own.status = 500
        lab.own.asked.clear()
        assert await lab.ask(ASKED) == (200, "west", ASKED)
        assert lab.own.asked == [ASKED]
        assert (await lab.ask(ASKED, "POST"))[:2] == (500, "east")


async def test_active_active_shares_by_weight(lab):
    async with lab.running("ActiveActive", (OWN, 70), (WEST, 30), (NORTH, 0)):
        await answers(lab, (200, "east"))
        found = await lab.shares(REQUESTS)
        explained = await lab.control_plane.admin("/v1/explain?service=shop/pay&from=east/cn-a")
        print(found, explained["shares"])
        assert found == {"east": pytest.approx(0.7, abs=TOLERANCE), "west": pytest.approx(0.3, abs=TOLERANCE)}
        assert explained["shares"] == {"east/cn-a": pytest.approx(0.7), "west/us-a": pytest.approx(0.3)}
        lab.west.status = 503
        assert await lab.shares(100) == {"east": 1.0}


async def test_a_policy_that_changes_takes_hold_without_a_failure(lab):
    async with lab.running("Locality"):
        await answers(lab, (200, "east"))
        lab.write("ActiveActive", (OWN, 1), (WEST, 1), (NORTH, 2))
        await eventually(lambda: is_shared(lab, {"east", "west", "north"}))
        lab.write("Locality")
        await eventually(lambda: is_shared(lab, {"east"}))


async def test_gateways_that_are_called_by_name(envoy, tmp_path, delta):
    lab = FlomeshLab(tmp_path, envoy, delta=delta, gateway_host="localhost")
    async with lab.running("FailOver", NORTH, WEST):
        await answers(lab, (200, "east"))
        await lab.own.stop()
        assert await lab.ask(ASKED) == (200, "north", ASKED)
        await lab.north.stop()
        assert await lab.ask(ASKED) == (200, "west", ASKED)
        await lab.own.start()
        await lab.north.start()
        lab.write("ActiveActive", NORTH)
        await eventually(lambda: is_shared(lab, {"east", "north"}))


async def test_requests_go_on_while_policies_change(lab):
    """Nor does any reach a gateway without its path: gateways and what puts paths in front come and go together."""
    async with lab.running("Locality"):
        await answers(lab, (200, "east"))
        for number in range(6):
            lab.write(*(("Locality",) if number % 2 else ("ActiveActive", (OWN, 1), (WEST, 1), (NORTH, 2))))
            for _ in range(40):
                found = await asyncio.gather(*(lab.ask(ASKED) for _ in range(20)))
                bad = {one for one in found if (one[0], one[2]) != (200, ASKED)}
                assert not bad, (number, bad)
