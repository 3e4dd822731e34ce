"""Istio's DestinationRules as policies: the tiers that they come to, and what is told of the rest."""

from __future__ import annotations

import pytest
from fleet_world import book_of, endpoint, endpoint_slice, export, fleet_of, make, member, node, service

from xds.model.events import Upsert
from xds.model.service import CLUSTERSET, ServiceKey
from xds.model.view import View
from xds.policy.destination_rules import outlier_spec, parse_duration
from xds.policy.explanation import explain
from xds.policy.istio_places import Parts
from xds.translate.world import Translator
from xds.wire import CLUSTER, unpack

PLACES = {"east": ("r1", ["a", "b"]), "north": ("r1", ["a"]), "west": ("r2", ["c"]), "south": ("r3", ["d"])}
CLIENT = View("east", region="r1", zone="a")
SIDECAR = View("east", region="r1", zone="a", listen="127.0.0.1:15001")
GOVERNS = "DestinationRule shop/pay in east"
OWN, SET = ServiceKey("shop", "pay", "east"), ServiceKey("shop", "pay", CLUSTERSET)


def rule(spec=None, *, host="pay", name="pay", locality=None, outliers=None, created=None, **fields):
    traffic = {"loadBalancer": {"localityLbSetting": locality}} if locality is not None else {}
    traffic |= {"outlierDetection": outliers} if outliers is not None else {}
    fields = {"spec": {"host": host, "trafficPolicy": traffic, **(spec or {})}, **fields}
    if created:
        fields["metadata"] = {"creationTimestamp": created}
    return make("DestinationRule", name, **fields)


def world(*rules, exported=True, extra=(), places=PLACES):
    clusters = {}
    for number, (name, (_, zones)) in enumerate(places.items(), 1):
        endpoints = [endpoint(f"10.{number}.0.{at}", zone=zone, nodeName=f"{name}-{at}") for at, zone in enumerate(zones, 1)]
        clusters[name] = [service("pay"), endpoint_slice("pay", endpoints), *([export("pay")] if exported else [])]
    clusters["east"] += rules
    return fleet_of(clusters, *(member(name, region) for name, (region, _) in places.items()), *extra)


def tiers(fleet, view=CLIENT, key=OWN):
    """Return (name, {cluster/zone: weight}) of each tier."""
    found = book_of(fleet).rank(fleet.services[key], 80, view).tiers
    assert [tier.index for tier in found] == list(range(len(found)))
    return [(t.name, {f"{one.locality.cluster}/{one.locality.zone}": one.weight for one in t.shares}) for t in found]


def told(fleet, code="XDS061"):
    return [(one.code, one.field) for one in book_of(fleet).problems() if one.code.startswith(code)]


def test_failover_goes_from_zone_to_region_to_the_region_that_is_next():
    setting = {"failover": [{"from": "r1", "to": "r3"}, {"from": "r2", "to": "r1"}]}
    fleet = world(rule(locality=setting, outliers={"maxEjectionPercent": 100}))
    assert tiers(fleet) == [
        ("own zone", {"east/a": 1, "north/a": 1}),
        ("own region", {"east/b": 1}),
        ("region r3", {"south/d": 1}),
        ("anywhere", {"west/c": 1}),
    ]
    assert told(fleet) == []


@pytest.mark.parametrize("outliers", [{"interval": "9" * 400 + "h"}, {"baseEjectionTime": "90000000000h"}, {"interval": "1ns"}])
def test_times_that_no_client_takes_are_the_nearest_that_they_take(outliers):
    fleet = world(rule(outliers=outliers))
    found = {one.name: unpack(CLUSTER, one.body) for one in Translator(fleet).translate(SIDECAR).resources[CLUSTER].values()}
    detection = found["pay.shop.svc.cluster.local:80"].outlier_detection
    times = [getattr(detection, name) for name in ("interval", "base_ejection_time", "max_ejection_time")]
    assert all(0.001 <= one.seconds + one.nanos / 1e9 <= 86_400 * 365 for one in times)


def test_counts_that_no_client_takes_are_the_most_that_they_take():
    given = rule(outliers={"consecutive5xxErrors": 5_000_000_000})
    assert outlier_spec(given.outliers).consecutive_server_errors == 2**32 - 1
    assert Translator(world(given)).translate(SIDECAR).resources[CLUSTER]


def test_clients_of_regions_that_failover_does_not_name_go_anywhere():
    setting = {"failover": [{"from": "r2", "to": "r1"}]}
    assert [name for name, _ in tiers(world(rule(locality=setting)))] == ["own zone", "own region", "anywhere"]


def test_the_first_failover_of_a_region_counts():
    setting = {"failover": [{"from": "r1", "to": "r3"}, {"from": "r1", "to": "r2"}]}
    fleet = world(rule(locality=setting, outliers={"maxEjectionPercent": 100}))
    assert tiers(fleet)[2] == ("region r3", {"south/d": 1})
    assert told(fleet) == [("XDS0611", "spec.trafficPolicy.loadBalancer.localityLbSetting.failover[1]")]


def test_what_is_distributed_goes_nowhere_else():
    setting = {"distribute": [{"from": "r2", "to": {"*": 100}}, {"from": "r1/a/*", "to": {"r1/a/*": 70, "r1/b": 10, "r3/*": 20}}]}
    fleet = world(rule(locality=setting))
    assert tiers(fleet) == [("distributed from r1/a/*", {"east/a": 7, "north/a": 7, "east/b": 2, "south/d": 4})]
    left_out = book_of(fleet).rank(fleet.services[OWN], 80, CLIENT).left_out
    assert [(one.locality.cluster, one.reason) for one in left_out] == [("west", "no tier takes its place")]
    assert told(fleet) == []


def test_clients_that_no_distribution_means_take_all_alike():
    setting = {"distribute": [{"from": "r1/b/*", "to": {"r1/*": 100}}]}
    assert tiers(world(rule(locality=setting))) == [
        ("all alike", {"east/a": 1, "east/b": 1, "north/a": 1, "west/c": 1, "south/d": 1})
    ]


def test_a_typing_mistake_in_a_distribution_takes_no_traffic_away():
    setting = {"distribute": [{"from": "r1", "to": {"rr3/*": 100}}]}
    fleet = world(rule(locality=setting))
    assert [name for name, _ in tiers(fleet)] == ["all alike"]
    (problem,) = book_of(fleet).problems()
    assert (problem.field.rpartition(".")[2], problem.hint) == ("distribute[0]", "did you mean 'r3'?")


AT = "spec.trafficPolicy.loadBalancer.localityLbSetting"


def of_places(setting):
    """Return (field, message, hint) of what is said of the places of a setting."""
    found = book_of(world(rule(locality=setting, outliers={"maxEjectionPercent": 100}))).problems()
    return [(one.field.removeprefix(f"{AT}."), one.message, one.hint) for one in found]


def test_a_zone_that_there_is_not_takes_no_traffic_away():
    setting = {"distribute": [{"from": "r1", "to": {"r1/lower": 60, "r2/c": 0, "r3/e/*": 40}}]}
    assert [name for name, _ in tiers(world(rule(locality=setting)))] == ["all alike"]
    message = "sends requests to places of which none exists, so the entry is left out"
    assert of_places(setting) == [("distribute[0]", message, "known zones: r1/a, r1/b, r2/c, r3/d")]


def test_the_share_of_a_zone_that_there_is_not_goes_to_the_others():
    setting = {
        "distribute": [{"from": "r1/aa/*", "to": {"r1/a/*": 80, "r2/cc/*": 20}}, {"from": "r1/*", "to": {"r2/cc": 1, "*": 1}}]
    }
    assert tiers(world(rule(locality=setting))) == [
        ("distributed from r1/*", {"east/a": 1, "east/b": 1, "north/a": 1, "west/c": 1, "south/d": 1})
    ]
    assert of_places(setting) == [
        (
            "distribute[0].from",
            "there is no zone 'r1/aa', so the entry is for no clients but those that say they are there",
            "did you mean 'r1/a'?",
        ),
        ("distribute[0].to", "there is no zone 'r2/cc', so its share goes to the others", "did you mean 'r2/c'?"),
        ("distribute[1].to", "there is no zone 'r2/cc', so its share goes to the others", "did you mean 'r2/c'?"),
    ]


def test_zones_of_one_name_are_apart_in_two_regions():
    setting = {"distribute": [{"from": "r1", "to": {"r2/a": 100}}]}
    assert [name for name, _ in tiers(world(rule(locality=setting)))] == ["all alike"]
    assert of_places(setting)[0][2] == "did you mean 'r2/c'?"


def test_a_place_counts_once_there_is_something():
    setting = {"distribute": [{"from": "r1", "to": {"r2/z": 100}}]}
    fleet = world(rule(locality=setting))
    book = book_of(fleet)
    change = fleet.apply(
        Upsert("west", item) for item in (service("other"), endpoint_slice("other", [endpoint("10.9.0.1", zone="z")]))
    )
    assert book.awaits([fleet.services[key] for key in change.services if key.scope == "west"])
    book.refresh(fleet)
    assert [*book.problems()] == []
    assert book.rank(fleet.services[OWN], 80, CLIENT).tiers[0].name == "distributed from r1"


def test_values_of_failover_priority_that_there_are_not_are_told():
    setting = {
        "failoverPriority": [
            "topology.istio.io/cluster=wst",
            "topology.kubernetes.io/zone=zz",
            "topology.kubernetes.io/region=r1",
        ]
    }
    assert of_places(setting) == [
        ("failoverPriority[0]", "there is no cluster 'wst', so no endpoint has this label", "did you mean 'west'?"),
        ("failoverPriority[1]", "there is no zone 'zz', so no endpoint has this label", "known zones: a, b, c, d"),
    ]


def test_a_sub_zone_leaves_out_its_entry_alone():
    setting = {"distribute": [{"from": "r1/a/s", "to": {"r2": 1}}, {"from": "r1/a/*", "to": {"r1/b/*": 1, "r1/a/s": 1}}]}
    setting["distribute"] += [{"from": "r1/a/*", "to": {"r1/b/*": 1}}]
    assert tiers(world(rule(locality=setting))) == [("distributed from r1/a/*", {"east/b": 1})]
    assert [field for field, _, _ in of_places(setting)] == ["distribute[0]", "distribute[1]"]


def test_locality_can_be_switched_off():
    fleet = world(rule(locality={"enabled": False}))
    assert [name for name, _ in tiers(fleet)] == ["all alike"]
    assert told(fleet) == []


def test_failover_priority_counts_the_first_labels_that_agree():
    labels = [
        "topology.istio.io/network",
        "topology.kubernetes.io/region",
        "topology.kubernetes.io/zone",
        "app",
        "topology.istio.io/cluster",
    ]
    fleet = world(rule(locality={"failoverPriority": labels}, outliers={"maxEjectionPercent": 100}))
    assert tiers(fleet) == [
        ("own region, own zone, own cluster", {"east/a": 1}),
        ("own region, own zone", {"north/a": 1}),
        ("own region", {"east/b": 1}),
        ("anywhere", {"west/c": 1, "south/d": 1}),
    ]
    at = "spec.trafficPolicy.loadBalancer.localityLbSetting.failoverPriority"
    assert told(fleet) == [("XDS0610", f"{at}[0]"), ("XDS0611", f"{at}[3]")]


def test_failover_priority_may_name_a_value():
    labels = ["topology.kubernetes.io/region=r3", "kubernetes.io/hostname"]
    found = tiers(world(rule(locality={"failoverPriority": labels})), View("south", region="r3", node_name="south-1"))
    assert [name for name, _ in found] == ["own cluster"], "the rule is for clients in east"
    found = tiers(world(rule(locality={"failoverPriority": labels})))
    assert found[:2] == [("region r3, own node", {}), ("region r3", {"south/d": 1})]


def test_a_label_that_is_asked_for_again_makes_no_further_tier_and_takes_no_endpoint_from_the_first():
    region = "topology.kubernetes.io/region"
    assert [name for name, _ in tiers(world(rule(locality={"failoverPriority": [region] * 200})))] == ["own region", "anywhere"]
    fleet = world(rule(locality={"failoverPriority": [f"{region}=r3", f"{region}=r1", "topology.istio.io/cluster"]}))
    assert [name for name, found in tiers(fleet) if found] == ["region r3", "anywhere"]
    assert ("XDS0611", "spec.trafficPolicy.loadBalancer.localityLbSetting.failoverPriority[1]") in told(fleet)


@pytest.mark.parametrize(("locality", "first"), [(None, "own cluster"), ({}, "own zone")])
def test_outlier_detection_alone_prefers_no_zone(locality, first):
    fleet = world(rule(locality=locality, outliers={}))
    assert tiers(fleet)[0][0] == first
    fields = [field.removeprefix("spec.trafficPolicy.") for _, field in told(fleet)]
    alone = ["outlierDetection"] if locality is None else []
    assert fields == [*alone, "outlierDetection.maxEjectionPercent"]


def test_a_services_own_preference_counts_where_the_rule_speaks_of_no_places():
    fleet = world(rule(outliers={}))
    slices = endpoint_slice("pay", [endpoint("10.1.0.1", zone="a")])
    clusters = {"east": [service("pay", trafficDistribution="PreferSameZone"), slices, rule(outliers={})]}
    fleet = fleet_of(clusters, member("east", "r1"))
    assert [name for name, _ in tiers(fleet)] == ["own zone", "own cluster", "same region", "anywhere"]


def test_thresholds_are_istios_but_for_how_many_may_be_ejected():
    default = outlier_spec(rule(outliers={}).outliers)
    assert (default.consecutive_server_errors, default.consecutive_local_failures, default.interval_seconds) == (5, 5, 10)
    assert (default.base_ejection_seconds, default.max_ejection_seconds, default.max_ejection_percent) == (30, 300, 100)
    given = {"consecutive5xxErrors": 0, "splitExternalLocalOriginErrors": True, "consecutiveLocalOriginFailures": 3}
    given |= {"baseEjectionTime": "10m", "maxEjectionPercent": 20, "interval": "never"}
    found = outlier_spec(rule(outliers=given).outliers)
    assert (found.consecutive_server_errors, found.consecutive_local_failures, found.interval_seconds) == (0, 3, 10)
    assert (found.base_ejection_seconds, found.max_ejection_seconds, found.max_ejection_percent) == (600, 600, 20)


def thresholds(**given):
    """Return the thresholds (5xx, gateway errors, connections that fail)."""
    found = outlier_spec(rule(outliers=given).outliers)
    return found.consecutive_server_errors, found.consecutive_gateway_errors, found.consecutive_local_failures


def test_gateway_errors_have_a_threshold_of_their_own():
    assert thresholds(consecutiveGatewayErrors=3) == (5, 3, 3)
    assert thresholds(consecutiveGatewayErrors=7) == (5, 7, 5)
    assert thresholds(consecutive5xxErrors=0, consecutiveGatewayErrors=3) == (0, 3, 3)
    assert thresholds(consecutive5xxErrors=0, consecutiveGatewayErrors=0) == (0, 0, 0)
    assert thresholds(consecutiveGatewayErrors=3, splitExternalLocalOriginErrors=True) == (5, 3, 5)
    assert thresholds(consecutiveErrors=2) == (5, 0, 5)


def test_zero_is_as_good_as_nothing_where_istio_takes_it_for_that():
    given = {"splitExternalLocalOriginErrors": True, "consecutiveLocalOriginFailures": 0}
    assert thresholds(**given) == (5, 0, 5)
    fleet = world(rule(locality={}, outliers={"maxEjectionPercent": 0}))
    assert outlier_spec(rule(outliers={"maxEjectionPercent": 0}).outliers).max_ejection_percent == 100
    assert ("XDS0610", "spec.trafficPolicy.outlierDetection.maxEjectionPercent") in told(fleet)


def test_outlier_detection_that_has_no_effect_with_istio_either_is_told():
    given = {
        "maxEjectionPercent": 100,
        "consecutiveErrors": 2,
        "consecutiveLocalOriginFailures": 2,
        "consecutiveGatewayErrors": 2,
    }
    at = "spec.trafficPolicy.outlierDetection"
    found = told(world(rule(locality={}, outliers=given)))
    assert found == [("XDS0611", f"{at}.consecutiveErrors"), ("XDS0611", f"{at}.consecutiveLocalOriginFailures")]


def test_the_panic_threshold_is_the_share_that_has_to_be_healthy():
    fleet = world(rule(outliers={"minHealthPercent": 30}))
    settings = book_of(fleet).governing(fleet.services[OWN], 80, "east").policy.cluster
    assert (settings.panic_percent, str(settings.origin)) == (30, "DestinationRule shop/pay in east")


def policy(name, **spec):
    return make("TrafficPolicy", name, spec={"tiers": [{"name": "only", "places": [{"clusters": ["*"]}]}], **spec})


def test_a_traffic_policy_that_names_the_service_comes_before_and_a_default_behind():
    default = policy("default", defaultFor="Namespace")
    assert tiers(world(rule(locality={}), default))[0][0] == "own zone"
    target = policy("pay", targetRefs=[{"kind": "Service", "name": "pay"}])
    assert tiers(world(rule(locality={}), target))[0][0] == "only"


@pytest.mark.parametrize("host", ["pay", "pay.shop.svc.cluster.local", "pay.shop.svc.clusterset.local"])
def test_hosts_mean_the_clusters_own_service_or_that_of_the_cluster_set(host):
    fleet = world(rule(host=host, locality={}))
    governed = {key.scope for key in (OWN, SET) if tiers(fleet, key=key)[0][0] == "own zone"}
    assert governed == ({CLUSTERSET} if "clusterset" in host else {"east"})


def test_clients_in_other_clusters_are_not_governed():
    fleet = world(rule(locality={}))
    key = ServiceKey("shop", "pay", "west")
    assert tiers(fleet, View("west", region="r2", zone="c"), key) == [("own cluster", {"west/c": 1})]


@pytest.mark.parametrize(
    ("spec", "field"),
    [
        ({"host": "pay.other.svc.cluster.local"}, "spec.host"),
        ({"host": "*.shop.svc.cluster.local"}, "spec.host"),
        ({"host": "pay.shop"}, "spec.host"),
        ({"host": "api.example.com"}, "spec.host"),
        ({"workloadSelector": {"matchLabels": {"app": "web"}}}, "spec.workloadSelector"),
    ],
)
def test_a_rule_that_is_not_for_all_clients_of_a_service_of_its_namespace_is_told(spec, field):
    fleet = world(rule(spec, locality={}))
    assert tiers(fleet) == [("own cluster", {"east/a": 1, "east/b": 1})]
    assert told(fleet) == [("XDS0611", field)]


def test_what_is_not_followed_is_named():
    spec = {"subsets": [{"name": "v1"}], "exportTo": ["."], "trafficPolicy": {"portLevelSettings": [{"port": {"number": 80}}]}}
    spec["trafficPolicy"] |= {"loadBalancer": {"simple": "RANDOM", "localityLbSetting": {}}, "tls": {"mode": "DISABLE"}}
    fleet = world(rule(spec))
    (problem,) = [one for one in book_of(fleet).problems() if one.code == "XDS0611"]
    assert problem.field == "spec.subsets"
    for name in ("spec.trafficPolicy.tls", "spec.trafficPolicy.portLevelSettings", "spec.trafficPolicy.loadBalancer.simple"):
        assert name in problem.message
    assert ("XDS0610", "spec.exportTo") in told(fleet)


def test_subsets_alone_are_told_and_change_nothing():
    fleet = world(rule({"subsets": [{"name": "v1"}]}))
    assert tiers(fleet) == [("own cluster", {"east/a": 1, "east/b": 1})]
    assert told(fleet) == [("XDS0611", "spec.subsets")]


def test_other_clusters_count_as_far_as_they_export():
    fleet = world(rule(locality={"enabled": False}), exported=False)
    assert tiers(fleet) == [("all alike", {"east/a": 1, "east/b": 1})]
    (problem,) = book_of(fleet).problems()
    assert (problem.code, problem.field) == ("XDS0611", "spec.host")
    assert "Services of this name in north, south, west" in problem.message
    assert problem.hint.startswith("create a ServiceExport shop/pay in north")


def test_a_service_that_does_not_exist_is_told():
    assert told(world(rule(host="pya", locality={"enabled": False})), "XDS0602") == [("XDS0602", "spec.host")]


def test_of_two_rules_for_one_host_the_older_one_governs():
    older = rule(name="z-older", locality={}, created="2026-01-01T00:00:00Z")
    fleet = world(older, rule(locality={"enabled": False}, created="2026-02-01T00:00:00Z"))
    assert tiers(fleet)[0][0] == "own zone"
    (problem,) = [one for one in book_of(fleet).problems() if one.code == "XDS0603"]
    assert (problem.ref.name, "z-older" in problem.message) == ("pay", True)


def test_a_policy_stays_the_same_while_its_rule_does():
    fleet = world(rule(locality={}))
    book = book_of(fleet)
    before = book.governing(fleet.services[OWN], 80, "east")
    book.refresh(fleet)
    assert book.governing(fleet.services[OWN], 80, "east") is before


def test_regions_of_nodes_are_known():
    setting = {"distribute": [{"from": "*", "to": {"r9/*": 50, "r9/z": 50}}]}
    fleet = world(rule(locality=setting), node("east-1", "z", "r9"))
    assert tiers(fleet)[0][0] == "distributed from *"
    assert told(fleet, "XDS0611") == []


def test_a_node_that_names_no_region_is_in_that_of_its_cluster():
    setting = {"distribute": [{"from": "*", "to": {"r1/y": 50, "*": 50}}]}
    fleet = world(rule(locality=setting), node("east-1", "y"), extra=[member("east", "r1", zones=["a", "b"])])
    assert told(fleet, "XDS0611") == []


def test_explain_names_the_rule():
    fleet = world(rule(locality={}))
    found = explain(fleet, book_of(fleet), fleet.services[OWN], 80, CLIENT)
    refs = {step.stage: [str(ref) for ref in step.objects] for step in found.chain if step.stage in ("widening", "policy")}
    assert refs == {"widening": [GOVERNS], "policy": [GOVERNS]}


@pytest.mark.parametrize(
    ("text", "seconds"), [("10s", 10), ("1m30s", 90), ("1.5s", 1.5), ("500ms", 0.5), ("0s", None), ("5", None), ("", None)]
)
def test_durations_are_gos(text, seconds):
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("r1", ("r1", "", "")),
        ("r1/*", ("r1", "", "")),
        ("r1/a/s", ("r1", "a", "s")),
        ("*", ("", "", "")),
        ("*/a", None),
        ("r1//", None),
        ("", None),
        ("a/b/c/d", None),
    ],
)
def test_places_are_istios(text, parts):
    assert Parts.of(text) == parts
