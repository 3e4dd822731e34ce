"""A cluster's own service: Service and EndpointSlices become ports and endpoints."""

from __future__ import annotations

import pytest
from fleet_world import codes, endpoint, endpoint_slice, fleet_of, make, member, node, service

from xds.model.events import Upsert
from xds.model.local import canonical_address
from xds.model.protocols import protocol_of
from xds.model.service import Health, Protocol, ServiceKey

WEB = ServiceKey("shop", "web", "east")


def east(*items):
    return fleet_of({"east": list(items)}, member("east", "eu"))


def found(fleet, port=80):
    return {item.addresses[0]: item for item in fleet.services[WEB].endpoints[port]}


def health(fleet):
    return {address: item.health for address, item in found(fleet).items()}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("10.1.0.1", "10.1.0.1"),
        ("FD00:0:0::1", "fd00::1"),
        ("010.1.0.1", None),
        ("10.1.0.256", None),
        ("web.example.com", None),
        ("", None),
        ("fe80::1%eth0", None),
    ],
)
def test_canonical_addresses(text, expected):
    assert canonical_address(text) == expected


@pytest.mark.parametrize(
    ("conditions", "expected"),
    [
        ({}, Health.HEALTHY),
        ({"ready": True, "serving": True, "terminating": False}, Health.HEALTHY),
        ({"ready": False}, None),
        ({"ready": False, "serving": True, "terminating": True}, Health.DRAINING),
        ({"ready": False, "serving": False, "terminating": True}, None),
        ({"ready": True, "terminating": True}, Health.DRAINING),
        ({"ready": False, "serving": True}, None),
    ],
)
def test_conditions_of_one_never_seen_before(conditions, expected):
    fleet = east(service("web"), endpoint_slice("web", [endpoint("10.1.0.1", **conditions)]))
    assert health(fleet) == ({"10.1.0.1": expected} if expected else {})


def test_ready_before_and_not_now_is_unhealthy_until_it_leaves_the_slice():
    fleet = east(service("web"), endpoint_slice("web", [endpoint("10.1.0.1"), endpoint("10.1.0.2", ready=False)]))
    assert health(fleet) == {"10.1.0.1": Health.HEALTHY}
    down = [endpoint("10.1.0.1", ready=False), endpoint("10.1.0.2", ready=False)]
    fleet.apply([Upsert("east", endpoint_slice("web", down))])
    assert health(fleet) == {"10.1.0.1": Health.UNHEALTHY}
    fleet.apply([Upsert("east", endpoint_slice("web", down[1:]))])
    fleet.apply([Upsert("east", endpoint_slice("web", down))])
    assert health(fleet) == {}


def test_reading_the_same_again_changes_nothing():
    slices = [
        endpoint_slice("web", [endpoint("10.1.0.1", ready=False, target="web-0")], {"http": 8080}),
        endpoint_slice("web", [endpoint("10.1.0.1", ready=True, target="web-0")], {"http": 8081}, name="web-2"),
    ]
    fleet = east(service("web"), *slices)
    before = fleet.services[WEB].endpoints
    assert [(item.port, item.health) for item in before[80]] == [(8080, Health.UNHEALTHY), (8081, Health.HEALTHY)]
    fleet.apply([Upsert("east", item) for item in slices])
    assert fleet.services[WEB].endpoints == before


def test_a_port_that_comes_later_finds_the_memory():
    fleet = east(service("web", {"other": 81}), endpoint_slice("web", [endpoint("10.1.0.1")]))
    fleet.apply([Upsert("east", endpoint_slice("web", [endpoint("10.1.0.1", ready=False)])), Upsert("east", service("web"))])
    assert health(fleet) == {"10.1.0.1": Health.UNHEALTHY}


def test_a_pod_is_remembered_by_its_identity_not_by_its_address():
    fleet = east(service("web"), endpoint_slice("web", [endpoint("10.1.0.1", target="web-0")]))
    fleet.apply([Upsert("east", endpoint_slice("web", [endpoint("10.1.0.1", ready=False, target="web-1")]))])
    assert health(fleet) == {}, "another pod with the address of one that was ready"


def test_dual_stack_is_one_endpoint_whichever_slice_comes_first():
    fleet = east(
        service("web"),
        endpoint_slice("web", [endpoint("fd00::1", target="web-0")], name="a", family="IPv6"),
        endpoint_slice("web", [endpoint("10.1.0.1", target="web-0")], name="b"),
    )
    assert found(fleet)["10.1.0.1"].addresses == ("10.1.0.1", "fd00::1")
    assert codes(fleet) == []


def test_no_address_twice_among_all_addresses_of_a_port():
    fleet = east(
        service("web"),
        endpoint_slice("web", [endpoint("10.1.0.1", target="web-0"), endpoint("10.1.0.2", target="web-1")]),
        endpoint_slice(
            "web", [endpoint("fd00::1", target="web-0"), endpoint("fd00::1", target="web-1")], name="web-2", family="IPv6"
        ),
    )
    assert {item.addresses for item in found(fleet).values()} == {("10.1.0.1", "fd00::1"), ("10.1.0.2",)}
    assert codes(fleet) == ["XDS0208"]


def test_a_second_address_of_the_same_family_is_no_second_family():
    entries = [endpoint("10.1.0.1", target="web-0"), endpoint("10.1.0.2", ready=False, target="web-0")]
    fleet = east(service("web"), endpoint_slice("web", entries))
    assert [item.addresses for item in found(fleet).values()] == [("10.1.0.1",)]
    assert codes(fleet) == ["XDS0208"]


def test_one_pod_with_two_ports_is_two_endpoints():
    fleet = east(
        service("web"),
        endpoint_slice("web", [endpoint("10.1.0.1", target="web-0")], {"http": 8080}),
        endpoint_slice("web", [endpoint("10.1.0.1", target="web-0")], {"http": 8081}, name="web-2"),
    )
    assert [item.port for item in fleet.services[WEB].endpoints[80]] == [8080, 8081]
    assert codes(fleet) == []


def test_a_slice_that_has_the_port_and_no_endpoints_has_the_port():
    fleet = east(
        service("web", {"http": 80, "metrics": 9090}),
        endpoint_slice("web", [], {"http": 8080}),
        endpoint_slice("web", [endpoint("10.1.0.1")], {"metrics": 9090}, name="web-2"),
    )
    assert codes(fleet) == []


def test_ports_without_number_or_of_other_protocols_are_passed_over():
    item = endpoint_slice("web", [endpoint("10.1.0.1")])
    ports = [{"name": "http"}, {"name": "http", "port": 8080, "protocol": "UDP"}]
    fields = {"addressType": "IPv4", "ports": ports, "endpoints": [{"addresses": ["10.1.0.1"]}]}
    labels = {"labels": item.metadata.labels}
    fleet = east(service("web"), make("EndpointSlice", "web-1", metadata=labels, **fields))
    assert fleet.services[WEB].endpoints == {80: ()}
    assert codes(fleet) == ["XDS0207"]


def test_the_only_zone_of_a_member_is_the_zone_of_its_endpoints():
    items = [service("web"), endpoint_slice("web", [endpoint("10.1.0.1"), endpoint("10.1.0.2", zone="z")])]
    fleet = fleet_of({"east": items}, member("east", "eu", zones=["eu-a"]))
    assert [item.locality.zone for item in fleet.services[WEB].endpoints[80]] == ["eu-a", "z"]


def test_an_unknown_node_matters_only_where_it_would_tell_the_zone():
    endpoints = [endpoint("10.1.0.1", nodeName="n9"), endpoint("10.1.0.2", nodeName="n9", zone="eu-a")]
    assert codes(east(service("web"), endpoint_slice("web", endpoints))) == [], "no Nodes are told at all"
    assert codes(east(node("n1", "eu-a"), service("web"), endpoint_slice("web", endpoints))) == ["XDS0211"]


@pytest.mark.parametrize(
    ("app_protocol", "name", "expected"),
    [
        (None, "", Protocol.TCP),
        (None, "http", Protocol.HTTP),
        (None, "http-admin", Protocol.HTTP),
        (None, "httpx", Protocol.TCP),
        (None, "https", Protocol.TCP),
        (None, "grpc-api", Protocol.HTTP2),
        (None, "ws", Protocol.HTTP),
        ("HTTP", "tcp", Protocol.HTTP),
        ("kubernetes.io/h2c", "http", Protocol.HTTP2),
        ("kubernetes.io/ws", "", Protocol.HTTP),
        ("kubernetes.io/wss", "http", Protocol.TCP),
        ("example.com/own", "http", Protocol.TCP),
    ],
)
def test_what_a_port_speaks(app_protocol, name, expected):
    assert protocol_of(app_protocol, name) is expected
