"""Fail-back waits for its soak time, and only where a place had lost all of its traffic. Times are virtual."""

from __future__ import annotations

import asyncio
from contextlib import closing

import looptime
import pytest
from fleet_world import endpoint, endpoint_slice, export, make, member, service
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from xds.model.events import FLEET, Delete, ObjectKey, Synced, Upsert
from xds.model.fleet import Fleet
from xds.model.service import ServiceKey
from xds.model.view import Role, View
from xds.policy.book import PolicyBook
from xds.policy.explanation import predicted
from xds.recoveries import Recoveries

virtual = pytest.mark.looptime
SOAK_S = 60
WEB = ServiceKey("shop", "web")
CLIENTS = View("east", region="r-east")
HOME, AWAY = {"east": 1.0}, {"west": 1.0}


class World:
    """A service in two clusters, as a control plane has it."""

    def __init__(self):
        self.fleet, self.book = Fleet(), PolicyBook()
        self.recoveries = Recoveries(self.take)

    def take(self, *events):
        change = self.fleet.apply(events)
        if change.needs_batch:
            self.book.refresh(self.fleet)
        if found := self.recoveries.look(self.fleet.services, change.endpoints | change.services, self.book.soaks_s):
            self.fleet.apply([found])

    def begin(self, soak_s=SOAK_S):
        self.take(Upsert(FLEET, member("east", "r-east")), Upsert(FLEET, member("west", "r-west")))
        for cluster in ("east", "west"):
            self.take(Upsert(cluster, service("web")), Upsert(cluster, export("web")))
            self.ready(cluster, "a", "b")
        self.take(Synced(FLEET), Synced("east"), Synced("west"))
        self.ask(soak_s)
        return self

    def ask(self, soak_s):
        spec = {"defaultFor": "Fleet", "failBackAfterSeconds": soak_s}
        self.take(Upsert(FLEET, make("TrafficPolicy", "all", spec=spec)))

    def ready(self, cluster, *names, of=("a", "b"), zones=None):
        """Say which pods of a cluster are ready; the others of those that there are, are not. And in which zones they are."""
        number = {"east": 1, "west": 2}[cluster]
        pods = {name: f"10.{number}.0.{index}" for index, name in enumerate("abcd", start=1)}
        at = {name: {"zone": f"{cluster}-{zone}"} for name, zone in (zones or {}).items()}
        found = [endpoint(pods[name], ready=name in names, target=f"web-{name}", **at.get(name, {})) for name in of]
        self.take(Upsert(cluster, endpoint_slice("web", found)))

    def shares(self, view=CLIENTS):
        ladder = self.book.ladder(self.fleet.services[WEB], 80, view)
        forecast = predicted(ladder.rank(self.fleet.services[WEB], 80), ladder.policy, view)
        found = {}
        for at, share in forecast.shares.items():
            found[at.cluster] = found.get(at.cluster, 0) + share
        return {cluster: round(share, 3) for cluster, share in found.items() if share > 1e-9}


@pytest.fixture
async def world():
    return World().begin()


@virtual
async def test_what_was_lost_comes_back_after_the_soak_and_completely(world):
    assert world.shares() == HOME
    world.ready("east")
    assert world.shares() == AWAY
    await asyncio.sleep(1000)
    world.ready("east", "a")
    assert world.shares() == AWAY
    await asyncio.sleep(SOAK_S - 1)
    world.ready("east", "a", "b")
    assert world.shares() == AWAY
    await asyncio.sleep(2)
    assert world.shares() == HOME
    assert world.fleet.services[WEB].recovering == {}


@virtual
async def test_clients_of_other_clusters_come_back_to_it_as_well(world):
    view = View("south", region="r-east")
    assert world.shares(view) == HOME
    world.ready("east")
    world.ready("east", "a", "b")
    assert world.shares(view) == AWAY
    assert world.shares(View("west", region="r-west")) == AWAY
    await asyncio.sleep(SOAK_S + 1)
    assert world.shares(view) == HOME


@virtual
async def test_one_pod_that_flaps_moves_nothing_beyond_the_arithmetic(world):
    for _ in range(100):
        world.ready("east", "a")
        assert world.shares() == {"east": 0.7, "west": 0.3}, "1.4 times half of them"
        await asyncio.sleep(1)
        world.ready("east", "a", "b")
        assert world.shares() == HOME
        await asyncio.sleep(1)


@virtual
async def test_a_place_of_one_pod_that_flaps_gets_nothing_until_it_stops(world):
    for _ in range(100):
        world.ready("east", "a", of=("a",))
        await asyncio.sleep(1)
        world.ready("east", of=("a",))
        assert world.shares() == AWAY
        await asyncio.sleep(1)
    world.ready("east", "a", of=("a",))
    await asyncio.sleep(SOAK_S - 1)
    assert world.shares() == AWAY
    await asyncio.sleep(2)
    assert world.shares() == HOME


@virtual
async def test_a_place_that_is_well_is_still_used_if_what_has_its_traffic_fails(world):
    world.ready("east")
    world.ready("east", "a", "b")
    assert world.shares() == AWAY
    world.ready("west", "a")
    assert world.shares() == {"west": 0.7, "east": 0.3}
    world.ready("west")
    assert world.shares() == HOME


@virtual
async def test_pods_that_move_between_the_zones_of_a_tier_take_nothing_out_of_it(world):
    zones = {"a": 1, "b": 2, "c": 3, "d": 1}
    before = "a"
    world.ready("east", before, of=(before,), zones=zones)
    for after in "bcdabcacbd":
        world.ready("east", before, after, of=(before, after), zones=zones)
        assert world.shares() == HOME
        await asyncio.sleep(1)
        world.ready("east", after, of=(after,), zones=zones)
        assert world.shares() == HOME
        await asyncio.sleep(1)
        before = after


@virtual
async def test_a_zone_that_comes_back_to_a_tier_that_had_not_lost_its_traffic_is_back_at_once(world):
    zones = {"a": 1, "b": 2}
    world.ready("east", "a", "b", zones=zones)
    for _ in range(5):
        world.ready("east", "a", zones=zones)
        assert world.shares() == {"east": 0.7, "west": 0.3}
        await asyncio.sleep(1)
        world.ready("east", "a", "b", zones=zones)
        assert world.shares() == HOME
        await asyncio.sleep(1)


@virtual
async def test_zones_of_a_tier_that_lost_everything_wait_each_for_itself(world):
    zones = {"a": 1, "b": 2}
    world.ready("east", zones=zones)
    world.ready("east", "a", zones=zones)
    await asyncio.sleep(SOAK_S / 2)
    world.ready("east", "a", "b", zones=zones)
    await asyncio.sleep(SOAK_S / 2 + 1)
    assert world.shares() == {"east": 0.7, "west": 0.3}
    await asyncio.sleep(SOAK_S / 2)
    assert world.shares() == HOME


@virtual
async def test_a_last_tier_has_nobody_to_wait_for(world):
    for name in ("Service", "ServiceExport"):
        world.take(Delete("west", ObjectKey(name, "shop", "web")))
    world.ready("east")
    world.ready("east", "a", "b")
    (share,) = world.book.rank(world.fleet.services[WEB], 80, CLIENTS).tiers[0].shares
    assert {one.health for one in share.endpoints} == {"HEALTHY"}


@virtual
async def test_clients_that_drop_what_is_degraded_wait_as_well(world):
    proxyless = structs.replace(CLIENTS, role=Role.PROXYLESS)
    assert world.shares(proxyless) == HOME
    world.ready("east")
    world.ready("east", "a", "b")
    assert world.shares(proxyless) == AWAY
    world.ready("west")
    assert world.shares(proxyless) == HOME
    await asyncio.sleep(SOAK_S + 1)
    assert world.shares(proxyless) == HOME
    assert len(world.book.rank(world.fleet.services[WEB], 80, proxyless).tiers) == 3


@virtual
async def test_pods_that_are_gone_have_lost_it_too_and_a_new_place_has_not(world):
    world.ready("east", of=())
    assert world.shares() == AWAY
    world.ready("east", "c", of=("c",))
    assert world.shares() == AWAY
    await asyncio.sleep(SOAK_S + 1)
    assert world.shares() == HOME
    world.take(*(Delete("east", ObjectKey(kind, "shop", "web")) for kind in ("Service", "ServiceExport")))
    assert world.shares() == AWAY
    world.take(Upsert("east", service("web")), Upsert("east", export("web")))
    world.ready("east", "c", of=("c",))
    assert world.shares() == HOME, "the service is another"


@virtual
async def test_a_place_that_was_ill_when_a_policy_first_asked_waits(world):
    world.ask(0)
    world.ready("east")
    world.ask(SOAK_S)
    world.ready("east", "a", "b")
    assert world.shares() == AWAY
    world.ask(0)
    assert world.shares() == HOME, "nobody asks any more"


@virtual
async def test_times_may_differ_and_change(world):
    spec = {"targetRefs": [{"kind": "Service", "name": "web"}], "failBackAfterSeconds": 10}
    world.take(Upsert("east", make("TrafficPolicy", "web", spec=spec)))
    own = ServiceKey("shop", "web", "east")

    def shares_of_own():
        ladder = world.book.ladder(world.fleet.services[own], 80, CLIENTS)
        forecast = predicted(ladder.rank(world.fleet.services[own], 80), ladder.policy, CLIENTS)
        return {at.cluster: share for at, share in forecast.shares.items() if share}

    world.ready("east")
    world.ready("east", "a", "b")
    await asyncio.sleep(11)
    assert (shares_of_own(), world.shares()) == (HOME, AWAY)
    world.ask(20)
    assert world.shares() == AWAY
    await asyncio.sleep(10)
    assert world.shares() == HOME


@virtual
async def test_a_rehearsal_and_a_second_fleet_know_what_is_held_back(world):
    world.ready("east")
    world.ready("east", "a", "b")
    again = Fleet()
    again.apply(world.fleet.told())
    assert again.services[WEB].recovering == world.fleet.services[WEB].recovering != {}


@virtual
async def test_without_a_policy_that_asks_nothing_is_kept():
    world = World().begin(soak_s=0)
    world.ready("east")
    world.ready("east", "a", "b")
    assert world.shares() == HOME
    assert world.recoveries._records == {}


zones = st.sampled_from((None, {"a": 1, "b": 1}, {"a": 1, "b": 2}, {"a": 2, "b": 1}))
pods = st.sets(st.sampled_from("ab"))
steps = st.tuples(
    st.sampled_from(("east", "west")), pods, st.sampled_from(("ab", "a", "")), zones, st.sampled_from((0, 1, 30, 70))
)


@settings(max_examples=50)
@given(st.lists(steps, max_size=15))
def test_nothing_is_ever_unserved_for_a_soak_and_all_comes_back(history):
    async def play():
        soaked, plain = World().begin(), World().begin(soak_s=0)
        for cluster, ready, of, places, wait_s in history:
            for world in (soaked, plain):
                world.ready(cluster, *ready & {*of}, of=of, zones=places)
            assert sum(soaked.shares().values()) == pytest.approx(sum(plain.shares().values()), abs=0.01)
            await asyncio.sleep(wait_s)
        await asyncio.sleep(SOAK_S + 1)
        assert soaked.shares() == plain.shares()
        assert soaked.fleet.services[WEB].recovering == {}

    with closing(looptime.new_event_loop(start=0, end=10_000)) as loop:
        loop.run_until_complete(play())
