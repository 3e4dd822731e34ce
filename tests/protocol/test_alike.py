from contextlib import nullcontext

import pytest

from xds.protocol import parse_delta, parse_sotw
from xds.protocol.alike import KEPT, KEPT_BYTES, LONG, SAME, SAME_BYTES, Alike, Same
from xds.protocol.requests import NAMES_ASIDE, WANTED_ASIDE, names_of, wanted_of
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
    alike = Alike(wanted_of, WANTED_ASIDE)
    first = parse_delta(delta(node="a", type_url=CLUSTER), alike)
    second = parse_delta(delta(node="b", nonce="7", turn=-1), alike)
    assert second.subscribe is first.subscribe
    assert second.initial_versions is first.initial_versions
    assert (first.type_url, first.nonce, first.node.id) == (CLUSTER, "", "a")
    assert (second.type_url, second.nonce, second.node.id) == (ENDPOINT, "7", "b")
    assert second == parse_delta(delta(nonce="7"))


def test_what_differs_is_another_value():
    alike = Alike(wanted_of, WANTED_ASIDE)
    parse_delta(delta(), alike)
    assert parse_delta(delta(names=[*NAMES, "other"]), alike) == parse_delta(delta(names=[*NAMES, "other"]))
    names = Alike(names_of, NAMES_ASIDE)
    messages = [
        envoy.DiscoveryRequest(resource_names=some, version_info=v) for some, v in ((NAMES, "1"), (NAMES, "2"), (NAMES[1:], ""))
    ]
    a, b, c = (parse_sotw(message.SerializeToString(), names) for message in messages)
    assert a.names is b.names
    assert (a.version, b.version) == ("1", "2")
    assert c.names == frozenset(NAMES[1:])


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
    alike = Alike(lambda message: made.append(message) or names_of(message), NAMES_ASIDE)

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
