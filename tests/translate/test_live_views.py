"""Live views: whatever the fast lane and the batches did, a view ends as one that is built afresh."""

from __future__ import annotations

from collections import defaultdict

from fleet_events import ways
from fleet_strategies import views
from fleet_world import endpoint, endpoint_slice, export, fleet_of, member, service
from hypothesis import given
from hypothesis import strategies as st

from xds.model.events import Upsert
from xds.model.fleet import Fleet
from xds.model.view import Role, View
from xds.translate.world import TYPES, Translator
from xds.views import LiveViews, describe_services
from xds.wire import CLUSTER, ENDPOINT, LISTENER, ROUTE

EAST = View(cluster="east", region="eu", namespace="shop", listen="127.0.0.1:15001")


class Mirror:
    """What clients hold who apply every change set, and nothing else."""

    def __init__(self):
        self.held = defaultdict(dict)
        self.live = None

    def publish(self, change):
        snapshot = self.live.store.current(change.view)
        for type_url, names in change.names.items():
            assert names
            for name in names:
                self.held[change.view, type_url][name] = snapshot.resources(type_url).get(name)


def lively(fleet, **options):
    mirror = Mirror()
    mirror.live = LiveViews(fleet, mirror.publish, **{"idle_s": 60, "clock": lambda: 0.0, **options})
    return mirror.live, mirror


@given(ways(), st.lists(views(), min_size=1, max_size=3, unique=True), st.data())
def test_incremental_equals_fresh(way, wanted, data):
    world, batches = way
    fleet = Fleet()
    live, mirror = lively(fleet)
    pending = False
    for events in batches:
        change = fleet.apply(events)
        live.changed(change)
        pending = pending or change.needs_batch
        for view in wanted:
            if not live.store.is_live(view) and data.draw(st.booleans()):
                live.acquire(view)
        if pending and data.draw(st.booleans()):
            live.rebuild("test")
            pending = False
    if pending:
        live.rebuild("test")
    fresh = Translator(world.fleet())
    for view in wanted:
        snapshot = live.acquire(view)
        made = fresh.translate(view)
        for type_url in TYPES:
            assert dict(snapshot.resources(type_url)) == made.resources[type_url]
            told = {name: item for name, item in mirror.held[view, type_url].items() if item is not None}
            assert told == made.resources[type_url], "clients that apply the change sets hold the same"


def world(*addresses):
    return [service("web"), export("web"), endpoint_slice("web", [endpoint(address) for address in addresses])]


class Compared(View):
    """A view that counts how often it is compared."""

    __hash__ = View.__hash__
    times = 0

    def __eq__(self, other):
        Compared.times += 1
        return View.__eq__(self, other)


def test_views_are_not_compared_with_each_other_one_by_one():
    translator = Translator(fleet_of({"east": world("10.1.0.1")}, member("east")))
    views = [Compared(cluster="east", zone=f"z{number}", listen="127.0.0.1:15001") for number in range(50)]
    for view in views:
        translator.translate(view)
    Compared.times = 0
    translator.forget(views)
    assert Compared.times < 5 * len(views)


def test_a_view_is_built_once_and_dropped_when_it_has_been_idle():
    now = [0.0]
    live, _ = lively(fleet_of({"east": world("10.1.0.1")}, member("east")), idle_s=60, clock=lambda: now[0])
    first = live.acquire(EAST)
    assert live.acquire(EAST) is first
    live.release(EAST)
    live.release(EAST)
    now[0] = 59
    live.drop_idle()
    assert live.acquire(EAST) is first
    live.release(EAST)
    now[0] = 59 + 60
    live.drop_idle()
    assert not live.store.is_live(EAST)
    assert live.acquire(EAST) is not first


def test_what_a_batch_does_not_change_is_not_published():
    fleet = fleet_of({"east": world("10.1.0.1")}, member("east"))
    published = []
    live = LiveViews(fleet, published.append, idle_s=60)
    live.acquire(EAST)
    published.clear()
    live.rebuild("nothing")
    assert published == []
    assert len(live.store.history(EAST)) == 1


def test_an_endpoint_changes_assignments_and_nothing_else():
    fleet = fleet_of({"east": world("10.1.0.1")}, member("east"))
    published = []
    live = LiveViews(fleet, published.append, idle_s=60)
    live.acquire(EAST)
    published.clear()
    live.changed(fleet.apply([Upsert("east", world("10.1.0.2")[2])]))
    (change,) = published
    assert change.names == {ENDPOINT: {"web.shop.svc.cluster.local:80", "web.shop.svc.clusterset.local:80"}}
    assert live.store.current(EAST).trigger == "endpoints of web.shop.svc.clusterset.local, web.shop.svc.cluster.local in east"


def test_the_fast_lane_waits_with_what_the_view_does_not_hold_yet():
    fleet = fleet_of({"east": world("10.1.0.1")}, member("east"))
    published = []
    live = LiveViews(fleet, published.append, idle_s=60)
    live.acquire(EAST)
    change = fleet.apply([Upsert("east", service("api")), Upsert("east", export("api"))])
    live.changed(change)
    published.clear()
    live.changed(fleet.apply([Upsert("east", endpoint_slice("api", [endpoint("10.1.0.9")]))]))
    assert published == []
    live.rebuild("services")
    assert {url: len(names) for url, names in published[0].names.items()} == {CLUSTER: 2, ENDPOINT: 2, ROUTE: 1}


def test_roles_get_what_they_can_use():
    fleet = fleet_of({"east": world("10.1.0.1")}, member("east"))
    live, _ = lively(fleet)
    assert live.acquire(EAST).resources(LISTENER).keys() == {"outbound"}
    proxyless = live.acquire(View(cluster="east", role=Role.PROXYLESS, namespace=""))
    assert proxyless.resources(LISTENER).keys() == proxyless.resources(CLUSTER).keys()
    gateway = live.acquire(View(cluster="east", role=Role.GATEWAY, namespace=""))
    assert all(not gateway.resources(url) for url in TYPES)


def test_a_trigger_names_a_few_services():
    fleet = fleet_of({"east": [service(name) for name in "abcde"]}, member("east"))
    text = describe_services(frozenset(fleet.services))
    assert text == (
        "a.shop.svc.cluster.local in east, b.shop.svc.cluster.local in east, c.shop.svc.cluster.local in east and 2 more"
    )
