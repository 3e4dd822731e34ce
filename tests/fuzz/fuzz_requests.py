"""First requests: bytes become a request and a view, or the stream ends with one of the errors that it is known to end with."""

from __future__ import annotations

from dataclasses import replace

from fuzz_draw import Draw
from google.protobuf.message import DecodeError

from xds.errors import NodeRejectedError
from xds.model.members import Member
from xds.model.node import view_of
from xds.protocol import DeltaRequest
from xds.server.bounds import check_subscriptions, parser
from xds.server.ending import TEXT_LIMIT, StreamEndError
from xds.server.limits import Limits
from xds.server.node import node_of
from xds.server.services import SERVICES
from xds.wire import envoy

LIMITS = replace(Limits(), names=8, name_chars=16, type_url_chars=64, node_bytes=4096)
KINDS = {str(kind): parser(kind, LIMITS) for methods in SERVICES.values() for kind in methods.values()}
PARSERS = (KINDS["ads delta"], KINDS["ads sotw"])
MEMBERS = {"east": Member("east", region="eu", zones=("a", "b")), "west": Member("west", region="us", network="far")}
KEYS = ("cluster", "network", "namespace", "role", "intercept", "listen", "gateway", "node_name", "labels", "odd")
TEXTS = ("east", "west", "far", "sidecar", "gateway", "proxyless", "transparent", "127.0.0.1:80", "[::1]:0", "a/b")


def run(data: bytes) -> None:
    """The first byte says which method, and whether the rest is a request or choices that make a node."""
    draw = Draw(data)
    choice = draw.byte()
    message = draw.rest() if choice & 2 else _made(draw, delta=not choice & 1)
    try:
        request = PARSERS[choice & 1](message)
    except DecodeError:
        return
    except StreamEndError as end:
        _check_text(str(end))
        return
    _check(request)
    if request.node is None:
        return
    node = node_of(request.node)
    try:
        view, problems = view_of(node, MEMBERS, by_node=bool(choice & 4))
    except NodeRejectedError:
        return
    hash(view)
    assert sum(len(str(problem)) for problem in problems) < 60 * LIMITS.node_bytes


def _check_text(text: str) -> None:
    assert len(text) <= TEXT_LIMIT + 50


def _check(request) -> None:
    if isinstance(request, DeltaRequest):
        texts = [*request.subscribe, *request.initial_versions, *request.initial_versions.values()]
        assert len(request.subscribe) <= LIMITS.names >= len(request.initial_versions)
    else:
        texts = [*request.names]
        assert len(texts) <= LIMITS.names
    assert max(map(len, texts), default=0) <= LIMITS.name_chars
    assert len(request.type_url) <= LIMITS.type_url_chars
    check_subscriptions({request.type_url: (False, texts[: LIMITS.names])}, LIMITS)


def _made(draw: Draw, *, delta: bool) -> bytes:
    message = (envoy.DeltaDiscoveryRequest if delta else envoy.DiscoveryRequest)(type_url=draw.text())
    node = message.node
    node.id, node.cluster, node.user_agent_name = draw.text(), draw.text(), draw.one_of(("", "envoy", "gRPC C-core"))
    node.locality.region, node.locality.zone = draw.one_of(("", "eu", "us", "x")), draw.one_of(("", "a", "c"))
    if draw.below(2):
        node.user_agent_build_version.version.major_number = draw.byte()
    target = node.metadata.fields["isthmus"]
    if draw.below(8) == 7:
        _fill(target, draw, 0)
    else:
        while draw.more and len(target.struct_value.fields) < 40:
            key = draw.one_of((*KEYS, draw.text()))
            if draw.below(2):
                target.struct_value.fields[key].string_value = draw.one_of(TEXTS)
            else:
                _fill(target.struct_value.fields[key], draw, 0)
    return message.SerializeToString()


def _fill(value, draw: Draw, depth: int) -> None:
    match draw.below(6):
        case 0:
            value.string_value = draw.text()
        case 1:
            value.number_value = draw.one_of((0.0, -1.5, float("nan"), float("inf"), 1e308))
        case 2:
            value.bool_value = True
        case 3 if depth < 40:
            _fill(value.list_value.values.add(), draw, depth + 1)
        case 4 if depth < 40:
            _fill(value.struct_value.fields[draw.text()], draw, depth + 1)
        case _:
            value.null_value = 0
