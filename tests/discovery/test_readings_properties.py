"""Whatever happens to the files: what was told adds up to what the directory holds."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from xds.discovery.files import read_directory
from xds.discovery.readings import Readings
from xds.model.events import Delete, Synced, Upsert

CLUSTERS = ("east", "west")
files = st.sampled_from([f"{cluster}/{name}" for cluster in CLUSTERS for name in ("a.yaml", "b.yaml", "deep/c.yml", "d.json")])
services = st.dictionaries(st.sampled_from(["one", "two", "three"]), st.integers(1, 3), min_size=1)
BREAKS = ("a: [", "{apiVersion: v1, kind: Service, metadata: {}}", "\x00", "")


def text_of(contents: dict[str, int], *, as_list: bool) -> str:
    documents = [
        f'{{"apiVersion": "v1", "kind": "Service", "metadata": {{"name": "{name}"}}, "spec": {{"ports": [{{"port": {port}}}]}}}}'
        for name, port in contents.items()
    ]
    listed = f'{{"apiVersion": "v1", "kind": "List", "items": [{", ".join(documents)}]}}'
    return listed if as_list else "\n---\n".join(documents)


class Directory(RuleBasedStateMachine):
    """Writes, breaks and removes files; `mirror` holds the last good text of each file that exists."""

    def __init__(self) -> None:
        super().__init__()
        self.base = Path(tempfile.mkdtemp())
        self.root, self.mirror = self.base / "root", self.base / "mirror"
        for directory in (self.root, self.mirror):
            directory.mkdir()
        self.readings = Readings(self.root)
        self.told: dict = {}
        self.synced: list[str] = []
        self.look()

    def look(self) -> None:
        for event in self.readings.next_pass().events:
            if isinstance(event, Upsert):
                assert self.told.get((event.cluster, event.key)) != event.object, "told though nothing differs"
                self.told[event.cluster, event.key] = event.object
            elif isinstance(event, Delete):
                del self.told[event.cluster, event.key]
            elif isinstance(event, Synced):
                self.synced.append(event.cluster)

    def put(self, directory: Path, name: str, text: str) -> None:
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    @rule(name=files, contents=services, as_list=st.booleans())
    def write(self, name, contents, as_list):
        text = text_of(contents, as_list=as_list or name.endswith(".json"))
        self.put(self.root, name, text)
        self.put(self.mirror, name, text)
        self.look()

    @rule(name=files, contents=services, damage=st.sampled_from(BREAKS))
    def damage(self, name, contents, damage):
        text = damage and text_of(contents, as_list=False) + "\n---\n" + damage
        is_new = not (self.mirror / name).exists()
        self.put(self.root, name, text)
        if is_new or self.is_broken_there(name):
            self.put(self.mirror, name, text)  # without a good version, what can be read of it counts
        self.look()

    def is_broken_there(self, name: str) -> bool:
        return any(
            problem.source.startswith(name) and problem.code in {"XDS0101", "XDS0102", "XDS0108"}
            for problem in read_directory(self.mirror).problems
        )

    @rule(name=files)
    def remove(self, name):
        for directory in (self.root, self.mirror):
            (directory / name).unlink(missing_ok=True)
        self.look()

    @rule(cluster=st.sampled_from(CLUSTERS))
    def remove_cluster(self, cluster):
        for directory in (self.root, self.mirror):
            shutil.rmtree(directory / cluster, ignore_errors=True)
        self.look()

    @rule(source=files, destination=files)
    def move(self, source, destination):
        suffixes_agree = source.endswith(".json") == destination.endswith(".json")
        if source == destination or not suffixes_agree or not (self.root / source).exists():
            return
        if (self.root / source).read_text() != (self.mirror / source).read_text() or (self.mirror / destination).exists():
            return  # what is good of a broken file does not move with it
        for directory in (self.root, self.mirror):
            (directory / destination).parent.mkdir(parents=True, exist_ok=True)
            (directory / source).rename(directory / destination)
        self.look()

    @rule()
    def nothing(self):
        assert self.readings.next_pass().events == []

    @invariant()
    def what_was_told_is_what_is_there(self):
        fresh = read_directory(self.mirror)
        held = {(event.cluster, event.key): event.object for event in fresh.events if isinstance(event, Upsert)}
        assert self.told == held

    @invariant()
    def where_nothing_is_broken_the_problems_are_those_of_a_fresh_reading(self):
        same = all(
            (self.mirror / path.relative_to(self.root)).read_text() == path.read_text()
            for path in self.root.rglob("*")
            if path.is_file()
        )
        if same:
            assert self.readings.next_pass().problems == read_directory(self.root).problems

    def teardown(self):
        shutil.rmtree(self.base)


TestDirectory = Directory.TestCase
# Each step reads directories: fewer than usual, in proportion to the profile.
TestDirectory.settings = settings(
    max_examples=settings().max_examples // 5, stateful_step_count=settings().stateful_step_count // 2
)
