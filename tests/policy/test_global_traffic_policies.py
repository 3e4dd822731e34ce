"""GlobalTrafficPolicies of Flomesh: what clients make of them, and how that is explained."""

from __future__ import annotations

from typing import ClassVar

import pytest
from fleet_world import book_of, endpoint, endpoint_slice, fleet_of, make, member, service, traffic_policy
from flomesh_world import EAST, NORTH, WEST, gateway, imported, policy

from xds.model.events import FLEET, Health, MemberState, Standing, Upsert
from xds.model.service import ServiceKey
from xds.model.view import Role, View
from xds.policy.acceptance import Known
from xds.policy.explanation import explain
from xds.policy.failures import failed, parsed

PAY = ServiceKey("shop", "pay", "east")
VIEW = View("east", region="cn", zone="a")
IMPORT = imported("pay", gateway(WEST, path="/west/pay"), gateway(NORTH, "192.0.2.2"))


def world(*items, ready=(True, True)):
    """Return a fleet of which east has some endpoints and what is given, and its policies."""
    endpoints = [endpoint(f"10.1.0.{number}", zone="a", ready=one) for number, one in enumerate(ready, 1)]
    own = [service("pay"), endpoint_slice("pay", [endpoint(f"10.1.0.{number}", zone="a") for number, _ in enumerate(ready, 1)])]
    fleet = fleet_of({"east": [*own, IMPORT, *items], "west": []}, member("east", "cn"), member("west", "us"))
    fleet.apply([Upsert("east", endpoint_slice("pay", endpoints))])
    return fleet, book_of(fleet)


def told(fleet, book, view=VIEW):
    return explain(fleet, book, fleet.services[PAY], 80, view)


def tiers(*items, view=VIEW):
    """Return (name, {cluster: weight}) of each tier."""
    found = told(*world(*items), view).ranking.tiers
    return [(tier.name, {share.locality.cluster: share.weight for share in tier.shares}) for tier in found]


def shares(*items, ready=(True, True)):
    found = told(*world(*items, ready=ready)).forecast.shares
    return {f"{at.cluster}/{at.zone}": pytest.approx(share, abs=0.001) for at, share in found.items()}


def test_a_cluster_that_is_no_member_has_no_label_so_that_what_is_forbidden_by_that_holds_for_it():
    uncleared = {"matchExpressions": [{"key": "cleared", "operator": "DoesNotExist"}]}
    fleet, book = world(
        policy("FailOver", NORTH), traffic_policy("no", defaultFor="Namespace", sovereignty=[{"clusterSelector": uncleared}])
    )
    members = [make("MemberCluster", name, metadata={"labels": {"cleared": "yes"}}) for name in ("east", "west")]
    fleet.apply([Upsert(FLEET, one) for one in members])
    book.refresh(fleet)
    ranking = told(fleet, book).ranking
    assert [[share.locality.cluster for share in tier.shares] for tier in ranking.tiers] == [["east"], []]
    assert {one.locality.cluster: one.reason for one in ranking.left_out}["north"].startswith("never used")


def test_the_gateway_of_a_cluster_that_is_silent_is_the_last_resort():
    fleet, book = world(policy("FailOver", WEST, NORTH), ready=(False,))
    fleet.apply([Health("west", MemberState.STALE, "no answer", standing=Standing.DEMOTED)])
    found = told(fleet, book)
    assert {at.cluster: share for at, share in found.forecast.shares.items() if share} == {"north": 1}
    (share,) = [one for tier in found.ranking.tiers for one in tier.shares if one.locality.cluster == "west"]
    assert share.endpoints[0].reasons[1] == "the last resort for clients of other clusters, as its whole cluster is"
    fleet.apply([Health("west", MemberState.LOST, "no answer", standing=Standing.REMOVED)])
    assert {share.locality.cluster for tier in told(fleet, book).ranking.tiers for share in tier.shares} == {"east", "north"}


class TestTiers:
    OWN: ClassVar = ("own cluster", {"east": 2})

    @pytest.mark.parametrize("items", [[], [policy("Locality")], [policy("Locality", WEST)]])
    def test_locality_is_the_own_cluster_alone(self, items):
        assert tiers(*items) == [self.OWN]

    def test_of_more_targets_than_envoy_has_priorities_the_last_tier_has_the_rest(self):
        keys = [f"eu/default/default/c{number}" for number in range(200)]
        ways = [gateway(key, port=8000 + number) for number, key in enumerate(keys)]
        fleet, book = world(imported("pay", *ways), policy("FailOver", *keys))
        found = told(fleet, book).ranking.tiers
        assert [tier.index for tier in found] == [*range(128)]
        assert [share.locality.cluster for share in found[1].shares] == ["c0"]
        assert (found[-1].name, len(found[-1].shares)) == (f"{keys[126]} and 73 more", 74)
        assert [problem.code for problem in book.problems()] == ["XDS0610"]

    def test_fail_over_goes_through_the_targets_in_their_order(self):
        assert tiers(policy("FailOver", NORTH, WEST)) == [self.OWN, (NORTH, {"north": 1}), (WEST, {"west": 1})]

    def test_fail_over_without_targets_goes_to_every_cluster_alike(self):
        assert tiers(policy("FailOver")) == [self.OWN, ("every other cluster", {"west": 1, "north": 1})]

    def test_a_target_that_is_not_imported_keeps_its_tier(self):
        assert tiers(policy("FailOver", "x/y/z/far", WEST)) == [self.OWN, ("x/y/z/far", {}), (WEST, {"west": 1})]

    def test_the_own_cluster_as_a_target_is_first_anyway(self):
        assert tiers(policy("FailOver", WEST, EAST)) == [self.OWN, (WEST, {"west": 1})]

    def test_targets_of_which_none_can_be_read_are_not_every_cluster(self):
        assert tiers(policy("FailOver", "west")) == [self.OWN]

    def test_active_active_weighs_100_what_has_no_weight(self):
        assert tiers(policy("ActiveActive", WEST, (NORTH, 50))) == [("active", {"east": 2, "west": 2, "north": 1})]
        assert tiers(policy("ActiveActive")) == [("active", {"east": 1, "west": 1, "north": 1})]

    def test_active_active_with_a_weight_of_the_own_cluster(self):
        assert tiers(policy("ActiveActive", (EAST, 70), (WEST, 30))) == [("active", {"east": 7, "west": 3})]

    def test_a_weight_of_0_is_none(self):
        assert tiers(policy("ActiveActive", (WEST, 0), NORTH)) == [("active", {"east": 1, "north": 1})]
        assert tiers(policy("ActiveActive", (EAST, 0), NORTH)) == [("active", {"north": 1})]

    def test_grpc_clients_have_no_gateways(self):
        view = View("east", region="cn", zone="a", role=Role.PROXYLESS)
        assert tiers(policy("ActiveActive"), view=view) == [("active", {"east": 1})]


class TestShares:
    def test_local_endpoints_that_are_left_spill(self):
        item = policy("FailOver", NORTH, WEST)
        assert shares(item) == {"east/a": 1}
        assert shares(item, ready=(True, False)) == {"east/a": 0.7, "north/default": 0.3}
        assert shares(item, ready=(False, False)) == {"north/default": 1}

    def test_what_is_down_at_a_rehearsal(self):
        fleet, book = world(policy("FailOver", NORTH, WEST))
        down = failed(fleet.services[PAY], [parsed("cluster=east", Known(fleet.members))])
        found = explain(fleet, book, down, 80, VIEW).forecast
        assert {at.cluster for at in found.shares} == {"north"}

    @pytest.mark.parametrize(
        ("drain", "expected"),
        [
            ({"cluster": "west"}, {"east/a": 0.667, "north/default": 0.333}),
            ({"cluster": "west", "steps": 2, "step": 1}, {"east/a": 0.533, "west/b": 0.2, "north/default": 0.267}),
            ({"cluster": "east"}, {"west/b": 0.667, "north/default": 0.333}),
        ],
    )
    def test_gateways_are_drained_as_pods_are(self, drain, expected):
        fleet, book = world(policy("ActiveActive", (WEST, 100), (NORTH, 50)))
        fleet.apply([Upsert(FLEET, make("TrafficOverride", "calm", spec={"drain": drain}))])
        book.refresh(fleet)
        found = told(fleet, book).forecast.shares
        assert {f"{at.cluster}/{at.zone}": pytest.approx(share, abs=0.001) for at, share in found.items()} == expected


class TestExplanation:
    def test_the_chain_names_the_objects(self):
        found = told(*world(policy("ActiveActive", (WEST, 30))))
        texts = {step.text: [str(ref) for ref in step.objects] for step in found.chain}
        named = "GlobalTrafficPolicy.multicluster.flomesh.io shop/pay in east"
        assert texts[f"{named} governs, as one for Service shop/pay"] == [named]
        gateway = "imported from cn/b/default/west: through the gateway at 192.0.2.1:8081, with /west/pay in front of the path"
        assert texts[gateway] == ["ServiceImport.multicluster.flomesh.io shop/pay in east"]
        (left,) = found.ranking.left_out
        assert (left.locality.cluster, left.reason) == ("north", "no tier takes its place")
        (west,) = [one for one in found.ranking.tiers[0].shares if one.locality.cluster == "west"]
        assert west.reasons == ("1 endpoint", "weight 30 of zone b, cluster west, region us")


class TestPrecedence:
    TARGET: ClassVar = {"kind": "Service", "name": "pay"}

    def written(self, **spec):
        return make("TrafficPolicy", "own", spec={"strategy": {"type": "Locality"}, **spec})

    def test_a_traffic_policy_for_the_service_governs(self):
        fleet, book = world(policy("FailOver"), self.written(targetRefs=[self.TARGET]))
        found = told(fleet, book)
        assert found.policy.name == "TrafficPolicy shop/own in east"
        reasons = {one.reason for one in found.ranking.left_out}
        assert reasons == {"behind an HTTP gateway, which TrafficPolicy shop/own in east does not use"}
        (problem,) = book.problems()
        assert (problem.code, problem.ref.name) == ("XDS0241", "pay")

    def test_a_default_of_the_namespace_is_less_specific(self):
        fleet, book = world(policy("FailOver"), self.written(defaultFor="Namespace"))
        assert told(fleet, book).policy.name.startswith("GlobalTrafficPolicy")
        assert list(book.problems()) == []

    def test_sovereignty_holds_for_gateways(self):
        forbids = make("TrafficPolicy", "law", spec={"defaultFor": "Namespace", "sovereignty": [{"regions": ["us"]}]})
        fleet, book = world(policy("FailOver"), forbids)
        (left,) = told(fleet, book).ranking.left_out
        assert left.locality.cluster == "west"

    def test_what_is_read_stays_the_same_until_it_changes(self):
        fleet, book = world(policy("FailOver"))
        before = told(fleet, book).policy
        book.refresh(fleet)
        assert told(fleet, book).policy is before
