"""Drains: step by step, a place gets less of what it would get, and in the end nothing."""

from __future__ import annotations

import pytest
from fleet_world import make
from hypothesis import given
from hypothesis import strategies as st

from xds.model.events import FLEET
from xds.model.members import Member
from xds.model.objects import ObjectMeta
from xds.model.service import CLUSTERSET, Endpoint, Health, Locality, Port, Protocol, Service, ServiceKey
from xds.model.traffic_objects import DrainSpec, TrafficOverride, TrafficOverrideSpec
from xds.model.view import View
from xds.policy.acceptance import Known
from xds.policy.explanation import predicted
from xds.policy.ladder import Governance, Ladder
from xds.policy.overrides import Drain, Overrides, problems
from xds.policy.policies import NO_POLICY
from xds.problems import Ref

PLACES = {
    "east": Locality("eu", "eu-a", "east"),
    "east-b": Locality("eu", "eu-b", "east"),
    "north": Locality("eu", "eu-b", "north"),
    "west": Locality("us", "us-a", "west"),
    "south": Locality("us", "us-b", "south"),
}
VIEW = View(cluster="east", region="eu", zone="eu-a")
MEMBERS = {
    at.cluster: Member(at.cluster, at.region, tuple(one.zone for one in PLACES.values() if one.cluster == at.cluster))
    for at in PLACES.values()
}
DRAINED = ({"cluster": "east"}, {"cluster": "north"}, {"cluster": "west"}, {"region": "eu"}, {"region": "us"}, {"zone": "eu-b"})
POLICY = NO_POLICY["", True]
WEIGHT_STEP, PERCENT = 0.005, 0.021
"""What weights of thousandths, and Envoy's integer percentages of two tiers, may be off."""


def endpoints_at(name, count, *, unhealthy=0, degraded=0):
    healths = [Health.HEALTHY] * count + [Health.UNHEALTHY] * unhealthy + [Health.DEGRADED] * degraded
    numbers = enumerate(healths, 1)
    host = [*PLACES].index(name)
    return tuple(Endpoint(PLACES[name], (f"10.{host}.{number // 250}.{number % 250}",), 80, health) for number, health in numbers)


def service_of(*endpoints, scope=CLUSTERSET, **fields):
    return Service(
        ServiceKey("shop", "web", scope), (Port(80, "http", Protocol.HTTP),), {80: endpoints}, {}, frozenset(), **fields
    )


def drain(step, steps, *, services=(), **place):
    places = {"cluster": "", "region": "", "zone": "", **place}
    ref = Ref(FLEET, "TrafficOverride", "", "d")
    return Drain("d", services=frozenset(services), step=step, steps=steps, origin=ref, **places)


def ranking(service, *drains, view=VIEW):
    governance = Governance(POLICY, (), drains)
    return Ladder(governance, governance.place_of(service, view), MEMBERS).rank(service, 80)


def forecast(service, *drains, view=VIEW):
    return predicted(ranking(service, *drains, view=view), POLICY, view)


def share_of(found, one):
    return sum(share for at, share in found.shares.items() if one.is_at(at))


@st.composite
def fleets(draw):
    """A service with endpoints in several places, some of them unhealthy, and all that serve in some places DEGRADED."""
    endpoints = []
    for name in PLACES:
        count = draw(st.integers(0, 12), label=name)
        unhealthy = draw(st.integers(0, 3)) if count else 0
        is_degraded = draw(st.booleans())
        kinds = {"count": 0, "degraded": count} if is_degraded else {"count": count}
        endpoints += endpoints_at(name, **kinds, unhealthy=unhealthy)
    return service_of(*endpoints)


@st.composite
def well_fleets(draw):
    """The same, all healthy, and something everywhere."""
    return service_of(*(one for name in PLACES for one in endpoints_at(name, draw(st.integers(1, 30), label=name))))


@given(fleets(), st.sampled_from(DRAINED), st.integers(1, 12))
def test_with_each_step_a_place_gets_no_more_than_before(service, place, steps):
    found = [share_of(forecast(service, drain(step, steps, **place)), drain(1, 1, **place)) for step in range(1, steps + 1)]
    before = share_of(forecast(service), drain(1, 1, **place))
    assert all(later <= earlier + PERCENT for earlier, later in zip([before, *found], found, strict=False))
    lefts = [drain(step, steps, **place).left for step in range(steps + 1)]
    assert lefts == sorted(lefts, reverse=True)
    assert (lefts[0], lefts[-1]) == (1.0, 0.0)


@given(fleets(), st.sampled_from(DRAINED), st.data())
def test_nothing_is_left_out_before_the_last_step(service, place, data):
    steps = data.draw(st.integers(2, 12))
    found = ranking(service, drain(data.draw(st.integers(1, steps - 1)), steps, **place))
    assert [one for one in found.left_out if "drained" in one.reason] == []
    shown = {endpoint.addresses for tier in found.tiers for share in tier.shares for endpoint in share.endpoints}
    assert shown == {endpoint.addresses for endpoint in service.endpoints[80]}
    assert all(share.weight > 0 for tier in found.tiers for share in tier.shares)


@given(fleets(), st.sampled_from(DRAINED), st.data())
def test_whoever_was_served_is_served_until_the_last_step(service, place, data):
    steps = data.draw(st.integers(2, 12))
    one = drain(data.draw(st.integers(1, steps - 1)), steps, **place)
    assert forecast(service, one).unserved <= forecast(service).unserved + 1e-9


@given(fleets(), st.sampled_from(DRAINED), st.integers(1, 12))
def test_nothing_goes_there_when_all_steps_are_made(service, place, steps):
    one = drain(steps, steps, **place)
    found = ranking(service, one)
    assert not any(one.is_at(share.locality) for tier in found.tiers for share in tier.shares)
    assert share_of(predicted(found, POLICY, VIEW), one) == 0.0


@given(fleets(), st.sampled_from(DRAINED), st.integers(1, 12))
def test_undone_it_is_exactly_as_before(service, place, steps):
    override = TrafficOverride(
        api_version="traffic.isthmus.dev/v1alpha1",
        kind="TrafficOverride",
        metadata=ObjectMeta(name="d"),
        spec=TrafficOverrideSpec(drain=DrainSpec(**place, steps=steps, step=0)),
    )
    assert Overrides.of([override]).drains == ()
    assert ranking(service, drain(0, steps, **place)) == ranking(service)


@given(well_fleets(), st.sampled_from(DRAINED), st.data())
def test_in_the_middle_of_a_ramp_shares_are_within_one_endpoints_worth(service, place, data):
    steps = data.draw(st.integers(2, 12))
    one = drain(data.draw(st.integers(1, steps - 1)), steps, **place)
    tiers = [tier for tier in ranking(service).tiers if tier.shares]
    lessened = [tier for tier in tiers if all(one.is_at(share.locality) for share in tier.shares)]
    worth = sum(POLICY.overprovisioning / 100 / sum(len(share.endpoints) for share in tier.shares) for tier in lessened)
    wanted = one.left * share_of(forecast(service), one)
    assert share_of(forecast(service, one), one) == pytest.approx(wanted, abs=worth + WEIGHT_STEP + PERCENT)


def test_half_of_a_place_goes_to_the_others_of_its_tier():
    service = service_of(*endpoints_at("west", 10), *endpoints_at("south", 10))
    found = forecast(service, drain(1, 2, cluster="west"))
    assert found.shares == {PLACES["west"]: pytest.approx(0.25), PLACES["south"]: pytest.approx(0.75)}
    reasons = {share.locality.cluster: share.reasons[-1] for tier in found.tiers for share in tier.tier.shares}
    assert reasons == {"west": "drained to 50 %", "south": "with what drained places of its tier give up, 150 %"}


def test_what_a_region_gives_up_is_not_for_its_next_tier():
    service = service_of(*endpoints_at("east", 28), *endpoints_at("north", 1), *endpoints_at("west", 10))
    found = forecast(service, drain(1, 2, region="eu"))
    assert found.shares == {PLACES["east"]: pytest.approx(0.5), PLACES["west"]: pytest.approx(0.5)}


def test_the_last_resort_keeps_an_endpoint_until_the_last_step():
    service = service_of(*endpoints_at("east", 10), *endpoints_at("north", 2))
    for place in ({"region": "eu"}, {"cluster": "north"}):
        tiers = ranking(service, drain(9, 10, **place)).tiers
        kept = [one for share in tiers[1].shares for one in share.endpoints if one.health is Health.HEALTHY]
        assert len(kept) == 1


def test_a_place_whose_neighbours_are_down_gives_to_the_next_tier():
    service = service_of(*endpoints_at("east", 14), *endpoints_at("east-b", 0, unhealthy=1), *endpoints_at("west", 10))
    found = forecast(service, drain(1, 2, zone="eu-a"))
    assert found.shares[PLACES["west"]] == pytest.approx(0.5, abs=0.1)


def test_of_few_endpoints_those_go_on_whose_place_is_drained_least():
    service = service_of(*endpoints_at("east", 1), *endpoints_at("east-b", 1), *endpoints_at("west", 2))
    tiers = ranking(service, drain(2, 4, zone="eu-a"), drain(1, 4, zone="eu-b")).tiers
    assert [[one.health for one in share.endpoints] for share in tiers[0].shares] == [[Health.UNHEALTHY], [Health.HEALTHY]]


@pytest.mark.parametrize("place", [{"cluster": "east"}, {"region": "eu"}])
def test_a_clusters_own_name_stays_where_it_cannot_move(place):
    overrides = Overrides((drain(1, 1, **place),))
    key = ServiceKey("shop", "web", "east")
    assert overrides.of_service(key, can_move=False) == ()
    assert overrides.of_service(key, can_move=True) == overrides.drains
    assert Overrides((drain(1, 1, zone="eu-a"),)).of_service(key, can_move=False)


def test_a_drain_of_some_services_leaves_the_others():
    overrides = Overrides((drain(1, 1, cluster="east", services=("shop/api",)),))
    assert overrides.of_service(ServiceKey("shop", "web"), can_move=True) == ()


@pytest.mark.parametrize(
    ("spec", "field", "says"),
    [
        ({"cluster": "eats"}, ".cluster", "there is no cluster 'eats'"),
        ({"zone": "eu-z"}, ".zone", "there is no zone 'eu-z'"),
        ({}, "", "drains no place"),
        ({"cluster": "east", "step": 5, "steps": 3}, ".step", "5 of 3 steps are made"),
        ({"cluster": "east", "services": ["shop/web", "web"]}, ".services[1]", "'web' names no service"),
        ({"zone": "eu-c"}, None, ""),
        ({"cluster": "east", "zone": "eu-a", "step": 3, "steps": 3, "services": ["shop/web"]}, None, ""),
    ],
)
def test_what_is_wrong_with_a_drain_is_told(spec, field, says):
    known = Known(MEMBERS, [Locality("eu", "eu-c", "east")])
    override = make("TrafficOverride", "d", spec={"drain": spec})
    found = [(one.code, one.field, one.message) for one in problems([override], known, {})]
    assert found == ([] if field is None else [("XDS0604", f"spec.drain{field}", says)])
