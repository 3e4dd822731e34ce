"""Where in a file a field stands that a later stage found fault with. Files are read again for it, once something is wrong."""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from xds.discovery.document import DocumentError, text_of
from xds.discovery.inventory import placed
from xds.discovery.json_documents import json_documents
from xds.discovery.lines import locate
from xds.discovery.parts import unrolled
from xds.discovery.yaml_documents import yaml_documents

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from xds.discovery.document import DocumentPath
    from xds.discovery.inventory import Identity
    from xds.problems import Problem

_STEP: Final = re.compile(r'\["([^"]*)"\]|\[(\d+)\]|([^.\[\]]+)')
_Name = tuple[int, str, str, str]
"""(line of its document, kind, namespace, name)."""


def pinpointed(
    problems: Iterable[Problem], place: Callable[[Identity], str], read: Callable[[str], bytes | None]
) -> list[Problem]:
    """Return problems that later stages found with the line of their field, or else of what is around it and is written.

    Args:
        problems: those that have a place already keep it.
        place: returns `FILE:LINE` of an object, "" for one that no file defines.
        read: returns the content of such a file, None if it cannot be read any more.
    """
    result: list[Problem] = []
    inside: dict[str, list[int]] = defaultdict(list)
    for problem in problems:
        found = placed(problem, place)
        if found.source != problem.source and found.field:
            inside[found.source.rpartition(":")[0]].append(len(result))
        result.append(found)
    for file, indexes in inside.items():
        lines = _lines(file, read(file), [result[index] for index in indexes])
        for index, line in zip(indexes, lines, strict=True):
            if line:
                result[index] = replace(result[index], source=f"{file}:{line}")
    return result


def _lines(file: str, content: bytes | None, problems: list[Problem]) -> list[int]:
    """Return the line of each problem's field; 0 if it is not known."""
    try:
        text = text_of(content or b"")
        objects = _objects(file, text)
    except DocumentError:  # it is written anew just now
        return [0] * len(problems)
    paths = [_path(objects, problem) for problem in problems]
    lines = locate(text, (path for path in paths if path))
    return [lines.get(path, 0) for path in paths]


def _path(objects: dict[_Name, DocumentPath], problem: Problem) -> DocumentPath:
    ref = problem.ref
    if ref is None:
        return ()
    line = int(problem.source.rpartition(":")[2])
    names = ((line, ref.kind, namespace, ref.name) for namespace in (ref.namespace, ""))  # "": it is left to the default
    start = next((objects[name] for name in names if name in objects), ())
    return (*start, *_steps(problem.field)) if start else ()


def _objects(file: str, text: str) -> dict[_Name, DocumentPath]:
    """Return where the objects of a file stand; of two alike the first counts, as everywhere."""
    parsed = json_documents(text) if file.lower().endswith(".json") else yaml_documents(text)
    found: dict[_Name, DocumentPath] = {}
    for document in parsed.documents:
        for one in unrolled(document.value, (document.index,), document.line):
            found.setdefault((one.line, *_named(one.value)), one.path)
    return found


def _named(value: Any) -> tuple[str, str, str]:
    item = value if isinstance(value, dict) else {}
    metadata = item.get("metadata")
    names = metadata if isinstance(metadata, dict) else {}
    return str(item.get("kind", "")), str(names.get("namespace", "")), str(names.get("name", ""))


def _steps(field: str) -> DocumentPath:
    """Return the steps of a path as problems show it (`field_path`)."""
    return tuple(int(found[2]) if found[2] else found[1] or found[3] for found in _STEP.finditer(field))
