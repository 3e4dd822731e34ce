"""The Gateway API beyond our subset: what an object asks that `xds.model.gateway_objects` has no field for.

Such a field must not pass silently, and must not cost the whole object either: its path goes into `unsupported`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from msgspec import Struct, field

from xds.discovery.structs import choices_of, fields_of, is_struct, item_of
from xds.model.gateway_objects import Gateway, GatewayListener, HTTPRoute, RouteRule

if TYPE_CHECKING:
    from xds.model.objects import KubernetesObject

STRICT_KINDS: tuple[type[KubernetesObject], ...] = (Gateway, HTTPRoute)
_EXEMPT = frozenset(("apiVersion", "kind", "metadata", "status"))


class _RouteNamespaces(Struct, frozen=True):
    from_: Literal["Same"] = field(default="Same", name="from")


class _RouteKind(Struct, frozen=True):
    kind: Literal["HTTPRoute"]
    group: Literal["gateway.networking.k8s.io"] = "gateway.networking.k8s.io"


class _AllowedRoutes(Struct, frozen=True):
    namespaces: _RouteNamespaces = _RouteNamespaces()
    kinds: list[_RouteKind] = []


_TOLERATED: dict[type[Struct], dict[str, Any]] = {
    # An API server fills in `{namespaces: {from: Same}}`, and that is what we do.
    GatewayListener: {"allowedRoutes": _AllowedRoutes},
    # A name asks for nothing.
    RouteRule: {"name": str},
}
"""Fields that no struct has and that change nothing while their values are of these types."""

Path = tuple[str | int, ...]


def reduce_to_subset(value: dict[str, Any], struct: type[KubernetesObject]) -> tuple[dict[str, Any], list[Path]]:
    """Return the object without what is outside the subset of its struct, and the paths of what was left out.

    Values of a wrong type stay, for the decoder to complain about.
    """
    unsupported: list[Path] = []
    reduced = {key: value[key] for key in value.keys() & _EXEMPT}
    for key in value.keys() - _EXEMPT:
        if key == "spec":
            reduced[key] = _reduce(value[key], fields_of(struct)[key], (key,), unsupported)
        else:
            unsupported.append((key,))
    return reduced, sorted(unsupported, key=lambda path: [(isinstance(step, str), str(step)) for step in path])


def consequence(kind: str, path: Path) -> str:
    """Return what becomes of the part that a path outside the subset belongs to: `xds.translate.gateway` does it."""
    match path:
        case ("spec", "listeners", int(), *_):
            return "the listener is left out"
        case ("spec", "rules", int(), "matches", *_):
            return "the rule is left out"
        case ("spec", "rules", int(), *_):
            return "the rule answers 500 to what it matches"
        case ("spec", "parentRefs", int(), *_):
            return "the parentRef is left out"
        case _:
            return f"the {kind} is left out"


def _each(part: Any, path: Path) -> list[Path]:
    """Return the paths of the items of a list, each of which asks for something of its own."""
    return [(*path, index) for index in range(len(part))] if isinstance(part, list) else [path]


def _reduce(value: Any, annotation: Any, path: Path, unsupported: list[Path]) -> Any:
    item = item_of(annotation)
    if isinstance(value, list) and item is not None:
        return [_reduce(part, item, (*path, index), unsupported) for index, part in enumerate(value)]
    if isinstance(value, dict) and is_struct(annotation):
        return _reduce_mapping(value, annotation, path, unsupported)
    return value


def _reduce_mapping(value: dict[str, Any], struct: type[Struct], path: Path, unsupported: list[Path]) -> dict[str, Any]:
    fields = fields_of(struct)
    tolerated = _TOLERATED.get(struct, {})
    kept = {}
    for key, part in value.items():
        here = (*path, key)
        annotation = fields.get(key, tolerated.get(key))
        choices = choices_of(annotation)
        # An empty list asks for nothing. An empty mapping may ask for the defaults of a feature.
        if (annotation is None and part != []) or (choices and isinstance(part, str) and part not in choices):
            unsupported += _each(part, here) if key == "filters" else [here]
        elif annotation is not None:
            reduced = _reduce(part, annotation, here, unsupported)
            if key in fields:
                kept[key] = reduced
    return kept
