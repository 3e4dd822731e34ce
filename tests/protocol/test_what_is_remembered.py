"""What is remembered of a client does not grow with how long it is connected, or with how often it asks."""

import pytest
from protocol_script import resource, type_url

from xds.protocol import DeltaRequest, DeltaStream, Encoder, SotwRequest, SotwStream
from xds.protocol.deliveries import KEPT
from xds.protocol.kind import SPARES
from xds.protocol.layers import Layered
from xds.snapshot.store import SnapshotStore

VIEW = "view"
EVERY_TYPE = ("cds", "eds", "lds", "rds")


def world(*resources):
    store = SnapshotStore()
    changes = {}
    for kind, name, content in resources:
        changes.setdefault(type_url(kind), {})[name] = resource(kind, name, content)
    store.publish(VIEW, changes, at_s=0, trigger="")
    return store.current(VIEW)


def ask(stream, snapshot, kind, *, subscribe=(), unsubscribe=(), now_s=0.0, answers=True):
    stream.on_request(DeltaRequest(type_url(kind), tuple(subscribe), tuple(unsubscribe)), now_s)
    for response in stream.poll(snapshot, now_s):
        if answers:
            stream.on_request(DeltaRequest(response.type_url, nonce=response.nonce), now_s)


def client_of(stream, kind):
    return stream._types[type_url(kind)].interest.client


def test_a_client_that_asks_for_one_name_after_the_other():
    stream, snapshot = DeltaStream(Encoder("test")), world()
    for number in range(20 * KEPT):
        gone = [f"n{number - 1}"] if number else []
        ask(stream, snapshot, "eds", subscribe=[f"n{number}"], unsubscribe=gone, now_s=float(number))
    assert len(client_of(stream, "eds").deliveries._kept) <= 3 * KEPT


def test_clusters_that_come_and_go():
    stream, store = DeltaStream(Encoder("test")), SnapshotStore()
    store.publish(VIEW, {}, at_s=0, trigger="")
    ask(stream, store.current(VIEW), "cds")
    for number in range(20 * KEPT):
        changes = {f"c{number}": resource("cds", f"c{number}", "1"), f"c{number - 1}": None}
        stream.on_change(store.publish(VIEW, {type_url("cds"): changes}, at_s=0, trigger=""))
        for response in stream.poll(store.current(VIEW), float(number)):
            stream.on_request(DeltaRequest(response.type_url, nonce=response.nonce), float(number))
    assert len(client_of(stream, "cds").deliveries._kept) <= 3 * KEPT


def test_a_client_that_asks_for_its_listeners_again_and_again_and_never_for_their_routes():
    stream, snapshot = DeltaStream(Encoder("test")), world(("lds", "l", "1>r"), ("rds", "r", "1"), ("rds", "s", "1"))
    ask(stream, snapshot, "lds")
    ask(stream, snapshot, "rds", subscribe=["s"])
    for number in range(500):
        ask(stream, snapshot, "lds", subscribe=["*"], now_s=number / 1000)
    assert len(client_of(stream, "lds").replaced) <= 1


def test_a_client_that_asks_for_a_cluster_again_and_again_and_answers_nothing():
    stream, store = DeltaStream(Encoder("test")), SnapshotStore()
    ask(stream, world(("cds", "c", "1"), ("eds", "c", "1")), "eds", subscribe=["x"])
    for number in range(10 * SPARES):
        change = store.publish(VIEW, {type_url("cds"): {"c": resource("cds", "c", str(number))}}, at_s=0, trigger="")
        stream.on_change(change)
        ask(stream, store.current(VIEW), "cds", subscribe=["c"], now_s=number / 1000, answers=False)
    assert len(stream._types[type_url("eds")].spares) <= SPARES + 1


@pytest.mark.parametrize("aggregated", [True, False])
@pytest.mark.parametrize("variant", [DeltaStream, SotwStream])
def test_a_client_that_asks_for_clusters_and_never_for_their_endpoints(variant, aggregated):
    stream, store, cds = variant(Encoder("test"), aggregated=aggregated), SnapshotStore(), type_url("cds")
    store.publish(VIEW, {}, at_s=0, trigger="")
    request = DeltaRequest if variant is DeltaStream else SotwRequest
    stream.on_request(request(cds), 0)
    for number in range(3 * SPARES):
        changes = {f"c{number}": resource("cds", f"c{number}", "1"), f"c{number - 1}": None}
        stream.on_change(store.publish(VIEW, {cds: changes}, at_s=0, trigger=""))
        for response in stream.poll(store.current(VIEW), float(number)):
            stream.on_request(request(cds, nonce=response.nonce), float(number))
    kept = [spare for spares in stream._spares.values() for spare in spares]
    assert len(kept) <= (SPARES + 1 if aggregated else 0)
    assert aggregated or not getattr(stream, "_followers_due", None)


def test_endpoints_that_were_answered_travel_together_from_then_on():
    """A client that ACKs clusters before it asks for endpoints has them all once it has ACKed those, too."""
    names = ("a", "b", "c")
    stream, store = DeltaStream(Encoder("test")), SnapshotStore()
    resources = {
        type_url(kind): {name: resource(kind, name, content) for name in names} for kind, content in (("cds", "1"), ("eds", "1"))
    }
    store.publish(VIEW, resources, at_s=0, trigger="")
    ask(stream, store.current(VIEW), "cds")
    ask(stream, store.current(VIEW), "eds", subscribe=names)
    stream.on_change(
        store.publish(VIEW, {type_url("eds"): {name: resource("eds", name, "2") for name in names}}, at_s=0, trigger="")
    )
    assert [response.names for response in stream.poll(store.current(VIEW), 1.0)] == [frozenset(names)]


def test_an_ack_of_one_of_several_responses_with_much_looks_for_what_to_share_once(monkeypatch):
    names = [f"n{number}" for number in range(1000)]
    snapshot = world(*(("eds", name, "x" * 100) for name in names))
    stream = DeltaStream(Encoder("test"), response_bytes=100_000)
    stream.on_request(DeltaRequest(type_url("eds"), tuple(names)), 0)
    first, *others = stream.poll(snapshot, 0)
    settled = []
    original = Layered._settle
    monkeypatch.setattr(Layered, "_settle", lambda layered: settled.append(original(layered)))
    stream.on_request(DeltaRequest(first.type_url, nonce=first.nonce), 0)
    assert len(settled) <= 1
    client = client_of(stream, "eds")
    assert others
    assert client.before.keys() == {name for response in others for name in response.content}
    for response in others:
        stream.on_request(DeltaRequest(response.type_url, nonce=response.nonce), 0)
    assert not client.before
