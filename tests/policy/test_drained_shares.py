"""What drains leave of a tier is what Envoy makes of it."""

from __future__ import annotations

import pytest

from xds.model.service import Endpoint, Health, Locality
from xds.policy.arithmetic import envoy_forecast
from xds.policy.draining import eased
from xds.policy.tiers import Share, Tier


def locality(name, healthy, draining=0, unhealthy=0):
    healths = [Health.HEALTHY] * healthy + [Health.UNHEALTHY] * unhealthy + [Health.DRAINING] * draining
    at = Locality("r", "z", name)
    endpoints = tuple(Endpoint(at, (f"{name}-{index:03}",), 80, health) for index, health in enumerate(healths))
    return Share(at, endpoints, healthy + unhealthy, ())


def loads(*shares, left, overprovisioning=140):
    eased_tier = Tier(0, "first", eased(shares, lambda at: left.get(at.cluster, 1.0), overprovisioning))
    rest = Tier(1, "second", (locality("rest", 100),))
    return envoy_forecast([eased_tier, rest], overprovisioning, 0)


@pytest.mark.parametrize("left", [0.9, 0.75, 0.5, 0.25, 0.1])
@pytest.mark.parametrize(("healthy", "draining", "unhealthy"), [(100, 0, 0), (100, 100, 0), (70, 0, 30), (50, 40, 50)])
def test_a_tier_that_drains_as_a_whole_spills(healthy, draining, unhealthy, left):
    before = loads(locality("a", healthy, draining, unhealthy), left={}).tiers[0].load_percent
    found = loads(locality("a", healthy, draining, unhealthy), left={"a": left})
    assert found.tiers[0].load_percent == pytest.approx(left * before, abs=2)
    assert found.tiers[1].load_percent == 100 - found.tiers[0].load_percent


@pytest.mark.parametrize("left", [0.9, 0.5, 0.1])
def test_a_part_of_a_tier_that_drains_leaves_the_rest_to_the_other_parts(left):
    found = loads(locality("a", 10), locality("b", 10), left={"a": left})
    shares = {at.cluster: share for at, share in found.shares.items()}
    assert shares == {"a": pytest.approx(left / (1 + left), abs=0.001), "b": pytest.approx(1 / (1 + left), abs=0.001)}


def test_parts_that_drain_differently_keep_their_proportion_and_spill_by_the_larger_one():
    found = loads(locality("a", 50), locality("b", 50), left={"a": 0.5, "b": 0.25})
    shares = {at.cluster: share for at, share in found.shares.items()}
    assert shares["a"] + shares["b"] == pytest.approx(0.5, abs=0.02)
    assert shares["a"] / shares["b"] == pytest.approx(2, abs=0.1)


def test_what_drains_is_unhealthy_since_envoy_takes_no_account_of_what_is_draining():
    (share,) = eased((locality("a", 10),), lambda _: 0.5, 140)
    assert [one.health for one in share.endpoints].count(Health.UNHEALTHY) == 6
    assert {one.note for one in share.endpoints if one.health is Health.UNHEALTHY} == {"draining, as an override says"}


def test_nothing_that_drains_and_nothing_healthy_is_left_as_it_is():
    gone = (locality("a", 0, draining=3),)
    assert [one.endpoints for one in eased(gone, lambda _: 0.5, 140)] == [gone[0].endpoints]
