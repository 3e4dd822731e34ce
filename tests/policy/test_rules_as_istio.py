"""Our tiers of a DestinationRule against those of Istio: a model of its `loadbalancer.go` that shares no code with ours."""

from __future__ import annotations

from collections import defaultdict
from fractions import Fraction

from fleet_world import make
from hypothesis import given
from hypothesis import strategies as st

from xds.model.service import Endpoint, Health, Locality, Port, Protocol, Service, ServiceKey
from xds.policy.destination_rules import read_rule
from xds.policy.ladder import Governance, Ladder
from xds.policy.tiers import Place

REGIONS = ("r1", "r2", "r3")
ZONES = tuple((region, f"{region}-{zone}") for region in REGIONS for zone in "ab")  # no two regions share the name of a zone
CLUSTERS = ("c1", "c2")
LABELS = ("topology.kubernetes.io/region", "topology.kubernetes.io/zone", "topology.istio.io/cluster")

localities = st.builds(lambda at, cluster: Locality(*at, cluster), st.sampled_from(ZONES), st.sampled_from(CLUSTERS))
worlds = st.lists(localities, min_size=1, max_size=12)
patterns = st.sampled_from(["*", *(f"{region}/*" for region in REGIONS), *(f"{region}/{zone}/*" for region, zone in ZONES)])
apart = st.lists(
    st.sampled_from([f"{region}/{zone}/*" for region, zone in ZONES]), min_size=1, max_size=4, unique=True
) | st.lists(st.sampled_from([f"{region}/*" for region in REGIONS]), min_size=1, max_size=3, unique=True)
"""Places of which no two overlap: Istio goes over them in no order."""
weights = st.integers(1, 100)
distributes = st.lists(
    st.builds(
        lambda at, to: {"from": at, "to": to},
        patterns,
        apart.flatmap(lambda to: st.fixed_dictionaries(dict.fromkeys(to, weights))),
    ),
    min_size=1,
    max_size=3,
)
failovers = st.lists(
    st.builds(lambda at, to: {"from": at, "to": to}, st.sampled_from(REGIONS), st.sampled_from(REGIONS)), max_size=3
)
priorities = st.lists(
    st.sampled_from(LABELS) | st.builds(lambda region: f"{LABELS[0]}={region}", st.sampled_from(REGIONS)),
    min_size=1,
    max_size=4,
).filter(lambda labels: not ({LABELS[0]} < {label for label in labels if label.startswith(LABELS[0])}))
"""The client's region and one by its name are not both asked for: what comes after that is not followed."""


def matches(at, pattern):
    """Say whether Istio takes a locality to be at a place (util.LocalityMatch)."""
    parts = ([*pattern.split("/"), "*", "*"])[:2]
    return all(part in ("*", found) for part, found in zip(parts, (at.region, at.zone), strict=True))


def compacted(ranked):
    """Return the localities of each priority, without gaps, as Istio does."""
    found = defaultdict(list)
    for at, rank in ranked:
        found[rank].append(at)
    return [sorted(found[rank]) for rank in sorted(found)]


def ours(world, client, locality):
    item = make(
        "DestinationRule", "pay", spec={"host": "pay", "trafficPolicy": {"loadBalancer": {"localityLbSetting": locality}}}
    )
    policy = read_rule(client.cluster, item, frozenset())
    endpoints = [Endpoint(at, (f"10.0.0.{number}",), 80, Health.HEALTHY) for number, at in enumerate(world, 1)]
    service = Service(
        ServiceKey("shop", "pay", "c1"), (Port(80, "http", Protocol.HTTP),), {80: tuple(endpoints)}, {}, frozenset()
    )
    place = Place("default", client.cluster, client.region, client.zone)
    return [tier for tier in Ladder(Governance(policy, is_explicit=True), place, {}).tiers(service, 80) if tier.shares]


def places(tiers):
    return [sorted(one.locality for share in tier.shares for one in share.endpoints) for tier in tiers]


@given(worlds, localities, failovers)
def test_failover_gives_the_priorities_that_istio_gives(world, client, failover):
    def priority(at):
        if at.region == client.region:
            return 0 if at.zone == client.zone else 2
        to = next((entry["to"] for entry in failover if entry["from"] == client.region), None)
        return 3 if to in (None, at.region) else 4

    assert places(ours(world, client, {"failover": failover})) == compacted((at, priority(at)) for at in world)


@given(worlds, localities, priorities)
def test_failover_priority_gives_the_priorities_that_istio_gives(world, client, labels):
    def values(at):
        return dict(zip(LABELS, (at.region, at.zone, at.cluster), strict=True))

    def priority(at):
        for index, label in enumerate(labels):
            key, _, value = label.partition("=")
            if (value or values(client)[key]) != values(at)[key]:
                return len(labels) - index
        return 0

    assert places(ours(world, client, {"failoverPriority": labels})) == compacted((at, priority(at)) for at in world)


@given(worlds, localities, distributes)
def test_distribute_gives_the_shares_that_istio_gives(world, client, distribute):
    entry = next((entry for entry in distribute if matches(client, entry["from"])), None)
    expected = defaultdict(Fraction)
    for place, weight in entry["to"].items() if entry else [("*", 1)]:
        there = [at for at in world if matches(at, place)]
        for at in there:
            expected[at] += Fraction(weight, len(there))
    total = sum(expected.values())
    tiers = ours(world, client, {"distribute": distribute})
    assert len(tiers) == bool(expected)
    found = {share.locality: share.weight for tier in tiers for share in tier.shares}
    assert {at: Fraction(weight, sum(found.values())) for at, weight in found.items()} == {
        at: share / total for at, share in expected.items()
    }
