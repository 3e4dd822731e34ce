"""What is written to clusters: the MCS API's objects where that is wanted, and conditions of MemberClusters in the hub."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from xds.errors import ConfigurationError
from xds.mcs.world import World
from xds.mcs.writers import Writers
from xds.member_conditions import MemberConditions
from xds.model.events import MemberState
from xds.problems import did_you_mean
from xds.ranges import parsed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from xds.config import Config
    from xds.discovery.live.source import LiveSource
    from xds.discovery.live.writing import MemberWriter
    from xds.model.events import Event
    from xds.model.fleet import Fleet
    from xds.problems import Problem


class Writes:
    """Writes as long as it runs.

    Args:
        config: says where.
        live: how clusters are reached; None: there are none that can be written to.
        fleet: what is known.
        found: returns everything that is wrong.
        on_problems: called when `problems()` may have changed.

    Raises:
        ConfigurationError: a cluster that is to be written to has no API server.
    """

    def __init__(
        self,
        config: Config,
        live: LiveSource | None,
        fleet: Fleet,
        *,
        found: Callable[[], Iterable[Problem]],
        on_problems: Callable[[], None],
    ) -> None:
        self._wanted = {*config.mcs}
        self._live = live
        self._fleet = fleet
        self._check()
        self._writers = Writers(self._client, self._world, on_problems, parsed(config.mcs_range))
        self._conditions: MemberConditions | None = None
        if live and live.has_hub:
            self._conditions = MemberConditions(
                live.hub_writer(),
                self._writers.identity,
                members=lambda: fleet.members,
                declared=lambda: live.declared_members,
                problems=found,
                on_problems=on_problems,
            )

    def take(self, events: Iterable[Event]) -> None:
        """Take into account what was told of any cluster."""
        self._writers.take(events)

    def problems_changed(self) -> None:
        """Take into account that something else may be wrong now."""
        if self._conditions:
            self._conditions.changed()

    def problems(self) -> Iterator[Problem]:
        """Yield what keeps us from writing."""
        yield from self._writers.problems()
        if self._conditions:
            yield from self._conditions.problems()

    async def run(self) -> None:
        """Write until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._writers.run())
            if self._conditions:
                tasks.create_task(self._conditions.run())

    def _client(self, cluster: str) -> MemberWriter | None:
        """Return how to write the MCS API's objects in a cluster; None if that is not wanted."""
        if self._live is None or cluster not in self._live.names or not {"*", cluster} & self._wanted:
            return None
        return self._live.writer(cluster)

    def _check(self) -> None:
        live = self._live.names if self._live else frozenset()
        unknown = sorted(self._wanted - live - {"*"})
        if unknown and not (self._live and self._live.has_hub):
            hint = did_you_mean(unknown[0], live) or f"there are {', '.join(sorted(live)) or 'none'}"
            raise ConfigurationError(f"mcs: {unknown[0]!r} is no live cluster; {hint}")

    def _world(self) -> World | None:
        """What is lost counts no more; before it is known who the members are, anything may be exported that we have not read."""
        if self._live and not self._live.knows_members:
            return None
        members = {name: one for name, one in self._fleet.members.items() if one.state is not MemberState.LOST}
        return World({name: one for name, one in self._fleet.complete.items() if name in members}, members)
