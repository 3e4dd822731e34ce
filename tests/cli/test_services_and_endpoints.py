import json

import pytest
import yaml
from fake_plane import EAST, WEB

from xds.snapshot.resource import Resource
from xds.wire import CLUSTER, envoy, to_bytes


def rows(result):
    return [line.split() for line in result.stdout.splitlines()]


def test_services(asked, plane):
    assert rows(asked("services")) == [
        ["NAME", "CLUSTER", "PORTS", "READY", "EXPORTED", "BY", "ADDRESSES"],
        ["web.shop.svc.clusterset.local", "-", "80/HTTP,81/HTTP", "1/1", "east", "10.97.0.1(east)"],
        ["web.shop.svc.cluster.local", "east", "80/HTTP,81/HTTP", "2/2", "east", "10.96.0.1"],
    ]
    found = json.loads(asked("svc", "-o", "json").stdout)
    assert (found["kind"], found["items"][0]["ports"][0]["port"]) == ("ServiceList", 80)
    assert yaml.safe_load(asked("services", "-o", "yaml").stdout) == found
    plane.services = {}
    assert "xdsctl problems" in asked("services").stderr


NEAR = [WEB, "0", "east", "eu/eu-1", "10.0.0.1:8080", "HEALTHY", "2"]
GONE = [WEB, "0", "east", "eu/eu-1", "10.0.0.2:8080", "UNHEALTHY", "2"]
FAR = [WEB, "2", "west", "us", "[fd00::1]:8080", "HEALTHY", "1"]


def test_endpoints_in_the_order_of_their_priorities(asked):
    header, *found = rows(asked("endpoints", "envoy-1"))
    assert header == ["SERVICE", "PRIORITY", "CLUSTER", "LOCALITY", "ADDRESS", "HEALTH", "WEIGHT"]
    assert found == [NEAR, GONE, [WEB, "1", "-", "-", "-", "-", "-"], FAR]


@pytest.mark.parametrize(
    ("filters", "found"),
    [
        (["--cluster", "west"], [FAR]),
        (["--health", "healthy"], [NEAR, FAR]),
        (["--health", "UNHEALTHY", "--cluster", "east"], [GONE]),
        (["--health", "draining"], []),
    ],
)
def test_endpoints_can_be_filtered(asked, filters, found):
    assert rows(asked("eps", "envoy-1", "--no-headers", *filters)) == found


@pytest.mark.parametrize("service", ["web", "web.shop", "web.shop.svc.cluster.local", WEB])
def test_endpoints_of_one_service(asked, service):
    assert len(rows(asked("endpoints", "envoy-1", service, "--no-headers"))) == 4


def test_endpoints_for_machines(asked):
    found = json.loads(asked("endpoints", "envoy-1", "--health", "unhealthy", "-o", "json").stdout)
    assert found["kind"] == "EndpointList"
    assert found["items"] == [
        {
            "service": WEB,
            "priority": 0,
            "cluster": "east",
            "region": "eu",
            "zone": "eu-1",
            "addresses": ["10.0.0.2:8080"],
            "health": "UNHEALTHY",
            "weight": 2,
        }
    ]


def test_endpoints_that_are_called_by_name_stand_in_their_cluster(asked, plane):
    name = "pay.shop.svc.cluster.local:80"
    message = envoy.Cluster(name=name, type=envoy.Cluster.STRICT_DNS)
    message.load_assignment.cluster_name = f"{name}+gateways"
    group = message.load_assignment.endpoints.add(
        locality={"region": "us", "sub_zone": "west"}, load_balancing_weight={"value": 1}
    )
    socket = group.lb_endpoints.add(health_status="HEALTHY").endpoint.address.socket_address
    socket.address, socket.port_value = "gw.example", 8081
    before = plane.versions()[-1]
    plane.store.publish(EAST, {CLUSTER: {name: Resource.of(CLUSTER, name, to_bytes(message))}}, at_s=0, trigger="shop/pay")
    found = [f"{name}+gateways", "0", "west", "us", "gw.example:8081", "HEALTHY", "1"]
    assert rows(asked("endpoints", "envoy-1", "--no-headers")) == [found, NEAR, GONE, [WEB, "1", "-", "-", "-", "-", "-"], FAR]
    assert rows(asked("endpoints", "envoy-1", "pay.shop", "--no-headers")) == [found]
    assert rows(asked("endpoints", f"envoy-1@{before}", "--cluster", "west", "--no-headers")) == [FAR]


def test_endpoints_that_are_not_there(asked):
    assert "no such endpoint" in asked("endpoints", "envoy-1", "--cluster", "north").stderr
    assert "gw has not been given endpoints" in asked("endpoints", "gw").stderr
    message = asked("endpoints", "envoy-1", "wev.shop", exits=65).stderr
    assert message == "Error: envoy-1 has no endpoints of a service 'wev.shop'; did you mean 'web.shop'?\n"
    assert "did you mean 'envoy-" in asked("endpoints", "envoy-9", exits=65).stderr
