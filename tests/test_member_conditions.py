"""What is known of a member is told in the conditions of its MemberCluster, by one replica, and only when it changes."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import replace

import msgspec
import pytest
from fleet_world import member as member_cluster

from xds.errors import XdsError
from xds.member_conditions import SUBJECT, conditions_of, states
from xds.model.events import MemberState
from xds.model.members import Member
from xds.problems import Problem, Ref
from xds.status_writer import StatusWriter

pytestmark = pytest.mark.looptime
EAST = Member("east", state=MemberState.CONNECTED)
FORBIDDEN = Problem("XDS0302", "cluster 'east' does not let us read Node: no")


def told(member, *problems):
    return {one.type: (one.status, one.reason, one.message) for one in conditions_of(member, problems)}


def test_a_member_that_is_well():
    assert told(EAST, Problem("XDS0302", "cluster 'west' does not let us read Node: no")) == {
        "Connected": ("True", "Connected", ""),
        "Problems": ("False", "None", ""),
    }


@pytest.mark.parametrize(
    ("state", "status"),
    [(MemberState.SYNCING, "Unknown"), (MemberState.STALE, "False"), (MemberState.LOST, "False")],
)
def test_a_member_that_is_not_connected(state, status):
    found = told(replace(EAST, state=state, reason="no answer"))
    assert found["Connected"] == (status, str(state), "no answer")


def test_problems_of_a_member_the_worst_first_and_not_all_of_them():
    of_object = Problem("XDS0306", "its Secret is gone", Ref("", "MemberCluster", "", "east"))
    infos = [Problem("XDS0310", f"cluster 'east' {number}") for number in range(3)]
    inside = Problem("XDS0204", "there is no Service shop/web", Ref("east", "ServiceExport", "shop", "web"))
    status, reason, message = told(EAST, FORBIDDEN, *infos, of_object, inside)["Problems"]
    assert (status, reason) == ("True", "XDS0302")
    assert message.startswith("XDS0302: cluster 'east' does not let us read Node: no; XDS0306: its Secret is gone; ")
    assert message.endswith(" (and 2 more)")


class Hub:
    """The hub's API server: takes leases and statuses."""

    def __init__(self):
        self.items = {"east": member_cluster("east")}
        self.lease = None
        self.writes = []
        self.fault = ""
        self.asked = 0
        """How often something was to be written."""

    async def read_lease(self, _namespace, _name):
        return self.lease

    async def write_lease(self, _namespace, _name, body, *, is_new):
        assert is_new is (self.lease is None)
        self.lease = body
        return True

    async def apply(self, key, body, *, is_status):
        assert is_status
        self.asked += 1
        if self.fault:
            raise XdsError(self.fault)
        if key.name not in self.items:
            raise XdsError(f"404: {key.name} not found")
        self.writes.append(key.name)
        item = msgspec.to_builtins(self.items[key.name])
        self.items[key.name] = msgspec.convert(item | {"status": body["status"]}, type(self.items[key.name]))

    def conditions(self):
        return {one.type: one for one in self.items["east"].status.conditions}


class World:
    def __init__(self, hub):
        self.hub = hub
        self.members = {"east": EAST}
        self.held = []
        """MemberClusters that stay in force though the hub has them no more."""
        self.found = []
        self.told = 0

    def tell(self):
        self.told += 1

    @asynccontextmanager
    async def replica(self, identity="one"):
        found = StatusWriter(
            self.hub,
            identity,
            SUBJECT,
            lambda: states(self.members, [*self.held, *self.hub.items.values()], self.found),
            self.tell,
        )
        task = asyncio.create_task(found.run())
        await asyncio.sleep(5)
        try:
            yield found
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


@pytest.fixture
def world():
    return World(Hub())


async def test_conditions_are_written_once_and_when_they_change(world):
    async with world.replica() as one:
        assert world.hub.writes == ["east"]
        since = world.hub.conditions()["Connected"].last_transition_time
        assert since.endswith("Z")
        for _ in range(3):
            one.changed()
            await asyncio.sleep(5)
        assert world.hub.writes == ["east"]
        world.found = [FORBIDDEN]
        one.changed()
        await asyncio.sleep(5)
        found = world.hub.conditions()
        assert (found["Problems"].status, found["Problems"].reason) == ("True", "XDS0302")
        assert found["Connected"].last_transition_time == since


async def test_a_hub_without_member_clusters_is_asked_for_nothing(world):
    east = world.hub.items.pop("east")
    async with world.replica() as one:
        one.changed()
        await asyncio.sleep(5)
        assert world.hub.lease is None
        world.hub.items["east"] = east
        one.changed()
        await asyncio.sleep(5)
        assert world.hub.writes == ["east"]


async def test_one_replica_of_two_writes(world):
    async with world.replica("one"), world.replica("two") as other:
        world.members = {"east": replace(EAST, state=MemberState.STALE)}
        other.changed()
        await asyncio.sleep(5)
        assert world.hub.writes == ["east"]
        assert world.hub.conditions()["Connected"].status == "True"
    # The first has given up its lease by now, or the second has: whoever is left goes on.
    async with world.replica("three"):
        assert world.hub.conditions()["Connected"].status == "False"


async def test_a_hub_that_does_not_let_us_write_is_told_of_and_asked_again(world):
    world.hub.fault = "403: memberclusters/status is forbidden"
    async with world.replica() as one:
        (problem,) = one.problems()
        assert (problem.code, "is forbidden" in problem.message) == ("XDS0313", True)
        assert world.told == 1
        world.hub.fault = ""
        await asyncio.sleep(40)
        assert list(one.problems()) == []
        assert world.hub.writes == ["east"]


async def test_a_member_cluster_that_is_gone_but_held_keeps_no_other_from_its_conditions(world):
    world.held = [member_cluster("away")]
    world.members["away"] = replace(EAST, name="away")
    async with world.replica() as one:
        assert world.hub.writes == ["east"]
        (problem,) = one.problems()
        assert problem.message.endswith("404: away not found")


async def test_however_often_something_changes_a_hub_that_refuses_is_not_asked_more_often_later(world):
    world.hub.fault = "403: memberclusters/status is forbidden"
    async with world.replica() as one:
        for _ in range(60):
            one.changed()
            await asyncio.sleep(1)
        await asyncio.sleep(60)
        world.hub.asked = 0
        await asyncio.sleep(300)
        assert world.hub.asked <= 10
