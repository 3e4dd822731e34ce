"""Requests as values: what a client says in one message of a stream."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from xds.wire import envoy
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


def parse_delta(message: bytes | envoy.DeltaDiscoveryRequest) -> DeltaRequest:
    """Return the request in a message or in its bytes.

    Raises:
        google.protobuf.message.DecodeError: the bytes are not such a message.
    """
    if isinstance(message, bytes):
        message = envoy.DeltaDiscoveryRequest.FromString(message)
    return DeltaRequest(
        message.type_url,
        tuple(message.resource_names_subscribe),
        tuple(message.resource_names_unsubscribe),
        dict(message.initial_resource_versions),
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
        message = envoy.DiscoveryRequest.FromString(message)
    return SotwRequest(
        message.type_url,
        tuple(message.resource_names),
        message.version_info,
        message.response_nonce,
        _error_of(message),
        message.node if message.HasField("node") else None,
    )


def _error_of(message: envoy.DeltaDiscoveryRequest | envoy.DiscoveryRequest) -> str | None:
    if not message.HasField("error_detail"):
        return None
    return redacted_text(message.error_detail.message[:ERROR_CHARS])
