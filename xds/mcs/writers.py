"""The writers of every cluster that is written to."""

from __future__ import annotations

import asyncio
import os
import secrets
import socket
from typing import TYPE_CHECKING, Final

from xds.mcs.writer import Writer
from xds.model.events import Delete, Upsert

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from xds.mcs.plan import World
    from xds.mcs.writer import Client
    from xds.model.events import Event
    from xds.problems import Problem

LEASE_NAMESPACE: Final = "isthmus-system"


class Writers:
    """One writer a cluster.

    Args:
        clients: cluster -> how to write there.
        world: what is known of the clusters that told everything.
        on_problems: called when `problems()` may have changed.
    """

    def __init__(self, clients: Mapping[str, Client], world: Callable[[], World], on_problems: Callable[[], None]) -> None:
        identity = f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}"
        self._world = world
        self._writers = [
            Writer(
                cluster,
                client,
                lambda cluster=cluster: self._world_of(cluster),  # type: ignore[misc] # mypy does not infer the default
                identity=identity,
                namespace=LEASE_NAMESPACE,
                on_problems=on_problems,
            )
            for cluster, client in clients.items()
        ]

    def take(self, events: Iterable[Event]) -> None:
        """Take into account what was told of any cluster."""
        if self._writers:
            for event in events:
                if isinstance(event, (Upsert, Delete)):
                    for writer in self._writers:
                        writer.touch(event)

    def problems(self) -> Iterator[Problem]:
        """Yield what keeps us from writing."""
        for writer in self._writers:
            yield from writer.problems()

    async def run(self) -> None:
        """Write until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            for writer in self._writers:
                tasks.create_task(writer.run())

    def _world_of(self, cluster: str) -> World | None:
        world = self._world()
        return world if cluster in world.clusters else None
