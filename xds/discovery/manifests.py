"""One manifest file: its bytes -> objects and problems. A pure function; nothing here knows of other files."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from xds.discovery.decoding import Decoded, Fault, decode, field_path, shown
from xds.discovery.document import Document, DocumentError, DocumentPath, text_of
from xds.discovery.json_documents import json_documents
from xds.discovery.lines import locate
from xds.discovery.yaml_documents import yaml_documents
from xds.model.events import FLEET, ObjectKey, ref_of
from xds.model.kinds import KINDS
from xds.problems import Problem, Ref

if TYPE_CHECKING:
    from collections.abc import Iterator

    from xds.model.kinds import Kind
    from xds.model.objects import KubernetesObject


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


def broken_manifest(path: str, cluster: str, code: str, message: str, hint: str = "") -> Manifest:
    """Return what a file gives that cannot be read at all."""
    return Manifest(cluster, problems=(Problem(code, message, hint=hint, source=path),), complete=False)


def read_manifest(path: str, cluster: str, content: bytes) -> Manifest:
    """Decode a file.

    Args:
        path: relative to the directory that is read; its suffix says YAML or JSON.
        cluster: whose manifest it is; FLEET for a fleet-wide one.
        content: the bytes of the file.
    """
    try:
        text = text_of(content)
        documents = json_documents(text) if path.lower().endswith(".json") else yaml_documents(text)
    except DocumentError as error:
        source = f"{path}:{error.line}" if error.line else path
        return Manifest(cluster, problems=(Problem(error.code, str(error), hint=error.hint, source=source),), complete=False)
    reader = _Reader(path, cluster, content)
    if not documents:
        return reader.empty(is_blank=not text.strip())
    return reader.read(documents)


@dataclass(frozen=True, slots=True)
class _Found:
    """One object as written: where it is in its file."""

    value: Any
    path: DocumentPath
    line: int
    """Of its document."""


class _Reader:
    def __init__(self, path: str, cluster: str, content: bytes) -> None:
        self.path = path
        self.cluster = cluster
        self.content = content
        self.items: dict[ObjectKey, Item] = {}
        self.problems: list[tuple[DocumentPath, Problem]] = []
        """Where each problem is, and the problem, which gets its line in the end."""
        self.foreign: Counter[tuple[str, str]] = Counter()
        self.complete = True

    def empty(self, *, is_blank: bool) -> Manifest:
        """Return what a file without documents gives; a blank one is probably being written right now."""
        hint = "to remove its objects, delete the file" if is_blank else ""
        problem = Problem("XDS0108", "the file holds no objects", hint=hint, source=self.path)
        return Manifest(self.cluster, problems=(problem,), complete=not is_blank)

    def read(self, documents: list[Document]) -> Manifest:
        for document in documents:
            for found in _unrolled(document.value, (document.index,), document.line):
                self.object(found)
        foreign = [
            Problem("XDS0106", f"{count} of kind {kind} ({version}) left out: we do not read this kind", source=self.path)
            for (version, kind), count in sorted(self.foreign.items())
        ]
        return Manifest(self.cluster, self.items, tuple(foreign) + self.located(), self.complete)

    def located(self) -> tuple[Problem, ...]:
        if not self.problems:
            return ()
        lines = locate(self.content, (path for path, _ in self.problems))
        return tuple(replace(problem, source=f"{self.path}:{lines[path]}") for path, problem in self.problems)

    def object(self, found: _Found) -> None:
        value = found.value
        if not isinstance(value, dict):
            self.refuse(found, Fault((), f"found {shown(value)}; expected a mapping with apiVersion and kind"))
            return
        for key in ("apiVersion", "kind"):
            if not isinstance(value.get(key), str) or not value[key]:
                wrong = f"is {shown(value[key])}; expected a string" if value.get(key) else "is missing"
                self.refuse(found, Fault((key,), wrong, "every object has an apiVersion and a kind"))
                return
        api_version: str = value["apiVersion"]
        name: str = value["kind"]
        kind = KINDS.get(name)
        if kind is None or kind.group != _group_of(api_version):
            self.foreign[api_version, name] += 1
        elif api_version not in kind.api_versions:
            message = f"is '{api_version}'; expected {' or '.join(kind.api_versions)}"
            self.refuse(found, Fault(("apiVersion",), message))
        elif kind.fleet_wide != (self.cluster == FLEET):
            self.misplaced(found, kind)
        else:
            self.decoded(found, decode(value, kind))

    def decoded(self, found: _Found, result: Decoded | Fault) -> None:
        if isinstance(result, Fault):
            self.refuse(found, result)
            return
        item = result.object
        ref = ref_of(self.cluster, item)
        key = ObjectKey(item.kind, item.metadata.namespace, item.metadata.name)
        if key in self.items:
            message = f"already defined in {self.path}:{self.items[key].line}; this one is ignored"
            self.problem(found, Problem("XDS0105", message, ref, hint="keep one of them"))
            return
        self.items[key] = Item(item, found.line)
        for path in result.unsupported:
            message = "is outside the part of the Gateway API that is served"
            self.problem(found, Problem("XDS0402", message, ref, field_path(path), "what it belongs to is left out"), path)

    def misplaced(self, found: _Found, kind: Kind) -> None:
        if kind.fleet_wide:
            message, hint = "is fleet-wide and stands in a cluster's directory", "move it to the top of the directory"
        else:
            message, hint = "belongs to a cluster and stands at the fleet's level", "move it to the directory of its cluster"
        self.problem(found, Problem("XDS0107", f"{message}; ignored", self.ref(found.value), hint=hint))

    def refuse(self, found: _Found, fault: Fault) -> None:
        self.complete = False
        problem = Problem("XDS0102", fault.message, self.ref(found.value), field_path(fault.path), fault.hint)
        self.problem(found, problem, fault.path)

    def problem(self, found: _Found, problem: Problem, inside: DocumentPath = ()) -> None:
        self.problems.append((found.path + inside, problem))

    def ref(self, value: Any) -> Ref | None:
        """Name an object that may lack a name."""
        if not isinstance(value, dict):
            return None
        metadata = value.get("metadata")
        parts = metadata if isinstance(metadata, dict) else {}
        texts = (value.get("kind"), parts.get("namespace"), parts.get("name"))
        kind, namespace, name = (text if isinstance(text, str) else "" for text in texts)
        return Ref(self.cluster, kind, namespace, name) if kind and name else None


def _group_of(api_version: str) -> str:
    return api_version.rpartition("/")[0]


def _unrolled(value: Any, path: DocumentPath, line: int) -> Iterator[_Found]:
    """Yield the objects of a document: itself, or the items of a `List`."""
    if not (isinstance(value, dict) and value.get("kind") == "List" and value.get("apiVersion") == "v1"):
        yield _Found(value, path, line)
        return
    items = value.get("items", [])
    if not isinstance(items, list):
        yield _Found(value, path, line)
        return
    for index, item in enumerate(items):
        yield from _unrolled(item, (*path, "items", index), line)
