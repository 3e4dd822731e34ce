"""Golden cases: a folder's `in.yaml` goes the real way from manifests to resources; what comes out is `out.*.yaml` beside it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import yaml
from google.protobuf import json_format

from xds.discovery.manifests import read_manifest
from xds.errors import NodeRejectedError
from xds.model.events import FLEET, Delete, ObjectKey, Synced, Upsert
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
def outcome(case: str) -> Outcome:
    """Run one case, once a session."""
    given = yaml.safe_load((TESTDATA / case / "in.yaml").read_text())
    assert given["about"].endswith("."), "about is one sentence"
    assert given.keys() <= KEYS, f"unknown keys {given.keys() - KEYS}"
    fleet = Fleet()
    problems: set[Problem] = set()
    for step in (given, *given.get("then", ())):
        events, found = _events(step)
        problems |= found
        fleet.apply([*events, Synced(FLEET), *(Synced(cluster) for cluster in step.get("clusters", {}))])
    problems |= set(fleet.problems())
    try:
        node = node_of(json_format.ParseDict(given["node"], envoy.Node()))
        view, noted = view_of(node, fleet.members, by_node=fleet.prefers_node)
    except NodeRejectedError as error:
        return Outcome({}, (*problems, Problem("XDS0501", str(error))))
    made = Translator(fleet).translate(view)
    assert set(made.resources) == set(TYPES)
    return Outcome(made.resources, tuple(dict.fromkeys((*problems, *noted, *made.problems))))


def _events(step: dict) -> tuple[list, set[Problem]]:
    """Return the events of one step: `delete: {east: [Kind/namespace/name]}`, then objects as manifests."""
    events: list = []
    problems: set[Problem] = set()
    for cluster, keys in step.get("delete", {}).items():
        events += [Delete(cluster, ObjectKey(*key.split("/"))) for key in keys]
    for cluster, objects in {FLEET: step.get("fleet", []), **step.get("clusters", {})}.items():
        if objects:
            read = read_manifest("in.yaml", cluster, yaml.safe_dump_all(objects).encode())
            events += [Upsert(cluster, item.object) for item in read.items.values()]
            problems |= set(read.problems)
    return events, problems


def describe(problem: Problem) -> dict[str, str]:
    parts = {
        "code": problem.code,
        "severity": problem.severity.value,
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
