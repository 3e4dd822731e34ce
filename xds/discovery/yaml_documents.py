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


class _Frame:
    """A collection that has been opened: its parts so far (keys and values alternate), and the line of each."""

    __slots__ = ("anchor", "is_mapping", "levels", "lines", "nodes", "parts")

    def __init__(self, anchor: str | None, *, is_mapping: bool) -> None:
        self.is_mapping = is_mapping
        self.anchor = anchor
        self.parts: list[Any] = []
        self.lines: list[int] = []
        self.nodes = 1
        """Nodes in it, itself included; its own parts are added when it is closed."""
        self.levels = 1
        """Levels in it, itself included."""


class _Builder:
    """Builds the documents of one file from libyaml's events."""

    def __init__(self, text: str) -> None:
        # The stubs know neither libyaml's marks nor which events have one.
        self.parser: Any = CParser(text)
        self.aliased_nodes = 0
        self.stack: list[_Frame] = []
        """Open collections; the lowest stands for the document."""
        self.anchors: dict[str, tuple[Any, int, int]] = {}
        """Anchor -> value, nodes in it, levels in it."""

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
        """Build one document, from the event after its start to that of its end."""
        next_event = self.parser.get_event
        self.anchors.clear()
        self.stack = [_Frame(None, is_mapping=False)]
        root = frame = self.stack[0]
        parts, lines = frame.parts, frame.lines
        # This loop runs for every word of every manifest: scalars are handled without a call, lines are noted 0-based.
        while True:
            event = next_event()
            kind = type(event)
            if kind is yaml.ScalarEvent:
                parts.append(plain_scalar(event.value) if event.implicit[0] else quoted_scalar(event))
                lines.append(event.start_mark.line)
                if event.anchor is not None:
                    self.anchors[event.anchor] = (parts[-1], 1, 0)
                continue
            if kind is yaml.DocumentEndEvent:
                return _sequence(root)[0]
            if kind is yaml.AliasEvent:
                self.alias(event)
                continue
            if kind is yaml.MappingStartEvent or kind is yaml.SequenceStartEvent:
                self.open(event, is_mapping=kind is yaml.MappingStartEvent)
            else:
                self.close()
            frame = self.stack[-1]
            parts, lines = frame.parts, frame.lines

    def open(self, event: Any, *, is_mapping: bool) -> None:
        line = event.start_mark.line
        if event.tag is not None and event.tag not in ("!", YAML_TAG + ("map" if is_mapping else "seq")):
            raise unsupported_tag(event.tag, line + 1)
        if len(self.stack) > MAX_DEPTH:
            raise _too_deep(line + 1)
        self.stack[-1].lines.append(line)
        self.stack.append(_Frame(event.anchor, is_mapping=is_mapping))

    def close(self) -> None:
        frame = self.stack.pop()
        value = _mapping(frame) if frame.is_mapping else _sequence(frame)
        parent = self.stack[-1]
        parent.parts.append(value)
        nodes = frame.nodes + len(frame.parts)
        parent.nodes += nodes - 1
        parent.levels = max(parent.levels, frame.levels + 1)
        if frame.anchor is not None:
            self.anchors[frame.anchor] = (value, nodes, frame.levels)

    def alias(self, event: Any) -> None:
        name, line = event.anchor, event.start_mark.line
        if any(frame.anchor == name for frame in self.stack):
            raise DocumentError(f"the alias *{name} stands inside what it refers to", line=line + 1)
        if name not in self.anchors:
            raise DocumentError(f"the alias *{name} refers to no anchor before it", line=line + 1)
        value, nodes, levels = self.anchors[name]
        self.aliased_nodes += nodes
        if self.aliased_nodes > MAX_ALIASED_NODES:
            message = f"aliases expand to more than {MAX_ALIASED_NODES:,} values"
            raise DocumentError(message, line=line + 1, code="XDS0104", hint="write the values out, in several files")
        if len(self.stack) - 1 + levels > MAX_DEPTH:
            raise _too_deep(line + 1)
        frame = self.stack[-1]
        frame.nodes += nodes - 1
        frame.levels = max(frame.levels, levels + 1)
        frame.parts.append(value)
        frame.lines.append(line)


def _too_deep(line: int) -> DocumentError:
    return DocumentError(f"nested more than {MAX_DEPTH} levels deep", line=line, code="XDS0104")


_SCREENED: Final = frozenset((float, Merge, type(None)))
"""Types of values that need a second look."""


def _screened(value: Any, line: int) -> Any:
    if value is MERGE:
        return "<<"
    if isinstance(value, float) and not math.isfinite(value):
        raise DocumentError(f"{value} is not a number that JSON has", line=line + 1, hint="put it in quotes if it is text")
    return value


def _sequence(frame: _Frame) -> list[Any]:
    if _SCREENED.isdisjoint(map(type, frame.parts)):
        return frame.parts
    return [_screened(part, line) for part, line in zip(frame.parts, frame.lines, strict=True)]


def _mapping(frame: _Frame) -> dict[str, Any]:
    keys, values = frame.parts[::2], frame.parts[1::2]
    types_of_keys = set(map(type, keys))
    if types_of_keys and types_of_keys != {str}:
        return _merged_mapping(frame)
    found = dict(zip(keys, values, strict=True))
    if len(found) != len(keys):
        raise _key_twice(keys, frame.lines[::2])
    if _SCREENED.isdisjoint(map(type, values)):
        return found
    entries = zip(keys, values, frame.lines[1::2], strict=True)
    return {key: _screened(value, line) for key, value, line in entries if value is not None}


def _merged_mapping(frame: _Frame) -> dict[str, Any]:
    """Return a mapping that has `<<` keys: its own keys beat merged ones, and earlier merges beat later ones."""
    merged: dict[str, Any] = {}
    own = _Frame(None, is_mapping=True)
    for at in range(0, len(frame.parts), 2):
        key, value, line = frame.parts[at], frame.parts[at + 1], frame.lines[at]
        if key is MERGE:
            merged = {**_merge_source(value, line), **merged}
        elif isinstance(key, str):
            own.parts += (key, value)
            own.lines += (line, frame.lines[at + 1])
        else:
            shown = "a mapping or a list" if isinstance(key, dict | list) else f"{key!r} ({type(key).__name__})"
            raise DocumentError(f"a key is {shown}, not a string", line=line + 1, hint="put the key in quotes")
    nulled = {key for key, value in zip(own.parts[::2], own.parts[1::2], strict=True) if value is None}
    return {key: value for key, value in {**merged, **_mapping(own)}.items() if key not in nulled}


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
