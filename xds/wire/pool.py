"""The private descriptor pool that all our messages live in."""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from google.protobuf import descriptor_pb2, message_factory
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.internal.enum_type_wrapper import EnumTypeWrapper

if TYPE_CHECKING:
    from google.protobuf.message import Message

_GENERATED = files("xds.wire") / "generated"


def _load() -> DescriptorPool:
    pool = DescriptorPool()
    for file in descriptor_pb2.FileDescriptorSet.FromString((_GENERATED / "api.binpb").read_bytes()).file:
        pool.AddSerializedFile(file.SerializeToString())
    return pool


POOL = _load()
_NAMES: dict[str, dict[str, str]] = json.loads((_GENERATED / "names.json").read_bytes())


@cache
def message_class(full_name: str) -> type[Message]:
    """Return the class of a message, e.g. of `envoy.config.cluster.v3.Cluster`.

    Raises:
        KeyError: the pool has no message of that name.
    """
    return message_factory.GetMessageClass(POOL.FindMessageTypeByName(full_name))


def attribute(module: str, name: str) -> Any:
    """Return the message class or enum that `xds.wire.<module>.<name>` stands for.

    Raises:
        AttributeError: `protos/` lists no such message for that module.
    """
    full_name = _NAMES[module].get(name)
    if full_name is None:
        text = f"module 'xds.wire.{module}' has no message {name!r}; protos/ lists what it has"
        raise AttributeError(text)
    try:
        return message_class(full_name)
    except KeyError:
        return EnumTypeWrapper(POOL.FindEnumTypeByName(full_name))
