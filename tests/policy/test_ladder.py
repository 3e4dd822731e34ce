"""The default ladder, rung by rung."""

from __future__ import annotations

import pytest

from xds.model.service import CLUSTERSET, Endpoint, Health, Locality, Port, Protocol, Service, ServiceKey
from xds.model.view import View
from xds.policy.book import PolicyBook
from xds.policy.tiers import Place

VIEW = View(cluster="east", region="eu", zone="eu-a", node_name="n1")


def at(cluster, region, zone, *, health=Health.HEALTHY, node="", network="default", number=[0]):  # noqa: B006 - a counter
    number[0] += 1
    return Endpoint(Locality(region, zone, cluster), (f"10.0.{number[0] // 256}.{number[0] % 256}",), 80, health, network, node)


def service_of(*endpoints, scope=CLUSTERSET, distribution=""):
    key = ServiceKey("shop", "web", scope)
    return Service(key, (Port(80, "http", Protocol.HTTP),), {80: endpoints}, {}, frozenset(), False, distribution)  # noqa: FBT003


def rungs(service, view=VIEW):
    """Return (name, [(cluster, zone, weight)]) of each tier."""
    found = PolicyBook().rank(service, 80, view).tiers
    assert [tier.index for tier in found] == list(range(len(found)))
    return [(tier.name, [(share.locality.cluster, share.locality.zone, share.weight) for share in tier.shares]) for tier in found]


EVERYWHERE = (at("west", "us", "us-a"), at("north", "eu", "eu-a"), at("east", "eu", "eu-a"), at("east", "eu", "eu-b"))


def test_own_cluster_then_region_then_anywhere():
    assert rungs(service_of(*EVERYWHERE)) == [
        ("own cluster", [("east", "eu-a", 1), ("east", "eu-b", 1)]),
        ("same region", [("north", "eu-a", 1)]),
        ("anywhere", [("west", "us-a", 1)]),
    ]


def test_empty_rungs_keep_their_index():
    assert rungs(service_of()) == [("own cluster", []), ("same region", []), ("anywhere", [])]


def test_a_clusters_own_service_has_one_rung():
    assert rungs(service_of(EVERYWHERE[2], scope="east")) == [("own cluster", [("east", "eu-a", 1)])]


def test_an_unknown_region_is_no_common_region():
    found = rungs(service_of(at("north", "", "a")), View(cluster="east"))
    assert [name for name, shares in found if shares] == ["anywhere"]


def test_prefer_same_zone_looks_over_clusters():
    assert rungs(service_of(*EVERYWHERE, distribution="PreferSameZone")) == [
        ("own zone", [("east", "eu-a", 1), ("north", "eu-a", 1)]),
        ("own cluster", [("east", "eu-b", 1)]),
        ("same region", []),
        ("anywhere", [("west", "us-a", 1)]),
    ]


def test_one_zone_name_in_two_regions_is_two_zones():
    found = rungs(service_of(at("west", "us", "eu-a"), distribution="PreferSameZone"))
    assert [name for name, shares in found if shares] == ["anywhere"]


def test_prefer_same_node_falls_back_to_the_zone_before_the_rest():
    endpoints = [at("east", "eu", "eu-a", node="n1"), at("east", "eu", "eu-a", node="n2"), at("east", "eu", "eu-b", node="n3")]
    expected = [("own node", [("east", "eu-a", 1)]), ("own zone", [("east", "eu-a", 1)]), ("own cluster", [("east", "eu-b", 1)])]
    assert rungs(service_of(*endpoints, scope="east", distribution="PreferSameNode")) == expected


def test_a_node_of_the_same_name_in_another_cluster_is_another_node():
    found = rungs(service_of(at("north", "eu", "eu-b", node="n1"), distribution="PreferSameNode"))
    assert [name for name, shares in found if shares] == ["same region"]


def test_other_networks_are_left_out():
    found = rungs(service_of(at("east", "eu", "eu-a", network="other")))
    assert all(not shares for _, shares in found)


@pytest.mark.parametrize(
    ("healths", "weight"),
    [
        ([Health.HEALTHY, Health.UNHEALTHY, Health.UNHEALTHY], 3),
        ([Health.HEALTHY, Health.DRAINING], 1),
        ([Health.DRAINING, Health.DRAINING], 1),
    ],
)
def test_weight_counts_endpoints_draining_ones_aside(healths, weight):
    found = rungs(service_of(*(at("east", "eu", "eu-a", health=health) for health in healths)))
    assert found[0] == ("own cluster", [("east", "eu-a", weight)])


def test_every_weight_has_its_reason():
    served = service_of(at("east", "eu", "a", health=Health.DRAINING))
    (share,) = PolicyBook().rank(served, 80, View("east")).tiers[0].shares
    assert share.reasons == ("1 endpoint", "1 of them draining, not counted", "a locality that has endpoints keeps weight 1")


@pytest.mark.parametrize(
    ("scope", "distribution", "expected"),
    [
        ("east", "", Place("default", "east")),
        ("east", "PreferSameZone", Place("default", "east", "eu", "eu-a")),
        ("east", "PreferSameNode", Place("default", "east", "eu", "eu-a", "n1")),
        (CLUSTERSET, "", Place("default", "east", "eu")),
        (CLUSTERSET, "PreferSameZone", Place("default", "east", "eu", "eu-a")),
    ],
)
def test_a_place_holds_no_more_than_the_tiers_depend_on(scope, distribution, expected):
    assert PolicyBook().ladder(service_of(scope=scope, distribution=distribution), 80, VIEW).place == expected
