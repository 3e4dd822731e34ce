"""A cluster that loses most of its services at once keeps them for a while; whatever goes one by one, goes."""

from __future__ import annotations

import pytest
from fleet_world import endpoint, endpoint_slice, export, fleet_of, make, member, service
from flomesh_world import ERIE_CANAL, FSM
from hypothesis import given
from hypothesis import strategies as st

from xds.discovery.guard import WINDOW_S, Guard
from xds.model.events import Delete, Doubt, ObjectKey, Synced, Upsert
from xds.model.fleet import Fleet

NAMES = [f"web{number}" for number in range(6)]


def objects_of(name, *, address="10.1.0.1"):
    return [service(name), export(name), endpoint_slice(name, [endpoint(address)])]


def told(items):
    return [Upsert("east", item) for item in items]


def gone(items):
    return [Delete("east", Upsert("east", item).key) for item in items]


@pytest.fixture
def world():
    return [make("Namespace", "shop"), *(item for name in NAMES for item in objects_of(name))]


@pytest.fixture
def guard(world):
    guard = Guard("east", 0.5, 600.0)
    events = told(world)
    assert guard.take(events, 0.0) == events
    return guard


def test_an_emptied_cluster_keeps_what_it_had(guard, world):
    assert guard.take(gone(world), 10.0) == [Doubt("east", frozenset(("shop", name) for name in NAMES))]
    assert len(guard.held) == len(world)


@pytest.mark.parametrize("ends", [gone, told], ids=["deleted", "emptied"])
def test_slices_that_are_emptied_first_and_end_in_the_same_batch_are_held(guard, ends):
    """As of workloads that are deleted with their Services: what a slice was on its way counts no more than its end."""
    batch = []
    for name in NAMES:
        emptied = endpoint_slice(name, [])
        batch += [*told([emptied]), *ends([endpoint_slice(name, [], resourceVersion="2")])]
    assert guard.take(batch, 10.0) == [Doubt("east", frozenset(("shop", name) for name in NAMES))]


def test_exports_of_other_systems_are_no_exports(guard):
    theirs = [make(f"ServiceExport.{group}", name) for group in (FSM, ERIE_CANAL) for name in NAMES]
    assert guard.take(told(theirs), 1.0) == told(theirs)
    assert guard.take(gone(theirs), 10.0) == gone(theirs)
    ours = [export(name) for name in NAMES]
    assert guard.take(gone(ours), 11.0) == [Doubt("east", frozenset(("shop", name) for name in NAMES))]


def test_it_goes_after_the_delay(guard, world):
    guard.take(gone(world), 10.0)
    assert guard.due(609.9) == []
    assert guard.due(610.0) == [*gone(world), Doubt("east")]
    assert guard.objects == {}


def test_it_goes_when_it_is_confirmed(guard, world):
    guard.take(gone(world), 10.0)
    assert guard.confirm(11.0) == [*gone(world), Doubt("east")]
    assert guard.take(told(world), 12.0) == told(world)


def test_what_is_there_again_is_doubted_no_more(guard, world):
    guard.take(gone(world), 10.0)
    passed = guard.take(told(objects_of("web0")), 11.0)
    assert passed == [*told(objects_of("web0")), Doubt("east", frozenset(("shop", name) for name in NAMES[1:]))]
    guard.take(told(world), 12.0)
    assert guard.held == {}
    assert guard.doubted == frozenset()


def test_one_service_scaled_to_zero_is_not_held(guard):
    empty = endpoint_slice("web0", [])
    assert guard.take(told([empty]), 10.0) == told([empty])


def test_services_that_go_one_by_one_with_time_between_go(guard):
    for number, name in enumerate(NAMES):
        events = gone(objects_of(name))
        assert guard.take(events, number * (WINDOW_S + 1)) == events


def test_a_deletion_of_everything_one_by_one_is_held_from_the_threshold_on(guard):
    passed = [guard.take(gone(objects_of(name)), 10.0 + number) for number, name in enumerate(NAMES)]
    assert passed[:3] == [gone(objects_of(name)) for name in NAMES[:3]]
    assert passed[3] == [Doubt("east", frozenset({("shop", "web3")}))]


def test_a_small_cluster_may_lose_what_it_has():
    guard = Guard("east", 0.5, 600.0)
    items = [item for name in NAMES[:2] for item in objects_of(name)]
    guard.take(told(items), 0.0)
    assert guard.take(gone(items), 1.0) == gone(items)


def test_endpoints_emptied_in_a_mass_are_held_too(guard):
    events = told([endpoint_slice(name, []) for name in NAMES])
    assert guard.take(events, 10.0) == [Doubt("east", frozenset(("shop", name) for name in NAMES))]


def test_exports_of_azure_fleet_are_exports(guard):
    theirs = [make("ServiceExport.networking.fleet.azure.com", name) for name in NAMES]
    assert guard.take(told(theirs), 1.0) == told(theirs)
    assert guard.take(gone(theirs), 10.0) == gone(theirs), "those of the MCS API are left"
    assert guard.take(told(theirs), 20.0) == told(theirs)
    both = gone([*theirs, *(export(name) for name in NAMES)])
    assert guard.take(both, 30.0) == [Doubt("east", frozenset(("shop", name) for name in NAMES))]


def test_exports_deleted_in_a_mass_are_held_however_few_of_the_services_they_are():
    """As when the CRD is uninstalled."""
    guard = Guard("east", 0.5, 600.0)
    guard.take(told([item for number in range(20) for item in objects_of(f"own{number}") if item.kind != "ServiceExport"]), 0.0)
    guard.take(told([item for name in NAMES for item in objects_of(name)]), 0.0)
    exports = [export(name) for name in NAMES]
    assert guard.take(gone(exports[:1]), 10.0) == gone(exports[:1])
    assert guard.take(gone(exports[1:]), 20.0) == [Doubt("east", frozenset(("shop", name) for name in NAMES[1:]))]


def test_one_service_may_go_while_others_are_held(guard, world):
    guard.take(gone([item for name in NAMES[:4] for item in objects_of(name)]), 10.0)
    assert guard.take(gone(objects_of("web4")), 11.0) == [Doubt("east", frozenset(("shop", name) for name in NAMES[:5]))]
    later_s = 11.0 + WINDOW_S
    assert guard.take(gone(objects_of("web5")), later_s) == gone(objects_of("web5"))


def test_what_is_emptied_in_a_mass_and_deleted_later_is_gone(guard, world):
    guard.take(told([endpoint_slice(name, []) for name in NAMES]), 10.0)
    guard.take(gone(objects_of("web0")), 20.0 + WINDOW_S)
    guard.confirm(21.0 + WINDOW_S)
    assert ObjectKey("EndpointSlice", "shop", "web0-1") not in guard.objects


def test_when_all_services_are_there_again_nothing_is_held(guard, world):
    guard.take(gone(world), 10.0)
    back = [item for item in world if item.kind != "Namespace"]
    namespace = gone(world[:1])
    assert guard.take(told(back), 11.0) == [*told(back), *namespace, Doubt("east")]


def test_what_is_deleted_and_made_again_at_once_is_there(guard, world):
    events = [*gone(objects_of("web0")), *told(objects_of("web0"))]
    assert guard.take(events, 10.0) == events


def test_slices_that_we_wrote_do_not_count(world):
    guard = Guard("east", 0.5, 600.0)
    items = [item for name in NAMES[:2] for item in objects_of(name)]
    labels = {"kubernetes.io/service-name": "clusterset-web", "endpointslice.kubernetes.io/managed-by": "mcs.isthmus.dev"}
    copies = [endpoint_slice(name, [endpoint("10.2.0.1")], name=f"copy-{name}", labels=labels) for name in NAMES]
    guard.take(told([*items, *copies]), 0.0)
    assert guard.take(gone([*items, *copies]), 1.0) == gone([*items, *copies])


def test_a_slice_replaced_by_another_is_no_loss(guard):
    for name in NAMES:
        new = endpoint_slice(name, [endpoint("10.1.0.9")], name=f"{name}-2")
        events = [*told([new]), Delete("east", ObjectKey("EndpointSlice", "shop", f"{name}-1"))]
        assert guard.take(events, 10.0) == events


def test_the_model_serves_what_is_held(guard, world):
    fleet = fleet_of({"east": world}, member("east"))
    fleet.apply(guard.take(gone(world), 10.0))
    assert {str(one.health) for found in fleet.services.values() for one in found.endpoints[80]} == {"DEGRADED"}
    fleet.apply(guard.confirm(11.0))
    assert fleet.services == {}


steps = st.lists(
    st.tuples(st.sampled_from(NAMES), st.sampled_from(("put", "drop", "empty", "replace", "blink", "confirm")), st.floats(0, 40)),
    max_size=30,
)


@given(steps)
def test_in_the_end_what_was_meant_holds(steps):
    """Whatever was held, once it is confirmed the model is what it would be without a guard."""
    guard, guarded, plain, now_s = Guard("east", 0.5, 600.0), Fleet(), Fleet(), 0.0
    for name, what, wait_s in steps:
        now_s += wait_s
        events = {
            "put": told(objects_of(name, address=f"10.1.0.{NAMES.index(name) + 1}")),
            "drop": gone(objects_of(name)),
            "empty": told([endpoint_slice(name, [])]),
            "replace": [*gone(objects_of(name)), *told(objects_of(name, address="10.1.0.9"))],
            "blink": told([endpoint_slice(name, []), endpoint_slice(name, [endpoint("10.1.0.8")])]),
            "confirm": [],
        }[what]
        plain.apply(events)
        guarded.apply(guard.take(events, now_s) if what != "confirm" else guard.confirm(now_s))
    guarded.apply([*guard.confirm(now_s), Synced("east")])
    plain.apply([Synced("east")])
    assert guarded.services == plain.services
