"""What Services and exports say for other systems, as policies, and what is told of the rest."""

from __future__ import annotations

import pytest
from fleet_world import book_of, endpoint, endpoint_slice, export, fleet_of, make, member, service

from xds.model.events import FLEET, Delete, ObjectKey, Upsert
from xds.model.service import CLUSTERSET, Health, ServiceKey
from xds.model.view import View
from xds.policy.explanation import explain

PLACES = {"east": "r1", "north": "r1", "west": "r2"}
CLIENT = View("east", region="r1", zone="east-a", node_name="east-1")
OWN, SET = ServiceKey("shop", "pay", "east"), ServiceKey("shop", "pay", CLUSTERSET)
CILIUM, WEIGHT = "service.cilium.io", "networking.fleet.azure.com/weight"
FLEET_EXPORT = "ServiceExport.networking.fleet.azure.com"
DISTRIBUTION = "networking.istio.io/traffic-distribution"


def pay(annotations=None, labels=None, **spec):
    item = {"clusterIP": "10.96.0.1", "ports": [{"name": "http", "port": 80}], **spec}
    return make("Service", "pay", metadata={"annotations": annotations or {}, "labels": labels or {}}, spec=item)


def world(own=None, *extra, exported=PLACES, weights=None):
    clusters = {}
    for number, name in enumerate(PLACES, 1):
        found = [endpoint(f"10.{number}.0.{at}", zone=f"{name}-a", nodeName=f"{name}-{at}") for at in (1, 2)]
        clusters[name] = [(own if name == "east" else None) or service("pay"), endpoint_slice("pay", found)]
        if name in exported:
            says = {WEIGHT: weights[name]} if name in (weights or {}) else {}
            clusters[name].append(make("ServiceExport", "pay", metadata={"annotations": says}))
    clusters["east"] += extra
    return fleet_of(clusters, *(member(name, region) for name, region in PLACES.items()))


def tiers(fleet, view=CLIENT, key=OWN):
    """Return (name, {cluster: weight}) of each tier."""
    found = book_of(fleet).rank(fleet.services[key], 80, view).tiers
    return [(tier.name, {one.locality.cluster: one.weight for one in tier.shares}) for tier in found]


def told(fleet):
    return [(one.code, one.field.removeprefix("metadata.")) for one in book_of(fleet).problems()]


def affine(value, **more):
    return pay({f"{CILIUM}/global": "true", f"{CILIUM}/affinity": value, **more})


@pytest.mark.parametrize(
    ("affinity", "expected"),
    [
        ("local", [("own cluster", {"east": 2}), ("anywhere", {"north": 2, "west": 2})]),
        ("remote", [("other clusters", {"north": 2, "west": 2}), ("own cluster", {"east": 2})]),
        ("none", [("all alike", {"east": 2, "north": 2, "west": 2})]),
    ],
)
def test_cilium_prefers_the_own_cluster_or_the_others_or_none(affinity, expected):
    fleet = world(affine(affinity))
    assert tiers(fleet) == expected
    assert told(fleet) == ([] if affinity == "none" else [("XDS0610", f'annotations["{CILIUM}/affinity"]')])


def test_cilium_without_global_stays_in_its_cluster():
    fleet = world(pay({f"{CILIUM}/affinity": "remote"}))
    assert tiers(fleet) == [("own cluster", {"east": 2})]
    assert told(fleet) == [("XDS0611", f'annotations["{CILIUM}/affinity"]')]


def test_a_slip_in_an_affinity_takes_no_traffic_away():
    fleet = world(affine("locale"))
    assert tiers(fleet)[0] == ("all alike", {"east": 2, "north": 2, "west": 2})
    (problem,) = book_of(fleet).problems()
    assert (problem.code, problem.hint) == ("XDS0611", "did you mean 'local'?")


def test_what_nobody_exports_is_told():
    fleet = world(affine("none"), exported=())
    assert tiers(fleet) == [("all alike", {"east": 2})]
    assert told(fleet) == [("XDS0611", f'annotations["{CILIUM}/global"]')] * 2


def test_an_export_counts_though_cilium_would_not_share():
    fleet = world(affine("none", **{f"{CILIUM}/shared": "false", f"{CILIUM}/lb-algorithm": "maglev"}))
    assert told(fleet) == [("XDS0611", f'annotations["{CILIUM}/{name}"]') for name in ("shared", "lb-algorithm")]


def test_a_service_that_becomes_global_is_widened():
    fleet = world()
    assert tiers(fleet) == [("own cluster", {"east": 2})]
    change = fleet.apply([Upsert("east", affine("none"))])
    assert OWN in change.services
    assert tiers(fleet) == [("all alike", {"east": 2, "north": 2, "west": 2})]


def test_the_older_names_of_ciliums_annotations_count_behind_the_newer_ones():
    older = {"io.cilium/global-service": "True", "io.cilium/service-affinity": "remote", "io.cilium/shared-service": "false"}
    fleet = world(pay(older))
    assert [name for name, _ in tiers(fleet)] == ["other clusters", "own cluster"]
    assert told(fleet) == [
        ("XDS0610", 'annotations["io.cilium/service-affinity"]'),
        ("XDS0611", 'annotations["io.cilium/shared-service"]'),
    ]
    fleet = world(pay({**older, f"{CILIUM}/affinity": "local", f"{CILIUM}/shared": "true"}))
    assert [name for name, _ in tiers(fleet)] == ["own cluster", "anywhere"]
    assert told(fleet) == [("XDS0610", f'annotations["{CILIUM}/affinity"]')]


def test_a_slip_in_global_is_told():
    fleet = world(pay({f"{CILIUM}/global": "on"}))
    assert told(fleet) == [("XDS0611", f'annotations["{CILIUM}/global"]')]


def of_cilium(value):
    return make("Namespace", "shop", metadata={"annotations": {"clustermesh.cilium.io/global": value}})


@pytest.mark.parametrize(("value", "is_global"), [("true", True), ("True", True), ("False", False), ("yes", True), ("", True)])
def test_a_namespace_may_keep_its_services_from_being_global(value, is_global):
    fleet = world(affine("none"), of_cilium(value))
    assert tiers(fleet) == [("all alike", {"east": 2, "north": 2, "west": 2}) if is_global else ("own cluster", {"east": 2})]
    slip = [("XDS0611", "namespace")] if value in ("yes", "") else []
    assert told(fleet) == (slip if is_global else [("XDS0611", f'annotations["{CILIUM}/global"]'), ("XDS0611", "namespace")])


def test_a_namespace_that_says_otherwise_widens_its_services():
    fleet = world(affine("none"), of_cilium("false"))
    change = fleet.apply([Upsert("east", of_cilium("true"))])
    assert OWN in change.services
    assert tiers(fleet) == [("all alike", {"east": 2, "north": 2, "west": 2})]
    assert told(fleet) == []


def test_an_export_out_of_a_namespace_of_which_cilium_shares_nothing_is_told():
    fleet = world(None, of_cilium("false"))
    assert told(fleet) == [("XDS0611", "namespace")]
    assert tiers(fleet, key=SET)[0][1] == {"east": 2}
    assert told(world(None, of_cilium("false"), exported=["west"])) == []


def weighed(weight):
    annotations = {f"{CILIUM}/weight": weight}
    return endpoint_slice("pay", [endpoint("10.1.0.9", zone="east-a")], name="pay-2", annotations=annotations)


def test_a_slice_of_ciliums_weight_0_is_out_of_use():
    fleet = world(None, weighed("0"))
    found = {one.addresses[0]: one for one in fleet.services[SET].endpoints[80]}
    assert (found["10.1.0.9"].health, found["10.1.0.1"].health) == (Health.DRAINING, Health.HEALTHY)
    assert found["10.1.0.9"].reasons == ("in maintenance: its EndpointSlice has service.cilium.io/weight 0",)
    assert tiers(fleet) == [("own cluster", {"east": 2})], "it is not counted"
    assert fleet.problems() == ()
    change = fleet.apply([Upsert("east", weighed("7"))])
    assert change.endpoints == {OWN, SET}
    assert tiers(fleet) == [("own cluster", {"east": 3})]
    (problem,) = fleet.problems()
    assert (problem.code, problem.ref.name) == ("XDS0611", "pay-2")


def test_endpoints_that_cilium_copies_are_where_they_run():
    labels = {"kubernetes.io/service-name": "pay", "multicluster.kubernetes.io/source-cluster": "north"}
    copied = endpoint_slice("pay", [endpoint("10.2.0.1", zone="north-a")], name="pay-north", labels=labels)
    fleet = world(pay(), copied)
    assert tiers(fleet) == [("own cluster", {"east": 2}), ("same region", {"north": 1}), ("anywhere", {})]
    assert tiers(world(affine("remote"), copied)) == [("other clusters", {"north": 1, "west": 2}), ("own cluster", {"east": 2})]
    assert len(fleet.services[SET].endpoints[80]) == 6, "none is counted twice"


def test_weights_of_exports_are_those_of_the_exporting_clusters():
    fleet = world(weights={"north": "3", "west": "0"})
    assert tiers(fleet, key=SET) == [("by the weights of the exports", {"east": 1, "north": 3})]
    assert tiers(fleet, View(""), SET) == tiers(fleet, key=SET), "for clients anywhere"
    assert tiers(fleet) == [("own cluster", {"east": 2})]
    assert told(fleet) == []


def test_an_export_of_azure_fleet_counts_as_one_of_the_mcs_api():
    fleet = world(exported=["west"])
    fleet.apply([Upsert("north", make(FLEET_EXPORT, "pay", metadata={"annotations": {WEIGHT: "3"}}))])
    assert tiers(fleet, key=SET) == [("by the weights of the exports", {"north": 3, "west": 1})]
    assert [ref.kind for ref in fleet.services[SET].origins if "Export" in ref.kind] == [FLEET_EXPORT, "ServiceExport"]
    fleet.apply([Upsert("north", make("ServiceExport", "pay")), Upsert("west", make(FLEET_EXPORT, "pay"))])
    assert [shares for _, shares in tiers(fleet, key=SET)] == [{}, {"north": 2}, {"west": 2}]
    (problem,) = fleet.problems()
    assert (problem.code, problem.ref.kind, problem.ref.cluster) == ("XDS0611", FLEET_EXPORT, "north")
    fleet.apply([Delete("north", ObjectKey("ServiceExport", "shop", "pay"))])
    assert tiers(fleet, key=SET) == [("by the weights of the exports", {"north": 3, "west": 1})]
    assert fleet.problems() == ()


def test_weights_that_sum_to_nothing_do_not_count():
    fleet = world(exported=["east"], weights={"east": "0"})
    assert [name for name, _ in tiers(fleet, key=SET)] == ["own cluster", "same region", "anywhere"]
    assert told(fleet) == [("XDS0611", f'annotations["{WEIGHT}"]')]


@pytest.mark.parametrize("text", ["1001", "-1", "many", "1.5"])
def test_a_weight_that_is_none_counts_as_1(text):
    fleet = world(weights={"north": text})
    assert tiers(fleet, key=SET) == [("by the weights of the exports", {"east": 1, "north": 1, "west": 1})]
    (problem,) = book_of(fleet).problems()
    assert (problem.code, str(problem.ref)) == ("XDS0611", "ServiceExport shop/pay in north")


@pytest.mark.parametrize(
    ("label", "value", "exported", "code"),
    [
        ("mirror.linkerd.io/exported", "true", (), "XDS0611"),
        ("mirror.linkerd.io/exported", "remote-discovery", PLACES, "XDS0610"),
        ("mirror.linkerd.io/federated", "member", (), "XDS0611"),
        ("mirror.linkerd.io/mirrored-service", "true", (), "XDS0610"),
        ("multicluster.linkerd.io/remote-discovery", "west", (), "XDS0611"),
        ("mirror.linkerd.io/exported", "false", (), ""),
    ],
)
def test_linkerds_labels_are_told(label, value, exported, code):
    fleet = world(pay(labels={label: value}), exported=exported)
    assert told(fleet) == ([(code, f'labels["{label}"]')] if code else [])
    assert tiers(fleet) == [("own cluster", {"east": 2})]


def test_a_local_internal_policy_is_the_clients_node_or_nothing():
    fleet = world(pay(internalTrafficPolicy="Local"))
    assert fleet.prefers_node
    assert tiers(fleet) == [("own node", {"east": 1})]
    assert tiers(fleet, View("east", region="r1", node_name="east-9")) == [("own node", {})]
    assert tiers(fleet, View("east", region="r1")) == [("own cluster", {"east": 2})], "it does not say where it is"


def test_a_local_internal_policy_holds_beside_a_rule_and_cilium():
    rule = make("DestinationRule", "pay", spec={"host": "pay", "trafficPolicy": {"loadBalancer": {"localityLbSetting": {}}}})
    fleet = world(pay({f"{CILIUM}/global": "true"}, internalTrafficPolicy="Local"), rule)
    assert tiers(fleet) == [("own node", {"east": 1})]
    assert ("XDS0611", "spec.trafficPolicy.loadBalancer.localityLbSetting") in told(fleet)
    assert tiers(world(pay({f"{CILIUM}/global": "true"}, internalTrafficPolicy="Local")))[0][0] == "own node"


def test_what_governs_has_the_service_as_its_origin():
    for own in (affine("local"), pay(internalTrafficPolicy="Local")):
        fleet = world(own)
        policy = book_of(fleet).governing(fleet.services[OWN], 80, "east").policy
        assert str(policy.origin) == "Service shop/pay in east"


def test_explain_names_the_service_that_cilium_calls_global():
    fleet = world(affine("local"))
    found = explain(fleet, book_of(fleet), fleet.services[OWN], 80, CLIENT)
    refs = {step.stage: [str(ref) for ref in step.objects] for step in found.chain if step.stage in ("widening", "policy")}
    assert refs == {"widening": ["Service shop/pay in east"], "policy": ["Service shop/pay in east"]}
    (text,) = [step.text for step in found.chain if step.stage == "policy"]
    assert text.startswith("Service shop/pay in east (Cilium) governs")


def namespace(value):
    return make("Namespace", "shop", metadata={"annotations": {DISTRIBUTION: value} if value else {}})


@pytest.mark.parametrize(
    ("own", "of_namespace", "expected"),
    [
        (pay({DISTRIBUTION: "PreferClose"}), "", "PreferSameZone"),
        (pay({DISTRIBUTION: "prefersamenode"}), "", "PreferSameNode"),
        (pay(), "PreferSameZone", "PreferSameZone"),
        (pay({DISTRIBUTION: "Any"}), "PreferSameZone", ""),
        (pay({DISTRIBUTION: "Any"}, trafficDistribution="PreferSameNode"), "PreferSameZone", "PreferSameNode"),
        (pay({DISTRIBUTION: "PreferNearZone"}), "PreferSameNode", "PreferSameNode"),
    ],
)
def test_istios_annotation_counts_behind_the_field_and_before_that_of_the_namespace(own, of_namespace, expected):
    fleet = world(own, namespace(of_namespace))
    assert fleet.services[OWN].traffic_distribution == expected
    assert fleet.services[SET].traffic_distribution == expected
    wrong = [one.field for one in fleet.problems() if one.code == "XDS0213"]
    assert wrong == ([f'metadata.annotations["{DISTRIBUTION}"]'] if "Near" in str(own) else [])


def test_a_namespace_that_says_otherwise_changes_its_services():
    fleet = world(None, namespace("PreferSameZone"))
    change = fleet.apply([Upsert("east", namespace(""))])
    assert OWN in change.services
    assert fleet.services[OWN].traffic_distribution == ""
    assert fleet.apply([Upsert("east", namespace(""))]).services == frozenset()


def test_what_session_affinity_is_otherwise_than_with_kube_proxy_is_told():
    fleet = world(pay(sessionAffinity="ClientIP"))
    assert told(fleet) == [("XDS0612", "spec.sessionAffinity")]
    assert tiers(fleet) == [("own cluster", {"east": 2})]


def test_exports_without_weights_leave_the_ladder():
    assert next(name for name, _ in tiers(fleet_of({"east": [service("pay"), export("pay")]}), key=SET)) == "own cluster"


@pytest.mark.parametrize("place", [{"cluster": "east"}, {"zone": "east-a"}])
def test_a_drain_leaves_what_is_used_on_the_clients_node_alone(place):
    fleet = world(pay(internalTrafficPolicy="Local"))
    before = tiers(fleet)
    fleet.apply([Upsert(FLEET, make("TrafficOverride", "d", spec={"drain": place}))])
    assert tiers(fleet) == before == [("own node", {"east": 1})]
