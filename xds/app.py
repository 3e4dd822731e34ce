"""The composition root: the stages in the order of the data, and what the admin API looks at.

Sources (files, API servers) ─▶ Pipeline (Fleet, LiveViews, Zone) ─▶ XdsServer ─▶ proxies
├─▶ Writes ─▶ API servers       │                                  └▶ DnsServer ─▶ resolvers
└─▶ problems ───────────────────┴─▶ AdminServer
"""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from typing import TYPE_CHECKING

import structlog

from xds import rejections
from xds._version import __version__
from xds.admin.server import AdminServer
from xds.admin.state_times import StateTimes
from xds.dns import DnsServer
from xds.holdoff import Holdoff
from xds.pipeline import Pipeline
from xds.problem_log import ProblemLog
from xds.problems import Problem, worst_first
from xds.protocol import Encoder
from xds.server.address import is_local
from xds.server.ending import clipped
from xds.server.limits import Limits
from xds.server.server import Security, XdsServer
from xds.server.tls import TlsFiles
from xds.sources import Sources
from xds.writes import Writes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from xds.admin.state import Timing
    from xds.config import Config
    from xds.model.cluster import Cluster
    from xds.model.events import Event
    from xds.model.fleet import Fleet
    from xds.model.flomesh import Remote
    from xds.model.imports import Import
    from xds.model.members import Member
    from xds.model.node import Node
    from xds.model.objects import ScopeSpec
    from xds.model.service import Service, ServiceKey
    from xds.model.sharing import Sharing
    from xds.model.view import View
    from xds.policy.book import PolicyBook
    from xds.protocol import Nack, StreamInfo
    from xds.quarantine import Suspect
    from xds.server.admission import Admission
    from xds.server.counters import Counters
    from xds.server.loads import Loads
    from xds.snapshot.store import SnapshotStore

HOUSEKEEPING_S = 5.0
REPORT_QUIET_S = 0.25
"""Problems are compared with those before once nothing has changed for so long: that looks at every stream."""
REPORT_S = 3.0
"""While changes continue, they are compared at most this often."""
GRACE_S = 1.0
"""How long streams may take to write what is due when we stop."""

_log = structlog.get_logger()


class ControlPlane:
    """The running stages; what the admin API looks at (`xds.admin.state.ControlPlane`)."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.started_at_s = time.time()
        self.xds_address = config.xds_address
        self.admin_address = config.admin_address
        self.dns_cluster = config.dns_cluster or ""
        self._draining = False
        self._state_times = StateTimes()
        self._problem_log = ProblemLog()
        self._report = Holdoff(self._log_problems, quiet_s=REPORT_QUIET_S, max_delay_s=REPORT_S)
        told, holders = self._report.changed, self._accepted_versions if config.quarantine else None
        self.pipeline = Pipeline(config, self._heard, told, holders)
        self._views = self.pipeline.views
        self._dns = DnsServer(self.pipeline.zone, config.dns_address) if config.dns_address else None
        self._sources = Sources(config, self.fleet, self.policies, self.pipeline.take, told)
        self._writes = Writes(config, self._sources.live, self.fleet, self.policies, found=self._found, on_problems=told)
        self.server = self.pipeline.server = XdsServer(
            self.pipeline,
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
        await asyncio.to_thread(self._sources.check)  # rather than to say first that we serve, or that a port is taken
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
                tasks.create_task(self.pipeline.run())
                self._sources.start(tasks)
                tasks.create_task(self._keep_house())
                async with asyncio.TaskGroup() as writing:  # it ends first: to give up a lease, it needs a connection
                    writing.create_task(self._writes.run())
                    await self._wait_until_ready()
                    if self._dns:
                        self.dns_cluster = self.pipeline.zone.open(self.config.dns_cluster)
                    on_ready(self)
        except ExceptionGroup as group:
            # One stage has failed, and the others were cancelled: what it says is what the user needs.
            found: Exception = group
            while isinstance(found, ExceptionGroup):
                found = found.exceptions[0]
            raise found from None
        finally:
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

    async def _wait_until_ready(self) -> None:
        """Return once everything has been read, or a while later than it should have been."""
        try:
            async with asyncio.timeout(self.config.start_wait_s):
                await self.pipeline.wait_ready()
        except TimeoutError:
            _log.warning("not everything could be read in time; serving what was", waited_s=self.config.start_wait_s)
            self.pipeline.begin()
        self._log_problems()

    async def _keep_house(self) -> None:
        while True:
            await asyncio.sleep(HOUSEKEEPING_S)
            self.pipeline.drop_idle()
            self.pipeline.forget_nodes({info.node_id for info in self.server.streams()})
            self._report.changed()

    def _heard(self, events: list[Event]) -> None:
        """Have those know of what discovery tells whom it matters to beside the pipeline."""
        self._state_times.note(self.members, time.time())
        self._writes.take(events)
        self._sources.heard(events)
        self._report.changed()

    def _log_problems(self) -> None:
        self._problem_log.compare(self._found())
        self._writes.problems_changed()

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
        return "" if self.pipeline.ready.is_set() else f"the first reading of {self.read_from}"

    @property
    def read_from(self) -> str:
        """Where objects come from, for people."""
        return self._sources.read_from

    @property
    def fleet(self) -> Fleet:
        """Everything that is known."""
        return self.pipeline.fleet

    @property
    def timings(self) -> Mapping[str, Timing]:
        """What the stages took."""
        return self.pipeline.timings

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
        return self._sources.live.hub_failure if self._sources.live else ""

    @property
    def members(self) -> Mapping[str, Member]:
        """The members by name."""
        return self.fleet.members

    @property
    def states_since_s(self) -> Mapping[str, float]:
        """Member -> when its state began, seconds since the epoch."""
        return self._state_times.since_s

    @property
    def services(self) -> Mapping[ServiceKey, Service]:
        """Every service."""
        return self.fleet.services

    @property
    def imports(self) -> Mapping[ServiceKey, Import]:
        """What each service of the cluster set was merged of."""
        return self.fleet.imports

    def sharing(self, namespace: str, name: str) -> Sharing | None:
        """Return how the clusters' Services of a name share endpoints; None if they do not."""
        return self.fleet.sharing(namespace, name)

    @property
    def remotes(self) -> Mapping[ServiceKey, Remote]:
        """What Flomesh's objects come to in each cluster that has some."""
        return self.fleet.remotes

    @property
    def clusters(self) -> Mapping[str, Cluster]:
        """The objects of each cluster."""
        return self.fleet.clusters

    def source_of(self, member: str) -> str:
        """Return where a member's objects are read from, for people; "" if nothing is read of it."""
        return self._sources.of(member)

    def scope_of(self, member: str) -> ScopeSpec:
        """Return what is read of a member; a directory is read whole."""
        return self._sources.scope_of(member)

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
        return tuple(sorted(set(map(self._sources.placed, self._found())), key=worst_first))

    def _clients(self) -> Mapping[View, set[str]]:
        clients: dict[View, set[str]] = defaultdict(set)
        for info in self.streams():
            clients[info.view].add(clipped(info.node_id))  # type: ignore[index] # a View here
        return clients

    def _found(self) -> set[Problem]:
        nacks = rejections.problems(self.server.rejecting(), self.store, self._views.quarantine)
        views = self._views.problems(self._clients)
        stages = (
            self._sources.problems(),
            self._writes.problems(),
            self.fleet.problems(),
            self._views.policies.problems(),
            views,
            self.server.problems(),
            self.pipeline.node_problems(),
            nacks,
        )
        return {problem for found in stages for problem in found}


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
