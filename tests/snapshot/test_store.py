"""The store: snapshots that share what did not change, and change sets of what did."""

from __future__ import annotations

import pytest

from xds.problems import Ref
from xds.snapshot.resource import Resource, content_version
from xds.snapshot.snapshot import ChangeSet, Snapshot
from xds.snapshot.store import HISTORY, SnapshotStore
from xds.snapshot.table import Table

A, B = "type/A", "type/B"


def res(name, body=b"1", *, url=A, **more):
    return Resource.of(url, name, body, **more)


def publish(store, changes, view="view", at_s=1.0):
    return store.publish(view, changes, at_s=at_s, trigger="test")


def test_versions_follow_from_the_bytes_alone():
    assert content_version(b"x") == "2d711642b726b044"
    one, other = res("a", refs={B: frozenset("x")}), res("a", origins=(Ref("east", "Service", "shop", "web"),))
    assert one == other
    assert one.version == other.version != res("a", b"2").version


def test_a_publication_tells_what_really_changed():
    store = SnapshotStore()
    assert publish(store, {A: {"x": res("x"), "y": res("y")}, B: {}}) == ChangeSet("view", {A: frozenset("xy")})
    first = store.current("view")
    changes = {A: {"x": res("x"), "y": None, "z": res("z"), "never": None}, B: {"b": res("b", url=B)}}
    assert publish(store, changes, at_s=2.0) == ChangeSet("view", {A: frozenset("yz"), B: frozenset("b")})
    second = store.current("view")
    assert second.resources(A).keys() == {"x", "z"}
    assert second.resources(A)["x"] is first.resources(A)["x"]
    assert first.resources(A).keys() == {"x", "y"}, "an older snapshot stays what it was"
    assert (second.at_s, second.trigger) == (2.0, "test")


def test_types_that_did_not_change_are_shared():
    store = SnapshotStore()
    publish(store, {A: {"x": res("x")}, B: {"b": res("b", url=B)}})
    first = store.current("view")
    publish(store, {A: {"x": res("x", b"2")}})
    assert store.current("view").types[B] is first.types[B]


def test_nothing_new_is_not_recorded():
    store = SnapshotStore()
    publish(store, {A: {"x": res("x")}})
    assert publish(store, {A: {"x": res("x")}}) == ChangeSet("view", {})
    assert len(store.history("view")) == 1


def test_newer_origins_of_the_same_content_are_stored_without_a_revision():
    store = SnapshotStore()
    old, new = (res("x", refs={B: frozenset("b")}, origins=(Ref("east", "Service", "shop", "web", number),)) for number in "12")
    publish(store, {A: {"x": old, "y": res("y")}})
    before = store.current("view")
    assert publish(store, {A: {"x": new}}, at_s=2.0) == ChangeSet("view", {})
    (snapshot,) = store.history("view")
    assert snapshot.resources(A)["x"] is new
    assert (snapshot.at_s, snapshot.version) == (before.at_s, before.version)
    assert before.resources(A)["x"] is old, "an older snapshot stays what it was"
    assert publish(store, {A: {"x": res("x"), "y": res("y", b"2")}}) == ChangeSet("view", {A: frozenset("y")})
    assert store.current("view").resources(A)["x"].refs == {}
    assert len(store.history("view")) == 2


def test_nothing_is_stored_if_nothing_is_different():
    store = SnapshotStore()
    origin = Ref("east", "Service", "shop", "web", "1")
    publish(store, {A: {"x": res("x", origins=(origin,))}})
    before = store.current("view")
    publish(store, {A: {"x": res("x", origins=(origin,)), "never": None}, B: {}})
    assert store.current("view") is before


def test_a_new_view_is_live_even_if_it_is_empty():
    store = SnapshotStore()
    assert publish(store, {}) == ChangeSet("view", {})
    assert store.is_live("view")
    assert store.current("view").resources(A) == {}


def test_views_do_not_touch_each_other():
    store = SnapshotStore()
    publish(store, {A: {"x": res("x")}}, "one")
    publish(store, {A: {"x": res("x")}}, "two")
    publish(store, {A: {"x": None}}, "one")
    assert store.current("two").resources(A).keys() == {"x"}
    assert store.views() == ("one", "two")
    store.drop("one")
    store.drop("one")
    assert not store.is_live("one")
    assert store.history("one") == ()
    with pytest.raises(KeyError):
        store.current("one")


def test_history_is_bounded():
    store = SnapshotStore()
    for number in range(HISTORY + 5):
        publish(store, {A: {"x": res("x", b"%d" % number)}})
    assert len(store.history("view")) == HISTORY
    assert store.history("view")[-1] is store.current("view")


def one_type(type_url, *resources):
    return Snapshot("v", {type_url: Table({resource.name: resource for resource in resources})})


def test_type_versions_depend_on_names_and_bytes_not_on_order():
    x, y = res("x"), res("y", b"2")
    version = one_type(A, x, y).type_version(A)
    assert version == one_type(A, y, x).type_version(A)
    assert version != one_type(A, x).type_version(A)
    assert version != one_type(A, res("x", b"2"), res("y")).type_version(A)
    assert one_type(A, x, y).type_version(B) == Snapshot("v", {}).type_version(A)


def test_snapshot_versions_ignore_types_without_resources():
    one = one_type(A, res("x"))
    assert one.version == Snapshot("v", {**one.types, B: Table()}).version
    assert one.version != one_type(B, res("x")).version
