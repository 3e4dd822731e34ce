"""What places weigh: never nothing, never too much for Envoy, and in the proportions that were asked for."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xds.model.service import Endpoint, Health, Locality
from xds.model.traffic_objects import PlaceSpec, WeightSpec
from xds.policy.policies import Rung, Selector
from xds.policy.tiers import Place
from xds.policy.weights import MOST, scaled, shares, weight_of

HERE = Place(cluster="east", region="eu", zone="a")
NAMES = {"cluster": ("", "*", "@own", "east", "west"), "region": ("", "@own", "eu", "us"), "zone": ("", "@own", "a", "b")}
LOCALITIES = [Locality(region, zone, cluster) for region in ("eu", "us") for zone in ("a", "b") for cluster in ("east", "west")]


def rung(*weights, by_capacity=False):
    return Rung("all", (Selector(PlaceSpec(clusters=["*"])),), by_capacity, weights)


def groups(counts, health=Health.HEALTHY):
    return {at: tuple(Endpoint(at, (f"10.0.0.{n}",), 80, health) for n in range(count)) for at, count in counts.items()}


def weighed(rung, found, capacities=None):
    return {share.locality: share.weight for share in shares(rung, found, HERE, capacities or {})}


def proportions(weights):
    return {key: Fraction(weight, sum(weights.values())) for key, weight in weights.items()}


counted = st.dictionaries(st.sampled_from(LOCALITIES), st.integers(1, 60), min_size=1)
words = st.lists(st.builds(WeightSpec, weight=st.integers(0, 10**6), **{key: st.sampled_from(v) for key, v in NAMES.items()}))
capacities = st.fixed_dictionaries({name: st.integers(1, 10**10 - 1).map(lambda n: n / 1000) for name in ("east", "west")})


@given(st.lists(st.integers(1, 10**30), max_size=40))
def test_scaled_weights_are_never_0_and_can_be_added_up(weights):
    found = scaled(weights)
    assert len(found) == len(weights)
    assert min(found, default=1) >= 1
    assert sum(found) <= MOST


@given(st.lists(st.integers(1, 10**6), min_size=1, max_size=40), st.integers(1, 10**12))
def test_proportions_are_exact_where_they_fit_and_as_small_as_they_can_be(weights, factor):
    found = scaled([one * factor for one in weights])
    assert [Fraction(one, sum(found)) for one in found] == [Fraction(one, sum(weights)) for one in weights]
    assert sum(found) <= sum(weights)


@given(st.lists(st.integers(1, 10**15), min_size=1, max_size=20))
def test_what_does_not_fit_is_near(weights):
    found = scaled(weights)
    for one, wanted in zip(found, weights, strict=True):
        assert abs(Fraction(one, sum(found)) - Fraction(wanted, sum(weights))) < Fraction(len(weights), 2**31)


@given(counted, words)
def test_each_explicit_weight_is_shared_by_the_endpoints_of_its_places(counts, weights):
    owners = {at: weight_of(weights, at, HERE) for at in counts}
    totals = {id(one): sum(counts[at] for at, other in owners.items() if other is one) for one in owners.values()}
    expected = {at: Fraction(one.weight * counts[at], totals[id(one)]) for at, one in owners.items() if one and one.weight}
    found = weighed(rung(*weights), groups(counts)) if weights else {}
    assert found.keys() == expected.keys(), "weight 0 and places that nothing names are left out"
    assert all(weight >= 1 for weight in found.values())
    assert sum(found.values()) <= MOST
    if sum(found.values()) < MOST // 2:
        total = sum(expected.values())
        assert proportions(found) == {at: one / total for at, one in expected.items()}


@given(counted, capacities)
def test_a_place_weighs_what_its_endpoints_can_bear(counts, capacities):
    found = weighed(rung(by_capacity=True), groups(counts), capacities)
    expected = {at: count * Fraction(round(capacities[at.cluster] * 1000)) for at, count in counts.items()}
    total = sum(expected.values())
    assert found.keys() == counts.keys()
    assert sum(found.values()) <= MOST
    for at, share in proportions(found).items():
        assert abs(share - expected[at] / total) < Fraction(len(counts), 2**31)


def test_a_capacity_below_one_counts_exactly():
    east, west = LOCALITIES[0], LOCALITIES[1]
    assert weighed(rung(by_capacity=True), groups({east: 1, west: 1}), {"east": 0.002, "west": 0.001}) == {east: 2, west: 1}


def test_where_one_capacity_is_unknown_endpoints_count_and_it_says_so():
    east, west = LOCALITIES[0], LOCALITIES[1]
    found = shares(rung(by_capacity=True), groups({east: 2, west: 3}), HERE, {"east": 100.0})
    assert [(share.weight, share.reasons[-1]) for share in found] == [
        (2, "by endpoints, since nothing says what those in west can bear"),
        (3, "by endpoints, since nothing says what those in west can bear"),
    ]


def test_draining_endpoints_do_not_share_a_weight():
    east, west = LOCALITIES[0], LOCALITIES[5]
    found = {**groups({east: 3}), **groups({west: 9}, Health.DRAINING)}
    assert weighed(rung(WeightSpec(weight=8)), found) == {east: 3, west: 1}


@pytest.mark.parametrize(
    ("weights", "expected"),
    [
        ([{"weight": 1}, {"cluster": "east", "weight": 2}], 2),
        ([{"cluster": "*", "weight": 1}, {"cluster": "east", "weight": 2}], 2),
        ([{"cluster": "*", "weight": 1}, {"region": "eu", "weight": 2}], 2),
        ([{"cluster": "east", "weight": 1}, {"zone": "a", "weight": 2}], 2),
        ([{"region": "eu", "weight": 1}, {"cluster": "east", "weight": 2}], 2),
        ([{"cluster": "east", "weight": 1}, {"cluster": "east", "region": "eu", "weight": 2}], 2),
        ([{"cluster": "@own", "weight": 3}, {"cluster": "west", "weight": 2}], 3),
        ([{"zone": "@own", "weight": 3}, {"zone": "b", "weight": 2}], 3),
        ([{"region": "us", "weight": 3}], None),
    ],
)
def test_the_weight_that_names_most_counts(weights, expected):
    found = weight_of([WeightSpec(**one) for one in weights], Locality("eu", "a", "east"), HERE)
    assert (found and found.weight) == expected


def test_what_a_weight_is_of_is_said():
    at = Locality("us", "b", "west")
    (share,) = shares(rung(WeightSpec(region="us", weight=5)), groups({at: 1}), HERE, {})
    assert share.reasons == ("1 endpoint", "weight 5 of region us")
