"""A tier that drains as a whole sends on what it is to lose, as Envoy counts."""

from __future__ import annotations

import pytest

from xds.model.events import FLEET
from xds.model.members import Member
from xds.model.service import CLUSTERSET, Endpoint, Health, Locality, Port, Protocol, Service, ServiceKey
from xds.model.view import View
from xds.policy.explanation import predicted
from xds.policy.ladder import Governance, Ladder
from xds.policy.overrides import Drain
from xds.policy.policies import NO_POLICY
from xds.problems import Ref

EAST, WEST = Locality("eu", "eu-a", "east"), Locality("us", "us-a", "west")
MEMBERS = {at.cluster: Member(at.cluster, at.region, (at.zone,)) for at in (EAST, WEST)}
POLICY, VIEW = NO_POLICY["", True], View(cluster="east", region="eu", zone="eu-a")


def endpoints(at, net, healthy, *, unhealthy=0, draining=0, degraded=0):
    counts = {Health.HEALTHY: healthy, Health.UNHEALTHY: unhealthy, Health.DRAINING: draining, Health.DEGRADED: degraded}
    healths = [health for health, count in counts.items() for _ in range(count)]
    return tuple(Endpoint(at, (f"10.{net}.0.{number}",), 80, health) for number, health in enumerate(healths, 1))


OTHERS = endpoints(WEST, 2, 100)


def ranking(own, left, others=OTHERS):
    """Return the tiers of a client in the east, of which so many hundredths are left."""
    key, ports = ServiceKey("shop", "web", CLUSTERSET), (Port(80, "http", Protocol.HTTP),)
    service = Service(key, ports, {80: (*own, *others)}, {}, frozenset())
    ref = Ref(FLEET, "TrafficOverride", "", "d")
    drains = (Drain("d", "east", "", "", frozenset(), 100 - left, 100, ref),) if left < 100 else ()
    governance = Governance(POLICY, (), drains)
    return Ladder(governance, governance.place_of(service, VIEW), MEMBERS).rank(service, 80)


def share_of(own, left, *others):
    return predicted(ranking(own, left, *others), POLICY, VIEW).shares.get(EAST, 0.0)


@pytest.mark.parametrize("left", [90, 75, 50, 25, 10])
@pytest.mark.parametrize(("healthy", "unhealthy", "draining"), [(100, 0, 0), (100, 0, 100), (70, 30, 0), (50, 50, 40)])
def test_it_keeps_its_part_whatever_else_is_wrong_with_it(healthy, unhealthy, draining, left):
    own = endpoints(EAST, 1, healthy, unhealthy=unhealthy, draining=draining)
    assert share_of(own, left) == pytest.approx(left / 100 * share_of(own, 100), abs=0.02)


@pytest.mark.parametrize("left", [90, 75, 50, 25, 10])
@pytest.mark.parametrize(
    ("degraded", "unhealthy", "draining", "others"),
    [
        (100, 0, 0, {"degraded": 100}),
        (100, 0, 50, {"degraded": 100}),
        (50, 50, 0, {"degraded": 100}),
        (100, 0, 0, {"degraded": 60, "unhealthy": 10, "healthy": 30}),
    ],
)
def test_it_keeps_its_part_of_what_is_left_to_degraded_endpoints(degraded, unhealthy, draining, others, left):
    own = endpoints(EAST, 1, 0, degraded=degraded, unhealthy=unhealthy, draining=draining)
    west = endpoints(WEST, 2, **{"healthy": 0, **others})
    assert share_of(own, left, west) == pytest.approx(left / 100 * share_of(own, 100, west), abs=0.02)


def test_degraded_endpoints_stay_where_they_get_nothing_before():
    own = endpoints(EAST, 1, 0, degraded=10)
    tier, *_ = ranking(own, 50).tiers
    assert [one.health for share in tier.shares for one in share.endpoints] == [Health.DEGRADED] * 10
    assert share_of(own, 100) == 0.0, "the west bears everything"


def test_what_drains_is_unhealthy_since_envoy_does_not_count_what_is_draining():
    tier, *_ = ranking(endpoints(EAST, 1, 10), 50).tiers
    (share,) = tier.shares
    kept = [one for one in share.endpoints if one.health is Health.HEALTHY]
    drained = [one for one in share.endpoints if one.health is Health.UNHEALTHY]
    assert (len(kept), len(drained)) == (4, 6)
    assert {one.note for one in drained} == {"draining, as an override says"}


def test_nothing_is_left_to_drain_where_nothing_is_healthy():
    own = endpoints(EAST, 1, 0, draining=3)
    tier, *_ = ranking(own, 50).tiers
    assert [one.health for share in tier.shares for one in share.endpoints] == [Health.DRAINING] * 3
