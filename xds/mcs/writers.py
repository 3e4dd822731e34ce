"""The writers of every cluster that is written to, made as clusters come and ended as they go."""

from __future__ import annotations

import asyncio
import os
import secrets
import socket
from functools import partial
from typing import TYPE_CHECKING, Any

from xds.mcs.writer import Writer
from xds.model.events import FLEET, Delete, Health, MemberState, Synced, Upsert

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from xds.mcs.world import World
    from xds.mcs.writer import Client
    from xds.model.events import Event
    from xds.problems import Problem
    from xds.ranges import Network


class Writers:
    """One writer a cluster.

    Args:
        client_of: returns how to write to a cluster; None for one that is not written to.
        world: returns what is known of the clusters that told everything; None as long as not all members may be known.
        on_problems: called when `problems()` may have changed.
        ranges: where clusterset IPs are from, one range of a family; none: they are those of derived Services.
    """

    def __init__(
        self,
        client_of: Callable[[str], Client | None],
        world: Callable[[], World | None],
        on_problems: Callable[[], None],
        ranges: Sequence[Network] = (),
    ) -> None:
        self._client_of = client_of
        self._world = world
        self._on_problems = on_problems
        self._ranges = ranges
        self.identity = f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}"
        """Of this replica among all."""
        self._writers: dict[str, Writer] = {}
        self._running: dict[str, asyncio.Task[None]] = {}
        self._changed = asyncio.Event()

    def take(self, events: Iterable[Event]) -> None:
        """Take into account what was told of any cluster."""
        for event in events:
            if isinstance(event, (Upsert, Delete)):
                for writer in self._writers.values():
                    writer.touch(event)
            elif _is_there(event) and event.cluster not in self._writers:
                if client := self._client_of(event.cluster):
                    self._writers[event.cluster] = self._writer(event.cluster, client)
                    self._changed.set()
            elif isinstance(event, Health) and event.state is MemberState.LOST and event.cluster in self._writers:
                del self._writers[event.cluster]
                self._changed.set()
            if event == Synced(FLEET) or (isinstance(event, Health) and event.state in {MemberState.LOST, MemberState.CONNECTED}):
                for writer in self._writers.values():
                    writer.look_again()

    def problems(self) -> Iterator[Problem]:
        """Yield what keeps us from writing."""
        for writer in self._writers.values():
            yield from writer.problems()

    async def run(self) -> None:
        """Write until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            while True:
                for cluster in self._running.keys() - self._writers.keys():
                    self._running.pop(cluster).cancel()
                for cluster in self._writers.keys() - self._running.keys():
                    self._running[cluster] = tasks.create_task(self._writers[cluster].run())
                self._changed.clear()
                await self._changed.wait()

    def _writer(self, cluster: str, client: Client) -> Writer:
        world = partial(self._world_of, cluster)
        how: dict[str, Any] = {"identity": self.identity, "on_problems": self._on_problems, "ranges": self._ranges}
        return Writer(cluster, client, world, **how)

    def _world_of(self, cluster: str) -> World | None:
        world = self._world()
        return world if world and cluster in world.clusters else None


def _is_there(event: Event) -> bool:
    """Return whether everything of a cluster is known, or known again."""
    return isinstance(event, Synced) or (isinstance(event, Health) and event.state is MemberState.CONNECTED)
