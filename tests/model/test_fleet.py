"""The fleet takes events and says what changed."""

from __future__ import annotations

import pytest
from fleet_world import codes, endpoint, endpoint_slice, export, fleet_of, make, member, node, service

from xds.model.events import FLEET, Delete, Health, MemberState, ObjectKey, Remember, Synced, Upsert
from xds.model.fleet import Fleet, FleetChange
from xds.model.service import CLUSTERSET, ServiceKey

WEB_EAST = ServiceKey("shop", "web", "east")
WEB = ServiceKey("shop", "web", CLUSTERSET)


def web(*addresses, **kwargs):
    return [service("web", **kwargs), export("web"), endpoint_slice("web", [endpoint(address) for address in addresses])]


def test_synced_once_the_fleet_and_every_cluster_with_objects_have_been_told():
    fleet = Fleet()
    assert not fleet.synced
    fleet.apply([Upsert(FLEET, member("east")), Synced(FLEET), Upsert("east", service("web"))])
    assert not fleet.synced
    fleet.apply([Synced("east")])
    assert fleet.synced


def test_a_declared_member_without_objects_does_not_hold_up_the_start():
    fleet = fleet_of({"east": web("10.1.0.1")}, member("east"), member("later"))
    assert fleet.synced
    assert list(fleet.members) == ["east", "later"]


def test_a_lost_cluster_without_objects_is_a_member_only_while_it_is_declared():
    fleet = fleet_of({"east": [], "west": []}, member("east"))
    lost = [Health(name, MemberState.LOST, "there is no directory") for name in ("east", "west")]
    assert fleet.apply(lost).members
    assert {name: found.state for name, found in fleet.members.items()} == {"east": MemberState.LOST}
    assert codes(fleet) == ["XDS0217"]
    assert fleet.apply([Synced("west"), Health("west", MemberState.CONNECTED)]).members
    assert list(fleet.members) == ["east", "west"]


def test_endpoints_alone_take_the_fast_lane():
    fleet = fleet_of({"east": web("10.1.0.1")}, member("east"))
    change = fleet.apply([Upsert("east", endpoint_slice("web", [endpoint("10.1.0.2")]))])
    assert change == FleetChange(endpoints=frozenset((WEB_EAST, WEB)))
    assert not change.needs_batch


def test_what_changes_nothing_is_no_change():
    fleet = fleet_of({"east": web("10.1.0.1")}, member("east"))
    built = fleet.services_built
    again = [Upsert("east", item) for item in web("10.1.0.1")]
    assert fleet.apply([*again, Upsert("east", make("Pod", "web-0")), Synced("east")]) == FleetChange()
    assert fleet.services_built == built + 2


def test_a_service_made_anew_may_lose_its_address_to_an_older_one_and_needs_a_batch():
    fleet = fleet_of({"east": web("10.1.0.1")}, member("east"))
    created = make("Service", "web", metadata={"creationTimestamp": "2026-01-01T00:00:00Z"}, spec={"ports": [{"port": 80}]})
    fleet.apply([Upsert("east", created)])
    later = make("Service", "web", metadata={"creationTimestamp": "2026-02-01T00:00:00Z"}, spec={"ports": [{"port": 80}]})
    assert fleet.apply([Upsert("east", later)]).services == {WEB_EAST}
    fleet.apply([Upsert("east", export("web", created="2026-03-01T00:00:00Z"))])
    assert [fleet.services[key].age[:7] for key in (WEB_EAST, WEB)] == ["2026-02", "2026-03"]


def test_ports_exports_and_names_need_a_batch():
    fleet = fleet_of({"east": web("10.1.0.1")}, member("east"))
    change = fleet.apply([Upsert("east", service("web", {"http": 80, "http-admin": 81}))])
    assert change.services == {WEB_EAST, WEB}
    change = fleet.apply([Delete("east", ObjectKey("ServiceExport", "shop", "web"))])
    assert change == FleetChange(services=frozenset((WEB,)))
    change = fleet.apply([Delete("east", ObjectKey("Service", "shop", "web"))])
    assert change == FleetChange(services=frozenset((WEB_EAST,)))
    assert not fleet.services


def test_gateway_objects_are_told_apart():
    fleet = fleet_of({"east": []}, member("east"))
    assert fleet.apply([Upsert("east", make("Gateway", "public"))]) == FleetChange(gateways=True)
    assert [item.metadata.name for item in fleet.gateways("east")] == ["public"]
    assert fleet.gateways("west") == ()


def test_the_state_of_a_member_moves_no_traffic():
    fleet = fleet_of({"east": web("10.1.0.1")}, member("east", "eu"))
    built = fleet.services_built
    assert fleet.apply([Health("east", MemberState.STALE, "timeout")]) == FleetChange()
    assert (fleet.members["east"].state, fleet.members["east"].reason) == (MemberState.STALE, "timeout")
    assert fleet.services_built == built


def test_a_member_that_moves_takes_its_endpoints_along():
    fleet = fleet_of({"east": web("10.1.0.1")}, member("east", "eu"))
    change = fleet.apply([Upsert(FLEET, member("east", "us"))])
    assert change.members
    assert change.endpoints == {WEB_EAST, WEB}
    assert fleet.services[WEB].endpoints[80][0].locality.region == "us"


@pytest.mark.parametrize(
    ("value", "found"),
    [("site-a", "site-a"), ("a.b", "a.b"), ("a.b.c", "east"), ("Site", "east"), ("x" * 64, "east"), ("-a", "east")],
)
def test_the_cluster_set_calls_a_member_by_its_property_if_that_can_be_used(value, found):
    fleet = fleet_of({"east": [make("ClusterProperty", "cluster.clusterset.k8s.io", spec={"value": value})]}, member("east"))
    assert fleet.members["east"].id == found


def test_a_heartbeat_of_a_node_costs_nothing():
    fleet = fleet_of({"east": [node("n1", "eu-a"), *web("10.1.0.1")]}, member("east", "eu"))
    built = fleet.services_built
    assert fleet.apply([Upsert("east", node("n1", "eu-a", beat="2"))]) == FleetChange()
    assert fleet.services_built == built


def test_the_region_of_a_member_follows_from_most_of_its_nodes():
    nodes = [node("n1", "b", "us"), node("n2", "a", "eu"), node("n3", "a", "eu")]
    fleet = fleet_of({"east": nodes}, member("east"))
    assert (fleet.members["east"].region, fleet.members["east"].zones) == ("eu", ("a", "b"))
    fleet.apply([Delete("east", ObjectKey("Node", "", "n3"))])
    assert fleet.members["east"].region == "eu", "of equals the first by name"


def test_a_cluster_without_a_membercluster_is_a_member_with_a_problem():
    fleet = fleet_of({"east": web("10.1.0.1")})
    assert not fleet.members["east"].declared
    assert codes(fleet) == ["XDS0201"]
    fleet.apply([Upsert(FLEET, member("east"))])
    assert codes(fleet) == []


def test_a_cluster_that_loses_its_last_object_stays_a_member_once_it_is_synced():
    fleet = fleet_of({"east": [service("web")]}, member("west"))
    fleet.apply([Delete("east", ObjectKey("Service", "shop", "web"))])
    assert "east" in fleet.members


def test_a_synced_cluster_is_a_member_even_if_it_never_had_an_object():
    assert list(fleet_of({"east": []}).members) == ["east"]


def test_a_namespace_lets_a_cluster_import():
    fleet = fleet_of({"east": web("10.1.0.1"), "west": []}, member("east"), member("west"))
    assert fleet.services[WEB].visible_in == {"east"}
    change = fleet.apply([Upsert("west", make("Namespace", "shop"))])
    assert change == FleetChange(services=frozenset((WEB,)))
    assert fleet.services[WEB].visible_in == {"east", "west"}
    assert [found.key for found in fleet.visible("west")] == [WEB]
    fleet.apply([Delete("west", ObjectKey("Namespace", "", "shop"))])
    assert fleet.services[WEB].visible_in == {"east"}


def test_without_a_cluster_only_the_cluster_set_is_visible():
    fleet = fleet_of({"east": web("10.1.0.1")}, member("east"))
    assert [found.key for found in fleet.visible("")] == [WEB]
    assert [found.key for found in fleet.visible("east")] == [WEB, WEB_EAST]


def test_a_slice_may_change_its_owner():
    fleet = fleet_of({"east": [*web("10.1.0.1"), service("api")]}, member("east"))
    fleet.apply([Upsert("east", endpoint_slice("api", [endpoint("10.1.0.1")], name="web-1"))])
    assert fleet.services[WEB_EAST].endpoints[80] == ()
    assert len(fleet.services[ServiceKey("shop", "api", "east")].endpoints[80]) == 1


def test_problems_go_with_what_they_are_about():
    fleet = fleet_of({"east": [export("web"), service("bad", {})]}, member("east"))
    assert codes(fleet) == ["XDS0204", "XDS0206"]
    fleet.apply([Delete("east", ObjectKey("ServiceExport", "shop", "web")), Delete("east", ObjectKey("Service", "shop", "bad"))])
    assert codes(fleet) == ["XDS0217"]


def test_nothing_stays_of_services_that_are_gone():
    fleet = fleet_of({"east": []}, member("east"))
    empty = len(fleet._assembly.problems)
    fleet.apply([Upsert("east", item) for item in web("10.1.0.1")])
    fleet.apply([Delete("east", ObjectKey(item.kind, "shop", item.metadata.name)) for item in web("10.1.0.1")])
    assert len(fleet._assembly.problems) == empty
    assert not fleet._clusters["east"].seen


def test_prefers_node():
    fleet = fleet_of({"east": [service("web")]}, member("east"))
    assert not fleet.prefers_node
    fleet.apply([Upsert("east", service("dns", trafficDistribution="PreferSameNode"))])
    assert fleet.prefers_node


def told(fleet, code):
    return [(str(found.ref), found.message, found.hint) for found in fleet.problems() if found.code == code]


def test_a_service_without_any_slice_is_told():
    fleet = fleet_of({"east": [service("web"), service("elsewhere", type="ExternalName")]}, member("east"))
    assert codes(fleet) == ["XDS0215"]
    assert told(fleet, "XDS0215")[0][0] == "Service shop/web in east"
    fleet.apply([Upsert("east", endpoint_slice("web", []))])
    assert codes(fleet) == [], "a service may be scaled to nothing"


def test_a_slice_that_names_no_service_is_told_with_the_name_that_was_meant():
    slices = [endpoint_slice("wbe", [endpoint("10.1.0.1")]), endpoint_slice("zzz", [])]
    fleet = fleet_of({"east": [*web("10.1.0.1"), *slices, service("web", namespace="bank", type="ExternalName")]}, member("east"))
    assert told(fleet, "XDS0216") == [
        (
            "EndpointSlice shop/wbe-1 in east",
            "there is no Service shop/wbe in east; its endpoints are not served",
            "did you mean 'web'?",
        ),
        (
            "EndpointSlice shop/zzz-1 in east",
            "there is no Service shop/zzz in east; its endpoints are not served",
            "fix the label, or add the Service",
        ),
    ]
    fleet.apply([Upsert("east", service("wbe")), Delete("east", ObjectKey("EndpointSlice", "shop", "zzz-1"))])
    assert codes(fleet) == []


def test_a_slice_without_the_label_is_told():
    fleet = fleet_of({"east": [make("EndpointSlice", "web-1", addressType="IPv4")]}, member("east"))
    ((ref, message, hint),) = told(fleet, "XDS0216")
    assert (ref, hint) == ("EndpointSlice shop/web-1 in east", "add the label")
    assert "says of no Service" in message
    fleet.apply([Upsert("east", service("web")), Upsert("east", endpoint_slice("web", [], name="web-1"))])
    assert codes(fleet) == []


def test_a_declared_member_without_objects_is_told():
    fleet = fleet_of({"east": []}, member("east"), member("esat"))
    assert [ref for ref, _, _ in told(fleet, "XDS0217")] == ["MemberCluster east in the fleet", "MemberCluster esat in the fleet"]
    fleet.apply([Upsert("east", make("Namespace", "shop")), Delete(FLEET, ObjectKey("MemberCluster", "", "esat"))])
    assert codes(fleet) == []


def test_what_is_still_being_read_misses_nothing():
    fleet = Fleet()
    fleet.apply([Health("east", MemberState.SYNCING), Upsert(FLEET, member("east")), Upsert(FLEET, member("west"))])
    fleet.apply([Upsert("east", endpoint_slice("web", [endpoint("10.1.0.1")])), Upsert("east", export("api"))])
    assert codes(fleet) == []
    fleet.apply([Synced(FLEET)])
    assert codes(fleet) == ["XDS0217"], "whatever else is read, nothing comes of west"
    fleet.apply([Health("east", MemberState.STALE, "it is silent")])
    assert codes(fleet) == ["XDS0217"], "its Services may not have been told"
    fleet.apply([Synced("east"), Health("east", MemberState.CONNECTED)])
    assert codes(fleet) == ["XDS0204", "XDS0216", "XDS0217"]
    for state in (MemberState.STALE, MemberState.SYNCING):
        fleet.apply([Health("east", state)])
        assert codes(fleet) == ["XDS0204", "XDS0216", "XDS0217"], "what was found stays found"


def test_what_was_saved_of_a_cluster_is_all_of_it():
    fleet = Fleet()
    fleet.apply([Synced(FLEET), Upsert(FLEET, member("east")), Health("east", MemberState.SYNCING)])
    fleet.apply([Remember("east", {}), Upsert("east", export("api"))])
    assert codes(fleet) == ["XDS0204"]


def test_a_cluster_that_comes_back_is_read_anew_before_anything_is_missed():
    fleet = fleet_of({"east": web("10.1.0.1")}, member("east"))
    gone = [Delete("east", key) for key in fleet.clusters["east"].items]
    fleet.apply([*gone, Health("east", MemberState.LOST, "no longer registered")])
    fleet.apply([Health("east", MemberState.SYNCING)])
    fleet.apply([Upsert("east", endpoint_slice("web", []))])
    assert codes(fleet) == []
    fleet.apply([Upsert("east", service("web")), Synced("east"), Health("east", MemberState.CONNECTED)])
    assert codes(fleet) == []
