"""What a change costs: the services that it is about, never the fleet."""

from __future__ import annotations

import pytest
from fleet_world import endpoint, endpoint_slice, export, fleet_of, member, node, service, tier, traffic_policy

from xds.model.events import FLEET, Delete, ObjectKey, Upsert
from xds.model.fleet import FleetChange
from xds.model.service import CLUSTERSET, ServiceKey
from xds.model.view import Role, View
from xds.translate import world as translate_world
from xds.views import LiveViews
from xds.wire import CLUSTER, ENDPOINT

SERVICES = 1000
VIEWS = [
    View(cluster=cluster, region=region, zone="a", role=role, namespace="shop", listen="127.0.0.1:15001")
    for cluster, region in (("east", "eu"), ("west", "us"))
    for role in (Role.SIDECAR, Role.PROXYLESS)
]


def objects(cluster: str, network: int):
    yield node("n1", "a")
    for number in range(SERVICES):
        name = f"s{number}"
        yield from (service(name), export(name), slice_of(name, network, number))


def slice_of(name: str, network: int, number: int, last: int = 1):
    addresses = [f"10.{network}.{number // 250}.{number % 250 + 1}", f"10.{network + 100}.{number // 250}.{last}"]
    return endpoint_slice(name, [endpoint(address, nodeName="n1") for address in addresses])


@pytest.fixture(scope="module")
def fleet():
    clusters = {"east": list(objects("east", 1)), "west": list(objects("west", 2))}
    return fleet_of(clusters, member("east", "eu"), member("west", "us"))


@pytest.fixture
def assigned(monkeypatch):
    """The (service, port, place) of every CLA that is made."""
    made = []
    original = translate_world.assignment

    def counted(service, port, place):
        made.append((service.key, port, place))
        return original(service, port, place)

    monkeypatch.setattr(translate_world, "assignment", counted)
    return made


def test_one_endpoint_rebuilds_one_service(fleet, assigned):
    published = []
    live = LiveViews(fleet, published.append, idle_s=60)
    for view in VIEWS:
        live.acquire(view)
    own, merged = ServiceKey("shop", "s500", "east"), ServiceKey("shop", "s500", CLUSTERSET)
    for last in (2, 3):
        built = fleet.services_built
        published.clear()
        assigned.clear()
        change = fleet.apply([Upsert("east", slice_of("s500", 1, 500, last))])
        assert change == FleetChange(endpoints=frozenset((own, merged)))
        assert fleet.services_built - built == 2, "the cluster's own and the exported one"
        live.changed(change)
        # One for each place: the own service in its cluster, the exported one for both, whatever the number of views.
        assert sorted(key.scope for key, _, _ in assigned) == ["", "", "east"]
        assert {name for found in published for names in found.names.values() for name in names} == {
            "s500.shop.svc.cluster.local:80",
            "s500.shop.svc.clusterset.local:80",
        }


class Untouched(dict):
    """Services of which each may be asked for, and not all looked at."""

    def __iter__(self):
        pytest.fail("all services were looked at")

    def keys(self):
        return self

    values = items = keys


@pytest.mark.parametrize("targets", [(), ("s1", "s2")])
def test_a_batch_does_not_look_at_all_services_to_find_what_governs_them(targets):
    found = [item for name in ("s1", "s2", "s3") for item in (service(name), export(name), slice_of(name, 1, 1))]
    fleet = fleet_of({"east": found, "west": found}, member("east", "eu"), member("west", "us"))
    fleet.apply([Upsert(FLEET, traffic_policy("p", *targets, tiers=[tier("all", {"regions": ["eu"]})]))] if targets else [])
    live = LiveViews(fleet, lambda _change: None, idle_s=60)
    live.changed(fleet.apply([Upsert("east", service("s3", {"http": 80, "more": 81}))]))
    fleet._catalog.services = Untouched(fleet._catalog.services)
    live.begin()


def test_a_heartbeat_rebuilds_nothing(fleet):
    built = fleet.services_built
    assert fleet.apply([Upsert("east", node("n1", "a", beat="2"))]) == FleetChange()
    assert fleet.services_built == built


def test_a_new_service_translates_itself_alone(fleet, assigned):
    live = LiveViews(fleet, lambda _change: None, idle_s=60)
    live.acquire(VIEWS[0])
    assigned.clear()
    live.changed(fleet.apply([Upsert("east", service("extra"))]))
    live.rebuild("a service")
    assert [key.name for key, _, _ in assigned] == ["extra"]


@pytest.fixture
def clustered(monkeypatch):
    """The service of every Envoy cluster that is made."""
    made = []
    original = translate_world.service_cluster

    def counted(service, port, *settings, **options):
        made.append(service.key)
        return original(service, port, *settings, **options)

    monkeypatch.setattr(translate_world, "service_cluster", counted)
    return made


def test_a_policy_costs_the_services_that_it_targets(fleet, assigned, clustered):
    published = []
    live = LiveViews(fleet, published.append, idle_s=60)
    for view in VIEWS:
        live.acquire(view)
    own = {cluster: ServiceKey("shop", "s7", cluster) for cluster in ("east", "west")}

    def cost(*events):
        """Return the services whose CLAs, and whose clusters, were made anew, and the names that went out."""
        built = fleet.services_built
        for made in (assigned, clustered, published):
            made.clear()
        change = fleet.apply(events)
        assert change.policies or change == FleetChange(), "one that says the same is no change"
        assert fleet.services_built == built, "services stay as they are, but for what they are lent"
        live.changed(change)
        assigned.clear()
        live.rebuild("a policy")
        names = {name for found in published for url in (CLUSTER, ENDPOINT) for name in found.names.get(url, ())}
        return {key for key, _, _ in assigned}, set(clustered), names

    name = "s7.shop.svc.cluster.local:80"
    tiers = [tier("all", {"clusters": ["*"]})]
    fleet_wide = traffic_policy("p", "s7", tiers=tiers)
    assert cost(Upsert(FLEET, fleet_wide)) == ({*own.values()}, {*own.values()}, {name}), "clusters know their origins"
    settings = {"healthCheck": {}, "timeoutSeconds": 3}
    assert cost(Upsert(FLEET, traffic_policy("p", "s7", tiers=tiers, **settings))) == ({*own.values()}, {*own.values()}, {name})
    assert cost(Upsert(FLEET, traffic_policy("p", "s7", strategy={"type": "Locality"}, **settings)))[1] == set()
    # A cluster's own policy is about its own clients.
    assert cost(Upsert("east", traffic_policy("p", "s7", tiers=tiers, **settings))) == ({own["east"]}, {own["east"]}, {name})
    # What is not accepted, or comes to the same, changes nothing that is sent.
    assert cost(Upsert("west", traffic_policy("p", "s7", tiers=[tier("a", {})]))) == ({own["west"]}, set(), set())
    assert cost(Upsert("east", traffic_policy("p", "s7", tiers=tiers, **settings))) == (set(), set(), set())
    assert cost(Delete(FLEET, ObjectKey("TrafficPolicy", "shop", "p")))[0] == {*own.values()}
    assert cost(Delete("east", ObjectKey("TrafficPolicy", "shop", "p")))[0] == {own["east"]}
