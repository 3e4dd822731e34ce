"""Requests as values: what a client says in one message of a stream."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from google.protobuf.message import DecodeError

from xds.protocol.claims import NO_CLAIMS, Claims
from xds.protocol.interest import shared
from xds.wire import envoy, message_class
from xds.wire.redaction import redacted_text

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from xds.protocol.alike import Alike

ERROR_CHARS = 64 * 1024
"""Of a client's error, that are kept: with each resource that it names, until that changes."""


@dataclass(frozen=True, slots=True)
class DeltaRequest:
    """One `DeltaDiscoveryRequest`."""

    type_url: str
    subscribe: Collection[str] = frozenset()
    unsubscribe: Collection[str] = frozenset()
    initial_versions: Mapping[str, str] = field(default_factory=Claims)
    """Name -> version of what the client holds; means something only in the first request of a type (R17)."""
    nonce: str = ""
    error: str | None = None
    """The message of `error_detail`; not None makes it a NACK, even if it is empty (R13)."""
    node: envoy.Node | None = field(default=None, compare=False)
    """Guaranteed only in the first message of a stream (R16a)."""


@dataclass(frozen=True, slots=True)
class SotwRequest:
    """One `DiscoveryRequest`."""

    type_url: str
    names: Collection[str] = frozenset()
    version: str = ""
    """The last version of the type that the client accepted."""
    nonce: str = ""
    error: str | None = None
    """The message of `error_detail`; not None makes it a NACK, even if it is empty (R13)."""
    node: envoy.Node | None = field(default=None, compare=False)
    """Guaranteed only in the first message of a stream (R16a)."""


class Wanted(NamedTuple):
    """What may be much in a `DeltaDiscoveryRequest`; the same objects for all requests that say the same."""

    subscribe: frozenset[str]
    unsubscribe: frozenset[str]
    initial_versions: Claims


WANTED_ASIDE: Final = ("node", "type_url", "response_nonce", "error_detail")
"""The other fields of a `DeltaDiscoveryRequest`."""
NAMES_ASIDE: Final = (*WANTED_ASIDE, "version_info")
"""The fields of a `DiscoveryRequest` but for its names."""
_NOTHING: Final = Wanted(frozenset(), frozenset(), NO_CLAIMS)


def decode_delta(data: bytes) -> envoy.DeltaDiscoveryRequest:
    """Return the message in these bytes; of an error text that is cut within a character the rest is kept.

    Raises:
        google.protobuf.message.DecodeError: the bytes are not such a message.
    """
    try:
        return envoy.DeltaDiscoveryRequest.FromString(data)
    except DecodeError:
        return envoy.DeltaDiscoveryRequest.FromString(_with_whole_characters("UncheckedDeltaDiscoveryRequest", data))


def decode_sotw(data: bytes) -> envoy.DiscoveryRequest:
    """Return the message in these bytes; of an error text that is cut within a character the rest is kept.

    Raises:
        google.protobuf.message.DecodeError: the bytes are not such a message.
    """
    try:
        return envoy.DiscoveryRequest.FromString(data)
    except DecodeError:
        return envoy.DiscoveryRequest.FromString(_with_whole_characters("UncheckedDiscoveryRequest", data))


def parse_delta(
    message: bytes | envoy.DeltaDiscoveryRequest, alike: Alike[envoy.DeltaDiscoveryRequest, Wanted] | None = None
) -> DeltaRequest:
    """Return the request in a message or in its bytes.

    Args:
        message: a message is the caller's no more.
        alike: the requests before, of which some may say the same.

    Raises:
        google.protobuf.message.DecodeError: the bytes are not such a message.
    """
    if isinstance(message, bytes):
        message = decode_delta(message)
    type_url, nonce, error = message.type_url, message.response_nonce, _error_of(message)
    node = message.node if message.HasField("node") else None
    subscribe, unsubscribe, versions = _NOTHING
    names = (
        len(message.resource_names_subscribe) + len(message.resource_names_unsubscribe) + len(message.initial_resource_versions)
    )
    if names:  # not so in an ACK, as most requests are
        subscribe, unsubscribe, versions = alike.value_of(message, names) if alike else wanted_of(message)
    return DeltaRequest(type_url, subscribe, unsubscribe, versions, nonce, error, node)


def parse_sotw(
    message: bytes | envoy.DiscoveryRequest, alike: Alike[envoy.DiscoveryRequest, frozenset[str]] | None = None
) -> SotwRequest:
    """Return the request in a message or in its bytes; arguments and errors as those of `parse_delta`."""
    if isinstance(message, bytes):
        message = decode_sotw(message)
    type_url, version, nonce, error = message.type_url, message.version_info, message.response_nonce, _error_of(message)
    node = message.node if message.HasField("node") else None
    names = alike.value_of(message, len(message.resource_names)) if alike else names_of(message)
    return SotwRequest(type_url, names, version, nonce, error, node)


def wanted_of(message: envoy.DeltaDiscoveryRequest) -> Wanted:
    """Return what may be much in a request."""
    versions = message.initial_resource_versions
    return Wanted(
        shared(frozenset(message.resource_names_subscribe)),
        frozenset(message.resource_names_unsubscribe),
        Claims({name: versions[name] for name in versions}) if versions else NO_CLAIMS,
    )


def names_of(message: envoy.DiscoveryRequest) -> frozenset[str]:
    """Return the names in a request, which may be many."""
    return shared(frozenset(message.resource_names))


def _with_whole_characters(message_name: str, data: bytes) -> bytes:
    """Return a request with what is no UTF-8 in its error text replaced (U+FFFD): Envoy ends a text after 4,096 bytes."""
    message: Any = message_class(f"isthmus.wire.v1.{message_name}").FromString(data)
    message.error_detail.message = message.error_detail.message.decode(errors="replace").encode()
    repaired: bytes = message.SerializeToString()
    return repaired


def _error_of(message: envoy.DeltaDiscoveryRequest | envoy.DiscoveryRequest) -> str | None:
    if not message.HasField("error_detail"):
        return None
    return redacted_text(message.error_detail.message[:ERROR_CHARS])
