"""State of the world: who comes back with a version is told the same by the way that a crowd shares, and by the long one."""

import pytest
from protocol_script import resource, type_url

from xds.protocol import Encoder, SotwRequest, SotwStream
from xds.protocol.sotw import _SotwType
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


def told(stream, store, *, now_s):
    return [(r.type_url, sorted(r.content), r.version) for r in stream.poll(store.current(VIEW), now_s)]


def statuses(stream):
    return [(one.name, one.state, one.version, one.accepted_version) for one in stream.resources(EDS)]


def back(store, encoder, *, names=NAMES, error=None, change=None, rename=None):
    """Return what a client of endpoints is told that comes back, and how it stands in between."""
    stream, seen = SotwStream(encoder), []
    stream.on_request(SotwRequest(EDS, names, version="earlier"), 0)
    if rename:
        stream.on_request(SotwRequest(EDS, rename, version="earlier"), 0)
    responses = stream.poll(store.current(VIEW), 1)
    seen += [[(r.type_url, sorted(r.content), r.version) for r in responses], statuses(stream)]
    if change:
        stream.on_change(store.publish(VIEW, {EDS: change}, at_s=0, trigger=""))
    for response in responses:
        stream.on_request(SotwRequest(EDS, rename or names, "earlier" if error else response.version, response.nonce, error), 2)
    seen += [told(stream, store, now_s=3), statuses(stream), stream.deadline_s()]
    return seen, responses


@pytest.mark.parametrize(
    "case",
    [
        {},
        {"error": "a is bad"},
        {"error": "something is bad"},
        {"names": NAMES | {"missing"}},
        {"names": frozenset("a")},
        {"rename": frozenset("ab")},
        {"rename": NAMES | {"missing"}},
        {"change": {"a": resource("eds", "a", "2")}},
        {"change": {"a": None}},
        {"change": {"a": resource("eds", "a", "2")}, "error": "a is bad"},
    ],
    ids=str,
)
def test_the_quick_way_says_what_the_long_one_does(store, case, monkeypatch):
    before = store.current(VIEW).resources(EDS)
    quick, _ = back(store, Encoder("test"), **case)
    store.publish(VIEW, {EDS: dict(before)}, at_s=0, trigger="")
    monkeypatch.setattr(_SotwType, "asks_anew", False)
    assert back(store, Encoder("test"), **case)[0] == quick


def test_a_crowd_that_comes_back_is_sent_the_same_bytes(store, monkeypatch):
    encoder = Encoder("test")
    (_, (first,)), (_, (second,)) = back(store, encoder), back(store, encoder)
    assert second is first
    monkeypatch.setattr(_SotwType, "take_part", None)  # nobody looks at one name after the other
    assert back(store, encoder)[1] == [first]


def test_who_holds_everything_shares_it_with_others_who_do(store):
    encoder = Encoder("test")

    def held():
        stream = SotwStream(encoder)
        stream.on_request(SotwRequest(CDS, version=store.current(VIEW).type_version(CDS)), 0)
        assert told(stream, store, now_s=1) == []
        return stream._types[CDS].interest.client.held

    first, second = held(), held()
    assert dict(first) == dict(store.current(VIEW).resources(CDS))
    assert first._ground is second._ground
