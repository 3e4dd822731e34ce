"""Requests as values: what a client says in one message of a stream."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from xds.protocol.claims import NO_CLAIMS, Claims
from xds.protocol.holdings import NO_NAMES
from xds.protocol.interest import shared
from xds.wire import envoy, message_class
from xds.wire.redaction import redacted_text

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

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
    """The names in a `DeltaDiscoveryRequest`, which may be many; the same objects for all requests that say the same."""

    subscribe: frozenset[str]
    unsubscribe: frozenset[str]


WANTED_ASIDE: Final = ("node", "type_url", "initial_resource_versions", "response_nonce", "error_detail")
"""The fields of a `DeltaDiscoveryRequest` but for the names that it asks for."""
NAMES_ASIDE: Final = ("node", "type_url", "version_info", "response_nonce", "error_detail")
"""The fields of a `DiscoveryRequest` but for its names."""
_NOTHING: Final = Wanted(NO_NAMES, NO_NAMES)
_Delta: Final[Any] = message_class("isthmus.wire.v1.DeltaDiscoveryRequest")
_Sotw: Final[Any] = message_class("isthmus.wire.v1.DiscoveryRequest")


def decode_delta(data: bytes) -> Any:
    """Return the `isthmus.wire.v1.DeltaDiscoveryRequest` in the bytes of one of xDS.

    Raises:
        google.protobuf.message.DecodeError: the bytes are not such a message.
    """
    return _Delta.FromString(data)


def decode_sotw(data: bytes) -> Any:
    """Return the `isthmus.wire.v1.DiscoveryRequest` in the bytes of one of xDS; raises what `decode_delta` does."""
    return _Sotw.FromString(data)


def parse_delta(
    message: Any, alike: Alike[Any, Wanted] | None = None, claims_of: Callable[[Sequence[bytes]], Claims] | None = None
) -> DeltaRequest:
    """Return the request in the bytes of one, or in what `decode_delta` made of them.

    Args:
        message: no more the caller's.
        alike: the requests before, of which some may ask for the same.
        claims_of: does what `claims_in` does, and need not do again what it did before.

    Raises:
        google.protobuf.message.DecodeError: the bytes are not such a message.
    """
    if isinstance(message, bytes):
        message = decode_delta(message)
    type_url, nonce, error, node = message.type_url, message.response_nonce, _error_of(message), _node_of(message)
    wanted, claims = _NOTHING, NO_CLAIMS
    if message.initial_resource_versions:  # not so in an ACK, as most requests are
        claims = (claims_of or claims_in)(message.initial_resource_versions[:])
    if names := len(message.resource_names_subscribe) + len(message.resource_names_unsubscribe):
        wanted = alike.value_of(message, names) if alike else wanted_in(message)
    return DeltaRequest(type_url, wanted.subscribe, wanted.unsubscribe, claims, nonce, error, node)


def parse_sotw(message: Any, alike: Alike[Any, frozenset[str]] | None = None) -> SotwRequest:
    """Return the request in the bytes of one, or in what `decode_sotw` made of them; the rest is as for `parse_delta`."""
    if isinstance(message, bytes):
        message = decode_sotw(message)
    type_url, version, nonce, error = message.type_url, message.version_info, message.response_nonce, _error_of(message)
    node = _node_of(message)
    names = alike.value_of(message, len(message.resource_names)) if alike else names_in(message)
    return SotwRequest(type_url, names, version, nonce, error, node)


def wanted_in(message: Any) -> Wanted:
    """Return the names in a delta request."""
    return Wanted(shared(frozenset(message.resource_names_subscribe)), frozenset(message.resource_names_unsubscribe))


def names_in(message: Any) -> frozenset[str]:
    """Return the names in a state-of-the-world request."""
    return shared(frozenset(message.resource_names))


def claims_in(entries: Sequence[bytes]) -> Claims:
    """Return what entries of `initial_resource_versions` say.

    Raises:
        google.protobuf.message.DecodeError: one of them is no such entry.
    """
    versions = envoy.DeltaDiscoveryRequest.FromString(
        _Delta(initial_resource_versions=entries).SerializeToString()
    ).initial_resource_versions
    return Claims({name: versions[name] for name in versions})


def _node_of(message: Any) -> envoy.Node | None:
    return envoy.Node.FromString(b"".join(message.node)) if message.node else None


def _error_of(message: Any) -> str | None:
    """Return the text of an error, what is no UTF-8 in it replaced (U+FFFD): Envoy ends a text after 4,096 bytes."""
    if not message.HasField("error_detail"):
        return None
    return redacted_text(message.error_detail.message.decode(errors="replace")[:ERROR_CHARS])
