"""Views built in slices: whatever the fleet is told between two of them, what is published is of one state."""

from __future__ import annotations

from collections import defaultdict
from itertools import islice

import pytest
from fleet_events import ways
from fleet_strategies import views
from fleet_world import endpoint, endpoint_slice, export, fleet_of, make, member, service, traffic_policy
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from xds.model.events import FLEET, Delete, ObjectKey, Upsert
from xds.model.fleet import Fleet
from xds.model.view import Intercept, Role, View
from xds.translate.world import TYPES, Translator, finish
from xds.views import LiveViews
from xds.wire import CLUSTER, ENDPOINT, ROUTE, envoy, unpack

EAST = View(cluster="east", region="eu", namespace="shop", listen="127.0.0.1:15001")
WEB = "web.shop.svc.cluster.local:80"


class Plane:
    """A fleet, its live views, and a build that is going on."""

    def __init__(self, fleet):
        self.fleet = fleet
        self.live = LiveViews(fleet, self.publish, idle_s=60, clock=lambda: 0.0)
        self.held = defaultdict(dict)
        """What clients hold who apply every change set, and nothing else."""
        self.build = None

    def publish(self, change):
        snapshot = self.live.store.current(change.view)
        for type_url, names in change.names.items():
            self.held[change.view, type_url].update((name, snapshot.resources(type_url).get(name)) for name in names)
        for type_url in TYPES:
            for resource in snapshot.resources(type_url).values():
                for wanted, names in resource.refs.items():
                    assert names <= snapshot.resources(wanted).keys(), "references lead somewhere in every snapshot"

    def tell(self, *events):
        self.live.changed(self.fleet.apply(events))

    def work(self, steps):
        """Do some steps of what there is to build; return whether it is not all done."""
        while steps > 0:
            self.build = self.build or self.live.next_build()
            if self.build is None:
                return False
            done = sum(1 for _ in islice(self.build[1], steps))
            if done < steps:
                self.build = None
            steps -= max(done, 1)
        return True

    def finish(self):
        while self.work(100):
            pass

    def addresses(self, view, name=WEB):
        found = unpack(ENDPOINT, self.live.store.current(view).resources(ENDPOINT)[name].body)
        return [one.endpoint.address.socket_address.address for group in found.endpoints for one in group.lb_endpoints]


@given(ways(), st.lists(views(), min_size=1, max_size=3, unique=True), st.data())
def test_slices_come_to_what_is_built_afresh(way, wanted, data):
    world, batches = way
    plane = Plane(Fleet())
    for events in batches:
        plane.tell(*events)
        if data.draw(st.booleans()):
            plane.live.want(data.draw(st.sampled_from(wanted)))
        if data.draw(st.booleans()):
            plane.live.begin()
        plane.work(data.draw(st.integers(0, 12)))
    plane.live.begin()
    for view in wanted:
        plane.live.want(view)
    plane.finish()
    fresh = Translator(world.fleet())
    problems = set()
    for view in wanted:
        made = fresh.translate(view)
        problems.update(problem for problem in made.problems if problem.ref)
        for type_url in TYPES:
            table = plane.live.store.current(view).resources(type_url)
            assert dict(table) == made.resources[type_url]
            assert {name: (set(one.origins), one.refs) for name, one in table.items()} == {
                name: (set(one.origins), one.refs) for name, one in made.resources[type_url].items()
            }
            told = {name: item for name, item in plane.held[view, type_url].items() if item is not None}
            assert told == made.resources[type_url], "clients that apply the change sets hold the same"
    assert {problem for problem in plane.live.problems({}) if problem.ref} == problems


def objects(name, *addresses):
    return service(name), export(name), endpoint_slice(name, [endpoint(address) for address in addresses])


def plane_of(*names):
    found = [item for number, name in enumerate(names, 1) for item in objects(name, f"10.1.0.{number}")]
    return Plane(fleet_of({"east": found}, member("east", "eu")))


@pytest.fixture
def plane():
    return plane_of("web", "api", "db")


def test_endpoints_that_change_while_a_view_is_built_are_in_it(plane):
    plane.live.want(EAST)
    plane.work(100)
    fresh = View(cluster="east", region="eu", zone="z", namespace="shop", listen="127.0.0.1:15001")
    plane.live.want(fresh)
    plane.work(len(plane.fleet.services))
    assert not plane.live.store.is_live(fresh), "it is being built"
    plane.tell(Upsert("east", objects("web", "10.1.0.77")[2]))
    assert plane.addresses(EAST) == ["10.1.0.77"], "at once"
    plane.finish()
    assert plane.addresses(fresh) == ["10.1.0.77"]


@pytest.mark.parametrize("is_batch", [False, True])
def test_endpoints_that_change_while_a_live_view_is_built_are_not_taken_back(plane, is_batch):
    plane.live.want(EAST)
    plane.finish()
    plane.tell(Upsert("east", service("web", {"http": 80, "more": 81})))
    plane.live.begin()
    plane.work(5)
    plane.tell(Upsert("east", objects("web", "10.1.0.77")[2]))
    if is_batch:
        plane.live.begin()
    plane.finish()
    assert plane.addresses(EAST) == ["10.1.0.77"]


def test_a_service_that_comes_while_a_view_is_built_comes_with_the_next_batch(plane):
    plane.live.want(EAST)
    plane.work(3)
    plane.tell(*(Upsert("east", item) for item in objects("new", "10.1.0.9")))
    plane.finish()
    assert not any("new" in name for url in TYPES for name in plane.live.store.current(EAST).resources(url))
    plane.live.begin()
    plane.finish()
    assert "new.shop.svc.cluster.local:80" in plane.live.store.current(EAST).resources(CLUSTER)


def test_what_a_batch_is_not_about_is_not_looked_at(plane, monkeypatch):
    plane.live.want(EAST)
    plane.finish()
    plane.live.want(proxyless := View(cluster="east", region="eu", role=Role.PROXYLESS))
    plane.finish()
    looked_at = []
    original = Translator._assignments

    def noted(self, service, outlook):
        looked_at.append(service.key.name)
        return original(self, service, outlook)

    monkeypatch.setattr(Translator, "_assignments", noted)
    plane.tell(Upsert("east", service("web", {"http": 80, "more": 81})))
    plane.live.begin()
    plane.finish()
    assert set(looked_at) == {"web"}
    assert "web.shop.svc.cluster.local:81" in plane.live.store.current(proxyless).resources(CLUSTER)


def test_a_policy_that_comes_into_force_with_its_target_is_about_its_other_targets_too(plane):
    names = ("web", "new")
    targets = [{"kind": "Service", "name": name} for name in names]
    plane.live.want(EAST)
    plane.tell(Upsert(FLEET, traffic_policy("p", targetRefs=targets, timeoutSeconds=7)))
    plane.live.begin()
    plane.finish()
    before = plane.live.store.current(EAST).resources(ROUTE)["outbound"]
    plane.tell(*(Upsert("east", item) for item in objects("new", "10.1.0.9")))
    plane.live.begin()
    plane.finish()
    message = unpack(ROUTE, plane.live.store.current(EAST).resources(ROUTE)["outbound"].body)
    timeouts = {host.name: host.routes[0].route.timeout.seconds for host in message.virtual_hosts}
    assert before.body != message.SerializeToString()
    assert {timeouts[f"{name}.shop.svc.cluster.local:80"] for name in names} == {7}
    assert timeouts["api.shop.svc.cluster.local:80"] == 0


def test_what_is_put_together_of_pieces_is_what_would_be_made_in_one(plane):
    for intercept in Intercept:
        plane.live.want(view := View(cluster="east", namespace="shop", intercept=intercept, listen="127.0.0.1:15001"))
        plane.finish()
        for type_url in TYPES:
            for resource in plane.live.store.current(view).resources(type_url).values():
                assert unpack(type_url, resource.body).SerializeToString(deterministic=True) == resource.body


def test_an_object_that_changes_with_endpoints_is_named_as_it_is_now_by_all_that_comes_from_it(plane):
    plane.live.want(EAST)
    plane.finish()
    web = service("web")
    newer = replace(web, metadata=replace(web.metadata, resource_version="9"))
    plane.tell(Upsert("east", objects("web", "10.1.0.77")[2]), Upsert("east", newer))
    plane.live.begin()
    plane.finish()
    for type_url, name in ((ENDPOINT, WEB), (CLUSTER, WEB), (ROUTE, "outbound")):
        origins = plane.live.store.current(EAST).resources(type_url)[name].origins
        versions = {one.resource_version for one in origins if (one.kind, one.name) == ("Service", "web")}
        assert versions == {"9"}, type_url


def edge(backend):
    parent, rules = {"name": "edge"}, [{"backendRefs": [{"name": backend, "port": 80}]}]
    return make("HTTPRoute", "r", spec={"parentRefs": [parent], "rules": rules})


@pytest.mark.parametrize("steps", range(12))
def test_what_was_made_and_never_stored_was_not_given(plane, steps):
    listeners = [{"name": "h", "port": 8000, "protocol": "HTTP"}]
    gateway = make("Gateway", "edge", spec={"gatewayClassName": "isthmus", "listeners": listeners})
    plane.tell(Upsert("east", gateway), Upsert("east", edge("web")))
    plane.live.begin()
    view = View(cluster="east", region="eu", namespace="shop", role=Role.GATEWAY, gateway="shop/edge")
    plane.live.want(view)
    plane.finish()
    plane.tell(Upsert("east", edge("api")))
    plane.live.begin()
    plane.work(steps)
    plane.tell(Upsert("east", service("db", {"http": 80, "more": 81})))
    plane.live.begin()
    plane.finish()
    assert (
        plane.live.store.current(view).resources(CLUSTER).keys()
        == Translator(plane.fleet).translate(view).resources[CLUSTER].keys()
    )


def test_a_view_that_fails_is_built_whole_by_the_next_batch(plane, monkeypatch):
    plane.live.want(EAST)
    plane.finish()
    plane.tell(Delete("east", ObjectKey("Service", "shop", "web")))
    with monkeypatch.context() as patched:
        patched.setattr(Translator, "_assignments", lambda *_: 1 / 0)
        plane.tell(Upsert("east", service("api", {"http": 80, "more": 81})))
        plane.live.begin()
        with pytest.raises(ZeroDivisionError):
            finish(plane.live.next_build()[1])
    assert WEB in plane.live.store.current(EAST).resources(CLUSTER)
    plane.live.begin()
    plane.finish()
    held = plane.live.store.current(EAST).resources(CLUSTER)
    assert WEB not in held
    assert "api.shop.svc.cluster.local:81" in held


def test_a_view_that_nobody_takes_is_forgotten():
    now = [0.0]
    plane = plane_of("web")
    plane.live = LiveViews(plane.fleet, plane.publish, idle_s=60, clock=lambda: now[0])
    plane.live.want(EAST)
    plane.finish()
    now[0] = 60
    plane.live.drop_idle()
    assert not plane.live.store.is_live(EAST)


def test_messages_stand_where_their_numbers_say():
    fields = {field.name: field.number for field in envoy.Listener.DESCRIPTOR.fields}
    assert (
        fields["name"]
        < fields["address"]
        < fields["filter_chains"]
        < min(fields[name] for name in ("listener_filters", "traffic_direction", "default_filter_chain"))
    )
