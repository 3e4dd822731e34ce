"""A collection, fed by hand with what an API server sends."""

from __future__ import annotations

import json

import msgspec
import pytest

from xds.discovery.live.collection import Collection, Refusal
from xds.model.events import Delete, ObjectKey, Upsert
from xds.model.kinds import KINDS

WATCH = {"watch": "true", "allowWatchBookmarks": "true", "timeoutSeconds": "300"}


def collection(kind="Service", *, streams_lists=False, **options):
    return Collection("east", KINDS[kind], KINDS[kind].versions[0], streams_lists=streams_lists, **options)


def service(name, version=1, port=80, **meta):
    """A Service as it stands in a list: without apiVersion and kind."""
    metadata = {"name": name, "namespace": "shop", "resourceVersion": str(version), **meta}
    return {"metadata": metadata, "spec": {"ports": [{"port": port}]}}


def page(*items, version=10, next_page=""):
    metadata = {"resourceVersion": str(version)} | ({"continue": next_page} if next_page else {})
    return json.dumps({"kind": "ServiceList", "apiVersion": "v1", "metadata": metadata, "items": items or None}).encode()


def line(type_, item):
    return json.dumps({"type": type_, "object": {"apiVersion": "v1", "kind": "Service", **item}}).encode() + b"\n"


def bookmark(version, *, is_end=False):
    annotations = {"annotations": {"k8s.io/initial-events-end": "true"}} if is_end else {}
    return line("BOOKMARK", {"metadata": {"resourceVersion": str(version), "creationTimestamp": None, **annotations}})


def error(code, message="too old"):
    return line("ERROR", {"kind": "Status", "code": code, "message": message})


def told(events):
    """Return events as `+name` and `-name`."""
    return [f"+{event.key.name}" if isinstance(event, Upsert) else f"-{event.key.name}" for event in events]


def query(one):
    return dict(one.request(300).query)


def listed(*items, version=10, **options):
    """Return a collection that has listed and watches."""
    one = collection(**options)
    one.take_page(page(*items, version=version))
    return one


# Lists


def test_a_list_and_then_a_watch_from_its_version():
    one = collection()
    assert query(one) == {"limit": "500"}
    assert not one.request(300).is_watch
    events = one.take_page(page(service("a"), service("b"), version=10))
    assert told(events) == ["+a", "+b"]
    assert one.synced
    assert query(one) == WATCH | {"resourceVersion": "10"}
    assert one.request(300).is_watch


def test_items_of_typed_lists_get_the_version_and_kind_of_the_list():
    (event,) = collection().take_page(page(service("a")))
    assert (event.object.api_version, event.object.kind) == ("v1", "Service")


def test_pages_belong_together():
    one = collection(page=1)
    assert told(one.take_page(page(service("a"), next_page="t1"))) == ["+a"]
    assert not one.synced
    assert query(one) == {"limit": "1", "continue": "t1"}
    assert told(one.take_page(page(service("b"), next_page="t2"))) == ["+b"]
    assert told(one.take_page(page(service("c")))) == ["+c"]
    assert one.synced
    assert query(one)["resourceVersion"] == "10"


def test_an_empty_collection_is_synced_and_watched():
    one = collection()
    assert one.take_page(page()) == []
    assert one.synced
    assert query(one)["resourceVersion"] == "10"


def test_a_list_whose_pages_are_gone_begins_anew_and_takes_nothing_back():
    one = listed(service("a"), service("b"), page=1)
    one.list_anew()
    one.take_page(page(service("a"), next_page="t1"))
    one.refused(410, "too old")
    assert query(one) == {"limit": "1"}
    assert set(one.objects) == {ObjectKey("Service", "shop", "a"), ObjectKey("Service", "shop", "b")}
    assert one.take_page(page(service("a"), next_page="t2")) == []
    assert told(one.take_page(page(version=20))) == ["-b"]


@pytest.mark.parametrize("status", [400, 404, 500])
def test_a_page_that_is_refused_is_not_asked_for_again(status):
    """A token of another server, or from its future, never becomes good."""
    one = collection(page=1)
    one.take_page(page(service("a"), next_page="t1"))
    one.refused(status, "etcdserver: mvcc: required revision is a future revision")
    assert query(one) == {"limit": "1"}


def test_a_page_that_has_to_wait_is_asked_for_again():
    one = collection(page=1)
    one.take_page(page(service("a"), next_page="t1"))
    one.refused(429, "slow down")
    assert query(one) == {"limit": "1", "continue": "t1"}


def test_listing_anew_tells_only_differences_and_deletes_what_is_gone():
    one = listed(service("a", 1), service("b", 2), service("c", 3))
    one.list_anew()
    assert one.synced
    assert told(one.take_page(page(service("a", 1), service("c", 7), service("d", 8), version=20))) == ["+c", "+d", "-b"]
    assert query(one)["resourceVersion"] == "20"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>Login</html>",
        b"[]",
        b"{}",
        b'{"status":"ok"}',
        b'{"kind":"Status","metadata":{},"status":"Success"}',
        b'{"kind":"ServiceList","metadata":{},"items":[]}',
    ],
)
@pytest.mark.parametrize("phase", ["list", "probe"])
def test_what_is_no_list_takes_nothing_back(body, phase):
    one = listed(service("a"))
    (one.list_anew if phase == "list" else one.disconnected)()
    before = query(one)
    with pytest.raises(msgspec.DecodeError):
        one.take_page(body)
    assert query(one) == before
    assert list(one.objects) == [ObjectKey("Service", "shop", "a")]


@pytest.mark.parametrize("item", [7, {}, None])
def test_a_page_is_taken_as_a_whole_or_not_at_all(item):
    one = collection()
    with pytest.raises(msgspec.DecodeError):
        one.take_page(page(service("a"), item))
    one.list_anew()
    assert told(one.take_page(page(service("a")))) == ["+a"]


# Watches


def test_a_watch_tells_what_changes():
    one = listed(service("a"))
    assert told(one.take_line(line("ADDED", service("b", 11)))) == ["+b"]
    assert told(one.take_line(line("MODIFIED", service("b", 12, port=81)))) == ["+b"]
    assert one.take_line(line("DELETED", service("a", 13))) == [Delete("east", ObjectKey("Service", "shop", "a"))]
    assert query(one)["resourceVersion"] == "13"


def test_equal_objects_are_not_told_again():
    one = listed(service("a"))
    assert one.take_line(line("MODIFIED", service("a"))) == []
    assert one.take_line(line("DELETED", service("x", 11))) == []


def test_bookmarks_carry_the_version_forward():
    one = listed(service("a"))
    assert one.take_line(bookmark(50)) == []
    assert query(one)["resourceVersion"] == "50"


def refuses(one, text):
    """Return whether the same is asked in another way after a line that refuses it."""
    with pytest.raises(Refusal) as caught:
        one.take_line(text)
    return one.refused(caught.value.status, caught.value.message)


def test_gone_as_an_event_lists_anew():
    one = listed(service("a"))
    assert not refuses(one, error(410))
    assert query(one) == {"limit": "500"}
    assert one.take_page(page(service("a"), version=30)) == []


def test_gone_as_a_status_lists_anew():
    one = listed(service("a"))
    one.refused(410, "too old")
    assert query(one) == {"limit": "500"}


@pytest.mark.parametrize("status", [403, 429, 500, 504])
def test_a_watch_that_ends_with_another_error_goes_on_where_it_was(status):
    one = listed(service("a"))
    assert not refuses(one, error(status))
    assert query(one)["resourceVersion"] == "10"


@pytest.mark.parametrize(
    "text", [b"nonsense\n", b'{"type":"ADDED","object":{"kind":"Serv', b'{"type":"ADDED"}', b'{"object":{}}', b"7"]
)
def test_what_is_no_event_is_an_error(text):
    one = listed(service("a"))
    with pytest.raises(msgspec.DecodeError):
        one.take_line(text)
    assert len(one.objects) == 1


@pytest.mark.parametrize("type_", ["", "RELOADED"])
def test_an_event_of_an_unknown_type_is_an_error(type_):
    one = listed(service("a"))
    with pytest.raises(msgspec.DecodeError):
        one.take_line(line(type_, service("b")))
    assert len(one.objects) == 1


# After a broken connection


def test_after_a_broken_connection_the_server_is_asked_for_its_version():
    one = listed(service("a"))
    one.disconnected()
    assert query(one) == {"limit": "1"}
    assert one.take_page(page(service("a"), next_page="more", version=12)) == []
    assert query(one)["resourceVersion"] == "10"


def test_a_server_that_went_back_in_time_is_listed_anew():
    one = listed(service("a", 9), service("b", 10))
    one.disconnected()
    one.take_page(page(version=9))
    assert query(one) == {"limit": "500"}
    assert told(one.take_page(page(service("a", 9), version=9))) == ["-b"]


def test_a_version_that_is_not_a_number_is_trusted_to_be_newer():
    one = collection()
    one.take_page(page(service("a"), version="x1"))
    one.disconnected()
    one.take_page(page(version="x0"))
    assert query(one)["resourceVersion"] == "x1"


def test_a_watch_that_the_server_ends_is_followed_by_a_question_too():
    """A server that is told to stop ends its watches properly; what comes up in its place may be a backup."""
    one = listed(service("a"))
    one.disconnected()
    assert query(one) == {"limit": "1"}


# A watch that begins with what there is


def test_a_streamed_list_ends_with_a_bookmark():
    one = collection(streams_lists=True)
    assert query(one) == WATCH | {"sendInitialEvents": "true", "resourceVersionMatch": "NotOlderThan"}
    assert told(one.take_line(line("ADDED", service("a", 8)))) == ["+a"]
    assert not one.synced
    assert one.take_line(bookmark(10, is_end=True)) == []
    assert one.synced
    assert told(one.take_line(line("ADDED", service("b", 11)))) == ["+b"]
    one.disconnected()
    one.take_page(page(version=11))
    assert query(one) == WATCH | {"resourceVersion": "11"}


def test_a_streamed_list_tells_what_is_gone_at_its_end():
    one = collection(streams_lists=True)
    for text in (line("ADDED", service("a", 8)), line("ADDED", service("b", 9)), bookmark(10, is_end=True)):
        one.take_line(text)
    one.list_anew()
    query(one)
    assert one.take_line(line("ADDED", service("a", 8))) == []
    assert told(one.take_line(bookmark(20, is_end=True))) == ["-b"]


def test_a_streamed_list_that_breaks_takes_nothing_back():
    one = collection(streams_lists=True)
    query(one)
    one.take_line(line("ADDED", service("a", 8)))
    one.disconnected()
    assert set(query(one)) & {"sendInitialEvents", "limit"}
    assert len(one.objects) == 1
    assert not one.synced


@pytest.mark.parametrize("status", [400, 422])
def test_a_server_that_refuses_streamed_lists_is_listed_for_good(status):
    one = collection(streams_lists=True)
    query(one)
    one.refused(status, "sendInitialEvents is forbidden")
    assert query(one) == {"limit": "500"}
    one.take_page(page(service("a")))
    one.list_anew()
    assert query(one) == {"limit": "500"}


def test_gone_during_a_streamed_list_begins_it_anew():
    one = collection(streams_lists=True)
    query(one)
    one.take_line(line("ADDED", service("a", 8)))
    assert not refuses(one, error(410))
    assert "sendInitialEvents" in query(one)


def test_a_server_that_does_not_know_streamed_lists_and_ignores_the_question_is_listed():
    """Kubernetes before 1.27, and whatever else leaves out parameters that it does not know, never sends the end."""
    one = collection(streams_lists=True)
    query(one)
    one.take_line(line("ADDED", service("a", 8)))
    assert refuses(one, bookmark(10))  # one that knows them sends no bookmark before the end
    assert query(one) == {"limit": "500"}
    assert one.take_page(page(service("a", 8))) == []
    assert one.synced


def test_a_streamed_list_that_ends_early_becomes_a_list():
    one = collection(streams_lists=True)
    query(one)
    one.take_line(line("ADDED", service("a", 8)))
    one.disconnected()
    assert query(one) == {"limit": "500"}


# Objects that are not valid


def test_an_object_that_is_not_valid_keeps_its_last_good_version_and_is_named():
    one = listed(service("a"))
    assert one.take_line(line("MODIFIED", service("a", 11, port="http"))) == []
    (problem,) = one.problems
    assert problem.code == "XDS0102"
    assert (problem.ref.cluster, problem.ref.kind, problem.ref.namespace, problem.ref.name) == ("east", "Service", "shop", "a")
    assert problem.field == "spec.ports[0].port"
    assert problem.message == "is 'http'; expected an integer"
    assert "its last good version stays in force" in problem.hint
    (item,) = one.objects.values()
    assert item.spec.ports[0].port == 80
    assert query(one)["resourceVersion"] == "11"


def test_an_object_that_was_never_valid_is_left_out():
    one = collection()
    assert told(one.take_page(page(service("a", port=0), service("b")))) == ["+b"]
    (problem,) = one.problems
    assert "it is left out" in problem.hint


def test_a_list_does_not_delete_an_object_that_is_no_longer_valid():
    one = listed(service("a"))
    one.list_anew()
    assert one.take_page(page(service("a", 11, port="http"), version=20)) == []
    assert len(one.objects) == len([*one.problems]) == 1


@pytest.mark.parametrize("how", ["mended", "deleted", "gone"])
def test_a_problem_goes_with_its_cause(how):
    one = listed(service("a", port=0))
    if how == "mended":
        assert told(one.take_line(line("MODIFIED", service("a", 11)))) == ["+a"]
    elif how == "deleted":
        assert one.take_line(line("DELETED", service("a", 11, port=0))) == []
    else:
        one.list_anew()
        assert one.take_page(page(version=20)) == []
    assert [*one.problems] == []


def test_an_object_is_deleted_though_its_last_state_is_not_valid():
    one = listed(service("a"))
    assert told(one.take_line(line("DELETED", service("a", 11, port="http")))) == ["-a"]


def test_an_object_that_comes_back_as_it_was_is_told_once_and_without_its_problem():
    """A mistake that is taken back: what is in force is equal, and nothing is wrong with it any more."""
    one = listed(service("a", 9))
    one.take_line(line("MODIFIED", service("a", 11, port="http")))
    one.list_anew()
    assert one.take_page(page(service("a", 9), version=9)) == []
    assert [*one.problems] == []


# The Gateway API


def test_what_is_outside_the_gateway_subset_is_named_and_the_rest_is_told():
    one = collection("Gateway")
    listener = {"name": "http", "port": 80, "protocol": "HTTP", "tls": {"mode": "Terminate"}}
    item = {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "Gateway",
        "metadata": {"name": "public", "namespace": "shop", "resourceVersion": "5"},
        "spec": {"gatewayClassName": "isthmus", "listeners": [listener]},
        "status": {"conditions": []},
    }
    events = one.take_page(page(item))
    assert told(events) == ["+public"]
    (problem,) = one.problems
    assert (problem.code, problem.field) == ("XDS0402", "spec.listeners[0].tls")
    assert events[0].object.unsupported
    listener.pop("tls")
    assert told(one.take_line(line("MODIFIED", {**item, "metadata": item["metadata"] | {"resourceVersion": "6"}}))) == ["+public"]
    assert [*one.problems] == []


# A kind that goes


def test_a_kind_that_is_gone_takes_its_objects_along():
    one = listed(service("a"), service("b", port=0))
    assert told(one.clear()) == ["-a"]
    assert [*one.problems] == []
    assert one.objects == {}
    assert query(one) == {"limit": "500"}
