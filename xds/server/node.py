"""The node of a request, from Envoy's message to our value."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from xds.model.node import Node

if TYPE_CHECKING:
    from xds.wire import envoy


LEVELS = 24
"""Objects and lists inside one another in metadata: protobuf reads a hundred levels of messages, and what tells others of a
node, as CSDS does, needs some above it."""


def node_of(message: envoy.Node) -> Node:
    """Return what a client says of itself; the metadata as JSON values, numbers as floats, None for what is below LEVELS."""
    return Node(
        id=message.id,
        workload=message.cluster,
        region=message.locality.region,
        zone=message.locality.zone,
        metadata=_struct(message.metadata),
        user_agent=f"{message.user_agent_name} {_user_agent_version(message)}".strip(),
        features=frozenset(message.client_features),
    )


def _user_agent_version(message: envoy.Node) -> str:
    if message.HasField("user_agent_build_version"):
        version = message.user_agent_build_version.version
        return f"{version.major_number}.{version.minor_number}.{version.patch}"
    return message.user_agent_version


def _struct(struct: envoy.Struct, levels: int = LEVELS) -> dict[str, Any]:
    fields = struct.fields
    return {key: _value(fields[key], levels - 1) for key in fields}  # half of what `items` takes


def _value(value: Any, levels: int) -> Any:
    # By hand: json_format refuses NaN and infinity, which would make a proxy's odd metadata fatal to its stream.
    match value.WhichOneof("kind"):
        case "struct_value" if levels:
            return _struct(value.struct_value, levels)
        case "list_value" if levels:
            return [_value(item, levels - 1) for item in value.list_value.values]
        case "struct_value" | "list_value" | "null_value" | None:
            return None
        case kind:
            return getattr(value, kind)
