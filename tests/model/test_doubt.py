"""What may be gone is used last: for everybody if its objects were deleted in a mass, for other clusters if nothing is heard."""

from __future__ import annotations

from fleet_world import endpoint, endpoint_slice, export, fleet_of, member, service

from xds.model.events import Doubt, Health, MemberState, Standing
from xds.model.service import Health as Of
from xds.model.service import ServiceKey
from xds.model.view import Role, View
from xds.policy.book import PolicyBook

WEB = ServiceKey("shop", "web")


def web(*addresses):
    return [service("web"), export("web"), endpoint_slice("web", [endpoint(address) for address in addresses])]


def fleet():
    return fleet_of({"east": web("10.1.0.1"), "west": web("10.2.0.1", "10.2.0.2")}, member("east"), member("west"))


def seen_from(found, cluster, role=Role.SIDECAR, key=WEB):
    """Return tier by tier {cluster: [health]}."""
    view = View(cluster=cluster, role=role)
    served = found.services[key]
    return [
        {share.locality.cluster: [str(one.health) for one in share.endpoints] for share in tier.shares}
        for tier in PolicyBook().rank(served, 80, view).tiers
    ]


def test_a_demoted_cluster_is_the_last_resort_of_others_and_none_for_itself():
    found = fleet()
    assert seen_from(found, "east") == [{"east": ["HEALTHY"]}, {}, {"west": ["HEALTHY", "HEALTHY"]}]
    change = found.apply([Health("west", MemberState.STALE, "no answer", standing=Standing.DEMOTED)])
    assert WEB in change.endpoints
    assert not change.members
    assert seen_from(found, "east") == [{"east": ["HEALTHY"]}, {}, {"west": ["DEGRADED", "DEGRADED"]}]
    assert seen_from(found, "west") == [{"west": ["HEALTHY", "HEALTHY"]}, {}, {"east": ["HEALTHY"]}]
    found.apply([Health("west", MemberState.CONNECTED)])
    assert seen_from(found, "east") == [{"east": ["HEALTHY"]}, {}, {"west": ["HEALTHY", "HEALTHY"]}]


def test_a_removed_cluster_is_left_out_for_others_alone():
    found = fleet()
    change = found.apply([Health("west", MemberState.LOST, "no answer", standing=Standing.REMOVED)])
    assert WEB in change.endpoints
    assert seen_from(found, "east") == [{"east": ["HEALTHY"]}, {}, {}]
    assert seen_from(found, "east", Role.PROXYLESS) == [{"east": ["HEALTHY"]}, {}, {}, {}]
    assert seen_from(found, "west") == [{"west": ["HEALTHY", "HEALTHY"]}, {}, {"east": ["HEALTHY"]}]
    found.apply([Health("west", MemberState.CONNECTED)])
    assert seen_from(found, "east") == [{"east": ["HEALTHY"]}, {}, {"west": ["HEALTHY", "HEALTHY"]}]


def test_being_stale_alone_moves_nothing():
    found = fleet()
    before = seen_from(found, "east")
    change = found.apply([Health("west", MemberState.STALE, "no answer")])
    assert change.endpoints | change.services == set()
    assert seen_from(found, "east") == before


def test_grpc_does_not_use_what_is_degraded_so_it_stands_in_a_tier_of_its_own():
    found = fleet()
    assert len(seen_from(found, "east", Role.PROXYLESS)) == 3
    found.apply([Health("west", MemberState.STALE, "no answer", standing=Standing.DEMOTED)])
    assert seen_from(found, "east", Role.PROXYLESS) == [{"east": ["HEALTHY"]}, {}, {}, {"west": ["HEALTHY", "HEALTHY"]}]


def test_a_service_that_may_be_gone_is_degraded_for_everybody():
    found = fleet()
    change = found.apply([Doubt("west", frozenset((("shop", "web"),)))])
    assert change.endpoints == {WEB, ServiceKey("shop", "web", "west")}
    assert seen_from(found, "west")[0] == {"west": ["DEGRADED", "DEGRADED"]}
    assert seen_from(found, "east")[2] == {"west": ["DEGRADED", "DEGRADED"]}
    assert seen_from(found, "west", key=ServiceKey("shop", "web", "west")) == [{"west": ["DEGRADED", "DEGRADED"]}]
    found.apply([Doubt("west")])
    assert seen_from(found, "west")[0] == {"west": ["HEALTHY", "HEALTHY"]}


def test_what_is_not_healthy_is_not_made_better():
    found = fleet_of(
        {"east": [*web("10.1.0.1"), endpoint_slice("web", [endpoint("10.1.0.2", serving=True, terminating=True)], name="b")]}
    )
    found.apply([Doubt("east", frozenset((("shop", "web"),)))])
    (own,) = (one for one in found.services[WEB].endpoints[80] if one.addresses == ("10.1.0.2",))
    assert own.health is Of.DRAINING


def test_a_demoted_clusters_copies_that_do_not_count_change_the_tiers_of_proxyless_clients():
    copy = endpoint_slice(
        "web", [endpoint("10.3.0.1")], name="far-web-1", annotations={"endpointslice.karmada.io/provision-cluster": "east"}
    )
    found = fleet_of({"west": [*web("10.2.0.1"), copy], "east": []}, member("east"), member("west"))
    change = found.apply([Health("east", MemberState.STALE, "no answer", standing=Standing.DEMOTED)])
    assert len(seen_from(found, "west", Role.PROXYLESS)) == 4
    assert WEB in change.endpoints, "a tier more"
    change = found.apply([Health("east", MemberState.CONNECTED)])
    assert len(seen_from(found, "west", Role.PROXYLESS)) == 3
    assert WEB in change.endpoints
