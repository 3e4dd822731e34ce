"""The file source: a directory of manifests as the clusters of a fleet, read once or kept up with.

`DIR/<cluster>/**` holds that cluster's manifests, `DIR/*` fleet-wide ones, in files named `.yaml`, `.yml` or `.json`.
`DIR/.overrides.yaml` is fleet-wide, too; nothing else that begins with a dot is read.
"""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import watchfiles

from xds.discovery.readings import MAX_FILE_BYTES, Readings

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable
    from pathlib import Path

    from xds.discovery.inventory import Identity
    from xds.model.events import Event
    from xds.model.objects import KubernetesObject
    from xds.problems import Problem

QUIET_MS: Final = 20
"""After a change we wait until nothing has changed for this long,"""
MAX_DELAY_MS: Final = 100
"""but never longer than this."""
TICK_MS: Final = 250
"""How often the watch wakes up without a change."""
RESCAN_S: Final = 10.0
"""Every so often we look at all files anyway: an event may be lost, and what a symbolic link leads to may be unwatched."""
UNWATCHED_RESCAN_S: Final = 1.0
"""The same where the operating system cannot watch."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What a directory holds."""

    objects: dict[str, tuple[KubernetesObject, ...]]
    """Cluster -> its objects, sorted by key; an entry for every cluster, and for the fleet."""
    problems: tuple[Problem, ...]
    events: list[Event]
    """The same as a source tells it: what to give the model."""
    places: dict[Identity, str]
    """Cluster and key of an object -> `FILE:LINE`."""


def read_directory(path: Path, *, max_file_bytes: int = MAX_FILE_BYTES) -> Reading:
    """Read a directory once.

    Raises:
        ConfigurationError: the directory cannot be listed.
    """
    readings = Readings(path, max_file_bytes=max_file_bytes)
    found = readings.next_pass()
    objects: dict[str, list[KubernetesObject]] = {cluster: [] for cluster in ("", *sorted(readings.clusters))}
    for (cluster, _), item in sorted(readings.inventory.objects.items(), key=lambda entry: entry[0]):
        objects[cluster].append(item)
    places = {identity: readings.inventory.place(identity) for identity in readings.inventory.objects}
    return Reading({cluster: tuple(items) for cluster, items in objects.items()}, found.problems, found.events, places)


class FileSource:
    """Tells what a directory holds, and then what changes in it.

    Args:
        path: the directory.
        max_file_bytes: larger files are not read.
        rescan_s: how often everything is looked at in any case.
        is_alone: whether no other source tells of clusters.
    """

    def __init__(
        self, path: Path, *, max_file_bytes: int = MAX_FILE_BYTES, rescan_s: float = RESCAN_S, is_alone: bool = True
    ) -> None:
        self._path = path
        self._rescan_s = rescan_s
        self._readings = Readings(path, max_file_bytes=max_file_bytes, is_alone=is_alone)

    def check(self) -> None:
        """See whether there is anything to read.

        Raises:
            ConfigurationError: the directory cannot be listed.
        """
        self._readings.check()

    def place(self, identity: Identity) -> str:
        """Return `FILE:LINE` of an object, as read last; "" if no file defines it."""
        return self._readings.inventory.place(identity)

    async def run(self, sink: Callable[[list[Event]], None], problems: Callable[[tuple[Problem, ...]], None]) -> None:
        """Read and watch until cancelled. Runs once; both callbacks are called in the event loop.

        Args:
            sink: gets batches of events, never an empty one: first one with every object, `Synced` for each cluster and the
                fleet, and `Health`; then one after each change, with what really differs.
            problems: gets everything that is wrong, at first and whenever that changes.

        Raises:
            ConfigurationError: the directory cannot be listed at the start.
        """
        current: tuple[Problem, ...] | None = None
        async with aclosing(self._occasions()) as occasions:
            async for _ in occasions:
                found = await asyncio.to_thread(self._readings.next_pass)
                if found.problems != current:
                    current = found.problems
                    problems(current)
                if found.events:
                    sink(found.events)

    async def _occasions(self) -> AsyncGenerator[None, None]:
        """Yield whenever it is time to look: at once, after each change, and every `rescan_s` seconds."""
        yield
        while True:
            try:
                async with aclosing(self._watched()) as occasions:
                    async for _ in occasions:
                        yield
            except (OSError, RuntimeError):  # the directory is gone, or the system has no watches left
                await asyncio.sleep(min(UNWATCHED_RESCAN_S, self._rescan_s))
                yield

    async def _watched(self) -> AsyncGenerator[None, None]:
        """Yield as `_occasions` does, until another directory stands under our name.

        Raises:
            OSError: the directory cannot be watched.
            RuntimeError: it cannot be watched any longer.
        """
        watched = _identity(self._path)
        loop = asyncio.get_running_loop()
        looked_at_s = float("-inf")  # what changed before the watch began is found at its first tick
        changes = watchfiles.awatch(
            self._path,
            watch_filter=None,
            debounce=MAX_DELAY_MS,
            step=QUIET_MS,
            rust_timeout=TICK_MS,
            yield_on_timeout=True,
            ignore_permission_denied=True,
        )
        async with aclosing(changes):
            async for change in changes:
                if change or loop.time() - looked_at_s >= self._rescan_s:
                    looked_at_s = loop.time()
                    yield
                if _identity(self._path) != watched:
                    return


def _identity(directory: Path) -> tuple[int, int]:
    status = directory.stat()
    return status.st_dev, status.st_ino
