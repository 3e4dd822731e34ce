"""Plain values -> the objects of the model, with messages for people where that fails."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec

from xds.discovery.gateway_subset import STRICT_KINDS, reduce_to_subset
from xds.discovery.structs import choices_of, fields_of, is_struct, item_of, type_at, unknown_in
from xds.model.karmada_objects import MultiClusterService
from xds.model.objects import KubernetesObject, MemberCluster
from xds.model.traffic_objects import TrafficOverride, TrafficPolicy
from xds.problems import did_you_mean

if TYPE_CHECKING:
    from xds.model.kinds import Kind

Path = tuple[str | int, ...]
CHECKED: tuple[type[KubernetesObject], ...] = (MemberCluster, MultiClusterService, TrafficOverride, TrafficPolicy)
"""Of which we read every field. A list that is misspelt would mean all: of clusters in a MultiClusterService, of services in a
TrafficOverride."""
WHOLE: tuple[type[KubernetesObject], ...] = (TrafficOverride, TrafficPolicy)
"""Of which a field that is unknown costs the object: without its tiers a policy sends requests anywhere, as by default."""
_NOT_OURS = frozenset(("metadata", "status"))
"""What an API server adds to; we read a part of it."""


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with one object."""

    path: Path
    message: str
    hint: str = ""


@dataclass(frozen=True, slots=True)
class Decoded:
    """An object, and the paths of what it asks beyond our subset."""

    object: KubernetesObject
    unsupported: tuple[Path, ...] = ()
    unknown: tuple[Path, ...] = ()
    """The paths of what it has and its kind does not, of a kind of ours; other kinds have more fields than we read."""


def decode(value: dict[str, Any], kind: Kind) -> Decoded | Fault:
    """Decode one object of a kind that we read: its `kind` becomes the name that this goes by.

    A namespaced object without a namespace is in `default`, as for kubectl.
    """
    value = {**_with_namespace(value, kind), "kind": kind.name}
    unsupported: list[Path] = []
    if kind.struct in STRICT_KINDS:
        value, unsupported = reduce_to_subset(value, kind.struct)
        value["unsupported"] = [field_path(path) for path in unsupported]
    try:
        found = Decoded(msgspec.convert(value, kind.struct), tuple(unsupported), _unknown(value, kind.struct))
    except msgspec.ValidationError as error:
        return _explain(str(error), value, kind.struct)
    if kind.struct in WHOLE and (path := next((path for path in found.unknown if path[0] == "spec"), None)):
        return Fault(path, f"{kind.kind} has no such field", unknown_field_hint(path, kind.struct))
    return found


def _unknown(value: dict[str, Any], struct: type[KubernetesObject]) -> tuple[Path, ...]:
    if struct not in CHECKED:
        return ()
    own = {key: part for key, part in value.items() if key not in _NOT_OURS}
    return tuple(unknown_in(own, struct))


def unknown_field_hint(path: Path, struct: type[KubernetesObject]) -> str:
    """Say which field may be meant by one that is unknown."""
    name, above = str(path[-1]), path[:-1]
    fields = fields_of(type_at(struct, above))
    inside = sorted(key for key, kind in fields.items() if name in _fields_of_item(kind) and key != "metadata")
    known = fields.keys() - {"apiVersion", "kind", "metadata"}
    if inside:
        return f"it is a field of {' and of '.join(inside)}; is it indented far enough?"
    return did_you_mean(name, known) or f"known are {', '.join(sorted(known))}"


def _fields_of_item(kind: Any) -> dict[str, Any]:
    """Return the fields of a struct, or of the structs in a list; none of anything else."""
    found = item_of(kind) or kind
    return fields_of(found) if is_struct(found) else {}


def _with_namespace(value: dict[str, Any], kind: Kind) -> dict[str, Any]:
    metadata = value.get("metadata")
    if not isinstance(metadata, dict):
        return value
    namespace = metadata.get("namespace", "")
    if kind.namespaced == bool(namespace):
        return value
    return {**value, "metadata": {**metadata, "namespace": "default" if kind.namespaced else ""}}


def field_path(path: Path) -> str:
    """Write a path as problems show it: `spec.ports[0].port`, `metadata.labels["app.kubernetes.io/name"]`."""
    text = ""
    for step in path:
        if isinstance(step, int):
            text += f"[{step}]"
        elif re.fullmatch(r"[A-Za-z0-9_-]+", step):
            text += f".{step}" if text else step
        else:
            text += f'["{step}"]'
    return text


# Messages

_TEXT = re.compile(r"(?P<what>.*?)(?: - at (?P<key>`key` in )?`\$(?P<path>[^`]*)`)?", re.DOTALL)
_STEP = re.compile(r"\[(\d+)\]|(\[\.\.\.\])|\.([^.\[\]]+)")
_WRONG_TYPE = re.compile(r"Expected `(\w+)(?: \| null)?`(, got `\w+`)?(?P<bound> [<>]=? -?[\d.]+)?")
_MISSING = re.compile(r"Object missing required field `(\w+)`")
_LENGTH = re.compile(r"Expected `(?:array|str)` of length ([<>]=) (\d+)")
_WITH_UNIT = re.compile(r"[\d.]+ ?(?:ms|s|m|h|d)")
_TYPE_NAMES = {
    "str": "a string",
    "int": "an integer",
    "float": "a number",
    "bool": "true or false",
    "array": "a list",
    "object": "a mapping",
}


def _explain(text: str, value: Any, struct: Any) -> Fault:
    """Turn the decoder's text, e.g. "Expected `int`, got `str` - at `$.spec.ports[0].port`", into a fault."""
    found = _TEXT.fullmatch(text)
    assert found, "every text matches"
    path, at = _follow(found["path"] or "", value)
    what = found["what"]
    if found["key"]:
        return Fault(path, "a key is not a string", "put the key in quotes")
    if missing := _MISSING.fullmatch(what):
        choices = choices_of(type_at(struct, (*path, missing[1])))
        return Fault((*path, missing[1]), "is missing", f"it is one of {_listed(choices)}" if choices else "")
    if choices := choices_of(type_at(struct, path)):
        meant = did_you_mean(at, filter(None, choices)) if isinstance(at, str) else ""
        return Fault(path, f"is {shown(at)}; expected one of {_listed(choices)}", meant)
    if wrong := _WRONG_TYPE.fullmatch(what):
        expected = _TYPE_NAMES.get(wrong[1], wrong[1]) + (wrong["bound"] or "").removesuffix(".0")
        return Fault(path, f"is {shown(at)}; expected {expected}", _remedy(wrong[1], at, field_path(path)))
    return Fault(path, _unmet(what, path, at))


def _listed(choices: tuple[Any, ...]) -> str:
    return ", ".join(str(one) or '""' for one in choices)


def _unmet(what: str, path: Path, value: Any) -> str:
    """Say which constraint a value of the right type does not meet."""
    if limit := _LENGTH.fullmatch(what):
        if not value:
            return "is empty"
        if isinstance(value, list):
            return f"has {len(value):,} entries; expected at most {limit[2]}"
        return f"is {shown(value)}; expected at most {limit[2]} characters"
    if "matching regex" in what:
        characters = "letters, digits and '-'" if path[-1] == "namespace" else "letters, digits, '-' and '.'"
        return f"is {shown(value)}; expected lower-case {characters}, with a letter or digit at both ends"
    return f"is {shown(value)}; {what[0].lower()}{what[1:].replace('`', '')}"


def _follow(text: str, value: Any) -> tuple[Path, Any]:
    """Return the path that the decoder names and the value there; an unnamed key is the first with a value of a wrong type."""
    path: list[str | int] = []
    for index, unnamed, name in _STEP.findall(text):
        if unnamed:
            name = next(key for key, part in value.items() if not isinstance(part, str))  # noqa: PLW2901 - the decoder left it out
        path.append(int(index) if index else name)
        value = value[path[-1]]
    return tuple(path), value


def shown(value: Any) -> str:
    """Write a value as a message shows it, cut short."""
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list):
        return "a list"
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, str) and value.isprintable():
        return f"'{value}'" if len(value) <= 60 else f"'{value[:60]}…' ({len(value)} characters)"
    return repr(value)[:60]


def _remedy(expected: str, value: Any, field: str) -> str:
    if expected == "str" and isinstance(value, bool):
        return "YAML reads a bare yes, no, on, off, y, n, true or false as a boolean: put it in quotes"
    if expected == "str" and isinstance(value, int | float):
        return "put it in quotes"
    if expected in ("int", "float", "bool") and isinstance(value, str) and re.fullmatch(r"\d+(\.\d+)?|true|false", value):
        return "leave out the quotes"
    if isinstance(value, str) and field.endswith("Seconds") and _WITH_UNIT.fullmatch(value):
        return "write it in seconds, without a unit"
    if expected == "int" and isinstance(value, str) and re.fullmatch(r"\d+ ?%", value):
        return "leave out the %"
    return ""
