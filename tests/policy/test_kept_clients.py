"""Clients that are kept to one endpoint are spread as requests are, as far as what goes by a hash can."""

from __future__ import annotations

import pytest
from fleet_world import book_of, endpoint, endpoint_slice, export, fleet_of, make, member, traffic_policy
from hypothesis import given
from hypothesis import strategies as st

from xds.model.events import FLEET, Doubt, Upsert
from xds.model.service import CLUSTERSET, Endpoint, Health, Locality, ServiceKey
from xds.model.view import Role, View
from xds.policy.arithmetic import envoy_forecast
from xds.policy.explanation import explain
from xds.policy.tiers import Share, Tier
from xds.policy.weights import MOST, discounted

OLD, NEW = "2026-01-01T00:00:00Z", "2026-02-01T00:00:00Z"
OWN, SET = ServiceKey("shop", "web", "east"), ServiceKey("shop", "web", CLUSTERSET)
PLACES = {"east": "eu", "west": "us"}
CLIENT = View("east", region="eu", zone="east-a")


def web(affinity="ClientIP"):
    return make("Service", "web", spec={"ports": [{"name": "http", "port": 80}], "sessionAffinity": affinity})


def world(affinities, *fleet_wide, created=(OLD, NEW)):
    """Return a fleet of clusters that export a service with two endpoints each, the first one first."""
    clusters = {}
    for number, (name, affinity) in enumerate(affinities.items(), 1):
        found = endpoint_slice("web", [endpoint(f"10.{number}.0.{at}", zone=f"{name}-a") for at in (1, 2)])
        clusters[name] = [web(affinity), export("web", created=created[number - 1]), found]
    return fleet_of({FLEET: [*fleet_wide], **clusters}, *(member(name, PLACES[name]) for name in affinities))


def share(name, weight, healths):
    at = Locality("r", "z", name)
    return Share(at, tuple(Endpoint(at, (f"{name}-{index}",), 80, one) for index, one in enumerate(healths)), weight, ("x",))


HEALTHS = st.sampled_from((Health.HEALTHY, Health.UNHEALTHY, Health.DRAINING))
# Above, the smallest of four whose largest has nobody healthy is lost to the sum that Envoy allows.
LOCALITIES = st.lists(st.tuples(st.integers(1, 1_000_000), st.lists(HEALTHS, min_size=1, max_size=6)), max_size=4)


@given(st.lists(LOCALITIES, min_size=1, max_size=3), st.integers(100, 400))
def test_clients_are_shared_out_as_requests_are(described, overprovisioning):
    tiers, kept = [], []
    for index, found in enumerate(described):
        shares = tuple(share(f"{index}-{number}", *one) for number, one in enumerate(found))
        tiers.append(Tier(index, "", shares))
        kept.append(Tier(index, "", discounted(shares, overprovisioning)))
    expected = envoy_forecast(tiers, overprovisioning, 0)
    found = envoy_forecast(kept, overprovisioning, 0, by_hash=True)
    assert [one.load_percent for one in found.tiers] == [one.load_percent for one in expected.tiers]
    assert found.shares == pytest.approx(expected.shares, abs=1e-3)
    assert found.unserved == expected.unserved
    assert all(one.weight >= 1 for tier in kept for one in tier.shares)
    assert all(sum(one.weight for one in tier.shares) <= MOST for tier in kept)


def test_a_weight_says_what_health_takes_from_it():
    well, ill, gone = discounted(
        (
            share("a", 4, [Health.HEALTHY] * 4),
            share("b", 4, [Health.HEALTHY, *[Health.UNHEALTHY] * 3]),
            share("c", 4, [Health.UNHEALTHY] * 4),
        ),
        140,
    )
    assert (well.weight, ill.weight, gone.weight) == (20, 7, 20)
    assert (well.reasons, ill.reasons, gone.reasons) == (("x",), ("x", "35 % of it, by the 1 that are healthy"), ("x",))


def test_weights_of_what_is_all_well_stay_what_they_are():
    shares = (share("a", 4, [Health.HEALTHY] * 4), share("b", 6, [Health.UNHEALTHY]))
    assert discounted(shares, 140) is shares


def test_in_a_panic_a_locality_gets_what_it_weighs():
    tier = Tier(0, "", (share("a", 3, [Health.HEALTHY, Health.UNHEALTHY]), share("b", 1, [Health.UNHEALTHY] * 4)))
    found = envoy_forecast([tier], 140, 90, by_hash=True)
    assert found.tiers[0].panics
    assert {one.cluster: fraction for one, fraction in found.shares.items()} == {"a": 0.75, "b": 0.25}


def test_a_cluster_decides_for_its_own_service_and_the_oldest_export_for_that_of_the_cluster_set():
    kept = {"east": "ClientIP", "west": "None"}
    oldest_keeps, other_keeps = world(kept), world(kept, created=(NEW, OLD))
    assert [fleet.services[OWN].keeps_clients for fleet in (oldest_keeps, other_keeps)] == [True, True]
    assert [fleet.services[SET].keeps_clients for fleet in (oldest_keeps, other_keeps)] == [True, False]
    assert not oldest_keeps.services[ServiceKey("shop", "web", "west")].keeps_clients


def test_a_change_of_affinity_is_more_than_one_of_endpoints():
    fleet = world({"east": "None", "west": "None"})
    change = fleet.apply([Upsert("east", web())])
    assert {OWN, SET} <= change.services
    assert fleet.services[SET].keeps_clients


def test_what_may_be_gone_stands_in_a_last_tier_since_a_hash_leads_to_none_that_is_degraded():
    fleet = world({"east": "ClientIP", "west": "None"})
    fleet.apply([Doubt("east", frozenset({("shop", "web")}))])
    tiers = book_of(fleet).rank(fleet.services[SET], 80, CLIENT).tiers
    assert [(tier.name, [one.locality.cluster for one in tier.shares]) for tier in tiers] == [
        ("own cluster", []),
        ("same region", []),
        ("anywhere", ["west"]),
        ("perhaps gone", ["east"]),
    ]


def test_a_slow_start_that_has_no_effect_is_told():
    policy = traffic_policy("web", "web", slowStartSeconds=30)
    fleet = world({"east": "ClientIP", "west": "None"}, policy)
    found = [(one.code, str(one.ref), one.field) for one in book_of(fleet).problems()]
    assert ("XDS0612", "TrafficPolicy shop/web in the fleet", "spec.slowStartSeconds") in found
    calm = world({"east": "None", "west": "None"}, policy)
    assert not [one for one in book_of(calm).problems() if one.code == "XDS0612"]


@pytest.mark.parametrize(
    ("role", "key", "kept_by", "whose"),
    [
        (Role.SIDECAR, OWN, "client address", ["Service shop/web in east"]),
        (Role.SIDECAR, SET, "client address", ["Service shop/web in east"]),
        (Role.PROXYLESS, SET, "channel", ["Service shop/web in east"]),
    ],
)
def test_explain_says_by_what_clients_are_kept_and_who_says_so(role, key, kept_by, whose):
    fleet = world({"east": "ClientIP", "west": "None"})
    view = View("east", region="eu", zone="east-a", role=role)
    found = explain(fleet, book_of(fleet), fleet.services[key], 80, view)
    assert found.kept_by == kept_by
    assert [[str(ref) for ref in step.objects] for step in found.chain if step.stage == "affinity"] == [whose]


def test_requests_that_take_turns_are_kept_by_nothing():
    fleet = world({"east": "None", "west": "None"})
    found = explain(fleet, book_of(fleet), fleet.services[SET], 80, CLIENT)
    assert found.kept_by == ""
    assert "affinity" not in [step.stage for step in found.chain]
