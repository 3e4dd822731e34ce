"""Messages to bytes and to JSON, the same way everywhere."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from google.protobuf import json_format

from xds.wire import envoy
from xds.wire.pool import POOL, message_class
from xds.wire.type_urls import PREFIX, type_url_of

if TYPE_CHECKING:
    from google.protobuf.message import Message


def to_bytes(message: Message) -> bytes:
    """Serialise deterministically: equal messages give equal bytes in every process of one protobuf build."""
    return message.SerializeToString(deterministic=True)


def pack(message: Message) -> envoy.Any:
    """Return the message inside an `Any` of our pool (`any_pb2.Any` belongs to another pool and won't do)."""
    return envoy.Any(type_url=type_url_of(message), value=to_bytes(message))


def unpack(type_url: str, body: bytes) -> Message:
    """Parse the bytes of one resource.

    Raises:
        KeyError: our pool has no such type.
        google.protobuf.message.DecodeError: the bytes are not such a message.
    """
    return message_class(type_url.removeprefix(PREFIX)).FromString(body)


def to_dict(message: Message) -> dict[str, Any]:
    """Return the proto3 JSON form as Python values, fields in snake_case as in Envoy's own documentation."""
    # By way of text: MessageToDict leaves OrderedDicts in the contents of an Any, which YAML cannot write.
    result: dict[str, Any] = json.loads(to_json(message, indent=None))
    return result


def to_json(message: Message, *, indent: int | None = 2) -> str:
    """Return proto3 JSON that Envoy accepts."""
    text: str = json_format.MessageToJson(message, preserving_proto_field_name=True, descriptor_pool=POOL, indent=indent)
    return text
