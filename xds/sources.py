"""Where objects come from: a directory, API servers, or both; then the directory tells of clusters that have no API server."""

from __future__ import annotations

import os
from functools import partial
from typing import TYPE_CHECKING

from xds.discovery.files import FileSource
from xds.discovery.inventory import placed
from xds.discovery.live.in_cluster import hub_access
from xds.discovery.live.source import Care, LiveSource
from xds.discovery.live.standing import Patience
from xds.model.events import Delete, Health, MemberState, Upsert
from xds.model.fleet import SHARING
from xds.model.objects import MemberCluster, ScopeSpec
from xds.problems import Problem

if TYPE_CHECKING:
    from asyncio import TaskGroup
    from collections.abc import Callable, Iterator

    from xds.config import Config
    from xds.discovery.inventory import Identity
    from xds.model.events import Event
    from xds.model.fleet import Fleet
    from xds.policy.book import PolicyBook


class Sources:
    """What is read, and what is wrong with it.

    Args:
        config: the settings.
        fleet: what it becomes.
        policies: those that are in force, to keep what was accepted.
        take: given batches of events.
        on_problems: called when there may be other problems than before.
    """

    def __init__(
        self,
        config: Config,
        fleet: Fleet,
        policies: PolicyBook,
        take: Callable[[list[Event]], None],
        on_problems: Callable[[], None],
    ) -> None:
        self._config = config
        self._fleet = fleet
        self._take = take
        self._on_problems = on_problems
        written = {*config.mcs}
        care = Care(
            directory=config.state_directory,
            share=config.guard_share,
            delay_s=config.guard_delay_s,
            patience=Patience(config.demote_after_s, config.remove_after_s),
            is_written=lambda name: bool({"*", name} & written),
            memory=fleet.memory,
            accepted=policies.accepted,
        )
        hub = hub_access(config.hub, os.environ) if config.hub else None
        is_live = bool(config.kubeconfigs or hub)
        self._files = FileSource(config.clusters, is_alone=not is_live) if config.clusters else None
        self.live = LiveSource(config.kubeconfigs, config.contexts, care, hub, config.plugins) if is_live else None
        """Of API servers."""
        self._problems: dict[str, tuple[Problem, ...]] = {}
        self._shadowed: set[str] = set()
        """Live clusters of which there are manifests, too."""

    def check(self) -> None:
        """Look whether the directory can be read; blocks.

        Raises:
            ConfigurationError: it cannot.
        """
        if self._files:
            self._files.check()

    def start(self, tasks: TaskGroup) -> None:
        """Read in tasks of the group."""
        if self._files:
            tasks.create_task(self._files.run(self._take_files, partial(self._found, "files")))
        if self.live:
            tasks.create_task(self.live.run(self._take, partial(self._found, "live"), is_alone=self._files is None))

    def heard(self, events: list[Event]) -> None:
        """Have live clusters treated as fleet-wide objects demand."""
        if self.live is None:
            return
        for event in events:
            if isinstance(event, Upsert) and isinstance(event.object, MemberCluster):
                self.live.declared(event.object.metadata.name, event.object)
            elif isinstance(event, Delete) and event.key.kind == "MemberCluster":
                self.live.declared(event.key.name, None)
        if any(isinstance(event, (Upsert, Delete)) and event.key.kind == SHARING for event in events):
            metas = (one.item.metadata for one in self._fleet.sharings())
            self.live.shared((meta.namespace, meta.name) for meta in metas)

    def _take_files(self, events: list[Event]) -> None:
        """Take what files tell."""
        live = self.live.names if self.live else frozenset()
        theirs = [event for event in events if event.cluster not in live]
        for event in events:
            if event.cluster in live:
                is_gone = isinstance(event, Health) and event.state is MemberState.LOST
                (self._shadowed.discard if is_gone else self._shadowed.add)(event.cluster)
        self._found("both", tuple(_told_twice(name) for name in sorted(self._shadowed)))
        if theirs:
            self._take(theirs)

    def _found(self, source: str, problems: tuple[Problem, ...]) -> None:
        """Take what is wrong now with what a source reads."""
        self._problems[source] = problems
        self._on_problems()

    def problems(self) -> Iterator[Problem]:
        """Yield what is wrong with what is read."""
        return (problem for found in self._problems.values() for problem in found)

    def placed(self, problem: Problem) -> Problem:
        """Return a problem with the file and line of the object that has it, if it is from a file."""
        return placed(problem, self._files.place if self._files else _nowhere)

    @property
    def read_from(self) -> str:
        """Where objects come from, for people."""
        files = [str(self._config.clusters)] if self._config.clusters else []
        hub = [f"the clusters that {self._config.hub} registers"] if self._config.hub else []
        return " and ".join([*files, *map(str, self._config.kubeconfigs), *hub])

    def of(self, member: str) -> str:
        """Return where a member's objects are read from, for people; "" if nothing is read of it."""
        if self.live and (origin := self.live.origin(member)):
            return origin
        clusters = self._config.clusters
        return f"directory {clusters / member}" if clusters and member in self._fleet.clusters else ""

    def scope_of(self, member: str) -> ScopeSpec:
        """Return what is read of a member; a directory is read whole."""
        return self.live.scope_of(member) if self.live else ScopeSpec()


def _told_twice(cluster: str) -> Problem:
    message = f"cluster {cluster!r} is both a directory of manifests and a live cluster; the directory is ignored"
    return Problem("XDS0304", message, hint="rename the directory, or choose other contexts with --context")


def _nowhere(_: Identity) -> str:
    return ""
