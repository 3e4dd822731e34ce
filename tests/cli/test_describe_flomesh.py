"""What `xdsctl describe service` tells of Flomesh's objects, from the files of a fleet to the screen."""

import json
from pathlib import Path

import pytest
from fleet_world import fleet_of, make, member, service
from flomesh_world import FSM, WEST, gateway, imported, policy

from xds.discovery.files import read_directory
from xds.model.fleet import Fleet
from xds.problems import worst_first

TESTDATA = Path(__file__).parent / "testdata" / "flomesh"


@pytest.fixture
def fleet(plane):
    reading = read_directory(TESTDATA / "clusters")
    assert reading.problems == ()
    fleet = Fleet()
    fleet.apply(reading.events)
    plane.take(fleet)
    plane.found = sorted(plane.found, key=worst_first)
    return fleet


def test_as_people_read_it(asked, fleet, update_golden):
    shown = asked("describe", "service", "shop/pay").stdout
    golden = TESTDATA / "describe.txt"
    if update_golden:
        golden.write_text(shown)
    assert shown == golden.read_text()


def test_for_machines(asked, fleet):
    first, second, third = json.loads(asked("describe", "service", "shop/pay", "-o", "json").stdout)["flomesh"]
    (export,) = first["exports"]
    assert export["object"]["kind"] == "ServiceExport.multicluster.flomesh.io"
    assert export["rules"][1] == {"port": 8080, "path": "/c1/pay-health", "path_type": "Exact"}
    assert (export["rewrite_from"], export["rewrite_to"], export["service_account"]) == ("^/c1/pay/?", "/", "*")
    assert ("policy" in first, first["gateways"]) == (False, [])
    assert second["gateways"][1] == {
        "port": 8080,
        "cluster_key": "cn-south/gz-a/default/c3",
        "member": "c3",
        "host": "gw.c3.example",
        "address": "2001:db8::3",
        "gateway_port": 80,
        "path": "/c3/pay",
    }
    assert second["policy"]["lb_type"] == "ActiveActive"
    assert [target["weight"] for target in second["policy"]["targets"]] == [70, 0]
    assert third["exports"][0]["object"]["kind"] == "ServiceExport.flomesh.io"
    assert third["exports"][0]["target_clusters"] == ["cn-east/sh-a/default/c2"]


def test_a_service_that_only_flomesh_knows(asked, plane):
    plane.take(fleet_of({"east": [imported("pay", gateway(WEST)), policy("FailOver")]}, member("east")))
    shown = asked("describe", "service", "shop/pay").stdout
    assert "no, no cluster exports it" in shown
    assert "every cluster that is imported from" in shown
    assert "no service 'shop/pya'; did you mean 'shop/pay'?" in asked("describe", "service", "shop/pya", exits=65).stderr
    plane.take(fleet_of({"east": [policy("Locality"), make(f"ServiceExport.{FSM}", "pay")]}, member("east")))
    shown = asked("describe", "service", "shop/pay").stdout
    assert "only its own endpoints" in shown
    assert "no rules" in shown


def test_a_service_without_any(asked, plane):
    plane.take(fleet_of({"east": [service("web")]}, member("east")))
    assert "Flomesh" not in asked("describe", "service", "shop/web").stdout
