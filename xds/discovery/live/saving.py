"""Saving: what live clusters and the hub have told is saved once it is complete, and again whenever it has changed."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, NamedTuple

from xds.discovery.saved_world import FLEET_WIDE, SavedWorld
from xds.model.events import FLEET

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

    from xds.discovery.saved_world import Memory, Saved
    from xds.model.objects import KubernetesObject
    from xds.model.traffic_objects import TrafficPolicy
    from xds.problems import Problem


class Saving:
    """Of members, by name, and under FLEET_WIDE of the hub. Owned by the event loop's thread; only files are written in others.

    Args:
        directory: where it is saved; None: nowhere.
        memory: returns which endpoints of a member have been ready.
        accepted: returns the policies of a member, or of the fleet for FLEET, each as it was accepted last.
    """

    def __init__(
        self,
        directory: Path | None,
        memory: Callable[[str], Mapping[tuple[str, str, str], frozenset[str]]],
        accepted: Callable[[str], Iterable[TrafficPolicy]],
    ) -> None:
        self._world = SavedWorld(directory) if directory else None
        self._memory = memory
        self._accepted = accepted
        self._states: dict[str, _State] = {}
        """Name -> as it was saved last."""
        self._due: list[_Unsaved] = []

    async def names(self) -> list[str]:
        """Return the members that are saved."""
        return await asyncio.to_thread(self._world.names) if self._world else []

    async def load(self, name: str) -> Saved | None:
        """Return what is saved of a name; None if there is nothing that can be used."""
        return await asyncio.to_thread(self._world.load, name) if self._world else None

    def begin(self, name: str, changes: int, saved: Saved | None) -> None:
        """Take what is saved of a name for what it has told until more changes than these have been made."""
        self._states[name] = _State(changes, tuple(saved.accepted) if saved else ())

    def forget(self, name: str) -> None:
        """Keep nothing of a member that has left."""
        self._states.pop(name, None)
        if self._world:
            self._world.forget(name)

    def offer(self, name: str, changes: int, objects: Iterable[KubernetesObject]) -> None:
        """Have what was told completely written with the next `write`, if it is not what is saved already.

        Args:
            name: whose it is.
            changes: how many there have been since the start.
            objects: all.
        """
        if self._world is None:
            return
        is_hub = name == FLEET_WIDE
        # What has no uid is of a file, not of an API server.
        accepted = tuple(item for item in self._accepted(FLEET if is_hub else name) if item.metadata.uid)
        state = _State(changes, accepted)
        if state != self._states.get(name):
            self._states[name] = state
            self._due.append(_Unsaved(name, list(objects), {} if is_hub else dict(self._memory(name)), time.time(), accepted))

    async def write(self) -> None:
        """Write what was offered."""
        if due := self._taken():
            await asyncio.to_thread(self._write, due)

    def write_now(self) -> None:
        """Write what was offered before this returns: we stop."""
        self._write(self._taken())

    def problems(self) -> Iterable[Problem]:
        """Return what cannot be saved or read."""
        return self._world.problems.values() if self._world else ()

    def _taken(self) -> list[_Unsaved]:
        due, self._due = self._due, []
        return due

    def _write(self, due: list[_Unsaved]) -> None:
        for one in due:
            if self._world:
                self._world.save(one.name, one.objects, one.seen, one.at_s, accepted=one.accepted)
                if one.name not in self._states:  # it has left meanwhile
                    self._world.forget(one.name)


class _State(NamedTuple):
    """What has changed if a name has to be saved again."""

    changes: int
    accepted: tuple[TrafficPolicy, ...]


class _Unsaved(NamedTuple):
    """What has to be saved."""

    name: str
    objects: list[KubernetesObject]
    seen: Memory
    at_s: float
    accepted: tuple[TrafficPolicy, ...]
