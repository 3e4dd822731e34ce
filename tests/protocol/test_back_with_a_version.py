"""State of the world: who comes back with a version is told the same by the way that a crowd shares, and by the long one."""

import gc

import pytest
from protocol_script import resource, type_url

from xds.protocol import Encoder, SotwRequest, SotwStream
from xds.protocol.sotw import _UNCERTAIN, _SotwType
from xds.snapshot.store import SnapshotStore

VIEW = "view"
CDS, EDS = type_url("cds"), type_url("eds")
NAMES = frozenset(("a", "b", "c"))


@pytest.fixture
def store():
    store = SnapshotStore()
    content = {name: resource("cds", name, "1") for name in NAMES}, {name: resource("eds", name, "1") for name in NAMES}
    store.publish(VIEW, dict(zip((CDS, EDS), content, strict=True)), at_s=0, trigger="")
    return store


QUICK = {
    "nothing else": {},
    "one is bad": {"error": "a is bad"},
    "something is bad": {"error": "something is bad"},
    "one name": {"names": frozenset("a")},
    "everything": {"names": frozenset("*")},
    "fewer names meanwhile": {"rename": frozenset("ab")},
    "a change meanwhile": {"change": {"a": resource("eds", "a", "2")}},
    "gone meanwhile": {"change": {"a": None}},
    "a change, and it was bad": {"change": {"a": resource("eds", "a", "2")}, "error": "a is bad"},
}
LONG = {
    "one is missing": {"names": NAMES | {"missing"}},
    "more names meanwhile": {"rename": NAMES | {"missing"}},
}
"""Who is told name by name, either way."""


def said(responses):
    return [(r.type_url, sorted(r.content), r.version) for r in responses]


def statuses(stream):
    return [(one.name, one.state, one.version, one.accepted_version) for one in stream.resources(EDS)]


def back(store, encoder, *, names=NAMES, error=None, change=None, rename=None):
    """Return what a client of endpoints is told that comes back, and how it stands in between."""
    stream, seen = SotwStream(encoder), []
    stream.on_request(SotwRequest(EDS, names, version="earlier"), 0)
    if rename:
        stream.on_request(SotwRequest(EDS, rename, version="earlier"), 0)
    responses = stream.poll(store.current(VIEW), 1)
    seen += [said(responses), statuses(stream)]
    if change:
        stream.on_change(store.publish(VIEW, {EDS: change}, at_s=0, trigger=""))
    for response in responses:
        stream.on_request(SotwRequest(EDS, rename or names, "earlier" if error else response.version, response.nonce, error), 2)
    seen += [said(stream.poll(store.current(VIEW), 3)), statuses(stream), stream.deadline_s()]
    return seen, responses


@pytest.mark.parametrize("case", [*QUICK, *LONG])
def test_the_quick_way_says_what_the_long_one_does(store, case, monkeypatch):
    before, given, parts = store.current(VIEW).resources(EDS), (QUICK | LONG)[case], []
    take_part = _SotwType.take_part
    monkeypatch.setattr(_SotwType, "take_part", lambda *args: parts.append(args[0].last is None) or take_part(*args))
    quick, _ = back(store, Encoder("test"), **given)
    assert (True in parts) is (case in LONG)
    store.publish(VIEW, {EDS: dict(before)}, at_s=0, trigger="")
    monkeypatch.setattr(_SotwType, "asks_anew", False)
    assert back(store, Encoder("test"), **given)[0] == quick


def test_a_crowd_that_comes_back_is_sent_the_same_bytes(store, monkeypatch):
    encoder = Encoder("test")
    (_, (first,)), (_, (second,)) = back(store, encoder), back(store, encoder)
    assert second is first
    monkeypatch.setattr(_SotwType, "take_part", None)  # nobody looks at one name after the other
    assert back(store, encoder)[1] == [first]


def test_who_holds_everything_shares_it_with_others_who_do_as_long_as_one_does(store):
    encoder = Encoder("test")

    def holds_all():
        stream = SotwStream(encoder)
        stream.on_request(SotwRequest(CDS, version=store.current(VIEW).type_version(CDS)), 0)
        assert stream.poll(store.current(VIEW), 1) == []
        return stream

    streams = [holds_all(), holds_all()]
    first, second = (stream._types[CDS].interest.client.held for stream in streams)
    assert dict(first) == dict(store.current(VIEW).resources(CDS))
    assert first._ground is second._ground
    del first, second, streams
    gc.collect()
    assert not encoder._wholes


def test_what_is_uncertain_is_remembered_until_it_is_answered(store):
    names = frozenset(("a", "b", "c", "d"))
    store.publish(VIEW, {EDS: {name: resource("eds", name, "1") for name in names}}, at_s=0, trigger="")
    stream = SotwStream(Encoder("test"))
    stream.on_request(SotwRequest(EDS, names, version="earlier"), 0)
    (response,) = stream.poll(store.current(VIEW), 1)
    assert names in _UNCERTAIN
    stream.on_request(SotwRequest(EDS, names, response.version, response.nonce), 2)
    assert names not in _UNCERTAIN
