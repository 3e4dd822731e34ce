"""The way of the data, from what discovery tells to the views that proxies are given, and the records that resolvers get.

events ─▶ Fleet ─▶ LiveViews (policy, translate, snapshots), built in slices ─▶ XdsServer
               └─▶ Zone ─▶ DnsServer

Endpoints go out at once, anything else with the next batch. A batch begins once nothing has changed for a while, since what
belongs together is not told together: a Service is deleted and made anew, or comes before its slices, or before the policy that
keeps it where it is (docs/performance.md).
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import nullcontext
from dataclasses import replace
from typing import TYPE_CHECKING

import structlog

from xds.admin.state import Timing
from xds.builder import Builder
from xds.dns import Zone
from xds.holdoff import Holdoff
from xds.model.fleet import Fleet
from xds.model.node import view_of
from xds.recoveries import Recoveries
from xds.views import LiveViews, describe_services

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence

    from xds.config import Config
    from xds.model.events import Event
    from xds.model.fleet import FleetChange
    from xds.model.node import Node
    from xds.model.service import Endpoint, Service
    from xds.model.view import View
    from xds.problems import Problem
    from xds.quarantine import Holders
    from xds.server.server import XdsServer
    from xds.snapshot.snapshot import ChangeSet, Snapshot

_log = structlog.get_logger()


class Pipeline:
    """The stages from the model to the views; what the server streams from (`xds.server.source.ViewSource`).

    Args:
        config: the settings.
        heard: told of all events, when the fleet has them and before anybody else hears of it.
        on_problems: called when there may be other problems than before.
        holders: for the quarantine of what clients reject; None: there is none.
    """

    server: XdsServer
    """Who is told of what is published: it has this as its source, so it is made later."""

    def __init__(
        self,
        config: Config,
        heard: Callable[[list[Event]], None],
        on_problems: Callable[[], None],
        holders: Holders | None,
    ) -> None:
        self.timings: dict[str, Timing] = {"apply": Timing(), "endpoints": Timing(), "translate": Timing()}
        self.ready = asyncio.Event()
        """Set once everything that existed at the start has been read."""
        self.fleet = Fleet()
        self.views = LiveViews(self.fleet, self._publish, idle_s=config.view_idle_s, holders=holders)
        self.zone = Zone(self.fleet, self._allowed)
        self._node_problems: dict[str, tuple[Problem, ...]] = {}
        self._heard = heard
        self._on_problems = on_problems
        self._recoveries = Recoveries(lambda found: self.take([found]))
        self._builder = Builder(self.views, self._begin_batch, self._batch_done)
        self._batch = Holdoff(self._builder.batch_due, quiet_s=config.quiet_s, max_delay_s=config.max_delay_s)
        self._batch_log: tuple[str, tuple[int, int]] | None = None
        """Of the batch that is being built: what caused it, and what had been told when it began."""
        self._moved = asyncio.Event()
        """Set when nodes may belong to other views than those that they are in."""
        self._is_unjudged = False
        """Whether a batch is due before which nobody may be told of anything new: it may be forbidden."""
        self._by_node = False

    async def run(self) -> None:
        """Build views, and move streams from one to another, until cancelled."""
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._builder.run())
                tasks.create_task(self._move_streams())
        finally:
            self._recoveries.close()
            self._batch.cancel()

    def _publish(self, change: ChangeSet) -> None:
        self.server.publish(change)

    # From discovery

    def take(self, events: list[Event]) -> None:
        """Take what discovery tells: endpoints go out at once, anything else with the next batch."""
        if not self.ready.is_set():
            self._take_first(events)
            return
        with self.timings["apply"].measured():
            change = self.fleet.apply(events)
        self.views.policies.remember(events)
        change = self._judged_first(self._soaked(change))
        self._heard(events)
        with self.timings["endpoints"].measured() if change.endpoints else nullcontext():
            before = self._counted()
            self.views.changed(change)
            if change.endpoints:
                self._log_published(logging.DEBUG, describe_services(change.endpoints), before)
        if not self._is_unjudged:
            self.zone.changed(change)
        if change.needs_batch:
            self._batch.changed()

    def _take_first(self, events: list[Event]) -> None:
        """Take what is told before everything was: nobody asks yet what follows, and most of it would be made again."""
        with self.timings["apply"].measured():
            self.fleet.take(events)
        self.views.policies.remember(events)
        self._heard(events)
        if self.fleet.synced:
            self.begin()

    def begin(self) -> None:
        """Serve what is known; once, when everything has been read, or when that takes too long."""
        with self.timings["apply"].measured():
            self.fleet.apply(())
        self._by_node = self.fleet.prefers_node
        self._is_unjudged = False
        self.views.rebuild("everything was told", everything=True)
        self._look_for_soaks()
        self.ready.set()
        self._on_problems()

    def drop_idle(self) -> None:
        """Forget views that have had no client for a while."""
        self.views.drop_idle()
        self._builder.tidy()

    def _soaked(self, change: FleetChange) -> FleetChange:
        """Have places that are well again wait for their traffic, before anybody hears that they are."""
        found = self._recoveries.look(self.fleet.services, change.endpoints | change.services, self.views.policies.soaks_s)
        if found is None:
            return change
        more = self.fleet.apply([found])
        services = change.services | more.services
        return replace(change, endpoints=(change.endpoints | more.endpoints) - services, services=services)

    def _look_for_soaks(self) -> None:
        """Take into account that policies may give traffic back after other times."""
        if found := self._recoveries.look(self.fleet.services, (), self.views.policies.soaks_s):
            self.take([found])

    def _judged_first(self, change: FleetChange) -> FleetChange:
        """Have endpoints wait for the batch where sovereignty may forbid them by what the book of policies does not know yet.

        They are the first at a place that policies name, or a member has changed, to whose views clients go first, too.
        """
        services = self.fleet.services
        self._is_unjudged |= change.members or self.views.policies.awaits(services[key] for key in change.endpoints)
        if not (self._is_unjudged and change.endpoints):
            return change
        return replace(change, endpoints=frozenset(), services=change.services | change.endpoints)

    def _judge(self) -> None:
        """Bring the batch forward for somebody who asks anew, if it is to come before that."""
        if self._is_unjudged and self.ready.is_set():
            self._begin_batch()

    def _allowed(self, service: Service, port: int, cluster: str) -> tuple[Endpoint, ...]:
        """Return the endpoints that clients in a cluster may be told of by DNS."""
        self._judge()
        return self.views.policies.allowed(service, port, cluster)

    # Batches

    def _begin_batch(self) -> None:
        self._batch.cancel()
        was_unjudged, self._is_unjudged = self._is_unjudged, False
        before = self.views.policies.sovereignty
        change, trigger = self.views.begin()
        causes, told = self._batch_log or ("", self._counted())
        self._batch_log = f"{causes} and {trigger}" if causes else trigger, told
        by_node = self.fleet.prefers_node
        if change.members or by_node is not self._by_node:
            self._by_node = by_node
            self._builder.hold()
            self._moved.set()
        if was_unjudged or self.views.policies.sovereignty != before:
            self.zone.rules_changed()
        self._look_for_soaks()
        self._builder.batch_begun()
        if not self.views.is_behind:
            self._batch_done(0.0)
        self._on_problems()

    def _batch_done(self, spent_s: float) -> None:
        self.timings["translate"].add(spent_s)
        self._batch.took(spent_s)
        if self._batch_log:
            self._log_published(logging.INFO, *self._batch_log)
        self._batch_log = None
        self._on_problems()

    def _counted(self) -> tuple[int, int]:
        return self.server.counters.publications, self.server.counters.wakes

    def _log_published(self, level: int, trigger: str, before: tuple[int, int]) -> None:
        """Log what was published: in how many views, and to how many streams."""
        views, streams = self._counted()
        _log.log(level, "published", trigger=trigger, views=views - before[0], streams=streams - before[1])

    async def _move_streams(self) -> None:
        """Move clients to the views that they belong to now, before those that they are in are built: they are not told twice."""
        while True:
            await self._moved.wait()
            self._moved.clear()
            try:
                await self.server.reassign()
            except Exception as error:  # noqa: BLE001 - a view that cannot be built; who would be in it stays where he is
                _log.error("not every client could be moved to the view that it belongs to", exc_info=error)
            if not self._moved.is_set():
                self._builder.go_on()

    # For the server (xds.server.source.ViewSource)

    async def wait_ready(self) -> None:
        """Return once everything that existed at the start has been read."""
        await self.ready.wait()

    def view_of(self, node: Node) -> View:
        """Return the node's view.

        Raises:
            NodeRejectedError: nobody can serve this node.
        """
        self._judge()
        view, problems = view_of(node, self.fleet.known, by_node=self._by_node)
        self._node_problems[node.id] = problems
        self._on_problems()
        return view

    async def prepare(self, view: View) -> bool:
        """Build the view in slices if it is not live, or behind the others: who comes is told nothing that is no more."""
        if self.views.is_current(view):
            return False
        await self._builder.build(view)
        return True

    def acquire(self, view: View) -> Snapshot:
        """Make the view live if it is not, and return its snapshot."""
        return self.views.acquire(view)

    def current(self, view: View) -> Snapshot:
        """Return the newest snapshot of a live view."""
        return self.views.store.current(view)

    def history(self, view: View) -> Sequence[Snapshot]:
        """Return the latest snapshots of a live view, oldest first."""
        return self.views.store.history(view)

    def release(self, view: View) -> None:
        """Take back one `acquire`."""
        self.views.release(view)

    def node_problems(self) -> Iterator[Problem]:
        """Yield what is wrong with what nodes say of themselves."""
        return (problem for found in self._node_problems.values() for problem in found)

    def forget_nodes(self, connected: Collection[str]) -> None:
        """Forget what was wrong with nodes that are not connected any more."""
        self._node_problems = {node: found for node, found in self._node_problems.items() if node in connected}
