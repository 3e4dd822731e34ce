"""What is wrong with a policy is said with the field, the reason and the remedy; what is right is accepted."""

from __future__ import annotations

import msgspec
import pytest
from fleet_world import fleet_of, make, member, tier, traffic_policy

from xds.model.traffic_objects import PlaceSpec
from xds.policy.acceptance import Known, covers, faults

EVERY = {"clusters": ["*"]}
OWN = {"clusters": ["@own"]}
SERVICE = {"kind": "Service", "name": "web"}
OVERLAP = "an endpoint belongs to the first tier that takes its place: put this one before, or narrow those"
TARGETS = "give either targetRefs or defaultFor (Namespace, or Fleet on the hub)"
GOLD = {"labels": {"grade": "gold"}}
REGIONS = "known regions: beijing, shanghai"


@pytest.fixture(scope="module")
def members():
    return fleet_of(
        {name: [] for name in ("bj1", "bj2", "sh1")},
        member("bj1", "beijing", zones=["a", "b"], provider="blue-cloud"),
        member("bj2", "beijing", zones=["c"]),
        make("MemberCluster", "sh1", metadata=GOLD, spec={"region": "shanghai", "provider": "red-cloud"}),
    ).members


def found(members, *, holder="", refs=(SERVICE,), **spec):
    policy = traffic_policy("web", *refs, **spec)
    return [(fault.field, fault.message, fault.hint) for fault in faults(holder, policy, Known(members))]


def strategy(type_, **fields):
    return {"strategy": {"type": type_, **fields}}


def weighed(*weights, **fields):
    return {"tiers": [tier("one", EVERY, weights=list(weights), **fields)]}


EVERY_FIELD = "of one place, every field that is given must hold: write two places to mean either of two"
NOWHERE = "tier 'a' selects nothing: no cluster of the fleet is at such a place"
BAD = {
    "a cluster in another's region": (
        {"tiers": [tier("a", {"clusters": ["bj1", "bj2"], "regions": ["shanghai"]}), tier("b", EVERY)]},
        "spec.tiers[0].places",
        NOWHERE,
        EVERY_FIELD,
    ),
    "a zone of another cluster": (
        {"tiers": [tier("a", {"clusters": ["bj2"], "zones": ["a"]}, {"regions": ["beijing"], "providers": ["red-cloud"]})]},
        "spec.tiers[0].places",
        NOWHERE,
        EVERY_FIELD,
    ),
    "labels that no cluster has": (
        {"tiers": [tier("a", {"clusterSelector": {"matchLabels": {"grade": "golden"}}}), tier("b", EVERY)]},
        "spec.tiers[0].places",
        NOWHERE,
        "give MemberClusters such labels, or select by what they have",
    ),
    "a word for the client's own that there is not": (
        {"tiers": [tier("a", {"clusters": ["@self"]})]},
        "spec.tiers[0].places[0].clusters[0]",
        "there is no cluster '@self'",
        "'@own' is the client's own",
    ),
    "no targets": ({"refs": ()}, "spec.targetRefs", "names no targets and is no default", TARGETS),
    "targets of a default": ({"defaultFor": "Namespace"}, "spec.targetRefs", "names targets and is a default", TARGETS),
    "a cluster's default of the fleet": (
        {"holder": "bj1", "refs": (), "defaultFor": "Fleet"},
        "spec.defaultFor",
        "only a fleet-wide policy can be the default of the fleet",
        "put it on the hub, or at the top of the directory, or use Namespace",
    ),
    "group of a Service": (
        {"refs": (SERVICE | {"group": "multicluster.x-k8s.io"},)},
        "spec.targetRefs[0].group",
        "Service is not of the group 'multicluster.x-k8s.io'",
        'set it to ""',
    ),
    "group of a ServiceImport": (
        {"refs": (SERVICE, {"kind": "ServiceImport", "name": "web"})},
        "spec.targetRefs[1].group",
        "ServiceImport is not of the group ''",
        "set it to multicluster.x-k8s.io",
    ),
    "tiers and a strategy": (
        {**strategy("Nearest"), "tiers": [tier("one", EVERY)]},
        "spec.tiers",
        "a policy has either tiers or a strategy",
        "take one of them out",
    ),
    "one tier twice": (
        {"tiers": [tier("one", OWN), tier("two", OWN)]},
        "spec.tiers[1].places",
        "earlier tiers take everything that tier 'two' selects",
        OVERLAP,
    ),
    "all before some": (
        {"tiers": [tier("one", EVERY), tier("two", {"regions": ["beijing"]}, {"zones": ["a"]})]},
        "spec.tiers[1].places",
        "earlier tiers take everything that tier 'two' selects",
        OVERLAP,
    ),
    "two before one": (
        {"tiers": [tier("one", {"clusters": ["bj1"]}), tier("two", {"clusters": ["bj2"]}), tier("three", {"clusters": ["bj2"]})]},
        "spec.tiers[2].places",
        "earlier tiers take everything that tier 'three' selects",
        OVERLAP,
    ),
    "own region before own zone": (
        {"tiers": [tier("one", {"regions": ["@own"]}), tier("two", {"zones": ["@own"]})]},
        "spec.tiers[1].places",
        "earlier tiers take everything that tier 'two' selects",
        OVERLAP,
    ),
    "one name for two tiers": (
        {"tiers": [tier("one", OWN), tier("one", EVERY)]},
        "spec.tiers[1].name",
        "two tiers have one name",
        "tier 0 is called 'one', too, and gates are opened by name: give one another",
    ),
    "an empty place": (
        {"tiers": [tier("one", OWN, {})]},
        "spec.tiers[0].places[1]",
        "selects nothing",
        'name clusters, regions, zones, providers or a clusterSelector; clusters: ["*"] are all',
    ),
    "a gate on the first tier": (
        {"tiers": [tier("one", OWN, gate="Manual"), tier("two", EVERY)]},
        "spec.tiers[0].gate",
        "the first tier is Manual",
        "something has to serve: gate a later one",
    ),
    "weights of nothing": (
        weighed({"cluster": "bj1", "weight": 0}, {"cluster": "bj2", "weight": 0}),
        "spec.tiers[0].weights",
        "the weights sum to nothing",
        "give one place a weight above 0",
    ),
    "one place weighed twice": (
        weighed({"cluster": "bj1", "weight": 1}, {"weight": 1}, {"cluster": "bj1", "weight": 2}),
        "spec.tiers[0].weights[2]",
        "two weights are of the same place",
        "entry 0 is the other: keep one of them",
    ),
    "all weighed twice": (
        weighed({"cluster": "*", "weight": 1}, {"weight": 2}),
        "spec.tiers[0].weights[1]",
        "two weights are of the same place",
        "entry 0 is the other: keep one of them",
    ),
    "weights and weighBy": (
        weighed({"weight": 1}, weighBy="Capacity"),
        "spec.tiers[0].weighBy",
        "a tier has either weights or weighBy",
        "take one of them out",
    ),
    "an unknown cluster, alike": (
        {"tiers": [tier("one", {"clusters": ["bj1", "bj3x"]})]},
        "spec.tiers[0].places[0].clusters[1]",
        "there is no cluster 'bj3x'",
        "known clusters: bj1, bj2, sh1",
    ),
    "an unknown region": (
        {"tiers": [tier("one", OWN, {"regions": ["bejing"]})]},
        "spec.tiers[0].places[1].regions[0]",
        "there is no region 'bejing'",
        "did you mean 'beijing'?",
    ),
    "an unknown zone": (
        {"tiers": [tier("one", {"zones": ["zone-z"]})]},
        "spec.tiers[0].places[0].zones[0]",
        "there is no zone 'zone-z'",
        "known zones: a, b, c",
    ),
    "an unknown provider": (
        {"tiers": [tier("one", {"providers": ["blu-cloud"]})]},
        "spec.tiers[0].places[0].providers[0]",
        "there is no provider 'blu-cloud'",
        "did you mean 'blue-cloud'?",
    ),
    "* is no region": (
        {"tiers": [tier("one", {"regions": ["*"]})]},
        "spec.tiers[0].places[0].regions[0]",
        "there is no region '*'",
        "leave the regions out to mean all",
    ),
    "an unknown cluster of a weight": (
        weighed({"cluster": "bj11", "weight": 1}),
        "spec.tiers[0].weights[0].cluster",
        "there is no cluster 'bj11'",
        "did you mean 'bj1'?",
    ),
    "an unknown zone of a weight": (
        weighed({"region": "beijing", "zone": "d", "weight": 1}),
        "spec.tiers[0].weights[0].zone",
        "there is no zone 'd'",
        "known zones: a, b, c",
    ),
    "sovereignty over what is unknown": (
        {"sovereignty": [{"regions": ["shangai"]}]},
        "spec.sovereignty[0].regions[0]",
        "there is no region 'shangai'",
        "did you mean 'shanghai'?",
    ),
    "sovereignty over nothing": (
        {"sovereignty": [{}]},
        "spec.sovereignty[0]",
        "selects nothing",
        'name clusters, regions, zones, providers or a clusterSelector; clusters: ["*"] are all',
    ),
    "sovereignty over everything": (
        {"sovereignty": [{"regions": ["shanghai"]}, EVERY]},
        "spec.sovereignty",
        "leaves nothing of the open tiers",
        "something has to serve: narrow it, or open a tier that it leaves",
    ),
    "a strategy over an unknown cluster": (
        strategy("FailOver", clusters=["sh1", "sh12"]),
        "spec.strategy.clusters[1]",
        "there is no cluster 'sh12'",
        "did you mean 'sh1'?",
    ),
    "a strategy with one cluster twice": (
        strategy("ActiveActive", clusters=["sh1", "sh1"]),
        "spec.strategy.clusters[1]",
        "a cluster is named twice",
        "'sh1' is there already: keep one of them",
    ),
    "failing over to where one is": (
        strategy("FailOver", clusters=["@own", "sh1"]),
        "spec.strategy.clusters",
        "FailOver begins with the client's own cluster anyway",
        "take '@own' out",
    ),
    "failing over to all and then to one": (
        strategy("FailOver", clusters=["*", "sh1"]),
        "spec.strategy.clusters",
        "FailOver reaches no cluster after '*', which is all",
        "put it last",
    ),
    "a strategy's weights of nothing": (
        strategy("ActiveActive", weights=[{"weight": 0}]),
        "spec.strategy.weights",
        "the weights sum to nothing",
        "give one place a weight above 0",
    ),
    "clusters without use": (
        strategy("Nearest", clusters=["sh1"]),
        "spec.strategy.clusters",
        "Nearest has no use for clusters",
        "it is for ActiveActive and FailOver; take it out",
    ),
    "a gate without use": (
        strategy("Nearest", gate="Closed"),
        "spec.strategy.gate",
        "Nearest has no gate",
        "it is for RemoteDR and TwoSitesThreeCenters; take it out",
    ),
    "no primary": (
        strategy("RemoteDR", remote="shanghai"),
        "spec.strategy.primary",
        "RemoteDR needs primary, the name of a region",
        REGIONS,
    ),
    "an unknown remote": (
        strategy("RemoteDR", primary="beijing", remote="shangai"),
        "spec.strategy.remote",
        "there is no region 'shangai'",
        "did you mean 'shanghai'?",
    ),
    "one region twice": (
        strategy("RemoteDR", primary="beijing", remote="beijing"),
        "spec.strategy.remote",
        "the remote region is the primary one",
        "name two regions",
    ),
    "one cluster in the primary region": (
        strategy("TwoSitesThreeCenters", primary="shanghai", remote="beijing"),
        "spec.strategy.primary",
        "TwoSitesThreeCenters needs two clusters in region 'shanghai'; there is one",
        "use RemoteDR, or add the second site",
    ),
    "ejection that is too short": (
        {"outlierDetection": {"baseEjectionSeconds": 90}},
        "spec.outlierDetection.maxEjectionSeconds",
        "60 is less than baseEjectionSeconds, 90",
        "an ejection begins with the one and never lasts longer than the other",
    ),
    "a path without a slash": (
        {"healthCheck": {"path": "healthz"}},
        "spec.healthCheck.path",
        "is not the path of a URL",
        "begin it with '/', and write no spaces",
    ),
    "a path of two lines": (
        {"healthCheck": {"path": "/healthz\r\nHost: other"}},
        "spec.healthCheck.path",
        "is not the path of a URL",
        "begin it with '/', and write no spaces",
    ),
}
"""Name -> (policy, field, message, hint)."""


@pytest.mark.parametrize("name", BAD)
def test_what_is_wrong_is_said_with_its_remedy(name, members):
    spec, *expected = BAD[name]
    assert found(members, **spec) == [tuple(expected)]


def test_same_city_needs_two_clusters_in_a_region():
    fleet = fleet_of({"bj1": [], "sh1": [], "x": []}, member("bj1", "beijing"), member("sh1", "shanghai"), member("x"))
    message = "SameCityActiveActive needs a region with two clusters, and no region of the fleet has them"
    hint = "declare the regions of the clusters in their MemberClusters, or use Nearest"
    assert found(fleet.members, **strategy("SameCityActiveActive")) == [("spec.strategy", message, hint)]


def test_where_nothing_is_known_that_is_said():
    fleet = fleet_of({"bj1": []}, member("bj1"))
    assert found(fleet.members, tiers=[tier("one", {"regions": ["beijing"]})])[0][2] == "known regions: none"
    assert found(fleet.members, **strategy("RemoteDR"))[0][2] == "known regions: none"


OWN_PLACES = {"regions": "region", "zones": "zone"}


@pytest.mark.parametrize("field", OWN_PLACES)
def test_the_clients_own_place_is_nowhere_in_a_fleet_that_has_none(field):
    alone = {"tiers": [tier("own", {field: ["@own"]}), tier("later", EVERY, gate="Closed")]}
    members = fleet_of({}, member("east")).members
    message = f"select nothing that there is: no {OWN_PLACES[field]} is known, so that nothing is in the client's"
    assert found(members, **alone) == [("spec.tiers", message, "something has to serve")]
    assert not found(members, tiers=[tier("own", {field: ["@own"]}), tier("all", EVERY)])


def test_the_clients_own_place_and_one_that_is_nowhere_are_nothing_together():
    members = fleet_of({}, member("east")).members
    nowhere = {"clusterSelector": {"matchLabels": {"stage": "prod"}}}
    message = "select nothing that there is: no zone is known, so that nothing is in the client's"
    own = tier("own", nowhere, {"zones": ["@own"]})
    assert found(members, tiers=[own]) == [("spec.tiers", message, "something has to serve")]
    assert not found(members, tiers=[own, tier("all", EVERY)])


def test_open_tiers_that_select_nothing_wait_for_any_of_their_places():
    tiers = [tier("zone", {"zones": ["@own"]}), tier("region", {"regions": ["@own"]})]
    policy = traffic_policy("web", SERVICE, tiers=tiers)
    (fault,) = faults("", policy, Known(fleet_of({}, member("east")).members))
    assert fault.awaited == (PlaceSpec(zones=["@own"]), PlaceSpec(regions=["@own"]))


def test_a_tier_for_clusters_that_there_are_not_is_none_even_before_others(members):
    prod = {"clusterSelector": {"matchLabels": {"stgae": "prod"}}}
    message = "tier 'prod' selects nothing: no cluster of the fleet is at such a place"
    expected = [("spec.tiers[0].places", message, "give MemberClusters such labels, or select by what they have")]
    assert found(members, tiers=[tier("prod", prod)]) == expected
    assert found(members, tiers=[tier("prod", prod), tier("all", EVERY)]) == expected
    assert not found(members, sovereignty=[prod])


def test_everything_that_is_wrong_is_said_at_once(members):
    wrong = {"tiers": [tier("one", {}, gate="Closed")], "sovereignty": [{"regions": ["x"]}], "healthCheck": {"path": "x"}}
    fields = [field for field, _, _ in found(members, refs=(), **wrong)]
    assert fields == [
        "spec.targetRefs",
        "spec.tiers[0].gate",
        "spec.tiers[0].places[0]",
        "spec.healthCheck.path",
        "spec.sovereignty[0].regions[0]",
    ]


GOOD = {
    "nothing but a timeout": {"timeoutSeconds": 3},
    "the namespace's default": {"refs": (), "defaultFor": "Namespace", "holder": "bj1"},
    "the fleet's default": {"refs": (), "defaultFor": "Fleet"},
    "a ServiceImport": {"refs": ({"group": "multicluster.x-k8s.io", "kind": "ServiceImport", "name": "web", "port": 80},)},
    "narrow before wide": {"tiers": [tier("a", {"zones": ["@own"]}), tier("b", {"regions": ["@own"]}), tier("c", EVERY)]},
    "what a tier's weights do not name is left to a later one": {
        "tiers": [tier("a", EVERY, weights=[{"cluster": "bj1", "weight": 1}]), tier("b", EVERY, gate="Manual")]
    },
    "one place of two is new": {"tiers": [tier("a", {"regions": ["beijing"]}), tier("b", {"regions": ["beijing"]}, EVERY)]},
    "a selector by labels": {"tiers": [tier("a", {"clusterSelector": {"matchLabels": {"grade": "gold"}}}), tier("b", EVERY)]},
    "one place of two is somewhere": {
        "tiers": [tier("a", {"clusters": ["bj1"], "regions": ["shanghai"]}, {"clusters": ["sh1"], "zones": ["a"]})]
    },
    "what is forbidden need not be there": {"sovereignty": [{"clusters": ["bj1"], "regions": ["shanghai"]}]},
    "own and all of each": {
        "tiers": [tier("a", {"clusters": ["@own"], "regions": ["@own"], "zones": ["@own"], "providers": ["@own"]})],
        "sovereignty": [{"providers": ["red-cloud"], "clusters": ["*"]}],
    },
    "weights of everything": weighed(
        {"weight": 1}, {"cluster": "@own", "weight": 0}, {"zone": "a", "region": "beijing", "weight": 2}
    ),
    "by capacity": {"tiers": [tier("a", EVERY, weighBy="Capacity")]},
    "settings": {
        "outlierDetection": {"baseEjectionSeconds": 60},
        "healthCheck": {"path": "/healthz?full=%20"},
        "retry": {"attempts": 0},
    },
    **{name: strategy(name) for name in ("Nearest", "Locality", "FailOver", "ActiveActive", "SameCityActiveActive")},
    "FailOver to the rest": strategy("FailOver", clusters=["sh1", "*"]),
    "TwoSitesThreeCenters": strategy("TwoSitesThreeCenters", primary="beijing", remote="shanghai", gate="Closed"),
    "RemoteDR": strategy("RemoteDR", primary="shanghai", remote="beijing", gate="Open"),
}


@pytest.mark.parametrize("name", GOOD)
def test_what_is_right_is_accepted(name, members):
    assert found(members, **GOOD[name]) == []


@pytest.mark.parametrize(
    ("wide", "narrow", "expected"),
    [
        (EVERY, {"zones": ["a"]}, True),
        ({"regions": ["beijing"]}, {"regions": ["beijing"], "zones": ["a"]}, True),
        ({"regions": ["beijing"]}, {"clusters": ["bj1"]}, False),
        ({"clusters": ["bj1", "bj2"]}, {"clusters": ["bj2"]}, True),
        ({"clusters": ["bj1"]}, EVERY, False),
        ({"clusters": ["bj1"]}, OWN, False),
        ({"zones": ["@own"]}, {"regions": ["@own"]}, False),
        ({"regions": ["@own"]}, {"zones": ["@own", "a"]}, False),
        ({"clusterSelector": {}}, {"clusters": ["bj1"]}, False),
        (
            {"clusterSelector": {"matchLabels": {"a": "b"}}},
            {"clusterSelector": {"matchLabels": {"a": "b"}}, "zones": ["a"]},
            True,
        ),
    ],
)
def test_a_place_covers_another_only_where_that_is_certain(wide, narrow, expected):
    assert covers(msgspec.convert(wide, PlaceSpec), msgspec.convert(narrow, PlaceSpec)) is expected


@pytest.mark.parametrize(
    "spec",
    [
        {"targetRefs": [{"kind": "Deployment", "name": "web"}]},
        {"tiers": [{"name": "a", "places": []}]},
        {"tiers": [{"name": "", "places": [EVERY]}]},
        {"tiers": [tier("a", EVERY, gate="Ajar")]},
        {"tiers": [tier("a", EVERY, weights=[{"weight": -1}])]},
        {"strategy": {"type": "Furthest"}},
        {"spillBelowHealthyPercent": 0},
        {"panicBelowHealthyPercent": 101},
        {"retry": {"attempts": 11}},
        {"healthCheck": {"intervalSeconds": 0}},
    ],
)
def test_what_the_schema_forbids_is_not_read_at_all(spec):
    with pytest.raises(msgspec.ValidationError):
        make("TrafficPolicy", "web", spec=spec)
