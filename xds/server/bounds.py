"""Bounds on what one stream may ask for: whatever exceeds them ends that stream alone, before it costs the others memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import grpc

from xds.protocol import DeltaRequest, SotwRequest, decode_delta, decode_sotw, parse_delta, parse_sotw
from xds.protocol.alike import LONG, Alike, Same, Unordered
from xds.protocol.requests import NAMES_ASIDE, WANTED_ASIDE, claims_in, names_in, wanted_in
from xds.server.ending import StreamEndError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from xds.protocol.claims import Claims
    from xds.protocol.requests import Wanted
    from xds.server.limits import Limits
    from xds.server.services import StreamKind
    from xds.wire import envoy

    Request = DeltaRequest | SotwRequest


def parser(kind: StreamKind, limits: Limits) -> Callable[[bytes], Request]:
    """Return what decodes the requests of a stream, and refuses those that name too much before names and claims are made values.

    What is said twice counts twice.

    Raises, when called:
        StreamEndError: RESOURCE_EXHAUSTED.
        google.protobuf.message.DecodeError: the bytes are not such a message.
    """

    def wanted(message: Any) -> Wanted:
        found = wanted_in(message)
        _check_lengths("a resource name", found.subscribe, limits.name_chars)
        return found

    def claims(entries: Sequence[bytes]) -> Claims:
        found = claims_in(entries)
        _check_lengths("a resource name", found, limits.name_chars)
        _check_lengths("the version of a resource", found.values(), limits.version_chars)
        return found

    def names(message: Any) -> frozenset[str]:
        found = names_in(message)
        _check_lengths("a resource name", found, limits.name_chars)
        return found

    alike_wanted, alike_claims, alike_names = Alike(wanted, WANTED_ASIDE), Unordered(claims), Alike(names, NAMES_ASIDE)

    def delta(data: bytes) -> Request:
        message = decode_delta(data)
        _check_head(message, limits)
        for field in (message.resource_names_subscribe, message.resource_names_unsubscribe, message.initial_resource_versions):
            _check_names(len(field), limits)
        return _checked(parse_delta(message, alike_wanted, alike_claims.value_of), limits)

    def sotw(data: bytes) -> Request:
        message = decode_sotw(data)
        _check_head(message, limits)
        _check_names(len(message.resource_names), limits)
        return _checked(parse_sotw(message, alike_names), limits)

    return Same(delta if kind.delta else sotw, _is_common).value_of


def _is_common(request: Request) -> bool:
    """Return whether others may send the very same bytes: not who says its name, or in an order of its own what it has."""
    return request.node is None and not (isinstance(request, DeltaRequest) and len(request.initial_versions) >= LONG)


def check_subscriptions(subscriptions: Mapping[str, tuple[bool, Any]], limits: Limits) -> None:
    """See that a stream does not subscribe to too much.

    Raises:
        StreamEndError: RESOURCE_EXHAUSTED.
    """
    _check_names(sum([len(names) for _, names in subscriptions.values()]), limits)


def check_claims(claims: int, limits: Limits) -> None:
    """See that a client does not say that it holds too much, all types of the stream together.

    These do not count among the subscriptions: a client that reconnects names most of what it holds in both.

    Raises:
        StreamEndError: RESOURCE_EXHAUSTED.
    """
    if claims > limits.names:
        what = "`initial_resource_versions`"
        raise _exhausted(f"this stream has {claims} {what}; {limits.names} is the limit: hold fewer, or over several streams")


def check_types(types: int, limits: Limits) -> None:
    """See that a stream does not ask for too many types.

    Raises:
        StreamEndError: RESOURCE_EXHAUSTED.
    """
    if types > limits.types:
        raise _exhausted(f"this stream asks for more than {limits.types} types; open another one for further types")


def check_node(node: envoy.Node, limits: Limits) -> None:
    """See that what a client says of itself may be kept.

    Raises:
        StreamEndError: RESOURCE_EXHAUSTED.
    """
    _check_node_size(node.ByteSize(), limits)
    _check_lengths("`node.id`", (node.id,), limits.name_chars)


def check_report(stats: Sequence[envoy.ClusterStats], limits: Limits) -> None:
    """See that a load report has not too much in it, before it is added up.

    Raises:
        StreamEndError: RESOURCE_EXHAUSTED.
    """
    if len(stats) > limits.report_clusters:
        raise _exhausted(f"a load report has {len(stats)} `cluster_stats`, more than {limits.report_clusters}")
    entries = sum(len(found.upstream_locality_stats) + len(found.dropped_requests) for found in stats)
    if entries > limits.report_entries:
        what = "`upstream_locality_stats` and `dropped_requests`"
        raise _exhausted(f"a load report has {entries} {what} in all, more than {limits.report_entries}")


def _check_names(names: int, limits: Limits) -> None:
    if names > limits.names:
        remedy = "subscribe to fewer, to '*', or over several streams"
        raise _exhausted(f"this stream names {names} resources; {limits.names} is the limit: {remedy}")


def _check_head(message: Any, limits: Limits) -> None:
    if message.node:
        _check_node_size(sum(map(len, message.node)), limits)
    if len(message.type_url) > limits.type_url_chars:
        raise _exhausted(f"`type_url` has {len(message.type_url)} characters, more than {limits.type_url_chars}")


def _checked(request: Request, limits: Limits) -> Request:
    if request.node is not None:
        _check_lengths("`node.id`", (request.node.id,), limits.name_chars)
    return request


def _check_node_size(size_bytes: int, limits: Limits) -> None:
    if size_bytes > limits.node_bytes:
        remedy = "leave out of its metadata what is not for the control plane"
        raise _exhausted(f"`node` has {size_bytes} bytes, more than {limits.node_bytes}: {remedy}")


def _check_lengths(what: str, texts: Iterable[str], limit: int) -> None:
    longest = max(map(len, texts), default=0)
    if longest > limit:
        raise _exhausted(f"{what} has {longest} characters, more than the {limit} that one may have")


def _exhausted(text: str) -> StreamEndError:
    return StreamEndError(grpc.StatusCode.RESOURCE_EXHAUSTED, text)
