"""What is written to clusters: the MCS API's objects where that is wanted, and conditions of members and policies."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Any

from xds.errors import ConfigurationError
from xds.mcs.world import World
from xds.mcs.writers import Writers
from xds.member_conditions import SUBJECT, states
from xds.model.events import FLEET, MemberState
from xds.model.objects import MemberCluster
from xds.model.traffic_objects import TrafficPolicy
from xds.policy_conditions import PolicyConditions
from xds.problems import did_you_mean
from xds.ranges import parsed
from xds.status_writer import StatusWriter

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from xds.config import Config
    from xds.discovery.live.source import LiveSource
    from xds.discovery.live.writing import MemberWriter
    from xds.model.events import Event
    from xds.model.fleet import Fleet
    from xds.model.objects import Condition
    from xds.policy.book import PolicyBook
    from xds.problems import Problem


class Writes:
    """Writes as long as it runs.

    Args:
        config: says where.
        live: how clusters are reached; None: there are none that can be written to.
        fleet: what is known.
        book: what became of policies.
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
        book: PolicyBook,
        *,
        found: Callable[[], Iterable[Problem]],
        on_problems: Callable[[], None],
    ) -> None:
        self._wanted = {*config.mcs}
        self._live = live
        self._fleet = fleet
        self._check()
        self._writers = Writers(self._client, self._world, on_problems, parsed(config.mcs_range))
        identity = self._writers.identity
        self._conditions: list[StatusWriter | PolicyConditions] = []
        if live and live.has_hub:
            client = live.hub_writer(MemberCluster.__name__)
            of_members = partial(self._states_of_members, live, found)
            self._conditions.append(StatusWriter(client, identity, SUBJECT, of_members, on_problems))
        if live:
            how: dict[str, Any] = {"identity": identity, "on_problems": on_problems}
            of_policies = PolicyConditions(partial(_policy_client, live), self._told, partial(self._policies, live), book, **how)
            self._conditions.append(of_policies)

    def take(self, events: Iterable[Event]) -> None:
        """Take into account what was told of any cluster."""
        self._writers.take(events)

    def problems_changed(self) -> None:
        """Take into account that something else may be wrong now."""
        for writer in self._conditions:
            writer.changed()

    def problems(self) -> Iterator[Problem]:
        """Yield what keeps us from writing."""
        yield from self._writers.problems()
        for writer in self._conditions:
            yield from writer.problems()

    async def run(self) -> None:
        """Write until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._writers.run())
            for writer in self._conditions:
                tasks.create_task(writer.run())

    def _client(self, cluster: str) -> MemberWriter | None:
        """Return how to write the MCS API's objects in a cluster; None if that is not wanted."""
        return self._live.writer(cluster) if self._live and self._is_written(cluster) else None

    def _is_written(self, cluster: str) -> bool:
        return self._live is not None and cluster in self._live.names and bool({"*", cluster} & self._wanted)

    def _told(self) -> Iterator[str]:
        """Yield where policies are told whether they are accepted."""
        if self._live and self._live.has_hub:
            yield FLEET
        members = self._fleet.members.values()
        yield from (one.name for one in members if one.state is not MemberState.LOST and self._is_written(one.name))

    def _policies(self, live: LiveSource, cluster: str) -> Iterable[TrafficPolicy]:
        """Return the policies that an API server has."""
        if cluster == FLEET:
            return live.fleet_policies
        found = self._fleet.clusters.get(cluster)
        return found.of(TrafficPolicy) if found else ()

    def _states_of_members(
        self, live: LiveSource, found: Callable[[], Iterable[Problem]]
    ) -> Iterator[tuple[MemberCluster, tuple[Condition, ...]]]:
        return states(self._fleet.members, live.declared_members, found())

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


def _policy_client(live: LiveSource, cluster: str) -> MemberWriter:
    return live.hub_writer(TrafficPolicy.__name__) if cluster == FLEET else live.writer(cluster)
