"""What a stream says of whether it has something to say: the server polls it only then."""

from xds.protocol import DeltaRequest, DeltaStream, Encoder, SotwRequest, SotwStream
from xds.snapshot.resource import Resource
from xds.snapshot.snapshot import ChangeSet, Snapshot
from xds.snapshot.table import Table
from xds.wire import ENDPOINT

NOW_S = 1000.0


def snapshot(body: bytes) -> Snapshot:
    return Snapshot("view", {ENDPOINT: Table({"web": Resource.of(ENDPOINT, "web", body)})})


def change() -> ChangeSet:
    return ChangeSet("view", {ENDPOINT: frozenset(("web",))})


def test_an_ack_leaves_nothing_to_say() -> None:
    stream = DeltaStream(Encoder())
    assert not stream.pending
    stream.on_request(DeltaRequest(ENDPOINT, ("web",)), NOW_S)
    assert stream.pending
    (response,) = stream.poll(snapshot(b"1"), NOW_S)
    assert not stream.pending
    stream.on_request(DeltaRequest(ENDPOINT, nonce=response.nonce), NOW_S)
    assert not stream.pending
    stream.on_change(ChangeSet("view", {ENDPOINT: frozenset(("other",))}))
    assert not stream.pending
    stream.on_change(change())
    assert stream.pending


def test_a_nack_leaves_something_to_say_if_the_client_named_nothing() -> None:
    stream = DeltaStream(Encoder())
    stream.on_request(DeltaRequest(ENDPOINT, ("web", "api")), NOW_S)
    available = Table({name: Resource.of(ENDPOINT, name, b"") for name in ("web", "api")})
    (response,) = stream.poll(Snapshot("view", {ENDPOINT: available}), NOW_S)
    stream.on_request(DeltaRequest(ENDPOINT, nonce=response.nonce, error="no"), NOW_S)
    assert stream.pending


def test_what_changed_while_a_response_is_in_flight_is_due_once_it_is_answered() -> None:
    stream = SotwStream(Encoder())
    stream.on_request(SotwRequest(ENDPOINT, ("web",)), NOW_S)
    (response,) = stream.poll(snapshot(b"1"), NOW_S)
    stream.on_change(change())
    assert not stream.pending
    stream.on_request(SotwRequest(ENDPOINT, ("web",), response.version, response.nonce), NOW_S)
    assert stream.pending
