"""Requests as values: what a client says in one message of a stream."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from google.protobuf.message import DecodeError

from xds.wire import envoy, message_class
from xds.wire.redaction import redacted_text

if TYPE_CHECKING:
    from collections.abc import Mapping

ERROR_CHARS = 64 * 1024
"""Of a client's error, that are kept: with each resource that it names, until that changes."""


@dataclass(frozen=True, slots=True)
class DeltaRequest:
    """One `DeltaDiscoveryRequest`."""

    type_url: str
    subscribe: tuple[str, ...] = ()
    unsubscribe: tuple[str, ...] = ()
    initial_versions: Mapping[str, str] = field(default_factory=dict)
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
    names: tuple[str, ...] = ()
    version: str = ""
    """The last version of the type that the client accepted."""
    nonce: str = ""
    error: str | None = None
    """The message of `error_detail`; not None makes it a NACK, even if it is empty (R13)."""
    node: envoy.Node | None = field(default=None, compare=False)
    """Guaranteed only in the first message of a stream (R16a)."""


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


def parse_delta(message: bytes | envoy.DeltaDiscoveryRequest) -> DeltaRequest:
    """Return the request in a message or in its bytes.

    Raises:
        google.protobuf.message.DecodeError: the bytes are not such a message.
    """
    if isinstance(message, bytes):
        message = decode_delta(message)
    return DeltaRequest(
        message.type_url,
        tuple(subscribe) if (subscribe := message.resource_names_subscribe) else (),
        tuple(unsubscribe) if (unsubscribe := message.resource_names_unsubscribe) else (),
        {name: versions[name] for name in versions} if (versions := message.initial_resource_versions) else {},
        message.response_nonce,
        _error_of(message),
        message.node if message.HasField("node") else None,
    )


def parse_sotw(message: bytes | envoy.DiscoveryRequest) -> SotwRequest:
    """Return the request in a message or in its bytes.

    Raises:
        google.protobuf.message.DecodeError: the bytes are not such a message.
    """
    if isinstance(message, bytes):
        message = decode_sotw(message)
    return SotwRequest(
        message.type_url,
        tuple(message.resource_names),
        message.version_info,
        message.response_nonce,
        _error_of(message),
        message.node if message.HasField("node") else None,
    )


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
