"""Parts: the text of one or more documents -> objects and problems. A pure function; knows neither files nor other parts."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from xds.discovery.decoding import Decoded, Fault, decode, field_path, shown, unknown_field_hint
from xds.discovery.document import DocumentError, DocumentPath, Parsed
from xds.discovery.gateway_subset import consequence
from xds.discovery.json_documents import json_documents
from xds.discovery.lines import locate
from xds.discovery.yaml_documents import yaml_documents
from xds.model.events import FLEET, ref_of
from xds.model.kinds import Level, kind_of
from xds.problems import Problem, Ref

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from xds.model.kinds import Kind
    from xds.model.objects import KubernetesObject


@dataclass(frozen=True, slots=True)
class Part:
    """What a text holds; lines are 1-based in that text, 0 if unknown."""

    objects: tuple[tuple[int, KubernetesObject], ...] = ()
    """Line at which its document begins, object."""
    problems: tuple[tuple[int, Problem], ...] = ()
    foreign: Mapping[tuple[str, str], int] = field(default_factory=dict)
    """apiVersion and kind of what we do not read -> how many."""
    complete: bool = True
    """False: something in it could not be read."""
    aliased_nodes: int = 0

    @property
    def is_empty(self) -> bool:
        """True if it holds no documents but null ones."""
        return not (self.objects or self.problems or self.foreign)


def read_part(cluster: str, text: str, *, is_json: bool) -> Part:
    """Decode a text that belongs to a cluster, or to the fleet."""
    try:
        parsed = json_documents(text) if is_json else yaml_documents(text)
    except DocumentError as error:
        return Part(problems=((error.line, Problem(error.code, str(error), hint=error.hint)),), complete=False)
    return _Reader(cluster, text).read(parsed)


@dataclass(frozen=True, slots=True)
class _Found:
    """One object as written: where it is in its file."""

    value: Any
    path: DocumentPath
    line: int
    """Of its document."""


class _Reader:
    def __init__(self, cluster: str, text: str) -> None:
        self.cluster = cluster
        self.text = text
        self.objects: list[tuple[int, KubernetesObject]] = []
        self.problems: list[tuple[DocumentPath, Problem]] = []
        """Where each problem is, and the problem, which gets its line in the end."""
        self.foreign: Counter[tuple[str, str]] = Counter()
        self.complete = True

    def read(self, parsed: Parsed) -> Part:
        for document in parsed.documents:
            for found in unrolled(document.value, (document.index,), document.line):
                self.object(found)
        lines = locate(self.text, (path for path, _ in self.problems)) if self.problems else {}
        problems = tuple((lines[path], problem) for path, problem in self.problems)
        return Part(tuple(self.objects), problems, self.foreign, self.complete, parsed.aliased_nodes)

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
        if _is_list(value):
            self.refuse(found, Fault(("items",), f"is {shown(value['items'])}; expected a list"))
            return
        api_version: str = value["apiVersion"]
        name: str = value["kind"]
        kind = kind_of(_group_of(api_version), name)
        if kind is None:
            self.foreign[api_version, name] += 1
        elif api_version not in kind.api_versions:
            message = f"is '{api_version}'; expected {' or '.join(kind.api_versions)}"
            self.refuse(found, Fault(("apiVersion",), message))
        elif (Level.FLEET if self.cluster == FLEET else Level.MEMBER) not in kind.level:
            self.misplaced(found, kind)
        else:
            self.decoded(found, decode(value, kind))

    def decoded(self, found: _Found, result: Decoded | Fault) -> None:
        if isinstance(result, Fault):
            self.refuse(found, result)
            return
        item = result.object
        ref = ref_of(self.cluster, item)
        self.objects.append((found.line, item))
        for path in result.unsupported:
            outside = f"{_asked(found.value, path)}is outside the part of the Gateway API that is served"
            message = f"{outside}; {consequence(item.kind, path)}"
            self.problem(found, Problem("XDS0402", message, ref, field_path(path), "do without it"), path)

        for path in result.unknown:
            hint = unknown_field_hint(path, type(item))
            self.problem(found, Problem("XDS0112", f"{item.kind} has no such field; ignored", ref, field_path(path), hint), path)

    def misplaced(self, found: _Found, kind: Kind) -> None:
        if kind.level is Level.FLEET:
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
        texts = (value.get("apiVersion"), value.get("kind"), parts.get("namespace"), parts.get("name"))
        api_version, kind, namespace, name = (text if isinstance(text, str) else "" for text in texts)
        known = kind_of(_group_of(api_version), kind)
        return Ref(self.cluster, known.name if known else kind, namespace, name) if kind and name else None


def _asked(value: Any, path: DocumentPath) -> str:
    """Name what stands at a path that is outside the subset, where it has a name: a filter by its type, or a text."""
    for step in path:
        value = value[step]
    if isinstance(value, dict) and path[-2:-1] == ("filters",) and isinstance(value.get("type"), str):
        return f"filter {shown(value['type'])} "
    return f"{shown(value)} " if isinstance(value, str) else ""


def _group_of(api_version: str) -> str:
    return api_version.rpartition("/")[0]


def unrolled(value: Any, path: DocumentPath, line: int) -> Iterator[_Found]:
    """Yield the objects of a document: itself, or the items of a `List`."""
    items = value.get("items", []) if _is_list(value) else None
    if not isinstance(items, list):
        yield _Found(value, path, line)
        return
    for index, item in enumerate(items):
        yield from unrolled(item, (*path, "items", index), line)


def _is_list(value: Any) -> bool:
    return isinstance(value, dict) and value.get("kind") == "List" and value.get("apiVersion") == "v1"
