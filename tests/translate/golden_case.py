"""Golden cases: a folder's `in.yaml` goes the real way from manifests to resources; what comes out is `out.*.yaml` beside it."""

from __future__ import annotations

import tempfile
from collections import defaultdict
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import yaml
from google.protobuf import json_format

from xds.discovery.files import read_directory
from xds.errors import NodeRejectedError
from xds.model.events import FLEET, Delete, ObjectKey, Upsert
from xds.model.fleet import Fleet
from xds.model.node import view_of
from xds.problems import Problem
from xds.server.node import node_of
from xds.translate.world import TYPES, Translator
from xds.wire import envoy, short_name, to_dict, unpack

TESTDATA = Path(__file__).parent / "testdata"
CASES = sorted(path.parent.name for path in TESTDATA.glob("*/in.yaml"))
KEYS = frozenset(("about", "node", "fleet", "clusters", "then"))


@dataclass(frozen=True)
class Outcome:
    """What a case gives."""

    resources: dict[str, dict[str, object]]
    """Type URL -> name -> Resource."""
    problems: tuple[Problem, ...]

    def files(self) -> dict[str, str]:
        """File name -> text, for files that have something in them."""
        found = {}
        for type_url, named in self.resources.items():
            if named:
                items = [to_dict(unpack(type_url, named[name].body)) for name in sorted(named)]
                found[f"out.{short_name(type_url)}.yaml"] = dump(items)
        if self.problems:
            described = sorted((describe(problem) for problem in self.problems), key=lambda item: list(item.values()))
            found["out.problems.yaml"] = dump(described, flow=False)
        return found


@cache
def outcome(case: str, role: str = "") -> Outcome:
    """Run one case, once a session; for a client of another role than the case's if one is given."""
    given = yaml.safe_load((TESTDATA / case / "in.yaml").read_text())
    assert given["about"].endswith("."), "about is one sentence"
    assert given.keys() <= KEYS, f"unknown keys {given.keys() - KEYS}"
    fleet = Fleet()
    problems: set[Problem] = set()
    with tempfile.TemporaryDirectory() as scratch:
        files = Files(Path(scratch))
        for step in (given, *given.get("then", ())):
            problems = files.tell(step, fleet)
    problems |= set(fleet.problems())
    try:
        if role:
            given["node"]["metadata"]["isthmus"]["role"] = role
        node = node_of(json_format.ParseDict(given["node"], envoy.Node()))
        view, noted = view_of(node, fleet.members, by_node=fleet.prefers_node)
    except NodeRejectedError as error:
        return Outcome({}, (*problems, Problem("XDS0501", str(error))))
    translator = Translator(fleet)
    made = translator.translate(view)
    assert set(made.resources) == set(TYPES)
    return Outcome(made.resources, tuple(dict.fromkeys((*problems, *translator.book.problems(), *noted, *made.problems))))


class Files:
    """The directory that a case describes, step by step."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.objects: dict[str, dict[ObjectKey, dict]] = defaultdict(dict)
        self.told: set[tuple[str, ObjectKey]] = set()

    def tell(self, step: dict, fleet: Fleet) -> set[Problem]:
        """Bring the files up to a step, read them as `serve` does, and give the fleet what changed.

        `fleet` and `clusters` replace objects of the same name; `delete` is `{east: [Kind/namespace/name]}`.
        """
        for cluster, objects in {FLEET: step.get("fleet", []), **step.get("clusters", {})}.items():
            for item in objects:
                meta = item["metadata"]
                self.objects[cluster][ObjectKey(item["kind"], meta.get("namespace", ""), meta["name"])] = item
        for cluster, keys in step.get("delete", {}).items():
            for key in keys:
                del self.objects[cluster][ObjectKey(*key.split("/"))]
        for cluster, found in self.objects.items():
            file = self.root / cluster / "in.yaml"
            file.parent.mkdir(exist_ok=True)
            file.write_text(yaml.safe_dump_all(found.values()))
        reading = read_directory(self.root)
        now = {(event.cluster, event.key) for event in reading.events if isinstance(event, Upsert)}
        fleet.apply([*reading.events, *(Delete(*gone) for gone in sorted(self.told - now))])
        self.told = now
        return {replace(problem, source="") for problem in reading.problems}


def describe(problem: Problem) -> dict[str, str]:
    parts = {
        "code": problem.code,
        "object": str(problem.ref) if problem.ref else "",
        "field": problem.field,
        "message": problem.message,
        "hint": problem.hint,
    }
    return {key: value for key, value in parts.items() if value}


def dump(value: object, *, flow: bool | None = None) -> str:
    text: str = yaml.safe_dump(value, sort_keys=False, default_flow_style=flow, width=120, allow_unicode=True)
    return text


def expected(case: str) -> dict[str, str]:
    """Return the expected files of a case by name."""
    return {path.name: path.read_text() for path in sorted((TESTDATA / case).glob("out.*"))}


def rewrite(case: str, files: dict[str, str]) -> None:
    """Make the expected files of a case what they are now; stale ones go."""
    for name in expected(case).keys() - files.keys():
        (TESTDATA / case / name).unlink()
    for name, text in files.items():
        (TESTDATA / case / name).write_text(text)
