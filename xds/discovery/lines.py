"""Lines: where in its file a value stands. Needed only once something is wrong, so the file is simply parsed again."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import yaml
from yaml._yaml import CParser

if TYPE_CHECKING:
    from collections.abc import Iterable

    from xds.discovery.document import DocumentPath


Wanted = dict[str | int, "Wanted"]
"""The paths that are looked for, as a tree of steps."""


def locate(text: str, paths: Iterable[DocumentPath]) -> dict[DocumentPath, int]:
    """Return the line (1-based) of each path, or else of the nearest value around it that is written out.

    The text must have parsed. JSON is read as YAML, which it is but for rare cases; there the line may be 0, unknown.
    """
    paths = set(paths)
    wanted: Wanted = {}
    for path in paths:
        branch = wanted
        for step in path:
            branch = branch.setdefault(step, {})
    walk = _Walk(text, wanted)
    with contextlib.suppress(yaml.YAMLError):  # JSON that YAML does not read; what came before is known
        walk.run()
    lines = walk.lines
    return {path: next((lines[path[:n]] for n in range(len(path), 0, -1) if path[:n] in lines), 0) for path in paths}


class _Level:
    """An open collection and where in it the walk stands."""

    __slots__ = ("at", "at_key", "is_mapping", "line", "wanted")

    def __init__(self, wanted: Wanted, *, is_mapping: bool) -> None:
        self.is_mapping = is_mapping
        self.at_key = is_mapping
        self.at: str | int = -1
        self.line = 0
        self.wanted = wanted


class _Walk:
    """One pass over the events of a text; a value in a mapping stands where its key stands."""

    def __init__(self, text: str, wanted: Wanted) -> None:
        self.parser: Any = CParser(text)
        self.levels = [_Level(wanted, is_mapping=False)]
        """Open collections; the lowest is the list of documents."""
        self.lines: dict[DocumentPath, int] = {}

    def run(self) -> None:
        while True:
            event = self.parser.get_event()
            if isinstance(event, yaml.NodeEvent):
                self.node(event)
            elif isinstance(event, yaml.CollectionEndEvent):
                self.levels.pop()
            elif isinstance(event, yaml.StreamEndEvent):
                return

    def node(self, event: Any) -> None:
        level = self.levels[-1]
        line = event.start_mark.line + 1
        if level.is_mapping and level.at_key:
            level.at, level.line, level.at_key = getattr(event, "value", ""), line, False
            return
        if isinstance(level.at, int):
            level.at += 1
        else:
            level.at_key = True
            line = level.line
        wanted = level.wanted.get(level.at)
        if wanted is not None:
            self.lines.setdefault(tuple(level.at for level in self.levels), line)
        if isinstance(event, yaml.CollectionStartEvent):
            self.levels.append(_Level(wanted or {}, is_mapping=isinstance(event, yaml.MappingStartEvent)))
