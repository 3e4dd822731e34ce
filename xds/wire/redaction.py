"""Secrets left out of what people are shown, by the rule of Envoy's own `/config_dump`.

Envoy's API marks the fields that hold secrets (`udpa.annotations.sensitive`): private keys, passwords, tokens. Whatever is in
such a field is replaced, wherever it stands, also inside an `Any`. What we have no descriptor of cannot be looked at, may hold
anything, and is left out as a whole; so is a `TypedStruct`, whose fields nobody has marked. A `Secret` is left out entirely.
"""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING, Any

from google.protobuf.message import DecodeError

from xds.wire import envoy
from xds.wire.codec import pack, to_bytes, unpack
from xds.wire.pool import POOL, message_class
from xds.wire.type_urls import SECRET

if TYPE_CHECKING:
    from google.protobuf.descriptor import Descriptor, FieldDescriptor
    from google.protobuf.message import Message

REDACTED = "[redacted]"
"""What stands in place of a secret; Envoy writes the same."""
DEPTH = 32
"""Levels of `Any` inside `Any` that are looked into."""

_SENSITIVE = "udpa.annotations.sensitive"
_ANY = "google.protobuf.Any"
_CREDENTIALS = "envoy.config.core.v3.GrpcService.GoogleGrpc.CallCredentials."
_ALSO = frozenset(
    _CREDENTIALS + name
    for name in (
        "access_token",
        "google_refresh_token",
        "ServiceAccountJWTAccessCredentials.json_key",
        "GoogleIAMCredentials.authorization_token",
    )
)
"""Fields that hold secrets although Envoy's API does not mark them."""
_TYPED_STRUCTS = frozenset(("xds.type.v3.TypedStruct", "udpa.type.v1.TypedStruct"))
_KEY = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.DOTALL)
_QUOTED = r"""("(?:[^"\\]|\\.)*(?:"|\\?\Z)|'(?:[^'\\]|\\.)*(?:'|\\?\Z))"""
_INLINE = re.compile(rf"""(\binline_?(?:bytes|Bytes|string|String)\b["']?\s*:\s*){_QUOTED}""", re.DOTALL)


def redacted(type_url: str, body: bytes) -> envoy.Any | None:
    """Return a resource without the secrets in it, or None for a `Secret`.

    Args:
        type_url: its type.
        body: its bytes. Of a type that we do not know, or of none, only the type and the size are told.
    """
    return None if type_url == SECRET else _redacted(type_url, body, DEPTH)


def redacted_text(text: str) -> str:
    """Return a client's text without what may be secrets in it: Envoy quotes whole resources in some of its errors.

    Those are private keys in PEM, and whatever stands after the names of inline data, in which nearly all secrets are.
    """
    return _INLINE.sub(rf'\1"{REDACTED}"', _KEY.sub(REDACTED, text))


def _redacted(type_url: str, body: bytes, depth: int) -> envoy.Any:
    try:
        message = unpack(type_url, body)
    except (KeyError, DecodeError):
        return _opaque(type_url, len(body))
    if not depth or message.DESCRIPTOR.full_name in _TYPED_STRUCTS:
        return _opaque(getattr(message, "type_url", type_url), len(body))
    message.DiscardUnknownFields()  # of a newer Envoy API, where nobody can tell what they hold
    _redact(message, depth)
    return envoy.Any(type_url=type_url, value=to_bytes(message))


def _opaque(type_url: str, size_bytes: int) -> envoy.Any:
    result = envoy.TypedStruct(type_url=type_url)
    result.value.update({REDACTED: f"{size_bytes} bytes that the control plane cannot look into"})
    return pack(result)


def _redact(message: Message, depth: int) -> None:
    if message.DESCRIPTOR.full_name == _ANY:
        held: Any = message
        held.CopyFrom(_redacted(held.type_url, held.value, depth - 1))
        return
    for field, value in message.ListFields():
        if _is_sensitive(field):
            _blank(message, field, value)
        elif field.message_type is not None and _holds(field.message_type):
            for item in _messages(field, value):
                _redact(item, depth)


def _blank(message: Message, field: FieldDescriptor, value: Any) -> None:
    """Replace what a sensitive field holds: texts say that they were there, anything else goes."""
    if field.message_type is not None and not _is_map(field):
        for item in _messages(field, value):
            if item.DESCRIPTOR.full_name == _ANY:
                item.CopyFrom(_opaque(value.type_url, len(value.value)))
                continue
            for inner, held in item.ListFields():
                _blank(item, inner, held)
        return
    texts = {field.TYPE_STRING: REDACTED, field.TYPE_BYTES: REDACTED.encode()}
    size = len(value) if field.is_repeated else 1
    message.ClearField(field.name)
    if field.type in texts and field.is_repeated:
        getattr(message, field.name).extend([texts[field.type]] * size)
    elif field.type in texts:
        setattr(message, field.name, texts[field.type])


def _messages(field: FieldDescriptor, value: Any) -> list[Message]:
    if _is_map(field):
        return [item for item in value.values() if hasattr(item, "DESCRIPTOR")]
    return list(value) if field.is_repeated else [value]


def _is_map(field: FieldDescriptor) -> bool:
    return field.message_type is not None and field.message_type.GetOptions().map_entry


@cache
def _is_sensitive(field: FieldDescriptor) -> bool:
    if field.full_name in _ALSO:
        return True
    # A private pool's options come as messages of the default pool, which does not know the annotation.
    options = message_class("google.protobuf.FieldOptions").FromString(field.GetOptions().SerializeToString())
    extensions: Any = options.Extensions
    return bool(extensions[POOL.FindExtensionByName(_SENSITIVE)])


@cache
def _holds(descriptor: Descriptor) -> bool:
    """Return whether a message may hold, at any depth, a sensitive field or an `Any`."""
    seen, left = {descriptor.full_name}, [descriptor]
    while left:
        found = left.pop()
        if found.full_name == _ANY or any(_is_sensitive(field) for field in found.fields):
            return True
        inner = [field.message_type for field in found.fields if field.message_type is not None]
        left += [each for each in inner if each.full_name not in seen]
        seen |= {each.full_name for each in inner}
    return False
