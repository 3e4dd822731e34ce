"""The structs of `xds.model` as descriptions: which fields an object may have, and of which types."""

from __future__ import annotations

import types
from functools import cache
from typing import TYPE_CHECKING, Annotated, Any, Literal, Union, get_args, get_origin

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterator


@cache
def fields_of(struct: type[msgspec.Struct]) -> dict[str, Any]:
    """Return the fields of a struct by the names that manifests use, with their types, bare of None and constraints."""
    return {field.encode_name: bare(field.type) for field in msgspec.structs.fields(struct)}


def bare(annotation: Any) -> Any:
    """Return a type without `Annotated` and `| None`."""
    while get_origin(annotation) is Annotated:
        annotation = get_args(annotation)[0]
    if get_origin(annotation) in (Union, types.UnionType):
        members = [member for member in get_args(annotation) if member is not type(None)]
        return bare(members[0]) if len(members) == 1 else annotation
    return annotation


def is_struct(annotation: Any) -> bool:
    """Return True for a struct type."""
    return isinstance(annotation, type) and issubclass(annotation, msgspec.Struct)


def item_of(annotation: Any) -> Any:
    """Return the bare type of a list's items; None if the type is no list."""
    return bare(get_args(annotation)[0]) if get_origin(annotation) is list else None


def choices_of(annotation: Any) -> tuple[Any, ...]:
    """Return the values of a Literal type; none for another type."""
    return get_args(annotation) if get_origin(annotation) is Literal else ()


def unknown_in(value: Any, annotation: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Yield the paths of the fields in a value that the structs do not have."""
    item = item_of(annotation)
    if isinstance(value, list) and item is not None:
        for index, part in enumerate(value):
            yield from unknown_in(part, item, (*path, index))
    elif isinstance(value, dict) and is_struct(annotation):
        fields = fields_of(annotation)
        for key, part in value.items():
            if key in fields:
                yield from unknown_in(part, fields[key], (*path, key))
            else:
                yield (*path, key)


def type_at(struct: Any, path: tuple[str | int, ...]) -> Any:
    """Return the bare type of the field at a path, e.g. `("spec", "ports", 0, "port")`; None if there is none."""
    found = struct
    for step in path:
        fields = fields_of(found) if is_struct(found) else {}
        found = item_of(found) if isinstance(step, int) else fields.get(step)
    return found
