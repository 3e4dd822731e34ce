"""Manifests to write, and a source under test."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from xds.discovery.files import FileSource
from xds.model.events import Delete, Upsert

if TYPE_CHECKING:
    from pathlib import Path


def service(name: str, port: int = 80, namespace: str = "shop") -> str:
    return (
        f"apiVersion: v1\nkind: Service\nmetadata:\n  name: {name}\n  namespace: {namespace}\n"
        f"spec:\n  ports:\n  - name: http\n    port: {port}\n"
    )


class Follower:
    """Applies the events of a source; remembers batches and problems."""

    def __init__(self) -> None:
        self.state: dict = {}
        self.batches: list[list] = []
        self.problems: tuple = ()
        self.changed = asyncio.Event()

    def take(self, events: list) -> None:
        self.batches.append(events)
        for event in events:
            if isinstance(event, Upsert):
                self.state[event.cluster, event.key] = event.object
            elif isinstance(event, Delete):
                del self.state[event.cluster, event.key]
        self.changed.set()

    def report(self, problems: tuple) -> None:
        self.problems = problems
        self.changed.set()

    async def until(self, condition) -> None:
        async with asyncio.timeout(20):
            while not condition():
                self.changed.clear()
                await self.changed.wait()

    def names(self, cluster: str = "east") -> set[str]:
        return {key.name for member, key in self.state if member == cluster}

    def codes(self) -> set[str]:
        return {problem.code for problem in self.problems}


@pytest.fixture
def following():
    """Return a context manager: a source that follows a directory, started."""

    @asynccontextmanager
    async def follow(path: Path, **options):
        follower = Follower()
        task = asyncio.create_task(FileSource(path, **options).run(follower.take, follower.report))
        try:
            await follower.until(lambda: follower.batches)
            yield follower
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    return follow


@pytest.fixture
def write(tmp_path):
    """Return a function that writes a file below the directory under test."""

    def write_file(name: str, content: str | bytes) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return write_file


@pytest.fixture
def service_text():
    """Return a function that writes the manifest of a Service."""
    return service
