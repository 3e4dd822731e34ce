"""Fields of protobuf messages, put together by hand of bytes that there are already: nothing is parsed or serialised again."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from google.protobuf.duration_pb2 import Duration

# Tags of the length-delimited fields (field number << 3 | 2) of `Resource` in envoy/service/discovery/v3/discovery.proto, of the
# field of the responses that it stands in, and of google.protobuf.Any.
RESOURCES: Final = b"\x12"
RESOURCE_NAME: Final = b"\x1a"
RESOURCE_ALIAS: Final = b"\x22"
_RESOURCE_VERSION, _RESOURCE_BODY, _RESOURCE_TTL = b"\x0a", b"\x12", b"\x32"
_ANY_TYPE_URL, _ANY_VALUE = b"\x0a", b"\x12"


def tagged(tag: bytes, value: bytes) -> bytes:
    """Return a length-delimited field."""
    return tag + varint(len(value)) + value


def varint(number: int) -> bytes:
    """Return a number as protobuf writes lengths: seven bits a byte, the lowest first."""
    if number < 0x80:
        return bytes((number,))
    if number < 0x4000:
        return bytes((number & 0x7F | 0x80, number >> 7))
    result = bytearray()
    while number >= 0x80:
        result.append(number & 0x7F | 0x80)
        number >>= 7
    result.append(number)
    return bytes(result)


def any_head(type_url: str, body_bytes: int) -> bytes:
    """Return everything of an Any up to the bytes of its value, which come last."""
    return _any_type(type_url) + varint(body_bytes)


def resource_names(name: str, version: str, ttl_s: float | None = None) -> bytes:
    """Return everything of a `Resource` but its body: alone, a heartbeat."""
    names = tagged(RESOURCE_NAME, name.encode()) + tagged(_RESOURCE_VERSION, version.encode())
    if ttl_s is None:
        return names
    ttl = Duration()
    ttl.FromMilliseconds(round(ttl_s * 1000))
    return names + tagged(_RESOURCE_TTL, ttl.SerializeToString(deterministic=True))


def resource_head(type_url: str, body_bytes: int, names: bytes) -> bytes:
    """Return the field of a `Resource` in an incremental response up to the bytes of its body, which come last.

    Args:
        type_url: of the body.
        body_bytes: how long that is.
        names: all the rest (`resource_names`).
    """
    value = any_head(type_url, body_bytes)
    head = names + _RESOURCE_BODY + varint(len(value) + body_bytes) + value
    return RESOURCES + varint(len(head) + body_bytes) + head


@lru_cache(64)
def _any_type(type_url: str) -> bytes:
    return tagged(_ANY_TYPE_URL, type_url.encode()) + _ANY_VALUE
