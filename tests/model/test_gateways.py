"""Gateways of Flomesh's imports among the endpoints of a cluster's own service."""

from __future__ import annotations

import pytest
from fleet_world import codes, endpoint, endpoint_slice, fleet_of, make, member, service
from flomesh_world import EAST, FSM, NORTH, WEST, gateway, imported, policy

from xds.model.events import Delete, Health, MemberState, ObjectKey, Standing, Upsert
from xds.model.service import CLUSTERSET, Locality, Protocol, ServiceKey

PAY = ServiceKey("shop", "pay", "east")
SLICE = endpoint_slice("pay", [endpoint("10.1.0.1", zone="a")])


def fleet(*items, **ports):
    found = [service("pay", ports or None), SLICE, *items]
    return fleet_of({"east": found, "west": [make("Namespace", "shop")]}, member("east", "cn"), member("west", "us"))


def gateways(found, port=80):
    """Return (locality, address, path) of the gateways of a port."""
    return [(one.locality, one.addresses, one.gateway) for one in found.services[PAY].endpoints[port] if one.gateway]


def test_gateways_are_endpoints_at_the_places_behind_them():
    found = fleet(imported("pay", gateway(WEST), gateway(NORTH, "192.0.2.2", path="")), policy("FailOver"))
    # A member is where it says, whatever the key calls its region.
    assert gateways(found) == [
        (Locality("us", "b", "west"), ("192.0.2.1",), "/pay"),
        (Locality("eu", "default", "north"), ("192.0.2.2",), "/"),
    ]
    assert found.services[PAY].has_gateways
    assert ServiceKey("shop", "pay", CLUSTERSET) not in found.services


@pytest.mark.parametrize("items", [[], [policy("Locality")], [policy("Locality", WEST)]])
def test_an_import_is_not_used_unless_a_policy_says_so(items):
    found = fleet(imported("pay", gateway(WEST)), *items)
    assert gateways(found) == []
    assert not found.services[PAY].has_gateways


def test_a_name_that_is_only_imported_is_a_service():
    found = fleet_of({"east": [imported("pay", gateway(WEST)), policy("FailOver")]}, member("east"), member("west"))
    assert [(port.number, port.protocol) for port in found.services[PAY].ports] == [(80, Protocol.HTTP)]
    assert found.services[PAY].visible_in == {"east"}
    assert len(gateways(found)) == 1


def test_a_name_that_is_only_imported_is_none_without_a_policy():
    assert PAY not in fleet_of({"east": [imported("pay", gateway(WEST))]}, member("east")).services


def test_an_imported_port_is_http_whatever_its_name_says():
    items = (imported("pay", gateway(WEST)), policy("FailOver"))
    found = fleet(*items, pipy=80, redis=81)
    assert [port.protocol for port in found.services[PAY].ports] == [Protocol.HTTP, Protocol.TCP]
    found = fleet(*items, grpc=80)
    assert [port.protocol for port in found.services[PAY].ports] == [Protocol.HTTP2]


def test_ports_that_only_the_import_has_are_there_too():
    found = fleet(imported("pay", gateway(WEST), port=90), policy("FailOver"))
    assert [port.number for port in found.services[PAY].ports] == [80, 90]
    assert (gateways(found, 80), len(gateways(found, 90))) == ([], 1)


@pytest.mark.parametrize("host", ["192.0.2.1", "gw.example"])
def test_the_gateway_of_a_cluster_that_is_silent_has_its_standing(host):
    found = fleet(imported("pay", gateway(WEST, "", host=host), gateway(NORTH, "192.0.2.2")), policy("FailOver"))
    for standing in (Standing.DEMOTED, Standing.REMOVED, Standing.FULL):
        change = found.apply([Health("west", MemberState.STALE, "no answer", standing=standing)])
        assert PAY in change.endpoints | change.services
        there = {one.locality.cluster: one.standing for one in found.services[PAY].endpoints[80] if one.gateway}
        assert there == {"west": standing, "north": Standing.FULL}
        assert found.services[PAY].has_degraded is bool(standing)
    assert PAY not in found.apply([Health("west", MemberState.CONNECTED)]).endpoints


def test_a_group_that_is_not_the_default_is_part_of_the_place():
    found = fleet(imported("pay", gateway("eu/x/blue/north")), policy("FailOver"))
    assert gateways(found)[0][0] == Locality("eu", "x", "north.blue")


def test_gateways_of_one_address_are_told_apart_by_nothing():
    found = fleet(imported("pay", gateway(WEST), gateway(NORTH, path="/other")), policy("FailOver"))
    assert [at.cluster for at, _, _ in gateways(found)] == ["west"]
    assert codes(found) == ["XDS0240"]


@pytest.mark.parametrize("path", ["pay", "/a b", "/a?b", "/a#b", "/ä"])
def test_a_path_that_is_none(path):
    found = fleet(imported("pay", gateway(WEST, path=path)), policy("FailOver"))
    assert gateways(found) == []
    (problem,) = found.problems()
    assert (problem.code, problem.field) == ("XDS0231", "spec.ports[0].endpoints[0].target.path")


def test_a_gateway_that_is_called_by_name():
    found = fleet(imported("pay", gateway(WEST, ip="", host="gw.example")), policy("FailOver"))
    assert found.services[PAY].resolved == {80}
    assert codes(found) == ["XDS0243"]
    assert codes(fleet(imported("pay", gateway(WEST, ip="", host="gw.example")), policy("Locality"))) == []


def test_weights_that_leave_nobody():
    item = policy("ActiveActive", (WEST, 0), (EAST, 0))
    found = fleet(imported("pay", gateway(WEST)), item)
    assert codes(found) == ["XDS0238", "XDS0238", "XDS0242"]
    assert found.remotes[PAY].policy.own_weight == 100
    found = fleet(imported("pay", gateway(WEST), gateway(NORTH, "192.0.2.2")), policy("ActiveActive", (NORTH, 1), (EAST, 0)))
    assert codes(found) == ["XDS0238"]
    assert found.remotes[PAY].policy.own_weight == 0


def test_what_changes_is_told():
    found = fleet(imported("pay", gateway(WEST)))
    change = found.apply([Upsert("east", policy("FailOver"))])
    assert (change.services, change.policies) == ({PAY}, True)
    change = found.apply([Upsert("east", policy("FailOver", WEST))])
    assert (change.services, change.policies) == (frozenset(), True)
    change = found.apply([Upsert("east", imported("pay", gateway(WEST, "192.0.2.9")))])
    assert (change.endpoints, change.policies) == ({PAY}, True)
    change = found.apply([Upsert("east", endpoint_slice("pay", [endpoint("10.1.0.2", zone="a")]))])
    assert (change.endpoints, change.policies) == ({PAY}, False)
    change = found.apply([Delete("east", ObjectKey(f"GlobalTrafficPolicy.{FSM}", "shop", "pay"))])
    assert (change.services, gateways(found)) == ({PAY}, [])


def test_endpoints_beside_a_name_need_a_batch():
    found = fleet(imported("pay", gateway(WEST, ip="", host="gw.example")), policy("FailOver"))
    change = found.apply([Upsert("east", endpoint_slice("pay", [endpoint("10.1.0.2", zone="a")]))])
    assert change.services == {PAY}


def test_a_member_that_moves_takes_its_gateways_along():
    found = fleet(imported("pay", gateway(WEST)), policy("FailOver"))
    found.apply([Upsert("", member("west", "eu"))])
    assert gateways(found)[0][0].region == "eu"
