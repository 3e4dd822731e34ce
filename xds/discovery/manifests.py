"""One manifest file: its bytes -> objects and problems. A pure function; nothing here knows of other files.

A YAML file is read in parts, one for each document, and a part that an earlier reading has seen is not decoded again: one
change in a file of a thousand services costs one service.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from xds.discovery.document import DocumentError, text_of
from xds.discovery.parts import Part, read_part
from xds.discovery.yaml_documents import MAX_ALIASED_NODES
from xds.model.events import ObjectKey, ref_of
from xds.model.kinds import nearest_kind
from xds.problems import Problem

if TYPE_CHECKING:
    from collections.abc import Iterator

    from xds.model.objects import KubernetesObject

# At the beginning of a line this is a separator wherever it stands, even in a block scalar (YAML 1.2, production c-forbidden).
_SEPARATOR = re.compile(r"^---(?=\s|$)", re.MULTILINE)
_DIRECTIVE = re.compile(r"^%", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Item:
    """One object of a file."""

    object: KubernetesObject
    line: int
    """Where its document begins."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """What one reading of a file gave."""

    cluster: str
    items: dict[ObjectKey, Item] = field(default_factory=dict)
    problems: tuple[Problem, ...] = ()
    complete: bool = True
    """False: the file, or an object in it, could not be read; what was read of it earlier is worth more."""
    parts: dict[bytes, Part] = field(default_factory=dict)
    """Digest of a part's text -> what it holds."""


def broken_manifest(path: str, cluster: str, problem: Problem, line: int = 0) -> Manifest:
    """Return what a file gives that cannot be read at all."""
    return Manifest(cluster, problems=(replace(problem, source=_source(path, line)),), complete=False)


def read_manifest(path: str, cluster: str, content: bytes, before: Manifest | None = None) -> Manifest:
    """Decode a file.

    Args:
        path: relative to the directory that is read; its suffix says YAML or JSON.
        cluster: whose manifest it is; FLEET for a fleet-wide one.
        content: the bytes of the file.
        before: an earlier reading of the same file.
    """
    try:
        text = text_of(content)
    except DocumentError as error:
        return broken_manifest(path, cluster, Problem(error.code, str(error), hint=error.hint), error.line)
    is_json = path.lower().endswith(".json")
    known = before.parts if before else {}
    assembly = _Assembly(path, cluster)
    for line, part_text in [(1, text)] if is_json else _split(text):
        digest = hashlib.blake2b(part_text.encode(), digest_size=16).digest()
        part = known.get(digest) or read_part(cluster, part_text, is_json=is_json)
        assembly.add(part, digest, line)
        if assembly.aliased_nodes > MAX_ALIASED_NODES:
            message = f"the aliases of the file expand to more than {MAX_ALIASED_NODES:,} values"
            return broken_manifest(path, cluster, Problem("XDS0104", message, hint="write the values out"), line)
    return assembly.manifest(is_blank=not text.strip())


def _split(text: str) -> Iterator[tuple[int, str]]:
    """Yield the parts of a YAML text, each with the line at which it begins."""
    if _DIRECTIVE.search(text):  # a directive belongs to the document after the next separator: leave it to the parser
        yield 1, text
        return
    starts = [0, *(found.start() for found in _SEPARATOR.finditer(text) if found.start())]
    line = 1
    for start, end in zip(starts, [*starts[1:], len(text)], strict=True):
        part = text[start:end]
        yield line, part
        line += part.count("\n")


def _source(path: str, line: int) -> str:
    return f"{path}:{line}" if line else path


class _Assembly:
    """Puts the parts of a file together."""

    def __init__(self, path: str, cluster: str) -> None:
        self.path = path
        self.cluster = cluster
        self.items: dict[ObjectKey, Item] = {}
        self.problems: list[Problem] = []
        self.foreign: Counter[tuple[str, str]] = Counter()
        self.parts: dict[bytes, Part] = {}
        self.aliased_nodes = 0

    def add(self, part: Part, digest: bytes, start: int) -> None:
        """Add a part that begins at a line."""
        self.parts[digest] = part
        self.aliased_nodes += part.aliased_nodes
        self.foreign.update(part.foreign)
        for line, problem in part.problems:
            at = start + line - 1 if line or start > 1 else 0
            self.problems.append(replace(problem, source=_source(self.path, at)))
        for line, item in part.objects:
            self.item(item, start + line - 1)

    def item(self, item: KubernetesObject, line: int) -> None:
        key = ObjectKey(item.kind, item.metadata.namespace, item.metadata.name)
        if key not in self.items:
            self.items[key] = Item(item, line)
            return
        message = f"already defined in {self.path}:{self.items[key].line}; this one is ignored"
        ref, source = ref_of(self.cluster, item), _source(self.path, line)
        self.problems.append(Problem("XDS0105", message, ref, hint="keep one of them", source=source))

    def manifest(self, *, is_blank: bool) -> Manifest:
        for (version, kind), count in sorted(self.foreign.items()):
            message = f"{count} of kind {kind} ({version}) left out: we do not read this kind"
            meant = nearest_kind(version.rpartition("/")[0], kind)
            hint = f"did you mean kind {meant.kind}, apiVersion {' or '.join(meant.api_versions)}?" if meant else ""
            self.problems.append(Problem("XDS0110" if meant else "XDS0106", message, hint=hint, source=self.path))
        if all(part.is_empty for part in self.parts.values()):
            # A blank file is probably being written right now.
            hint = "to remove its objects, delete the file" if is_blank else ""
            self.problems.append(Problem("XDS0108", "the file holds no objects", hint=hint, source=self.path))
        complete = not is_blank and all(part.complete for part in self.parts.values())
        return Manifest(self.cluster, self.items, tuple(self.problems), complete, self.parts)
