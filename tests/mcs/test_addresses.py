"""Clusterset IPs from a range: stable, the same everywhere, never given twice."""

from __future__ import annotations

from random import Random

import pytest
from api_servers import ApiServers
from fleet_world import endpoint, endpoint_slice, export, fleet_of, make, service
from hypothesis import given
from hypothesis import strategies as st

from xds.mcs.addresses import allocate
from xds.mcs.plan import DERIVED_ANNOTATION
from xds.mcs.world import OURS, World
from xds.model.service import ServiceKey
from xds.ranges import parsed

RANGE, SMALL, SIX = "10.9.0.0/16", "10.9.0.0/29", "fd00:9::/112"
SHOP = make("Namespace", "shop")


def exported(*names, ip="10.96.0.1"):
    """Return what a cluster has that exports some services, the first one the oldest."""
    items = [SHOP]
    for age, name in enumerate(names):
        slices = endpoint_slice(name, [endpoint("10.1.0.1")])
        items += [service(name, clusterIP=ip), export(name, created=f"2026-01-01T00:{age // 60:02}:{age % 60:02}Z"), slices]
    return items


def imported(name, *ips, **metadata):
    return make(
        "ServiceImport", name, metadata={"labels": OURS, **metadata}, spec={"type": "ClusterSetIP", "ips": ips, "ports": []}
    )


def servers_of(*ranges, **clusters):
    return ApiServers(clusters, ranges=parsed(ranges))


def ips(servers, cluster, name="web"):
    return servers.item(cluster, "ServiceImport", name).spec.ips


def codes(servers, cluster):
    return sorted(problem.code for problem in servers.allocated(cluster).problems(cluster))


def derived(servers, cluster):
    return [key.name for key in servers.clusters[cluster].items if key.kind == "Service" and key.name.startswith("clusterset-")]


def test_imports_have_the_same_address_of_the_range_in_every_cluster():
    servers = servers_of(RANGE, east=exported("web", "api"), west=[SHOP]).settle()
    for name in ("web", "api"):
        assert ips(servers, "east", name) == ips(servers, "west", name)
        assert ips(servers, "east", name)[0].startswith("10.9.")
    assert ips(servers, "east") != ips(servers, "east", "api")
    found = servers.item("west", "ServiceImport")
    assert found.spec.ip_families == ["IPv4"]
    assert DERIVED_ANNOTATION not in found.metadata.annotations
    assert [one.status for one in found.status.conditions] == ["True"]
    assert derived(servers, "west") == []
    (copy,) = servers.clusters["west"].copies["shop", "web"].values()
    assert "kubernetes.io/service-name" not in copy.metadata.labels
    assert codes(servers, "west") == []


def test_headless_imports_have_none():
    servers = servers_of(SMALL, east=[SHOP, service("web", clusterIP="None"), export("web")]).settle()
    assert ips(servers, "east") == []
    assert [one.status for one in servers.item("east", "ServiceImport").status.conditions] == ["True"]
    assert codes(servers, "east") == []


def test_two_families():
    servers = servers_of(SIX, RANGE, east=exported("web")).settle()
    assert servers.item("east", "ServiceImport").spec.ip_families == ["IPv6", "IPv4"]
    servers.ranges = parsed([RANGE])
    assert ips(servers.settle(), "east") == [servers.allocated("east").given["shop", "web"][0]]
    assert servers.item("east", "ServiceImport").spec.ip_families == ["IPv4"]


def test_what_came_later_changes_no_address():
    names = [f"s{number}" for number in range(5)]
    servers = servers_of(SMALL, east=exported(*names), west=[SHOP]).settle()
    before = {name: ips(servers, "west", name) for name in names}
    for item in [service("old"), export("old", created="2025-01-01T00:00:00Z")]:
        servers.put("east", item)
    servers.settle()
    assert {name: ips(servers, "west", name) for name in names} == before
    assert len({*(address for found in before.values() for address in found), *ips(servers, "west", "old")}) == 6
    assert {ips(servers, "west", name)[0] for name in [*names, "old"]} == {f"10.9.0.{number}" for number in range(1, 7)}


def test_a_restart_writes_nothing_and_a_larger_range_changes_nothing():
    servers = servers_of(SMALL, east=exported("a", "b", "c", "d"), west=[SHOP]).settle()
    for ranges in ([SMALL], [RANGE]):
        again = ApiServers({name: [*one.items.values()] for name, one in servers.clusters.items()}, ranges=parsed(ranges))
        assert [again.planned(cluster) for cluster in ("east", "west")] == [[], []]


def test_a_cluster_that_comes_later_has_the_addresses_of_the_others():
    names = [f"s{number}" for number in range(6)]
    servers = servers_of(SMALL, east=exported(*reversed(names)), west=[]).settle()
    for item in exported(*names):  # in another order: what is oldest now would come first
        servers.put("west", item)
    servers.settle()
    assert [ips(servers, "west", name) for name in names] == [ips(servers, "east", name) for name in names]


def test_an_address_that_a_service_of_the_cluster_has_is_not_given():
    address = ips(servers_of(RANGE, east=exported("web")).settle(), "east")[0]
    taken = service("mine", clusterIP=address, clusterIPs=[address])
    servers = servers_of(RANGE, east=exported("web"), west=[SHOP, taken]).settle()
    assert ips(servers, "east") == [address]
    assert ips(servers, "west") != [address]
    assert codes(servers, "east") == []
    (problem,) = servers.allocated("west").problems("west")
    assert str(problem) == (
        "XDS0311 warning: MemberCluster west in the fleet: in cluster 'west' the clusterset range 10.9.0.0/16 holds the address "
        f"of Service shop/mine ({address}) (choose a range that no cluster has Services in; imports get other addresses than "
        "these meanwhile)"
    )
    # One that gets it later gets it, and the import another.
    servers.put("east", service("late", clusterIP=address))
    assert ips(servers.settle(), "east") != [address]


def test_addresses_of_another_implementation_are_not_given():
    theirs = make("ServiceImport", "api", spec={"type": "ClusterSetIP", "ips": [f"10.9.0.{n}" for n in (1, 2)], "ports": []})
    servers = servers_of(SMALL, east=[*exported("a", "b", "c", "d", "e", "api"), theirs]).settle()
    assert sorted(ip for name in "abcd" for ip in ips(servers, "east", name)) == [f"10.9.0.{n}" for n in (3, 4, 5, 6)]
    assert [problem.ref.name for problem in servers.allocated("east").problems("east")] == ["e"]


def test_a_range_that_is_used_up():
    names = [f"s{number}" for number in range(8)]
    servers = servers_of(SMALL, east=exported(*names), west=[SHOP]).settle()
    assert [len(ips(servers, "west", name)) for name in names] == [1] * 6 + [0] * 2
    assert [problem.ref.name for problem in servers.allocated("west").problems("west")] == ["s6", "s7"]
    assert codes(servers, "west") == ["XDS0310", "XDS0310"]
    (condition,) = servers.item("west", "ServiceImport", "s6").status.conditions
    assert (condition.status, condition.reason) == ("False", "Pending")
    # What becomes free is given to the oldest that waits.
    (free,) = ips(servers, "west", "s0")
    servers.drop("east", "ServiceExport", "s0")
    servers.settle()
    assert ips(servers, "west", "s6") == [free]
    assert [one.status for one in servers.item("west", "ServiceImport", "s6").status.conditions] == ["True"]
    assert codes(servers, "west") == ["XDS0310"]


def test_a_range_is_switched_on_and_off():
    servers = servers_of(east=exported("web", "api"), west=[SHOP]).settle()
    before = dict(servers.clusters["west"].items)
    servers.ranges = parsed([RANGE])
    (first, *_) = servers.planned("west")
    assert first.key.kind == "ServiceImport"
    servers.write("west", first)
    assert derived(servers, "west") == ["clusterset-api", "clusterset-web"]
    servers.settle()
    assert derived(servers, "west") == []
    assert {key.kind for key in before} == {"Namespace", "Service", "ServiceImport", "EndpointSlice"}
    servers.ranges = ()
    servers.settle()
    assert servers.clusters["west"].items.keys() == before.keys()
    assert ips(servers, "west") == servers.item("west", "Service", "clusterset-web").spec.cluster_ips
    assert ips(servers, "west")[0].startswith("10.200.")


def test_another_range():
    servers = servers_of(RANGE, east=exported("web", "api"), west=[SHOP]).settle()
    servers.ranges = parsed(["10.8.0.0/29"])
    servers.settle()
    for name in ("web", "api"):
        assert ips(servers, "east", name) == ips(servers, "west", name)
        assert ips(servers, "east", name)[0].startswith("10.8.0.")


def test_a_derived_service_stays_where_the_range_has_no_address_left():
    names = [f"s{number}" for number in range(7)]
    servers = servers_of(east=exported(*names)).settle()
    (before,) = ips(servers, "east", "s6")
    servers.ranges = parsed([SMALL])
    servers.settle()
    assert derived(servers, "east") == ["clusterset-s6"]
    assert ips(servers, "east", "s6") == [before]
    assert codes(servers, "east") == ["XDS0310"]


def test_a_derived_service_within_the_range_hands_its_address_over():
    servers = servers_of(east=exported("web")).settle()
    (before,) = ips(servers, "east")
    servers.ranges = parsed(["10.200.0.0/16"])
    servers.settle()
    assert ips(servers, "east") == [before]
    assert derived(servers, "east") == []
    assert DERIVED_ANNOTATION not in servers.item("east", "ServiceImport").metadata.annotations


def test_of_two_imports_with_one_address_the_older_keeps_it():
    twins = [imported(name, "10.9.0.1") for name in ("api", "web")]
    servers = servers_of(SMALL, east=[*exported("web", "api"), *twins]).settle()
    assert ips(servers, "east", "web") == ["10.9.0.1"]
    assert ips(servers, "east", "api") != ["10.9.0.1"]


def test_what_cannot_be_asked_keeps_its_address_and_its_service():
    servers = servers_of(SMALL, east=exported("web"), west=[SHOP]).settle()
    (kept,) = ips(servers, "west")
    servers.unreachable = {"east"}
    for item in exported("a", "b", "c", "d", "e"):
        servers.put("west", item)
    servers.settle()
    assert ips(servers, "west") == [kept]
    assert kept not in {ips(servers, "west", name)[0] for name in "abcde"}
    servers.ranges = ()
    assert ips(servers.settle(), "west") == [kept]
    servers.unreachable = set()
    assert ips(servers.settle(), "west") != [kept]


def test_what_was_given_and_is_not_known_yet_is_not_given_twice():
    world = World(servers_of(east=exported("web")).clusters, {})
    first = allocate(world, "east", parsed([SMALL]), {}).given
    for name in [f"older{number}" for number in range(20)]:
        items = exported("web")
        items += [service(name), export(name, created="2025-01-01T00:00:00Z")]
        found = allocate(World(servers_of(east=items).clusters, {}), "east", parsed([SMALL]), first).given
        assert found["shop", "web"] == first["shop", "web"] != found["shop", name]


def test_proxies_and_dns_have_the_address():
    servers = servers_of(RANGE, SIX, east=exported("web"), west=[SHOP]).settle()
    fleet = fleet_of({name: [*one.items.values()] for name, one in servers.clusters.items()})
    found = fleet.services[ServiceKey("shop", "web")]
    assert found.vips == {cluster: tuple(ips(servers, cluster)) for cluster in ("east", "west")}
    assert len(found.vips["west"]) == 2


@pytest.mark.parametrize("family", [SMALL, "10.9.0.0/27", "fd00:9::/125"])
@given(st.integers(0, 2**32))
def test_no_address_is_given_twice(family, seed):
    random = Random(seed)
    (network,) = parsed([family])
    texts = [str(network[number]) for number in range(8)]
    clusters = {}
    for cluster in ("east", "west", "north"):
        names = random.sample("abcdefghij", random.randint(0, 8))
        items = exported(*names) if random.random() < 0.8 else []
        items += [imported(name, random.choice(texts)) for name in "abcdkl" if items and random.random() < 0.3]
        items += [service(name, clusterIP=random.choice(texts)) for name in "xyz" if items and random.random() < 0.3]
        clusters[cluster] = items
    servers = servers_of(family, **clusters).settle()
    for one in servers.clusters.values():
        held = [ip for item in one.items.values() if item.kind == "ServiceImport" for ip in item.spec.ips]
        taken = [item.spec.cluster_ip for item in one.items.values() if item.kind == "Service"]
        assert len(held) == len({*held})
        assert not {*held} & {str(network[0]), str(network[-1]), *taken}
