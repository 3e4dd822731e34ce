"""YAML text -> plain values, parsed by libyaml, with limits.

The builder walks libyaml's events with a stack of its own: nothing recurses, so no nesting can overflow a stack, and what
aliases expand to is counted while it is shared. A null entry of a mapping is no entry, as for the API server.
"""

from __future__ import annotations

import math
from typing import Any, Final

import yaml
from yaml._yaml import CParser

from xds.discovery.document import Document, DocumentError, Parsed, first_twice
from xds.discovery.yaml_scalars import MERGE, YAML_TAG, Merge, plain_scalar, quoted_scalar, unsupported_tag

MAX_DEPTH: Final = 200
"""Levels of nesting in one document; the deepest schemas that Kubernetes users write have some 60."""
MAX_ALIASED_NODES: Final = 1_000_000
"""What all aliases of one file may add to it."""


def yaml_documents(text: str) -> Parsed:
    """Parse YAML.

    Raises:
        DocumentError: the text is not YAML, holds what JSON cannot, or expands beyond the limits.
    """
    builder = _Builder(text)
    return Parsed(tuple(builder.documents()), builder.aliased_nodes)


class _Builder:
    """Builds the documents of one file from libyaml's events."""

    def __init__(self, text: str) -> None:
        # The stubs know neither libyaml's marks nor which events have one.
        self.parser: Any = CParser(text)
        self.aliased_nodes = 0
        self.anchors: dict[str, Any] = {}
        """Anchor -> the value it stands at; _OPEN while that is being built."""
        self.extents: dict[int, tuple[int, int, Any]] = {}
        """id() of a collection that an alias led to, or of one inside it -> its extent, and itself, so that the id stays its."""

    def documents(self) -> list[Document]:
        found = []
        index = 0
        try:
            while not self.parser.check_event(yaml.StreamEndEvent):
                if type(self.parser.get_event()) is yaml.DocumentStartEvent:
                    line = self.parser.peek_event().start_mark.line + 1
                    value = self.document()
                    if value is not None:
                        found.append(Document(index, line, value))
                    index += 1
        except yaml.YAMLError as error:
            raise _syntax_error(error) from None
        return found

    def document(self) -> Any:
        """Build one document, from the event after its start to that of its end.

        `parts` are those of the innermost open collection (keys and values alternate), `lines` the line of each, 0-based;
        the stack holds both for the collections around it. The loop runs for every word of every manifest.
        """
        next_event = self.parser.get_event
        anchors = self.anchors
        anchors.clear()
        self.extents.clear()
        stack: list[tuple[list[Any], list[int], str | None]] = []
        parts: list[Any] = []
        lines: list[int] = []
        while True:
            event = next_event()
            kind = type(event)
            if kind is yaml.ScalarEvent:
                parts.append(plain_scalar(event.value) if event.implicit[0] else quoted_scalar(event))
                lines.append(event.start_mark.line)
                if event.anchor is not None:
                    anchors[event.anchor] = parts[-1]
            elif kind is yaml.MappingStartEvent or kind is yaml.SequenceStartEvent:
                lines.append(event.start_mark.line)
                stack.append((parts, lines, event.anchor))
                if event.tag is not None or event.anchor is not None or len(stack) > MAX_DEPTH:
                    self.open(event, len(stack))
                parts, lines = [], []
            elif kind is yaml.MappingEndEvent or kind is yaml.SequenceEndEvent:
                value = _mapping(parts, lines) if kind is yaml.MappingEndEvent else _sequence(parts, lines)
                parts, lines, anchor = stack.pop()
                parts.append(value)
                if anchor is not None:
                    anchors[anchor] = value
            elif kind is yaml.AliasEvent:
                parts.append(self.alias(event, len(stack)))
                lines.append(event.start_mark.line)
            else:
                return _sequence(parts, lines)[0]

    def open(self, event: Any, depth: int) -> None:
        """Check a collection that has a tag or an anchor, or stands too deep."""
        line = event.start_mark.line + 1
        if event.tag not in (None, "!", *_COLLECTION_TAGS[type(event)]):
            raise unsupported_tag(event.tag, line)
        if depth > MAX_DEPTH:
            raise _too_deep(line)
        self.anchors[event.anchor] = _OPEN

    def alias(self, event: Any, depth: int) -> Any:
        """Return what an alias refers to, counted as if it were written out."""
        name, line = event.anchor, event.start_mark.line + 1
        if name not in self.anchors:
            raise DocumentError(f"the alias *{name} refers to no anchor before it", line=line)
        value = self.anchors[name]
        if value is _OPEN:
            raise DocumentError(f"the alias *{name} stands inside what it refers to", line=line)
        nodes, levels = self.extent(value)
        self.aliased_nodes += nodes
        if self.aliased_nodes > MAX_ALIASED_NODES:
            message = f"aliases expand to more than {MAX_ALIASED_NODES:,} values"
            raise DocumentError(message, line=line, code="XDS0104", hint="write the values out, in several files")
        if depth + levels > MAX_DEPTH:
            raise _too_deep(line)
        return value

    def extent(self, value: Any) -> tuple[int, int]:
        """Return how many nodes a value has and how many levels, visiting what is shared once."""
        if not isinstance(value, dict | list):
            return 1, 0
        if id(value) not in self.extents:
            inner = [self.extent(part) for part in (value.values() if isinstance(value, dict) else value)]
            keys = len(value) if isinstance(value, dict) else 0
            nodes = 1 + keys + sum(nodes for nodes, _ in inner)
            self.extents[id(value)] = (nodes, 1 + max((levels for _, levels in inner), default=0), value)
        return self.extents[id(value)][:2]


_OPEN: Final = object()
_COLLECTION_TAGS: Final = {yaml.MappingStartEvent: (YAML_TAG + "map",), yaml.SequenceStartEvent: (YAML_TAG + "seq",)}


def _too_deep(line: int) -> DocumentError:
    return DocumentError(f"nested more than {MAX_DEPTH} levels deep", line=line, code="XDS0104")


_SCREENED: Final = frozenset((float, Merge, type(None)))
"""Types of values that need a second look."""
_STRINGS: Final = frozenset((str,))


def _screened(value: Any, line: int) -> Any:
    if value is MERGE:
        return "<<"
    if isinstance(value, float) and not math.isfinite(value):
        raise DocumentError(f"{value} is not a number that JSON has", line=line + 1, hint="put it in quotes if it is text")
    return value


def _sequence(parts: list[Any], lines: list[int]) -> list[Any]:
    if _SCREENED.isdisjoint(map(type, parts)):
        return parts
    return [_screened(part, line) for part, line in zip(parts, lines, strict=True)]


def _mapping(parts: list[Any], lines: list[int]) -> dict[str, Any]:
    keys, values = parts[::2], parts[1::2]
    if not _STRINGS.issuperset(map(type, keys)):
        return _merged_mapping(parts, lines)
    found = dict(zip(keys, values, strict=True))
    if len(found) != len(keys):
        raise _key_twice(keys, lines[::2])
    if _SCREENED.isdisjoint(map(type, values)):
        return found
    entries = zip(keys, values, lines[1::2], strict=True)
    return {key: _screened(value, line) for key, value, line in entries if value is not None}


def _merged_mapping(parts: list[Any], lines: list[int]) -> dict[str, Any]:
    """Return a mapping that has `<<` keys: its own keys beat merged ones, and earlier merges beat later ones."""
    merged: dict[str, Any] = {}
    own_parts: list[Any] = []
    own_lines: list[int] = []
    for at in range(0, len(parts), 2):
        key, value = parts[at : at + 2]
        if key is MERGE:
            merged = {**_merge_source(value, lines[at]), **merged}
        elif isinstance(key, str):
            own_parts += parts[at : at + 2]
            own_lines += lines[at : at + 2]
        else:
            found = "a mapping or a list" if isinstance(key, dict | list) else f"{key!r} ({type(key).__name__})"
            raise DocumentError(f"a key is {found}, not a string", line=lines[at] + 1, hint="put the key in quotes")
    nulled = {key for key, value in zip(own_parts[::2], own_parts[1::2], strict=True) if value is None}
    return {key: value for key, value in {**merged, **_mapping(own_parts, own_lines)}.items() if key not in nulled}


def _merge_source(value: Any, line: int) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for source in value if isinstance(value, list) else [value]:
        if not isinstance(source, dict):
            raise DocumentError("the value of << must be a mapping or a list of mappings", line=line + 1)
        found = {**source, **found}
    return found


def _key_twice(keys: list[str], lines: list[int]) -> DocumentError:
    key = first_twice(keys)
    first, second = [line for found, line in zip(keys, lines, strict=True) if found == key][:2]
    message = f"the key {key!r} appears twice in one mapping, first in line {first + 1}"
    return DocumentError(message, line=second + 1, hint="keep one of them")


def _syntax_error(error: yaml.YAMLError) -> DocumentError:
    if isinstance(error, yaml.MarkedYAMLError):
        mark: Any = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 0
        context = f" {error.context}" if error.context else ""
        hint = "YAML indents with spaces, never with tabs" if "cannot start any token" in str(error.problem) else ""
        return DocumentError(f"not YAML: {error.problem}{context}", line=line, hint=hint)
    reason = getattr(error, "reason", str(error))
    return DocumentError(f"not YAML: {reason}")
