"""Lines: where in its file a value stands. Needed only once something is wrong, so the file is simply parsed again."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import yaml
from yaml._yaml import CParser

if TYPE_CHECKING:
    from collections.abc import Iterable

    from xds.discovery.document import DocumentPath


def locate(text: str, paths: Iterable[DocumentPath]) -> dict[DocumentPath, int]:
    """Return the line (1-based) of each path, or else of the nearest value around it that is written out.

    The text must have parsed. JSON is read as YAML, which it is but for rare cases; there the line may be 0, unknown.
    """
    wanted = set(paths)
    prefixes = {path[:length] for path in wanted for length in range(1, len(path) + 1)}
    lines: dict[DocumentPath, int] = {}
    with contextlib.suppress(yaml.YAMLError):  # JSON that YAML does not read; what came before is known
        _Walk(text, prefixes, lines).run()
    return {path: next((lines[path[:n]] for n in range(len(path), 0, -1) if path[:n] in lines), 0) for path in wanted}


class _Level:
    """An open collection and where in it the walk stands."""

    __slots__ = ("at", "at_key", "is_mapping", "line")

    def __init__(self, *, is_mapping: bool) -> None:
        self.is_mapping = is_mapping
        self.at_key = is_mapping
        self.at: str | int = -1
        self.line = 0


class _Walk:
    """One pass over the events of a file; a value in a mapping stands where its key stands."""

    def __init__(self, text: str, wanted: set[DocumentPath], lines: dict[DocumentPath, int]) -> None:
        self.parser: Any = CParser(text)
        self.wanted = wanted
        self.lines = lines
        self.levels: list[_Level] = []
        self.document = -1

    def run(self) -> None:
        while not self.parser.check_event(yaml.StreamEndEvent):
            event = self.parser.get_event()
            if isinstance(event, yaml.DocumentStartEvent):
                self.document += 1
            elif isinstance(event, yaml.CollectionEndEvent):
                self.levels.pop()
            elif isinstance(event, yaml.NodeEvent):
                self.node(event)

    def node(self, event: Any) -> None:
        level = self.levels[-1] if self.levels else None
        line = event.start_mark.line + 1
        if level and level.is_mapping and level.at_key:
            level.at, level.line, level.at_key = getattr(event, "value", ""), line, False
            return
        if level and level.is_mapping:
            level.at_key = True
            line = level.line
        elif level and isinstance(level.at, int):
            level.at += 1
        path = (self.document, *(level.at for level in self.levels))
        if path in self.wanted:
            self.lines.setdefault(path, line)
        if isinstance(event, yaml.CollectionStartEvent):
            self.levels.append(_Level(is_mapping=isinstance(event, yaml.MappingStartEvent)))
