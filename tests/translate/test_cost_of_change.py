"""What a change costs: the services that it is about, never the fleet."""

from __future__ import annotations

import pytest
from fleet_world import endpoint, endpoint_slice, export, fleet_of, member, node, service

from xds.model.events import Upsert
from xds.model.fleet import FleetChange
from xds.model.service import CLUSTERSET, ServiceKey
from xds.model.view import Role, View
from xds.translate import world as translate_world
from xds.views import LiveViews

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
        live.push_endpoints(change.endpoints)
        # One for each place: the own service in its cluster, the exported one for both, whatever the number of views.
        assert sorted(key.scope for key, _, _ in assigned) == ["", "", "east"]
        assert {name for found in published for names in found.names.values() for name in names} == {
            "s500.shop.svc.cluster.local:80",
            "s500.shop.svc.clusterset.local:80",
        }


def test_a_heartbeat_rebuilds_nothing(fleet):
    built = fleet.services_built
    assert fleet.apply([Upsert("east", node("n1", "a", beat="2"))]) == FleetChange()
    assert fleet.services_built == built


def test_a_new_service_translates_itself_alone(fleet, assigned):
    live = LiveViews(fleet, lambda _change: None, idle_s=60)
    live.acquire(VIEWS[0])
    assigned.clear()
    fleet.apply([Upsert("east", service("extra"))])
    live.rebuild("a service")
    assert [key.name for key, _, _ in assigned] == ["extra"]
