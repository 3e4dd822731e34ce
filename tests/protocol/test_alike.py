from contextlib import nullcontext

import pytest
from google.protobuf.message import DecodeError

from xds.protocol import decode_delta, parse_delta, parse_sotw
from xds.protocol.alike import KEPT, KEPT_BYTES, LONG, SAME, SAME_BYTES, Alike, Same, Unordered
from xds.protocol.requests import NAMES_ASIDE, WANTED_ASIDE, claims_in, names_in, wanted_in
from xds.wire import CLUSTER, ENDPOINT, envoy

NAMES = [f"s{number}" for number in range(LONG)]


def delta(*, names=NAMES, nonce="", node="n", type_url=ENDPOINT, turn=1):
    versions = {name: f"v-{name}" for name in names[::turn]}
    return envoy.DeltaDiscoveryRequest(
        type_url=type_url,
        node=envoy.Node(id=node),
        resource_names_subscribe=names,
        initial_resource_versions=versions,
        response_nonce=nonce,
    ).SerializeToString()


def test_requests_of_many_clients_that_say_the_same_are_made_values_once():
    alike, claims_of = Alike(wanted_in, WANTED_ASIDE), Unordered(claims_in).value_of
    first = parse_delta(delta(node="a", type_url=CLUSTER), alike, claims_of)
    second = parse_delta(delta(node="b", nonce="7", turn=-1), alike, claims_of)
    assert second.subscribe is first.subscribe
    assert second.initial_versions is first.initial_versions
    assert (first.type_url, first.nonce, first.node.id) == (CLUSTER, "", "a")
    assert (second.type_url, second.nonce, second.node.id) == (ENDPOINT, "7", "b")
    assert second == parse_delta(delta(nonce="7"))


def entries(versions):
    """Return the entries of a map as they are sent."""
    return [
        parsed.initial_resource_versions[0]
        for item in versions
        if (parsed := decode_delta(envoy.DeltaDiscoveryRequest(initial_resource_versions=dict([item])).SerializeToString()))
    ]


def test_maps_that_say_the_same_in_any_order_are_made_a_value_once():
    made = []
    found = Unordered(lambda some: made.append(some) or claims_in(some))
    said = entries([(name, "1") for name in NAMES])
    other = entries([(name, "1") for name in NAMES[:-1]] + [(NAMES[-1], "2")])
    first, second = found.value_of(said), found.value_of(other)
    assert second == first | {NAMES[-1]: "2"}
    for some, value in ((said, first), (other, second)):
        assert found.value_of(some[::-1]) is value
        assert found.value_of(some[3:] + some[:3]) is value
    assert len(made) == 2
    assert found.value_of(said[:-1]) == dict.fromkeys(NAMES[:-1], "1")
    assert found.value_of([*said, *entries([("more", "1")])]) == first | {"more": "1"}


def test_of_a_key_that_is_there_twice_the_last_one_counts():
    found = Unordered(claims_in)
    whole = entries([(name, "1") for name in [*NAMES, "more"]])
    assert found.value_of(whole) == found.value_of(whole[::-1])
    twice = [*whole[:-1], whole[0]]  # as many entries, all of them known, and not the same
    assert found.value_of(twice) == dict.fromkeys(NAMES, "1")
    newer = entries([(NAMES[0], "2")])
    for _ in range(2):
        assert found.value_of([*whole, *newer])[NAMES[0]] == "2"
        assert found.value_of([*newer, *whole])[NAMES[0]] == "1"


def test_a_map_that_is_refused_is_not_remembered():
    found = Unordered(claims_in)
    for _ in range(2):
        with pytest.raises(DecodeError):
            found.value_of([*entries([(name, "1") for name in NAMES]), b"\xff"])
    made = []
    found = Unordered(lambda some: made.append(some) or claims_in(some))
    for number in range(KEPT + 1):
        found.value_of(entries([(name, str(number)) for name in NAMES]))
    found.value_of(entries([(name, str(KEPT)) for name in NAMES]))
    assert len(made) == KEPT + 1
    found.value_of(entries([(name, "0") for name in NAMES]))  # forgotten meanwhile
    assert len(made) == KEPT + 2


def test_what_differs_is_another_value():
    alike = Alike(wanted_in, WANTED_ASIDE)
    parse_delta(delta(), alike)
    assert parse_delta(delta(names=[*NAMES, "other"]), alike) == parse_delta(delta(names=[*NAMES, "other"]))
    names = Alike(names_in, NAMES_ASIDE)
    messages = [
        envoy.DiscoveryRequest(resource_names=some, version_info=v) for some, v in ((NAMES, "1"), (NAMES, "2"), (NAMES[1:], ""))
    ]
    a, b, c = (parse_sotw(message.SerializeToString(), names) for message in messages)
    assert a.names is b.names
    assert (a.version, b.version) == ("1", "2")
    assert c.names == frozenset(NAMES[1:])


def test_what_is_remembered_of_a_request_is_what_it_is_compared_by():
    alike = Alike(wanted_in, WANTED_ASIDE)
    message = decode_delta(delta())
    parse_delta(message, alike)
    ((kept, _, size_bytes),) = alike._recent
    assert kept is not message  # which has all that it ever held in its memory, as long as it lives
    assert size_bytes == kept.ByteSize() == sum(len(name) + 2 for name in NAMES)


def test_what_is_refused_is_not_remembered():
    asked = []

    def refuse(message):
        asked.append(message)
        raise ValueError("too long")

    alike = Alike(refuse, WANTED_ASIDE)
    for _ in range(2):
        with pytest.raises(ValueError, match="too long"):
            parse_delta(delta(), alike)
    assert len(asked) == 2


def test_little_is_remembered_whatever_clients_say():
    made = []
    alike = Alike(lambda message: made.append(message) or names_in(message), NAMES_ASIDE)

    def say(*names):
        parse_sotw(envoy.DiscoveryRequest(resource_names=names).SerializeToString(), alike)

    for number in range(KEPT + 1):
        say(*NAMES, f"x{number}")
    say(*NAMES, "x0")  # forgotten meanwhile
    assert len(made) == KEPT + 2
    say(*NAMES, "x" * KEPT_BYTES)
    say(*NAMES, "x" * KEPT_BYTES)
    assert len(made) == KEPT + 4
    say("short")
    say("short")
    assert len(made) == KEPT + 6


def test_the_same_bytes_are_made_a_value_once():
    made = []

    def make(data):
        made.append(data)
        if data == b"bad":
            raise ValueError("bad")
        return [data]

    same = Same(make, lambda value: value != [b"mine"])
    first = same.value_of(b"ack")
    assert same.value_of(bytes(bytearray(b"ack"))) is first
    for data in (b"mine", b"mine", b"bad", b"bad", b"x" * (SAME_BYTES + 1), b"x" * (SAME_BYTES + 1)):
        with pytest.raises(ValueError, match="bad") if data == b"bad" else nullcontext():
            assert same.value_of(data) == [data]
    assert len(made) == 7
    for number in range(SAME - 1):
        same.value_of(b"%d" % number)
        assert same.value_of(b"ack") is first
    for number in range(SAME):
        same.value_of(b"%d" % (100 + number))
    assert same.value_of(b"ack") is not first
