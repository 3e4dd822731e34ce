"""Envoy's documented tables, and what gRPC does."""

from __future__ import annotations

import pytest
from documented_loads import LOADS
from hypothesis import given
from hypothesis import strategies as st

from xds.model.service import Endpoint, Health, Locality
from xds.policy.arithmetic import envoy_forecast, grpc_forecast
from xds.policy.tiers import Share, Tier


def locality(name, *, weight=0, healthy=0, degraded=0, unhealthy=0, draining=0):
    counts = {Health.HEALTHY: healthy, Health.DEGRADED: degraded, Health.UNHEALTHY: unhealthy, Health.DRAINING: draining}
    healths = [health for health, count in counts.items() for _ in range(count)]
    at = Locality("r", "z", name)
    endpoints = tuple(Endpoint(at, (f"{name}-{index}",), 80, health) for index, health in enumerate(healths))
    return Share(at, endpoints, weight or len(endpoints), ())


def tier(index, *shares):
    return Tier(index, f"tier {index}", shares)


def tiers_of(*percents, degraded=()):
    """Return a tier of one locality with 100 endpoints for each percentage that is healthy."""
    degraded = degraded or [0] * len(percents)
    return [
        tier(index, locality(f"c{index}", healthy=well, degraded=half, unhealthy=100 - well - half))
        for index, (well, half) in enumerate(zip(percents, degraded, strict=True))
    ]


def loads(tiers, panic=0, overprovisioning=140):
    return [one.load_percent for one in envoy_forecast(tiers, overprovisioning, panic).tiers]


@pytest.mark.parametrize(("percents", "expected"), LOADS)
def test_priorities_share_as_documented(percents, expected):
    assert loads(tiers_of(*percents)) == expected


@pytest.mark.parametrize(("healthy", "share"), [(100, 33), (70, 33), (69, 33), (50, 26), (25, 15), (0, 0)])
def test_localities_share_as_documented(healthy, share):
    one = tier(0, locality("x", weight=1, healthy=healthy, unhealthy=100 - healthy), locality("y", weight=2, healthy=100))
    shares = envoy_forecast([one], 140, 0).shares
    assert round(100 * shares.get(Locality("r", "z", "x"), 0.0)) == share


@pytest.mark.parametrize(
    ("healthy", "degraded", "expected"), [(71, 29, (99, 1)), (25, 65, (35, 65)), (5, 0, (100, 0)), (0, 100, (0, 100))]
)
def test_what_is_degraded_takes_what_healthy_ones_cannot_bear(healthy, degraded, expected):
    found = envoy_forecast(tiers_of(healthy, degraded=[degraded]), 140, 0)
    per_endpoint = found.tiers[0].localities[0].per_endpoint
    by_health = {health: sum(share for one, share in per_endpoint.items() if one.health is health) for health in Health}
    assert (round(100 * by_health[Health.HEALTHY]), round(100 * by_health[Health.DEGRADED])) == expected
    assert found.unserved == 0


@pytest.mark.parametrize(
    ("percents", "expected", "panics"),
    [
        ((25, 25), [50, 50], [True, True]),
        ((5, 65), [8, 92], [True, False]),
        ((5, 100), [7, 93], [False, False]),
        ((0, 0), [50, 50], [True, True]),
    ],
)
def test_panic_is_a_matter_of_all_tiers_together(percents, expected, panics):
    found = envoy_forecast(tiers_of(*percents), 140, 50)
    assert [one.load_percent for one in found.tiers] == expected
    assert [one.panics for one in found.tiers] == panics
    assert found.unserved == 0


def test_where_panic_is_off_nobody_serves_when_nobody_is_healthy():
    found = envoy_forecast(tiers_of(0, 0), 140, 0)
    assert (found.unserved, found.shares) == (1.0, {})


def test_in_a_panic_of_all_tiers_each_gets_its_part_of_all_endpoints_whoever_is_healthy():
    tiers = [tier(0), tier(1, locality("a", unhealthy=3, draining=1)), tier(2, locality("b", unhealthy=6, draining=2))]
    assert loads([*tiers, tier(3, locality("c", unhealthy=1))], panic=20) == [0, 32, 61, 7]
    assert loads([tier(0), tier(1, locality("a", draining=3))], panic=40) == [0, 100]
    assert envoy_forecast([tier(0), tier(1)], 140, 40).unserved == 1


def test_an_empty_tier_passes_everything_on():
    found = envoy_forecast([tier(0), tier(1, locality("b", healthy=2))], 140, 0)
    assert [one.load_percent for one in found.tiers] == [0, 100]


def test_endpoints_that_drain_do_not_count():
    """https://www.envoyproxy.io/docs/envoy/latest/intro/arch_overview/upstream/load_balancing/excluded, envoy#30622."""
    assert loads([tier(0, locality("a", healthy=1, draining=2)), tier(1, locality("b", healthy=2))]) == [100, 0]
    one = tier(0, locality("x", weight=4, healthy=1, unhealthy=2, draining=2), locality("y", weight=1, healthy=1))
    shares = envoy_forecast([one], 140, 0).shares
    assert shares[Locality("r", "z", "x")] == pytest.approx(4 * 1.4 / 3 / (4 * 1.4 / 3 + 1))
    drained = envoy_forecast([tier(0, locality("a", draining=2))], 140, 0)
    assert (drained.unserved, drained.shares) == (1.0, {})


def test_endpoints_that_drain_do_not_start_a_panic_but_are_used_in_it():
    """envoy#46800."""
    calm = tier(0, locality("a", healthy=1, unhealthy=1, draining=8))
    assert not envoy_forecast([calm], 140, 50).tiers[0].panics
    found = envoy_forecast([tier(0, locality("a", healthy=1, unhealthy=2, draining=1))], 140, 50)
    assert found.tiers[0].panics
    assert len(found.tiers[0].localities[0].per_endpoint) == 4


def test_overprovisioning_says_when_a_tier_spills():
    assert loads(tiers_of(50, 100), overprovisioning=200) == [100, 0]
    assert loads(tiers_of(49, 100), overprovisioning=200) == [98, 2]
    assert loads(tiers_of(99, 100), overprovisioning=100) == [99, 1]


def test_grpc_uses_the_first_tier_in_which_anything_is_healthy():
    tiers = [
        tier(0, locality("a", unhealthy=3)),
        tier(1, locality("b", healthy=1, unhealthy=9), locality("c", weight=30, healthy=3), locality("d", unhealthy=1)),
        tier(2, locality("e", healthy=1)),
    ]
    found = grpc_forecast(tiers)
    assert {at.cluster: share for at, share in found.shares.items()} == {"b": 0.25, "c": 0.75}
    assert grpc_forecast([tier(0, locality("a", unhealthy=1))]).unserved == 1


@given(
    st.lists(st.lists(st.tuples(*(st.integers(0, 4) for _ in range(4)), st.integers(1, 9)), max_size=3), min_size=1, max_size=4),
    st.integers(100, 300),
    st.sampled_from((0, 50, 100)),
)
def test_every_request_goes_somewhere_or_is_unserved(world, overprovisioning, panic):
    tiers = [
        tier(
            index,
            *(
                locality(f"c{index}{number}", healthy=h, degraded=d, unhealthy=u, draining=e, weight=w)
                for number, (h, d, u, e, w) in enumerate(places)
                if h + d + u + e
            ),
        )
        for index, places in enumerate(world)
    ]
    found = envoy_forecast(tiers, overprovisioning, panic)
    per_endpoint = [share for one in found.tiers for at in one.localities for share in at.per_endpoint.values()]
    assert sum(found.shares.values()) + found.unserved == pytest.approx(1)
    assert sum(per_endpoint) + found.unserved == pytest.approx(1)
    assert sum(one.load_percent for one in found.tiers) == 100
    if any(at.healthy or at.degraded for one in found.tiers for at in one.localities):
        assert found.unserved == 0, "as long as anybody is well, everybody is served"
