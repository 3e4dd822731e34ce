"""What is wrong with overrides is told; the cases are those that API servers are asked about, too."""

import pytest
from fleet_world import make
from override_cases import BAD, GATE, GOOD, document
from policy_cases import MEMBERS

from xds.discovery.decoding import Decoded, decode
from xds.model.kinds import KINDS
from xds.policy.acceptance import Known
from xds.policy.overrides import NONE, Overrides, problems

TIERS = [
    {"name": "own", "places": [{"clusters": ["@own"]}]},
    {"name": "remote", "gate": "Manual", "places": [{"clusters": ["*"]}]},
]
POLICY = make("TrafficPolicy", "web", spec={"targetRefs": [{"kind": "Service", "name": "web"}], "tiers": TIERS})
POLICIES = {(cluster, "shop", "web"): POLICY for cluster in ("", "east")}


def told(spec):
    """Return the problems of an override, or None if it cannot be read at all."""
    found = decode(document("d", spec), KINDS["TrafficOverride"])
    return [*problems([found.object], Known(MEMBERS), POLICIES)] if isinstance(found, Decoded) else None


@pytest.mark.parametrize("case", GOOD)
def test_good_ones_have_no_problem(case):
    assert told(GOOD[case]) == []


@pytest.mark.parametrize("case", BAD)
def test_bad_ones_are_told_or_not_read(case):
    found = told(BAD[case][0])
    assert found is None or {one.code for one in found} == {"XDS0604"}


@pytest.mark.parametrize(
    ("gate", "field", "says"),
    [
        ({"policy": "wbe"}, "spec.open.policy", "there is no TrafficPolicy shop/wbe in the fleet (did you mean 'web'?)"),
        ({"policy": "other"}, "spec.open.policy", "there is no TrafficPolicy shop/other in the fleet (there are web)"),
        ({"cluster": "west"}, "spec.open.policy", "there is no TrafficPolicy shop/web in west (namespace shop has none there)"),
        ({"tier": "remoet"}, "spec.open.tier", "TrafficPolicy shop/web has no tier 'remoet' (did you mean 'remote'?)"),
        ({"tier": "own"}, "spec.open.tier", "the gate of tier 'own' is Open, which no override changes (it needs none)"),
    ],
)
def test_gates_that_cannot_be_opened(gate, field, says):
    (found,) = told({"open": {**GATE, **gate}})
    assert (found.field, f"{found.message} ({found.hint})") == (field, says)


@pytest.mark.parametrize("case", ["nothing", "two things"])
def test_how_an_override_looks_is_told(case):
    (found,) = told(BAD[case][0])
    assert found.hint == "give either drain, e.g. {cluster: NAME}, or open: {namespace: …, policy: …, tier: …}"


def test_an_override_that_both_drains_and_opens_does_neither():
    found = decode(document("d", {"drain": {"cluster": "east"}, "open": GATE}), KINDS["TrafficOverride"])
    assert Overrides.of([found.object]) == NONE
