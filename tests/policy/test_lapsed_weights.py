"""Weights that are above 0 only where a service has no endpoints leave nobody: they do not count, and that is told."""

from __future__ import annotations

import pytest
from fleet_world import book_of, endpoint, endpoint_slice, export, fleet_of, make, member, refresh, service, tier, traffic_policy

from xds.model.events import FLEET, Health, MemberState, Standing, Upsert
from xds.model.service import CLUSTERSET, ServiceKey
from xds.model.view import View
from xds.policy.ladder import Ladder

KEY = ServiceKey("shop", "web", CLUSTERSET)
IMPORT = {"group": "multicluster.x-k8s.io", "kind": "ServiceImport", "name": "web"}
REGIONS = {"east": "eu", "north": "eu", "west": "us"}
EVERYWHERE = {"clusters": ["*"]}
EAST = View("east", region="eu", zone="east-a")


def parts(number, cluster):
    return [service("web"), export("web"), slice_of(number, cluster)]


def slice_of(number, cluster):
    return endpoint_slice("web", [endpoint(f"10.{number}.0.{at}", zone=f"{cluster}-a") for at in (1, 2)])


def world(*names, **spec):
    """Return a fleet in which some clusters have the service, and its policy."""
    clusters = {one: parts(number, one) if one in names else [service("other")] for number, one in enumerate(REGIONS)}
    return fleet_of(
        clusters,
        *(member(one, region, zones=[f"{one}-a"]) for one, region in REGIONS.items()),
        traffic_policy("web", IMPORT, **spec),
    )


def weighed(**weights):
    return [{"cluster": cluster, "weight": weight} for cluster, weight in weights.items()]


def tiers(book, fleet, view=EAST):
    found = book.rank(fleet.services[KEY], 80, view).tiers
    return {one.name: {share.locality.cluster: share.weight for share in one.shares} for one in found}


def told(book):
    return [(one.code, one.field) for one in book.problems()]


@pytest.mark.parametrize("weights", [weighed(east=1, west=0), weighed(east=1), weighed(east=3, north=1, west=0)])
def test_weights_that_leave_nobody_do_not_count_and_are_told(weights):
    fleet = world("west", tiers=[tier("own", {"clusters": ["@own"]}), tier("all", EVERYWHERE, weights=weights)])
    book = book_of(fleet)
    assert tiers(book, fleet) == {"own": {}, "all": {"west": 2}}
    ((share,),) = [one.shares for one in book.rank(fleet.services[KEY], 80, EAST).tiers if one.shares]
    assert share.reasons == ("2 endpoints", "by endpoints, since the weights leave nobody")
    (problem,) = book.problems()
    assert (problem.code, str(problem.ref), problem.field) == (
        "XDS0607",
        "TrafficPolicy shop/web in the fleet",
        "spec.tiers[1].weights",
    )
    assert problem.message == (
        "web.shop.svc.clusterset.local has no endpoints where these are above 0, for clients in east, north; "
        "they do not count, and its places weigh by their endpoints"
    )
    assert problem.hint == "give a place in west a weight above 0, or export the service where they are above 0"


def test_the_weights_of_a_strategy_are_told_as_its_own():
    fleet = world("west", strategy={"type": "ActiveActive", "weights": weighed(east=1, west=0)})
    book = book_of(fleet)
    assert tiers(book, fleet) == {"active": {"west": 2}}
    assert told(book) == [("XDS0607", "spec.strategy.weights")]


def test_they_count_again_once_there_is_something():
    fleet = world("west", tiers=[tier("all", EVERYWHERE, weights=weighed(east=1, west=0))])
    book = book_of(fleet)
    fleet.apply([Upsert("east", item) for item in parts(7, "east")])
    refresh(book, fleet)
    assert tiers(book, fleet) == {"all": {"east": 1}}
    assert told(book) == []


def test_endpoints_alone_that_come_and_go_need_no_batch():
    fleet = world("east", "west", tiers=[tier("all", EVERYWHERE, weights=weighed(east=1, west=0))])
    book = book_of(fleet)
    assert tiers(book, fleet) == {"all": {"east": 1}}
    fleet.apply([Upsert("east", endpoint_slice("web", []))])
    assert tiers(book, fleet) == {"all": {"west": 2}}
    assert told(book) == [("XDS0607", "spec.tiers[0].weights")]
    fleet.apply([Upsert("east", slice_of(7, "east"))])
    assert tiers(book, fleet) == {"all": {"east": 1}}
    assert told(book) == []


@pytest.mark.parametrize(
    ("later", "expected"),
    [
        (tier("rest", EVERYWHERE), {"all": {}, "rest": {"west": 2}}),
        (tier("rest", EVERYWHERE, weights=weighed(west=5)), {"all": {}, "rest": {"west": 1}}),
    ],
)
def test_weights_that_leave_a_place_to_a_later_tier_count(later, expected):
    fleet = world("west", tiers=[tier("all", EVERYWHERE, weights=weighed(east=1)), later])
    book = book_of(fleet)
    assert tiers(book, fleet) == expected
    assert told(book) == []


def test_an_explicit_0_holds_where_other_places_serve():
    fleet = world("east", "west", tiers=[tier("all", EVERYWHERE, weights=weighed(east=1, west=0)), tier("rest", EVERYWHERE)])
    book = book_of(fleet)
    assert tiers(book, fleet) == {"all": {"east": 1}, "rest": {}}
    assert told(book) == []


def drained(fleet):
    return fleet.apply([Upsert(FLEET, make("TrafficOverride", "d", spec={"drain": {"cluster": "east"}}))])


def silent(fleet):
    return fleet.apply([Health("east", MemberState.CONNECTED, standing=Standing.REMOVED)])


@pytest.mark.parametrize("lose", [drained, silent])
def test_a_place_that_is_drained_or_silent_makes_no_weight_wrong(lose):
    fleet = world("east", "west", tiers=[tier("all", EVERYWHERE, weights=weighed(east=1, west=0))])
    lose(fleet)
    book = book_of(fleet)
    assert tiers(book, fleet, View("north", region="eu")) == {"all": {}}
    assert told(book) == []


def test_gates_and_sovereignty_hold_where_weights_do_not_count():
    never, gated = [{"regions": ["us"]}], tier("gated", {"clusters": ["north"]}, gate="Manual")
    spec = {
        "tiers": [
            gated | {"gate": "Open"} | {"places": [{"clusters": ["@own"]}]},
            tier("all", EVERYWHERE, weights=weighed(east=1)),
        ]
    }
    fleet = world("west", sovereignty=never, **spec)
    assert tiers(book_of(fleet), fleet) == {"gated": {}, "all": {}}
    first = tier("all", {"clusters": ["east", "west"]}, weights=weighed(east=1, west=0))
    fleet = world("north", "west", tiers=[first, gated])
    book = book_of(fleet)
    assert tiers(book, fleet) == {"all": {"west": 2}, "gated": {}}
    assert told(book) == [("XDS0607", "spec.tiers[0].weights")]


def test_weights_that_depend_on_the_client_are_looked_at_for_its_zones():
    own = [{"zone": "@own", "weight": 1}]
    fleet = world("east", "west", tiers=[tier("all", EVERYWHERE, weights=own)])
    book = book_of(fleet)
    assert tiers(book, fleet) == {"all": {"east": 1}}
    assert tiers(book, fleet, View("north", region="eu", zone="north-a")) == {"all": {"east": 2, "west": 2}}
    (problem,) = book.problems()
    assert "for clients in north;" in problem.message


def test_services_that_stay_as_they_are_are_looked_at_once(monkeypatch):
    asked = []
    looks = Ladder.weights_leave_nobody
    monkeypatch.setattr(Ladder, "weights_leave_nobody", lambda *about: asked.append(about) or looks(*about))
    fleet = world("west", tiers=[tier("all", EVERYWHERE, weights=weighed(east=1, west=0))])
    book = book_of(fleet)
    before = told(book)
    refresh(book, fleet)
    number = len(asked)
    assert told(book) == before == [("XDS0607", "spec.tiers[0].weights")]
    assert len(asked) == number
    fleet.apply([Upsert(FLEET, traffic_policy("web", IMPORT, tiers=[tier("all", EVERYWHERE, weights=weighed(west=1))]))])
    refresh(book, fleet)
    assert told(book) == []
