"""Which policies are accepted, and what is said of the others."""

import pytest
from policy_cases import ANYWHERE, BAD, GOOD, MALFORMED, MEMBERS, OWN, document, of, place, strategy, tier, weighed

from xds.discovery.decoding import Decoded, Fault, decode, field_path
from xds.model.kinds import KINDS
from xds.policy.acceptance import Known, faults


def found(spec, cluster="", members=MEMBERS):
    """Return (field, message, hint) of each fault."""
    decoded = decode(document("one", spec), KINDS["TrafficPolicy"])
    assert isinstance(decoded, Decoded), decoded
    assert decoded.unknown == ()
    return [(one.field, one.message, one.hint) for one in faults(cluster, decoded.object, Known(members))]


@pytest.mark.parametrize("name", GOOD)
def test_good_policies_are_accepted(name):
    assert found(GOOD[name]) == []


@pytest.mark.parametrize("name", BAD)
def test_bad_policies_are_refused_at_the_field_that_is_wrong(name):
    bad = BAD[name]
    ((field, message, _),) = found(bad.spec)
    assert field == bad.field
    assert bad.says in message


@pytest.mark.parametrize("name", MALFORMED)
def test_malformed_policies_do_not_validate(name):
    bad = MALFORMED[name]
    fault = decode(document("one", bad.spec), KINDS["TrafficPolicy"])
    assert isinstance(fault, Fault)
    assert field_path(fault.path) == bad.field
    assert bad.says in f"{fault.message}; {fault.hint}"


def test_a_field_that_is_unknown_costs_the_policy():
    spec = {"targetRefs": [], "sovereignty": [{"region": "us"}]}
    fault = decode(document("one", spec), KINDS["TrafficPolicy"])
    assert isinstance(fault, Fault)
    assert (field_path(fault.path), fault.message) == ("spec.sovereignty[0].region", "TrafficPolicy has no such field")
    assert fault.hint == "did you mean 'regions'?"


@pytest.mark.parametrize(
    ("spec", "field", "message", "hint"),
    [
        (place(clusters=["own"]), "spec.tiers[1].places[0].clusters[0]", "there is no cluster 'own'", "did you mean '@own'?"),
        (place(regions=["usa"]), "spec.tiers[1].places[0].regions[0]", "there is no region 'usa'", "did you mean 'us'?"),
        (place(zones=["*"]), "spec.tiers[1].places[0].zones[0]", "there is no zone '*'", "leave the zones out to mean all"),
        (
            of(sovereignty=[{"providers": ["x"]}]),
            "spec.sovereignty[0].providers[0]",
            "there is no provider 'x'",
            "known providers: acme, other",
        ),
        (
            strategy("FailOver", clusters=["nort"]),
            "spec.strategy.clusters[0]",
            "there is no cluster 'nort'",
            "known clusters: east, middle, west",
        ),
        (weighed({"zone": "eu", "weight": 1}), "spec.tiers[1].weights[0].zone", "there is no zone 'eu'", "did you mean 'eu-c'?"),
        (
            strategy("TwoSitesThreeCenters", primary="us", remote="eu"),
            "spec.strategy.primary",
            "TwoSitesThreeCenters needs two clusters in region 'us'; there is one",
            "use RemoteDR, or add the second site",
        ),
    ],
)
def test_what_the_fleet_lacks_is_told(spec, field, message, hint):
    assert found(spec) == [(field, message, hint)]


def test_a_tier_of_which_earlier_ones_leave_nothing_is_told():
    ((field, message, _),) = found(of(tiers=[OWN, ANYWHERE, {"name": "eu", "places": [{"regions": ["eu"]}]}]))
    assert (field, message) == ("spec.tiers[2].places", "earlier tiers take everything that tier 'eu' selects")


@pytest.mark.parametrize(
    ("spec", "field"),
    [
        (weighed({"weight": 1}, {"cluster": "west", "weight": 2}, places=[{"clusters": ["east"]}]), "spec.tiers[1].weights[1]"),
        (weighed({"zone": "us-a", "weight": 2}, places=[{"regions": ["eu"]}, {"zones": ["eu-a"]}]), None),
        (weighed({"cluster": "@own", "weight": 2}, {"weight": 1}, places=[{"clusters": ["east"]}]), None),
        (weighed({"region": "us", "weight": 2}, places=[{"regions": ["@own"]}]), None),
        (strategy("ActiveActive", clusters=["east"], weights=[{"cluster": "west", "weight": 1}]), "spec.strategy.weights[0]"),
    ],
)
def test_a_weight_of_a_place_that_the_tier_does_not_take_is_told(spec, field):
    says = "is of a place that the tier does not take"
    assert [(at, message) for at, message, _ in found(spec)] == ([(field, says)] if field else [])


@pytest.mark.parametrize(
    ("spec", "is_told"),
    [
        (of(sovereignty=[{"clusters": ["*"]}]), True),
        (of(sovereignty=[{"clusters": ["@own"]}]), False),
        ({**strategy("Locality"), "sovereignty": [{"clusters": ["@own"]}]}, True),
        ({**strategy("RemoteDR", primary="eu", remote="us"), "sovereignty": [{"regions": ["eu"]}]}, True),
        ({**strategy("RemoteDR", primary="eu", remote="us", gate="Open"), "sovereignty": [{"regions": ["eu"]}]}, False),
        ({**tier(places=[{"regions": ["us"]}]), "sovereignty": [{"regions": ["us"]}, {"clusters": ["@own"]}]}, True),
        ({"defaultFor": "Namespace", "sovereignty": [{"regions": ["us"]}]}, False),
    ],
)
def test_sovereignty_that_leaves_nothing_is_told(spec, is_told):
    told = [("spec.sovereignty", "leaves nothing of the open tiers")]
    assert [(field, message) for field, message, _ in found(spec)] == (told if is_told else [])


def test_only_a_fleet_wide_policy_is_the_default_of_the_fleet():
    assert found({"defaultFor": "Fleet"}) == []
    ((field, message, _),) = found({"defaultFor": "Fleet"}, "east")
    assert (field, message) == ("spec.defaultFor", "only a fleet-wide policy can be the default of the fleet")
