import pytest
from google.protobuf.message import DecodeError

from xds.protocol import DeltaRequest, SotwRequest, parse_delta, parse_sotw
from xds.protocol.requests import ERROR_CHARS
from xds.wire import CLUSTER, envoy


def test_a_delta_request():
    message = envoy.DeltaDiscoveryRequest(
        type_url=CLUSTER,
        resource_names_subscribe=["a", "b"],
        resource_names_unsubscribe=["c"],
        initial_resource_versions={"a": "1"},
        response_nonce="7",
        node=envoy.Node(id="n"),
    )
    expected = DeltaRequest(CLUSTER, frozenset("ab"), frozenset("c"), {"a": "1"}, "7")
    request = parse_delta(message.SerializeToString())
    assert request == expected
    assert request.node is not None
    assert request.node.id == "n"


def test_a_state_of_the_world_request():
    message = envoy.DiscoveryRequest(type_url=CLUSTER, resource_names=["a"], version_info="v", response_nonce="7")
    request = parse_sotw(message.SerializeToString())
    assert request == SotwRequest(CLUSTER, frozenset("a"), "v", "7")
    assert request.node is None


def test_an_empty_error_is_still_an_error():
    status = envoy.Status()
    assert parse_delta(envoy.DeltaDiscoveryRequest(error_detail=status).SerializeToString()).error == ""
    assert parse_sotw(envoy.DiscoveryRequest(error_detail=status).SerializeToString()).error == ""
    status.message = "no"
    assert parse_delta(envoy.DeltaDiscoveryRequest(error_detail=status).SerializeToString()).error == "no"
    assert parse_delta(b"").error is None


@pytest.mark.parametrize(("parse", "message"), [(parse_delta, envoy.DeltaDiscoveryRequest), (parse_sotw, envoy.DiscoveryRequest)])
def test_of_an_endless_error_the_beginning_is_kept(parse, message):
    text = "no " * 1_000_000
    assert parse(message(error_detail=envoy.Status(message=text)).SerializeToString()).error == text[:ERROR_CHARS]


def test_a_node_in_two_pieces_is_one():
    pieces = [envoy.Node(id="n", locality={"region": "eu"}), envoy.Node(cluster="web", locality={"zone": "a"})]
    request = parse_delta(b"".join([envoy.DeltaDiscoveryRequest(node=piece).SerializeToString() for piece in pieces]))
    assert request.node == envoy.Node(id="n", cluster="web", locality={"region": "eu", "zone": "a"})


def test_what_is_said_of_the_node_and_of_what_is_held_must_be_text():
    whole = envoy.DeltaDiscoveryRequest(initial_resource_versions={"a": "同"}, resource_names_subscribe=["b"])
    assert parse_delta(whole.SerializeToString()).initial_versions == {"a": "同"}
    for message in (whole, envoy.DeltaDiscoveryRequest(node=envoy.Node(id="同"))):
        with pytest.raises(DecodeError):
            parse_delta(message.SerializeToString().replace("同".encode(), b"\xe5\x90?"))


@pytest.mark.parametrize("parse", [parse_delta, parse_sotw])
def test_garbage_is_refused(parse):
    with pytest.raises(DecodeError):
        parse(b"\xff\xff\xff")


@pytest.mark.parametrize(("parse", "message"), [(parse_delta, envoy.DeltaDiscoveryRequest), (parse_sotw, envoy.DiscoveryRequest)])
def test_an_error_that_is_cut_within_a_character_is_an_error(parse, message):
    status = envoy.Status(code=13, message="cut: 同")
    whole = message(type_url=CLUSTER, response_nonce="7", error_detail=status).SerializeToString()
    assert whole.count("同".encode()) == 1
    request = parse(whole.replace("同".encode(), b"\xe5\x90?"))
    assert (request.type_url, request.nonce, request.error) == (CLUSTER, "7", "cut: \ufffd?")


@pytest.mark.parametrize(("parse", "message"), [(parse_delta, envoy.DeltaDiscoveryRequest), (parse_sotw, envoy.DiscoveryRequest)])
def test_a_name_that_is_no_text_is_refused(parse, message):
    whole = message(type_url="cut: 同", error_detail=envoy.Status(message="no")).SerializeToString()
    with pytest.raises(DecodeError):
        parse(whole.replace("同".encode(), b"\xe5\x90?"))
