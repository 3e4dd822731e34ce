import pytest

from xds.protocol import DeltaRequest, DeltaStream, Encoder
from xds.protocol.claims import Claims
from xds.protocol.holdings import Claim
from xds.protocol.ledger import State
from xds.snapshot.resource import Resource
from xds.snapshot.store import SnapshotStore
from xds.snapshot.table import Table
from xds.wire import ENDPOINT

THERE = {name: Resource.of(ENDPOINT, name, name.encode()) for name in "abc"}
CLAIMS = Claims({"a": THERE["a"].version, "b": "old", "x": "gone"})


def test_claims_beside_what_there_is():
    found = CLAIMS.compared(Table(THERE))
    assert found.held == {"a": THERE["a"], "b": Claim("old"), "x": Claim("gone")}
    assert found.outdated == {"b", "x"}
    assert found.unclaimed == {"c"}
    assert found.perishable == frozenset()


def test_what_is_found_out_is_found_out_once():
    table, names = Table(THERE), frozenset("abx")
    assert CLAIMS.compared(table) is CLAIMS.compared(table)
    assert CLAIMS.compared(Table(THERE)) is not CLAIMS.compared(table)
    assert CLAIMS.among(names) is CLAIMS
    only = frozenset("a")
    assert CLAIMS.among(only) is CLAIMS.among(only)
    assert CLAIMS.among(only) == {"a": THERE["a"].version}
    assert CLAIMS.lacking(frozenset("ac")) == {"c"}
    assert CLAIMS.without(frozenset("c")) is CLAIMS
    assert CLAIMS.without(frozenset("ax")) == {"b": "old"}


@pytest.fixture
def store():
    store = SnapshotStore()
    store.publish("v", {ENDPOINT: THERE}, at_s=0, trigger="")
    return store


def came_with(store, **versions):
    """Return the stream of a client that asks for all that there is and says that it holds these versions; it is settled."""
    stream = DeltaStream(Encoder("test"))
    stream.on_request(DeltaRequest(ENDPOINT, tuple(THERE), initial_versions=versions), 1)
    stream.settle(ENDPOINT, store.current("v"), 2)
    return stream


def test_who_came_with_all_that_there_is_needs_no_poll(store):
    stream = came_with(store, **{name: resource.version for name, resource in THERE.items()})
    assert not stream.pending
    assert (stream.ledger.types[ENDPOINT].state, stream.ledger.types[ENDPOINT].since_s) == (State.SYNCED, 2)
    stream.on_change(store.publish("v", {ENDPOINT: {"b": Resource.of(ENDPOINT, "b", b"new")}}, at_s=0, trigger=""))
    assert [sorted(response.content) for response in stream.poll(store.current("v"), 3)] == [["b"]]


def test_who_came_with_less_or_else_is_polled_for_that(store):
    stream = came_with(store, a=THERE["a"].version, b="old")
    assert stream.pending
    assert stream.ledger.types[ENDPOINT].state is State.NOT_SENT
    # What is new does not travel with what changes.
    assert [sorted(response.content) for response in stream.poll(store.current("v"), 3)] == [["c"], ["b"]]


def test_who_came_with_what_it_does_not_ask_for_holds_nothing(store):
    stream = DeltaStream(Encoder("test"))
    stream.on_request(DeltaRequest(ENDPOINT, initial_versions={"a": THERE["a"].version}), 1)
    stream.settle(ENDPOINT, store.current("v"), 2)
    assert not stream.pending
    assert stream.ledger.types[ENDPOINT].state is State.NOT_SENT


def test_a_time_to_live_counts_from_the_poll(store):
    short = Resource.of(ENDPOINT, "a", b"short", ttl_s=3.0)
    store.publish("v", {ENDPOINT: {"a": short}}, at_s=0, trigger="")
    stream = came_with(store, **{name: resource.version for name, resource in THERE.items()} | {"a": short.version})
    (beat,) = stream.poll(store.current("v"), 3)
    assert list(beat.heartbeats) == ["a"]
