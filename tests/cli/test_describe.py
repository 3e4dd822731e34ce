import json
import time

import pytest
import yaml
from described_fleet import described_fleet
from fleet_world import endpoint, endpoint_slice, export, fleet_of, make, member, service

from xds.cli.describe import ServiceName
from xds.model.events import Doubt, Health, MemberState, Standing
from xds.model.labels import LabelSelector, Requirement
from xds.model.objects import ScopeSpec


@pytest.fixture
def fleet(plane):
    fleet = described_fleet()
    plane.take(fleet)
    return fleet


def sections(text):
    """Return title -> its lines, each cut into cells; "" has those before the first title."""
    first, *rest = text.split("\n\n")
    found = {"": first, **{title.rstrip(":"): body for title, _, body in (part.partition("\n") for part in rest)}}
    return {
        title: [[cell.strip() for cell in line.split("   ") if cell.strip()] for line in body.splitlines()]
        for title, body in found.items()
    }


def test_describe_cluster(asked, plane, fleet):
    plane.states_since_s = {"north": time.time() - 90}
    shown = sections(asked("describe", "cluster", "north").stdout)
    facts = dict(shown[""])
    assert facts["State:"].startswith("Connected since 1m30s (2") or facts["State:"].startswith("Syncing since 1m30s (2")
    assert (facts["Name:"], facts["Read from:"], facts["Declared:"]) == ("north", "directory clusters/north", "yes")
    assert (facts["Zones:"], facts["Exports:"], facts["Proxies:"]) == ("-", "2, 2 of them not valid", "0 nodes connected")
    assert sorted(line[0].split()[1] for line in shown["Problems"]) == ["XDS0204", "XDS0212"]


def test_describe_a_cluster_that_is_in_trouble(asked, plane):
    shown = asked("describe", "clusters", "west").stdout
    assert "State:       Stale since " in shown
    assert "Reason:      no answer for 3 m\n" in shown
    assert "Exports:     0\n" in shown
    plane.found = []
    assert asked("describe", "member", "west").stdout.endswith("\n\nProblems: none\n")


def test_describe_a_cluster_that_is_read_in_part(asked, plane):
    selector = LabelSelector(match_labels={"team": "shop"}, match_expressions=[Requirement(key="old", operator="DoesNotExist")])
    plane.scopes["east"] = ScopeSpec(namespace_selector=selector, exported_only=True)
    shown = asked("describe", "cluster", "east").stdout
    assert "Namespaces:   those with team=shop,!old\n" in shown
    assert "Read:         what it exports alone\n" in shown


def test_describe_cluster_for_machines(asked, fleet):
    found = json.loads(asked("describe", "cluster", "east", "-o", "json").stdout)
    assert (found["apiVersion"], found["kind"], found["member"]["name"]) == ("xdsctl/v1", "MemberDescription", "east")
    assert yaml.safe_load(asked("describe", "cluster", "east", "-o", "yaml").stdout) == found


def test_describe_service(asked, fleet):
    shown = sections(asked("describe", "service", "shop/web").stdout)
    facts = dict(shown[""])
    assert (facts["Name:"], facts["Namespace:"], facts["Type:"]) == ("web", "shop", "ClusterSetIP")
    assert facts["Ports:"] == "80/HTTP (http), 81/TCP (admin) in east"
    assert facts["Session affinity:"] == "ClientIP for 10m (proxies: for as long as the endpoint is there)"
    assert facts["Decided by:"] == "west (the oldest export)"
    exports = {cluster: (since, valid) for cluster, since, valid in shown["Exports"][1:]}
    assert exports["north"] == ("-", "no, NoService: there is no Service shop/web")
    assert exports["west"][0].endswith("d (2026-01-01T00:00:00Z)")
    assert exports["west"][1] == "yes"


def test_conflicts_of_a_service(asked, fleet):
    assert sections(asked("describe", "service", "shop/web").stdout)["Conflicts"] == [
        ["FIELD", "CLUSTER", "VALUE", "OUTCOME"],
        ["sessionAffinity", "west", "ClientIP", "wins: the oldest export"],
        ["sessionAffinity", "east", "None", "loses"],
        ["sessionAffinityConfig", "west", "clientIP.timeoutSeconds=600", "wins: the oldest export"],
        ["sessionAffinityConfig", "east", "none", "loses"],
        ["trafficDistribution", "west", "none", "wins: the oldest export"],
        ["trafficDistribution", "east", "PreferSameZone", "loses"],
        ["ports", "east", "81 (admin, TCP)", "serves it"],
        ["ports", "west", "-", "lacks it"],
    ]


def test_names_and_endpoints_of_a_service(asked, fleet):
    shown = sections(asked("describe", "svc", "shop/web").stdout)
    assert ["web.shop.svc.clusterset.local", "east", "10.98.0.1"] in shown["Names"]
    assert ["web.shop.svc.cluster.local", "west", "10.97.0.1"] in shown["Names"]
    groups = [line[0] for line in shown["Endpoints"] if len(line) == 1]
    assert groups == [
        "east, eu/eu-1: 1 of 1 endpoint ready",
        "south, s-1: 1 of 1 endpoint ready, not exported",
        "west, us/us-1: 1 of 2 endpoints ready",
        "west, us/us-2: 0 of 1 endpoint ready",
    ]
    rows = {line[0]: line[1:] for line in shown["Endpoints"] if len(line) > 1}
    assert rows["ADDRESS"] == ["HEALTH", "READY", "SERVING", "TERMINATING", "AGE", "TARGET", "SOURCE"]
    assert rows["10.1.0.1:8080,8081"][:4] == ["HEALTHY", "true", "true", "false"]
    assert rows["10.1.0.1:8080,8081"][4].endswith("d")
    assert rows["10.2.0.1:8080"][4:] == ["-", "Pod web-a", "EndpointSlice shop/web-1 in west"]
    assert rows["10.2.0.3:8080"][:4] == ["DRAINING", "false", "true", "true"]
    assert rows["10.2.0.2:8080"][0] == "-"


def test_a_service_that_nobody_exports(asked, plane):
    plane.take(fleet_of({"east": [service("web")]}, member("east")))
    shown = asked("describe", "service", "shop/web").stdout
    assert "Imported:    no, no cluster exports it\n" in shown
    assert "\nExports: none: only clients in its own cluster can use it\n" in shown
    assert "Conflicts" not in shown
    assert "\nEndpoints: none\n" in shown


def test_a_service_of_which_no_export_is_valid(asked, plane):
    plane.take(fleet_of({"east": [export("web")]}, member("east")))
    shown = asked("describe", "service", "shop/web").stdout
    assert "Imported:    no, no export is valid\n" in shown
    assert "\nNames: none\n" in shown


def test_a_service_without_conflicts(asked, plane):
    plane.take(fleet_of({"east": [service("web", clusterIP="None"), export("web")]}, member("east")))
    shown = asked("describe", "service", "shop/web").stdout
    assert "\nConflicts: none\n" in shown
    assert "headless: those of the endpoints" in shown
    assert "Decided by" not in shown


@pytest.mark.parametrize(
    ("spec", "told"),
    [
        ({}, "all ports, by all clusters, with all clusters"),
        (
            {"providerClusters": [{"name": "west"}], "consumerClusters": [{"name": "east"}], "ports": [{"port": 80}]},
            "port 80, by west, with east",
        ),
    ],
)
def test_a_service_that_karmada_shares(asked, plane, spec, told):
    sharing = make("MultiClusterService", "web", spec={"types": ["CrossCluster"], **spec})
    given = {"east": [service("web")], "west": [service("web"), endpoint_slice("web", [endpoint("10.2.0.1")])]}
    plane.take(fleet_of(given, member("east"), member("west"), sharing))
    assert f"Shared:      {told} (MultiClusterService)\n" in asked("describe", "service", "shop/web").stdout


def test_why_an_endpoint_is_the_last_resort(asked, plane):
    fleet = fleet_of({"east": [service("web"), endpoint_slice("web", [endpoint("10.1.0.1")])]}, member("east"))
    fleet.apply([Health("east", MemberState.STALE, "timeout", Standing.DEMOTED)])
    plane.take(fleet)
    shown = asked("describe", "service", "shop/web").stdout
    assert "HEALTHY (the last resort for clients of other clusters, as its whole cluster is)" in shown
    fleet.apply([Health("east", MemberState.CONNECTED), Doubt("east", frozenset((("shop", "web"),)))])
    plane.take(fleet)
    (group,) = json.loads(asked("describe", "service", "shop/web", "-o", "json").stdout)["endpoints"]
    assert group["endpoints"][0]["reasons"] == ["ready when its cluster lost it with much else, which is doubted"]
    assert "DEGRADED (ready when its cluster lost it" in asked("describe", "service", "shop/web").stdout


def test_describe_service_for_machines(asked, fleet):
    found = json.loads(asked("describe", "service", "shop/web", "-o", "json").stdout)
    assert (found["kind"], found["name"]) == ("ServiceDescription", "web")
    assert yaml.safe_load(asked("describe", "service", "shop/web", "-o", "yaml").stdout) == found


@pytest.mark.parametrize(
    "text",
    ["shop/web", "web.shop", "web.shop.svc", "web.shop.svc.clusterset.local", "web.shop.svc.cluster.local.", "web.shop:80"],
)
def test_ways_to_name_a_service(text):
    assert ServiceName().convert(text, None, None) == ("shop", "web")


def test_what_cannot_be_described(asked, fleet):
    assert asked("describe", "cluster", "eastt", exits=65).stderr == "Error: no cluster 'eastt'; did you mean 'east'?\n"
    assert asked("describe", "service", "shop/wbe", exits=65).stderr == "Error: no service 'shop/wbe'; did you mean 'shop/web'?\n"
    for text in ("web", "a/b/c", "shop/", "a b/c"):
        assert "does not name a service" in asked("describe", "service", text, exits=64).stderr
    assert "no service 'shop/%2e%2e'" in asked("describe", "service", "shop/%2e%2e", exits=65).stderr
