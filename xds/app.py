"""The composition root: the stages in the order of the data, and nothing else.

files, API servers ─▶ discovery ─▶ Fleet ─▶ LiveViews (policy, translate, snapshots) ─▶ XdsServer ─▶ proxies
├─▶ admin                            └─▶ Zone ─▶ DnsServer ─▶ resolvers
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections import defaultdict
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import structlog

from xds import rejections
from xds._version import __version__
from xds.admin.server import AdminServer
from xds.admin.state import Timing
from xds.admin.state_times import StateTimes
from xds.discovery.files import FileSource
from xds.discovery.inventory import placed
from xds.discovery.live.in_cluster import hub_access
from xds.discovery.live.source import Care, LiveSource
from xds.discovery.live.standing import Patience
from xds.dns import DnsServer, Zone
from xds.holdoff import Holdoff
from xds.model.events import Delete, Health, MemberState, Upsert
from xds.model.fleet import SHARING, Fleet
from xds.model.node import view_of
from xds.model.objects import MemberCluster, ScopeSpec
from xds.problem_log import ProblemLog
from xds.problems import Problem, worst_first
from xds.protocol import Encoder
from xds.recoveries import Recoveries
from xds.server.address import is_local
from xds.server.ending import clipped
from xds.server.limits import Limits
from xds.server.server import Security, XdsServer
from xds.server.tls import TlsFiles
from xds.views import LiveViews, describe_services
from xds.writes import Writes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from xds.config import Config
    from xds.discovery.inventory import Identity
    from xds.model.cluster import Cluster
    from xds.model.events import Event
    from xds.model.fleet import FleetChange
    from xds.model.flomesh import Remote
    from xds.model.imports import Import
    from xds.model.members import Member
    from xds.model.node import Node
    from xds.model.service import Endpoint, Service, ServiceKey
    from xds.model.sharing import Sharing
    from xds.model.view import View
    from xds.policy.book import PolicyBook
    from xds.protocol import Nack, StreamInfo
    from xds.quarantine import Suspect
    from xds.server.admission import Admission
    from xds.server.counters import Counters
    from xds.server.loads import Loads
    from xds.snapshot.snapshot import ChangeSet, Snapshot
    from xds.snapshot.store import SnapshotStore

HOUSEKEEPING_S = 5.0
REPORT_QUIET_S = 0.25
"""Problems are compared with those before once nothing has changed for so long: that looks at every stream."""
REPORT_S = 1.0
"""While changes continue, they are compared at most this often."""
GRACE_S = 1.0
"""How long streams may take to write what is due when we stop."""

_log = structlog.get_logger()


class ControlPlane:
    """The running stages; what the server streams from and what the admin API looks at."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.started_at_s = time.time()
        self.xds_address = config.xds_address
        self.admin_address = config.admin_address
        self.dns_cluster = config.dns_cluster or ""
        self.timings: dict[str, Timing] = {"apply": Timing(), "endpoints": Timing(), "translate": Timing()}
        self._ready = asyncio.Event()
        self._draining = False
        self._fleet = Fleet()
        self._views = LiveViews(
            self._fleet, self._publish, idle_s=config.view_idle_s, holders=self._accepted_versions if config.quarantine else None
        )
        self._state_times = StateTimes()
        patience = Patience(config.demote_after_s, config.remove_after_s)
        written = {*config.mcs}
        care = Care(
            directory=config.state_directory,
            share=config.guard_share,
            delay_s=config.guard_delay_s,
            patience=patience,
            is_written=lambda name: bool({"*", name} & written),
            memory=self._fleet.memory,
            accepted=self._views.policies.accepted,
        )
        hub = hub_access(config.hub, os.environ) if config.hub else None
        is_live = bool(config.kubeconfigs or hub)
        self._files = FileSource(config.clusters, is_alone=not is_live) if config.clusters else None
        self._live = LiveSource(config.kubeconfigs, config.contexts, care, hub, config.plugins) if is_live else None
        self._recoveries = Recoveries(lambda found: self.on_events([found]))
        self._zone = Zone(self._fleet, self._allowed)
        self._dns = DnsServer(self._zone, config.dns_address) if config.dns_address else None
        self._batch = Holdoff(self._build_batch, quiet_s=config.quiet_s, max_delay_s=config.max_delay_s)
        self._problem_log = ProblemLog()
        self._report = Holdoff(self._log_problems, quiet_s=REPORT_QUIET_S, max_delay_s=REPORT_S)
        book, told = self._views.policies, self._report.changed
        self._writes = Writes(config, self._live, self._fleet, book, found=self._found, on_problems=told)
        self._pending: list[FleetChange] = []
        self._is_unjudged = False
        """Whether a batch is due before which nobody may be told of anything new: it may be forbidden."""
        self._by_node = False
        self._reassigning: asyncio.Future[None] | None = None
        self._source_problems: dict[str, tuple[Problem, ...]] = {}
        self._shadowed: set[str] = set()
        """Live clusters of which there are manifests, too."""
        self._node_problems: dict[str, tuple[Problem, ...]] = {}
        self.server = XdsServer(
            self,
            Encoder(f"isthmus {__version__}"),
            [config.xds_address],
            limits=_limits(config),
            security=_security(config),
            on_nack=self._on_nack,
            on_ack=self._views.accepted if config.quarantine else None,
            load_interval_s=config.load_interval_s,
        )

    async def run(self, on_ready: Callable[[ControlPlane], None]) -> None:
        """Serve until cancelled.

        Args:
            on_ready: called once, when the first reading is done and proxies are served.

        Raises:
            XdsError: an address cannot be listened on, a certificate cannot be used, the directory cannot be read, or nobody
                knows for which cluster DNS is to answer.
        """
        if self._files:
            await asyncio.to_thread(self._files.check)  # rather than to say first that we serve, or that a port is taken
        admin = AdminServer(self, self.config.admin_address)
        try:
            self.admin_address = await admin.start()
            if not is_local(self.admin_address):
                hint = "keep it on loopback, or let a firewall or a network policy guard it"
                _log.warning(
                    "the admin API has no authentication, and other machines can reach it", address=self.admin_address, hint=hint
                )
            if self._dns:
                await self._dns.start()
            (self.xds_address,) = await self.server.start()
            async with asyncio.TaskGroup() as tasks:
                if self._files:
                    tasks.create_task(self._files.run(self._on_file_events, partial(self._on_source_problems, "files")))
                if self._live:
                    on_problems = partial(self._on_source_problems, "live")
                    tasks.create_task(self._live.run(self.on_events, on_problems, is_alone=self._files is None))
                tasks.create_task(self._keep_house())
                async with asyncio.TaskGroup() as writing:  # it ends first: to give up a lease, it needs a connection
                    writing.create_task(self._writes.run())
                    await self._wait_until_ready()
                    if self._dns:
                        self.dns_cluster = self._zone.open(self.config.dns_cluster)
                    on_ready(self)
        except ExceptionGroup as group:
            # One stage has failed, and the others were cancelled: what it says is what the user needs.
            found: Exception = group
            while isinstance(found, ExceptionGroup):
                found = found.exceptions[0]
            raise found from None
        finally:
            self._recoveries.close()
            self._batch.cancel()
            self._report.cancel()
            if self._dns:
                await self._dns.stop()
            await self.server.stop(GRACE_S)
            await admin.stop()

    async def drain(self) -> None:
        """Send the proxies to other replicas over the configured window, while `run` goes on serving them; then cancel it."""
        self._draining = True
        await self.server.drain(self.config.drain_window_s)

    @property
    def open_streams(self) -> int:
        """How many streams a drain would have to end."""
        return self.server.open_streams

    def _publish(self, change: ChangeSet) -> None:
        self.server.publish(change)

    # From discovery

    def on_events(self, events: list[Event]) -> None:
        """Take what discovery tells: endpoints go out at once, anything else with the next batch."""
        with self.timings["apply"].measured():
            change = self._fleet.apply(events)
        self._views.policies.remember(events)
        change = self._judged_first(self._soaked(change))
        self._state_times.note(self._fleet.members, time.time())
        self._writes.take(events)
        if self._live:
            self._tell_live(self._live, events)
        self._report.changed()
        if not self._ready.is_set():
            if self._fleet.synced:
                self._begin()
            return
        if change.endpoints:
            with self.timings["endpoints"].measured(), self._telling(logging.DEBUG, describe_services(change.endpoints)):
                self._views.push_endpoints(change.endpoints)
        if not self._is_unjudged:
            self._zone.changed(change)
        if change.needs_batch:
            self._pending.append(change)
            self._batch.changed()

    def _soaked(self, change: FleetChange) -> FleetChange:
        """Have places that are well again wait for their traffic, before anybody hears that they are."""
        found = self._recoveries.look(self._fleet.services, change.endpoints | change.services, self._views.policies.soaks_s)
        if found is None:
            return change
        return replace(change, endpoints=change.endpoints | (self._fleet.apply([found]).endpoints - change.services))

    def _judged_first(self, change: FleetChange) -> FleetChange:
        """Have endpoints wait for the batch where sovereignty may forbid them by what the book of policies does not know yet.

        They are the first at a place that policies name, or a member has changed, to whose views clients go first, too.
        """
        services = self._fleet.services
        self._is_unjudged |= change.members or self._views.policies.awaits(services[key] for key in change.endpoints)
        if not (self._is_unjudged and change.endpoints):
            return change
        return replace(change, endpoints=frozenset(), services=change.services | change.endpoints)

    def _judge(self) -> None:
        """Bring the batch forward for somebody who asks anew, if it is to come before that."""
        if self._is_unjudged and self._ready.is_set():
            self._batch.cancel()
            self._build_batch()

    def _allowed(self, service: Service, port: int, cluster: str) -> tuple[Endpoint, ...]:
        """Return the endpoints that clients in a cluster may be told of by DNS."""
        self._judge()
        return self._views.policies.allowed(service, port, cluster)

    def _tell_live(self, live: LiveSource, events: list[Event]) -> None:
        """Have live clusters treated as fleet-wide objects demand."""
        for event in events:
            if isinstance(event, Upsert) and isinstance(event.object, MemberCluster):
                live.declared(event.object.metadata.name, event.object)
            elif isinstance(event, Delete) and event.key.kind == "MemberCluster":
                live.declared(event.key.name, None)
        if any(isinstance(event, (Upsert, Delete)) and event.key.kind == SHARING for event in events):
            metas = (one.item.metadata for one in self._fleet.sharings())
            live.shared((meta.namespace, meta.name) for meta in metas)

    def _on_file_events(self, events: list[Event]) -> None:
        """Take what files tell; a cluster that has an API server is not theirs to tell of."""
        live = self._live.names if self._live else frozenset()
        theirs = [event for event in events if event.cluster not in live]
        for event in events:
            if event.cluster in live:
                is_gone = isinstance(event, Health) and event.state is MemberState.LOST
                (self._shadowed.discard if is_gone else self._shadowed.add)(event.cluster)
        self._on_source_problems("both", tuple(_told_twice(name) for name in sorted(self._shadowed)))
        if theirs:
            self.on_events(theirs)

    def _on_source_problems(self, source: str, problems: tuple[Problem, ...]) -> None:
        """Take what is wrong now with what a source reads."""
        self._source_problems[source] = problems
        self._report.changed()

    async def _wait_until_ready(self) -> None:
        """Return once everything has been read, or a while later than it should have been."""
        try:
            async with asyncio.timeout(self.config.start_wait_s):
                await self._ready.wait()
        except TimeoutError:
            _log.warning("not everything could be read in time; serving what was", waited_s=self.config.start_wait_s)
            self._begin()

    def _begin(self) -> None:
        self._by_node = self._fleet.prefers_node
        self._is_unjudged = False
        self._views.rebuild("everything was told")
        self._look_for_soaks()
        self._log_problems()
        self._ready.set()

    def _build_batch(self) -> None:
        pending, self._pending = self._pending, []
        was_unjudged, self._is_unjudged = self._is_unjudged, False
        before = self._views.policies.sovereignty
        services = frozenset().union(*(change.services for change in pending))
        parts = [describe_services(services)] if services else []
        parts += ["gateways"] if any(change.gateways for change in pending) else []
        parts += ["members"] if any(change.members for change in pending) else []
        parts += ["policies"] if any(change.policies for change in pending) else []
        by_node = self._fleet.prefers_node
        trigger = " and ".join(parts)
        with self.timings["translate"].measured(), self._telling(logging.INFO, trigger):
            if by_node is not self._by_node or any(change.members for change in pending):
                self._by_node = by_node
                self._reassigning = asyncio.ensure_future(self.server.reassign())
            self._views.rebuild(trigger)
        if was_unjudged or self._views.policies.sovereignty != before:
            self._zone.rules_changed()
        self._look_for_soaks()
        self._report.changed()

    def _look_for_soaks(self) -> None:
        """Take into account that policies may give traffic back after other times."""
        if found := self._recoveries.look(self._fleet.services, (), self._views.policies.soaks_s):
            self.on_events([found])

    @contextmanager
    def _telling(self, level: int, trigger: str) -> Iterator[None]:
        """Log what is published in the context: in how many views, and to how many streams."""
        counters = self.counters
        views, streams = counters.publications, counters.wakes
        yield
        told = {"views": counters.publications - views, "streams": counters.wakes - streams}
        _log.log(level, "published", trigger=trigger, **told)

    async def _keep_house(self) -> None:
        while True:
            await asyncio.sleep(HOUSEKEEPING_S)
            self._views.drop_idle()
            connected = {info.node_id for info in self.server.streams()}
            self._node_problems = {node: found for node, found in self._node_problems.items() if node in connected}
            self._report.changed()

    def _log_problems(self) -> None:
        self._problem_log.compare(self._found())
        self._writes.problems_changed()

    # For the server (xds.server.source.ViewSource)

    async def wait_ready(self) -> None:
        """Return once everything that existed at the start has been read."""
        await self._ready.wait()

    def view_of(self, node: Node) -> View:
        """Return the node's view.

        Raises:
            NodeRejectedError: nobody can serve this node.
        """
        self._judge()
        view, problems = view_of(node, self._fleet.known, by_node=self._by_node)
        self._node_problems[node.id] = problems
        self._report.changed()
        return view

    async def prepare(self, view: View) -> None:
        """Build the view if it is not live, in slices."""

    def acquire(self, view: View) -> Snapshot:
        """Make the view live if it is not, and return its snapshot."""
        return self._views.acquire(view)

    def current(self, view: View) -> Snapshot:
        """Return the newest snapshot of a live view."""
        return self._views.store.current(view)

    def history(self, view: View) -> Sequence[Snapshot]:
        """Return the latest snapshots of a live view, oldest first."""
        return self._views.store.history(view)

    def release(self, view: View) -> None:
        """Take back one `acquire`."""
        self._views.release(view)

    def _on_nack(self, node: Node, view: View, nack: Nack) -> None:
        self._views.rejected(view, node.id, nack)
        self._report.changed()

    def _accepted_versions(self, view: View, type_url: str, name: str) -> Iterator[str]:
        """Return what the connected clients of a view accepted of a resource (`xds.quarantine.Holders`)."""
        for info in self.streams():
            if info.view == view:
                yield from (status.accepted_version for status in info.resources(type_url, frozenset((name,))))

    # For the admin API (xds.admin.state.ControlPlane)

    @property
    def not_ready(self) -> str:
        """What is waited for, or that proxies are to go elsewhere; "" when ready."""
        if self._draining:
            return "draining, the proxies are sent to other replicas"
        return "" if self._ready.is_set() else f"the first reading of {self.read_from}"

    @property
    def read_from(self) -> str:
        """Where objects come from, for people."""
        files = [str(self.config.clusters)] if self.config.clusters else []
        hub = [f"the clusters that {self.config.hub} registers"] if self.config.hub else []
        return " and ".join([*files, *map(str, self.config.kubeconfigs), *hub])

    @property
    def fleet(self) -> Fleet:
        """Everything that is known."""
        return self._fleet

    @property
    def policies(self) -> PolicyBook:
        """The policies that are in force."""
        return self._views.policies

    @property
    def hub(self) -> str:
        """Where further members are registered."""
        return self.config.hub or ""

    @property
    def hub_failure(self) -> str:
        """Why the hub cannot be kept up with; "" if it can."""
        return self._live.hub_failure if self._live else ""

    @property
    def members(self) -> Mapping[str, Member]:
        """The members by name."""
        return self._fleet.members

    @property
    def states_since_s(self) -> Mapping[str, float]:
        """Member -> when its state began, seconds since the epoch."""
        return self._state_times.since_s

    @property
    def services(self) -> Mapping[ServiceKey, Service]:
        """Every service."""
        return self._fleet.services

    @property
    def imports(self) -> Mapping[ServiceKey, Import]:
        """What each service of the cluster set was merged of."""
        return self._fleet.imports

    def sharing(self, namespace: str, name: str) -> Sharing | None:
        """Return how the clusters' Services of a name share endpoints; None if they do not."""
        return self._fleet.sharing(namespace, name)

    @property
    def remotes(self) -> Mapping[ServiceKey, Remote]:
        """What Flomesh's objects come to in each cluster that has some."""
        return self._fleet.remotes

    @property
    def clusters(self) -> Mapping[str, Cluster]:
        """The objects of each cluster."""
        return self._fleet.clusters

    def source_of(self, member: str) -> str:
        """Return where a member's objects are read from, for people; "" if nothing is read of it."""
        if self._live and (origin := self._live.origin(member)):
            return origin
        is_read = self.config.clusters and member in self._fleet.clusters
        return f"directory {self.config.clusters / member}" if is_read and self.config.clusters else ""

    def scope_of(self, member: str) -> ScopeSpec:
        """Return what is read of a member; a directory is read whole."""
        return self._live.scope_of(member) if self._live else ScopeSpec()

    @property
    def store(self) -> SnapshotStore[View]:
        """The snapshots of the live views."""
        return self._views.store

    @property
    def counters(self) -> Counters:
        """What the xDS server counted."""
        return self.server.counters

    @property
    def admission(self) -> Admission:
        """Who waits for a first sync."""
        return self.server.admission

    @property
    def loads(self) -> Loads:
        """What clients reported of their requests."""
        return self.server.loads

    @property
    def dns_address(self) -> str:
        """Where names of the cluster set are answered; "": nowhere."""
        return self._dns.address if self._dns else ""

    @property
    def dns_queries(self) -> Mapping[tuple[str, str], int]:
        """How many questions were answered, by type and rcode."""
        return self._dns.queries if self._dns else {}

    def streams(self) -> list[StreamInfo]:
        """Return the open streams."""
        return self.server.streams()

    def quarantined(self) -> list[tuple[View, Suspect]]:
        """Return what no node of a view is given because several rejected it."""
        return list(self._views.quarantine.quarantined()) if self._views.quarantine else []

    def problems(self) -> tuple[Problem, ...]:
        """Return everything that is wrong now, whichever stage found it, errors first."""
        place = self._files.place if self._files else _nowhere
        return tuple(sorted({placed(problem, place) for problem in self._found()}, key=worst_first))

    def _found(self) -> set[Problem]:
        nodes = (problem for found in self._node_problems.values() for problem in found)
        streams = self.streams()
        clients: dict[View, set[str]] = defaultdict(set)
        for info in streams:
            clients[info.view].add(clipped(info.node_id))  # type: ignore[index] # a View here
        nacks = rejections.problems(streams, self.store, self._views.quarantine)
        views = self._views.problems(clients)
        stages = (
            *self._source_problems.values(),
            self._writes.problems(),
            self._fleet.problems(),
            self._views.policies.problems(),
            views,
            self.server.problems(),
            nodes,
            nacks,
        )
        return {problem for found in stages for problem in found}


def _told_twice(cluster: str) -> Problem:
    message = f"cluster {cluster!r} is both a directory of manifests and a live cluster; the directory is ignored"
    return Problem("XDS0304", message, hint="rename the directory, or choose other contexts with --context")


def _nowhere(_: Identity) -> str:
    return ""


def _security(config: Config) -> Security:
    if config.xds_tls_cert is None or config.xds_tls_key is None:
        return Security(insecure=config.insecure)
    return Security(TlsFiles(config.xds_tls_cert, config.xds_tls_key, config.xds_client_ca), insecure=config.insecure)


def _limits(config: Config) -> Limits:
    return Limits(
        request_bytes=config.max_receive_bytes,
        first_syncs=config.first_syncs,
        max_age_s=config.max_age_s,
    )
