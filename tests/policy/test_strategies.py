"""Strategies: the tiers that each stands for, and the ladder that clients in each place see."""

from __future__ import annotations

import msgspec
import pytest
from fleet_world import book_of, endpoint, endpoint_slice, export, fleet_of, make, member, service, tier, traffic_policy

from xds.model.service import CLUSTERSET, ServiceKey
from xds.model.traffic_objects import StrategySpec
from xds.model.view import View
from xds.policy.strategies import expand

TWO_SITES = {"bj1": "beijing", "bj2": "beijing", "sh1": "shanghai"}
FOUR = {**TWO_SITES, "sh2": "shanghai"}
CITIES = {"primary": "beijing", "remote": "shanghai"}


def world(clusters, policy, members):
    """Return a fleet in which each cluster has and exports `web`, with one endpoint a zone."""
    objects = {
        name: [
            service("web"),
            export("web"),
            endpoint_slice("web", [endpoint(f"10.{number}.0.{index}", zone=f"{name}{zone}") for index, zone in enumerate("xy")]),
        ]
        for number, name in enumerate(clusters)
    }
    return fleet_of(objects, *(members or (member(name, region) for name, region in clusters.items())), policy)


def ladders(clusters, policy, *, scope=None, members=()):
    """Return what clients in each cluster see: a tier's clusters, or `-` for one that is closed."""
    fleet = world(clusters, policy, members)
    book = book_of(fleet)
    assert not list(book.problems())
    found = {}
    for name, region in clusters.items():
        key = ServiceKey("shop", "web", name if scope is None else scope)
        ranking = book.rank(fleet.services[key], 80, View(cluster=name, region=region, zone=f"{name}x"))
        assert [one.index for one in ranking.tiers] == list(range(len(ranking.tiers)))
        found[name] = [
            "-" if one.closed else " ".join(sorted({share.locality.cluster for share in one.shares})) for one in ranking.tiers
        ]
    return found


def strategy(type_, **fields):
    return traffic_policy("web", "web", strategy={"type": type_, **fields})


def expanded(type_, **fields):
    """Return the tiers, as they would be written."""
    return msgspec.to_builtins(expand(msgspec.convert({"type": type_, **fields}, StrategySpec)))


def written(name, gate="Open", weights=(), **places):
    found = {"name": name, "places": [places]}
    return found | ({"weights": list(weights)} if weights else {}) | ({"gate": gate} if gate != "Open" else {})


OWN = written("own cluster", clusters=["@own"])
ANYWHERE = written("anywhere", clusters=["*"])


@pytest.mark.parametrize(
    ("tiers", "expected"),
    [
        (expanded("Nearest"), [OWN, written("same region", regions=["@own"]), ANYWHERE]),
        (expanded("Locality"), [OWN]),
        (expanded("FailOver"), [OWN, ANYWHERE]),
        (expanded("FailOver", clusters=["b", "a"]), [OWN, written("b", clusters=["b"]), written("a", clusters=["a"])]),
        (expanded("ActiveActive"), [written("active", clusters=["*"])]),
        (
            expanded("ActiveActive", clusters=["a", "b"], weights=[{"cluster": "a", "weight": 3}, {"weight": 1}]),
            [
                written(
                    "active",
                    clusters=["a", "b"],
                    weights=[
                        {"cluster": "a", "weight": 3},
                        {"weight": 1},
                    ],
                )
            ],
        ),
        (
            expanded("SameCityActiveActive"),
            [written("own site", clusters=["@own"]), written("same city", regions=["@own"])],
        ),
        (
            expanded("TwoSitesThreeCenters", **CITIES),
            [
                written("own site", clusters=["@own"], regions=["beijing"]),
                written("same city", regions=["beijing"]),
                written("remote", "Manual", regions=["shanghai"]),
            ],
        ),
        (
            expanded("RemoteDR", **CITIES, gate="Open"),
            [written("primary", regions=["beijing"]), written("standby", regions=["shanghai"])],
        ),
    ],
)
def test_each_strategy_stands_for_tiers_that_could_be_written_down(tiers, expected):
    assert tiers == expected


LADDERS = {
    "Nearest": (
        strategy("Nearest"),
        {
            "bj1": ["bj1", "bj2", "sh1 sh2"],
            "bj2": ["bj2", "bj1", "sh1 sh2"],
            "sh1": ["sh1", "sh2", "bj1 bj2"],
            "sh2": ["sh2", "sh1", "bj1 bj2"],
        },
    ),
    "Locality": (strategy("Locality"), {name: [name] for name in FOUR}),
    "FailOver": (
        strategy("FailOver"),
        {
            "bj1": ["bj1", "bj2 sh1 sh2"],
            "bj2": ["bj2", "bj1 sh1 sh2"],
            "sh1": ["sh1", "bj1 bj2 sh2"],
            "sh2": ["sh2", "bj1 bj2 sh1"],
        },
    ),
    "FailOver to sh1, then bj2": (
        strategy("FailOver", clusters=["sh1", "bj2"]),
        {"bj1": ["bj1", "sh1", "bj2"], "bj2": ["bj2", "sh1", ""], "sh1": ["sh1", "", "bj2"], "sh2": ["sh2", "sh1", "bj2"]},
    ),
    "ActiveActive": (strategy("ActiveActive"), {name: ["bj1 bj2 sh1 sh2"] for name in FOUR}),
    "ActiveActive in bj1 and sh1": (
        strategy("ActiveActive", clusters=["bj1", "sh1"]),
        {name: ["bj1 sh1"] for name in FOUR},
    ),
    "SameCityActiveActive": (
        strategy("SameCityActiveActive"),
        {"bj1": ["bj1", "bj2"], "bj2": ["bj2", "bj1"], "sh1": ["sh1", "sh2"], "sh2": ["sh2", "sh1"]},
    ),
    "TwoSitesThreeCenters": (
        strategy("TwoSitesThreeCenters", **CITIES),
        {
            "bj1": ["bj1", "bj2", "-"],
            "bj2": ["bj2", "bj1", "-"],
            "sh1": ["", "bj1 bj2", "-"],
            "sh2": ["", "bj1 bj2", "-"],
        },
    ),
    "TwoSitesThreeCenters, opened": (
        strategy("TwoSitesThreeCenters", **CITIES, gate="Open"),
        {
            "bj1": ["bj1", "bj2", "sh1 sh2"],
            "bj2": ["bj2", "bj1", "sh1 sh2"],
            "sh1": ["", "bj1 bj2", "sh1 sh2"],
            "sh2": ["", "bj1 bj2", "sh1 sh2"],
        },
    ),
    "RemoteDR": (strategy("RemoteDR", **CITIES), {name: ["bj1 bj2", "-"] for name in FOUR}),
    "RemoteDR, opened": (strategy("RemoteDR", **CITIES, gate="Open"), {name: ["bj1 bj2", "sh1 sh2"] for name in FOUR}),
}
"""Name -> (policy, what clients in each cluster of two cities see)."""


@pytest.mark.parametrize("name", LADDERS)
def test_clients_in_each_of_four_places_see_the_ladder_of_the_strategy(name):
    policy, expected = LADDERS[name]
    assert ladders(FOUR, policy) == expected


def test_the_exported_service_is_on_the_same_ladder():
    ref = {"kind": "ServiceImport", "group": "multicluster.x-k8s.io", "name": "web"}
    for policy, expected in LADDERS.values():
        imported = traffic_policy("web", ref, strategy=msgspec.to_builtins(policy.spec.strategy))
        assert ladders(FOUR, imported, scope=CLUSTERSET) == expected


def test_two_sites_and_three_centers_are_three_clusters():
    assert ladders(TWO_SITES, strategy("TwoSitesThreeCenters", **CITIES, gate="Closed")) == {
        "bj1": ["bj1", "bj2", "-"],
        "bj2": ["bj2", "bj1", "-"],
        "sh1": ["", "bj1 bj2", "-"],
    }


@pytest.mark.parametrize("name", LADDERS)
def test_every_strategy_is_the_ladder_of_the_tiers_that_it_stands_for(name):
    policy, expected = LADDERS[name]
    tiers = msgspec.to_builtins(expand(policy.spec.strategy))
    assert ladders(FOUR, traffic_policy("web", "web", tiers=tiers)) == expected


def test_what_the_weights_of_a_tier_do_not_name_falls_to_later_tiers_and_weight_0_is_left_out():
    first = tier("weighed", {"clusters": ["*"]}, weights=[{"cluster": "bj1", "weight": 1}, {"cluster": "bj2", "weight": 0}])
    policy = traffic_policy("web", "web", tiers=[first, tier("rest", {"regions": ["beijing"]}, {"clusters": ["sh2"]})])
    assert ladders(FOUR, policy) == {name: ["bj1", "sh2"] for name in FOUR}


def test_places_are_told_apart_by_zone_provider_and_label():
    tiers = [
        tier("own zone", {"zones": ["@own"]}),
        tier("blue in Beijing", {"providers": ["blue"], "regions": ["beijing"]}),
        tier("gold", {"clusterSelector": {"matchLabels": {"grade": "gold"}}}),
        tier("own provider", {"providers": ["@own"]}),
    ]
    providers = {"bj1": "blue", "bj2": "red", "sh1": "blue", "sh2": "red"}
    declared = [
        make(
            "MemberCluster",
            name,
            metadata={"labels": {"grade": "gold"}} if name == "sh2" else {},
            spec={"region": FOUR[name], "provider": provider},
        )
        for name, provider in providers.items()
    ]
    assert ladders(FOUR, traffic_policy("web", "web", tiers=tiers), members=declared) == {
        "bj1": ["bj1", "bj1", "sh2", "sh1"],
        "bj2": ["bj2", "bj1", "sh2", "bj2"],
        "sh1": ["sh1", "bj1", "sh2", "sh1"],
        "sh2": ["sh2", "bj1", "sh2", "bj2"],
    }
