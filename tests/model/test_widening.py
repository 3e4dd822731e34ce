"""A cluster's own service that a policy names is given what other clusters export; it counts while the policy is in force."""

from __future__ import annotations

import pytest
from fleet_world import (
    book_of,
    endpoint,
    endpoint_slice,
    export,
    fleet_of,
    make,
    member,
    refresh,
    service,
    tier,
    traffic_policy,
)

from xds.model.events import FLEET, Delete, ObjectKey, Upsert
from xds.model.fleet import FleetChange
from xds.model.service import CLUSTERSET, ServiceKey
from xds.model.view import View

EAST, WEST = ServiceKey("shop", "web", "east"), ServiceKey("shop", "web", "west")
EXPORTED = ServiceKey("shop", "web", CLUSTERSET)
POLICY = ObjectKey("TrafficPolicy", "shop", "web")
FAIL_OVER = {"strategy": {"type": "FailOver"}}
PORTS, TARGETS = {"http": 80, "tcp": 9000}, {"http": 8080, "tcp": 9000}


def addresses(number, *last, zone="a"):
    return endpoint_slice("web", [endpoint(f"10.{number}.0.{one}", zone=zone) for one in last], TARGETS)


def world(*fleet_wide, east=(), west=(), **spec):
    """Return a fleet in which `web` has endpoints in east and, exported, in west and north."""
    clusters = {
        "east": [service("web", PORTS, **spec), addresses(1, 1), *east],
        "west": [service("web", PORTS), export("web"), addresses(2, 1, 2), *west],
        "north": [service("web", {"http": 80}), export("web"), addresses(3, 1)],
    }
    return fleet_of(clusters, *(member(name, "eu", zones=["a"]) for name in clusters), *fleet_wide)


def clusters(fleet, key=EAST, port=80):
    return sorted({one.locality.cluster for one in fleet.services[key].endpoints[port]})


def used(fleet, book=None, *, key=EAST, port=80):
    """Return the clusters of each tier that clients in the service's own cluster use."""
    view = View(cluster=key.scope, region="eu", zone="a")
    tiers = (book or book_of(fleet)).rank(fleet.services[key], port, view).tiers
    return [sorted({share.locality.cluster for share in one.shares}) for one in tiers]


def test_a_service_that_a_policy_names_is_given_what_others_export():
    fleet = world(traffic_policy("web", "web", **FAIL_OVER))
    assert clusters(fleet) == ["east", "north", "west"]
    assert clusters(fleet, port=9000) == ["east", "west"], "port by port"
    assert fleet.services[EAST].widened_by == {"north", "west"}
    assert used(fleet) == [["east"], ["north", "west"]]


def test_what_is_not_exported_stays_where_it_is():
    fleet = world(traffic_policy("web", "web", **FAIL_OVER))
    assert clusters(fleet, WEST) == ["north", "west"], "east exports nothing"


def test_it_is_widened_for_the_clients_of_the_policy_alone():
    fleet = world(east=[traffic_policy("web", "web", **FAIL_OVER)])
    assert clusters(fleet) == ["east", "north", "west"]
    assert clusters(fleet, WEST) == ["west"]


@pytest.mark.parametrize("scope", ["Namespace", "Fleet"])
def test_defaults_never_widen(scope):
    fleet = world(traffic_policy("all", defaultFor=scope, **FAIL_OVER))
    assert clusters(fleet) == ["east"]
    assert used(fleet) == [["east"], []]


@pytest.mark.parametrize(("policy", "left"), [("Locality", [["east"]]), ("FailOver", [[], ["north", "west"]])])
def test_a_drain_of_its_cluster_moves_what_may_leave_it(policy, left):
    drain = make("TrafficOverride", "d", spec={"drain": {"cluster": "east"}})
    assert used(world(traffic_policy("web", "web", strategy={"type": policy}), drain)) == left


def test_a_policy_of_the_import_does_not_widen():
    ref = {"group": "multicluster.x-k8s.io", "kind": "ServiceImport", "name": "web"}
    assert clusters(world(traffic_policy("web", ref, **FAIL_OVER))) == ["east"]


UNACCEPTED = traffic_policy("web", "web", tiers=[tier("one", {"regions": ["mars"]})])


@pytest.mark.parametrize("distribution", [None, "PreferSameZone", "PreferSameNode"])
@pytest.mark.parametrize("default", [[], [traffic_policy("all", defaultFor="Fleet", **FAIL_OVER)]])
def test_a_policy_that_is_not_accepted_leads_to_own_endpoints_alone(distribution, default):
    fleet = world(UNACCEPTED, *default, **({"trafficDistribution": distribution} if distribution else {}))
    book = book_of(fleet)
    assert {cluster for found in used(fleet, book) for cluster in found} == {"east"}
    reasons = {one.locality.cluster: one.reason for one in book.rank(fleet.services[EAST], 80, View("east")).left_out}
    reason = "exported, but what governs does not name the service"
    assert reasons == {"north": reason, "west": reason}


def test_a_port_that_the_policy_does_not_name_has_own_endpoints_alone():
    named = traffic_policy("web", {"kind": "Service", "name": "web", "port": 80}, **FAIL_OVER)
    fleet = world(named, traffic_policy("all", defaultFor="Namespace", **FAIL_OVER))
    assert used(fleet) == [["east"], ["north", "west"]]
    assert used(fleet, port=9000) == [["east"], []]


@pytest.mark.parametrize("later", [UNACCEPTED, traffic_policy("web", "wbe", **FAIL_OVER)])
def test_what_was_accepted_last_goes_on_widening(later):
    fleet = world(traffic_policy("web", "web", **FAIL_OVER))
    book = book_of(fleet)
    fleet.apply([Upsert(FLEET, later)])
    refresh(book, fleet)
    assert used(fleet, book) == [["east"], ["north", "west"]]


def test_what_no_version_in_force_names_is_forgotten():
    fleet = world(traffic_policy("web", "web", **FAIL_OVER))
    book = book_of(fleet)
    for later in (traffic_policy("web", "wbe", **FAIL_OVER), UNACCEPTED):
        fleet.apply([Upsert(FLEET, later)])
        refresh(book, fleet)
        fleet.apply([Upsert("west", export("web"))])
        assert fleet.services[EAST].widened_by == {"north", "west"}, "the first version is in force"
    fleet.apply([Upsert(FLEET, traffic_policy("web", defaultFor="Namespace", **FAIL_OVER))])
    refresh(book, fleet)
    fleet.apply([Upsert("west", export("web"))])
    assert fleet.services[EAST].widened_by == set()
    assert used(fleet, book) == [["east"], []]


def test_endpoints_of_another_cluster_come_by_the_fast_lane():
    fleet = world(traffic_policy("web", "web", **FAIL_OVER))
    change = fleet.apply([Upsert("west", addresses(2, 1, 3))])
    assert change == FleetChange(endpoints=frozenset((EAST, WEST, EXPORTED, ServiceKey("shop", "web", "north"))))
    assert not change.needs_batch
    assert ("10.2.0.3",) in [one.addresses for one in fleet.services[EAST].endpoints[80]]
    # Even the last one that a cluster has, and its first.
    for last in ((), (1,)):
        assert not fleet.apply([Upsert("west", addresses(2, *last))]).needs_batch
        assert fleet.services[EAST].widened_by == ({"north", "west"} if last else {"north"})


def test_a_policy_makes_anew_what_it_names_and_nothing_else():
    fleet = world()
    for events, lent in (
        ([Upsert(FLEET, traffic_policy("web", "web", **FAIL_OVER))], {"north", "west"}),
        ([Upsert("east", traffic_policy("web", "web"))], {"north", "west"}),
        ([Delete(FLEET, POLICY)], {"north", "west"}),
        ([Delete("east", POLICY)], set()),
    ):
        change = fleet.apply(events)
        assert change.policies
        assert change.needs_batch
        assert {key.name for key in change.endpoints | change.services} <= {"web"}
        assert fleet.services[EAST].widened_by == lent
    assert fleet.apply([Upsert(FLEET, traffic_policy("all", defaultFor="Fleet"))]) == FleetChange(policies=True)


def test_an_export_comes_and_goes():
    fleet = world(traffic_policy("web", "web", **FAIL_OVER))
    fleet.apply([Delete("west", ObjectKey("ServiceExport", "shop", "web"))])
    assert clusters(fleet) == ["east", "north"]
    fleet.apply([Upsert("west", export("web"))])
    assert clusters(fleet) == ["east", "north", "west"]


def test_a_service_that_comes_after_its_policy_is_widened():
    fleet = fleet_of({"west": [service("web"), export("web"), addresses(2, 1)]}, traffic_policy("web", "web"), member("west"))
    fleet.apply([Upsert("east", service("web"))])
    assert clusters(fleet) == ["west"]


def test_an_address_that_both_have_is_the_own_clusters():
    fleet = world(traffic_policy("web", "web", **FAIL_OVER), west=[addresses(1, 1)])
    assert clusters(fleet) == ["east", "north"]


def test_what_its_endpoints_can_bear_is_known_of_every_cluster():
    annotated = make(
        "Service",
        "web",
        metadata={"annotations": {"traffic.isthmus.dev/endpoint-capacity": "250.5"}},
        spec={"ports": [{"name": "http", "port": 80}]},
    )
    fleet = world(traffic_policy("web", "web", **FAIL_OVER), west=[annotated])
    assert fleet.services[EAST].capacities == {"west": 250.5}


@pytest.mark.parametrize("text", ["0", "0.000", "-1", "1e3", "250 rps", "", "1.2345", "٣"])
def test_a_capacity_that_is_none_is_said(text):
    item = make("Service", "web", metadata={"annotations": {"traffic.isthmus.dev/endpoint-capacity": text}}, spec={})
    fleet = fleet_of({"east": [item]}, member("east"))
    (problem,) = [one for one in fleet.problems() if one.code == "XDS0213"]
    assert problem.field == 'metadata.annotations["traffic.isthmus.dev/endpoint-capacity"]'
    assert fleet.services[EAST].capacities == {}
