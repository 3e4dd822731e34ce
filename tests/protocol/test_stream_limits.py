"""What keeps streams small and quick, whoever is at the other end."""

import pytest

from xds.protocol import DeltaRequest, DeltaStream, Encoder, SotwRequest, SotwStream, State
from xds.protocol.delta import IN_FLIGHT
from xds.snapshot.resource import Resource
from xds.snapshot.snapshot import ChangeSet, Snapshot
from xds.snapshot.table import Table
from xds.wire import CLUSTER, ENDPOINT, envoy


def snapshot(type_url, **bodies):
    return Snapshot("view", {type_url: Table({name: Resource.of(type_url, name, body) for name, body in bodies.items()})})


def changed(type_url, *names):
    return ChangeSet("view", {type_url: frozenset(names)})


@pytest.fixture
def stream():
    return DeltaStream(Encoder())


def test_a_client_that_never_answers_costs_no_more_than_a_few_responses(stream):
    stream.on_request(DeltaRequest(CLUSTER), 0)
    for number in range(3 * IN_FLIGHT):
        stream.on_change(changed(CLUSTER, "a"))
        assert len(stream.poll(snapshot(CLUSTER, a=b"%d" % number), 0)) == 1
    assert len(stream._types[CLUSTER].in_flight) == IN_FLIGHT
    # An answer to what was forgotten is a stale nonce, an answer to what is remembered is not.
    stream.on_request(DeltaRequest(CLUSTER, nonce="1"), 0)
    stream.on_request(DeltaRequest(CLUSTER, nonce=str(3 * IN_FLIGHT)), 0)
    status = stream.ledger.types[CLUSTER]
    assert (status.stale_nonces, status.acks, status.state) == (1, 1, State.STALE)


def test_what_a_client_rejects_late_is_sent_again(stream):
    bodies = {"a": b"1", "bad": b"1"}
    stream.on_request(DeltaRequest(CLUSTER), 0)
    (first,) = stream.poll(snapshot(CLUSTER, **bodies), 0)
    for number in range(2 * IN_FLIGHT):
        stream.on_change(changed(CLUSTER, "c"))
        bodies["c"] = b"%d" % number
        stream.poll(snapshot(CLUSTER, **bodies), 0)
    stream.on_request(DeltaRequest(CLUSTER, nonce=first.nonce, error="bad: no"), 1)
    assert stream.withheld(CLUSTER).keys() == {"bad"}
    (rest,) = stream.poll(snapshot(CLUSTER, **bodies), 1)
    assert rest.names == {"a"}


@pytest.mark.parametrize("kind", ["delta", "sotw"])
def test_a_client_that_rejects_everything_is_given_up_on(kind):
    names = [f"n{number}" for number in range(1000)]
    stream = DeltaStream(Encoder()) if kind == "delta" else SotwStream(Encoder())
    world = snapshot(ENDPOINT, **dict.fromkeys(names, b"x"))
    request = DeltaRequest(ENDPOINT, tuple(names)) if kind == "delta" else SotwRequest(ENDPOINT, tuple(names))
    stream.on_request(request, 0)
    waiting = stream.poll(world, 0)
    rejections = 0
    while waiting:
        nonce = waiting.pop(0).nonce
        rejections += 1
        if kind == "delta":
            stream.on_request(DeltaRequest(ENDPOINT, nonce=nonce, error="no"), 0)
        else:
            stream.on_request(SotwRequest(ENDPOINT, tuple(names), nonce=nonce, error="no"), 0)
        waiting += stream.poll(world, 0)
    assert 64 < rejections < 200
    assert stream.ledger.types[ENDPOINT].state == State.ERROR
    stream.resync()
    assert not stream.poll(world, 0)


def test_one_bad_resource_among_many_is_found_quickly(stream):
    names = [f"n{number}" for number in range(1000)]
    world = snapshot(ENDPOINT, **{name: b"bad" if name == "n777" else b"x" for name in names})
    stream.on_request(DeltaRequest(ENDPOINT, tuple(names)), 0)
    waiting, accepted, rejections = stream.poll(world, 0), set(), 0
    while waiting:
        response = waiting.pop(0)
        sent = {resource.name for resource in response.resources}
        error = "something is wrong" if "n777" in sent else None
        accepted |= set() if error else sent
        rejections += error is not None
        stream.on_request(DeltaRequest(ENDPOINT, nonce=response.nonce, error=error), 0)
        waiting += stream.poll(world, 0)
    assert accepted == set(names) - {"n777"}
    assert rejections <= 11


def test_responses_stay_below_the_limit(stream):
    stream = DeltaStream(Encoder("us"), response_bytes=10_000)
    world = snapshot(CLUSTER, **{f"n{number}": bytes(number * 10) for number in range(200)})
    stream.on_request(DeltaRequest(CLUSTER), 0)
    responses = stream.poll(world, 0)
    assert len(responses) > 20
    assert all(len(response.body) < 11_000 for response in responses)
    assert sum(len(response.resources) for response in responses) == 200
    stream.resync()
    gone = stream.poll(snapshot(CLUSTER), 0)
    assert sorted(name for response in gone for name in response.removed) == sorted(world.resources(CLUSTER))


def test_many_removals_are_split_too():
    stream = DeltaStream(Encoder(), response_bytes=1000)
    names = [f"name-{number:04}" for number in range(300)]
    stream.on_request(DeltaRequest(ENDPOINT, tuple(names)), 0)
    responses = stream.poll(snapshot(ENDPOINT), 0)
    assert len(responses) > 2
    assert all(len(response.body) < 1200 for response in responses)
    assert [name for response in responses for name in response.removed] == names


@pytest.mark.parametrize("kind", ["delta", "sotw"])
def test_subscriptions_are_one_object_until_they_change(kind):
    stream, make = (DeltaStream(Encoder()), DeltaRequest) if kind == "delta" else (SotwStream(Encoder()), SotwRequest)
    stream.on_request(make(ENDPOINT, ("a", "b")), 0)
    before, changes = stream.subscriptions()[ENDPOINT], stream.subscription_changes
    assert before == (False, frozenset("ab"))
    stream.on_request(make(ENDPOINT, ("b", "a")), 0)
    assert stream.subscriptions()[ENDPOINT] is before
    assert stream.subscription_changes == changes
    stream.on_request(make(ENDPOINT, ("a", "b", "c")), 0)
    assert stream.subscriptions()[ENDPOINT] == (False, frozenset("abc"))
    assert stream.subscription_changes == changes + 1


def test_what_nobody_asked_for_is_not_gathered(stream):
    stream.on_request(DeltaRequest(ENDPOINT, ("a",)), 0)
    stream.poll(snapshot(ENDPOINT, a=b"1"), 0)
    for number in range(100):
        stream.on_change(changed(ENDPOINT, f"other-{number}"))
        stream.on_change(changed(CLUSTER, f"other-{number}"))
    assert not stream._types[ENDPOINT].interest.pending
    assert not stream.poll(snapshot(ENDPOINT, a=b"1"), 0)


def test_a_thousand_streams_share_the_bytes_of_a_change():
    encoder, world = Encoder(), snapshot(ENDPOINT, a=b"1", b=b"2")
    streams = [DeltaStream(encoder) for _ in range(1000)]
    for stream in streams:
        stream.on_request(DeltaRequest(ENDPOINT, ("a", "b")), 0)
        stream.poll(world, 0)
    bodies = set()
    for stream in streams:
        stream.on_change(changed(ENDPOINT, "a"))
        bodies |= {id(response.body) for response in stream.poll(snapshot(ENDPOINT, a=b"new", b=b"2"), 0)}
    assert len(bodies) == 1
    assert envoy.DeltaDiscoveryResponse.FromString(stream._types[ENDPOINT].in_flight["2"][0].body).resources[0].name == "a"
