"""What the admin API needs of a running control plane: the application's face towards it.

Everything here is read on the event loop's thread, between awaits, and never changed.
"""

from __future__ import annotations

import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Collection, Hashable, Iterable, Iterator, Mapping, Sequence

    from xds.model.cluster import Cluster
    from xds.model.fleet import Fleet
    from xds.model.flomesh import Remote
    from xds.model.imports import Import
    from xds.model.members import Member
    from xds.model.objects import ScopeSpec
    from xds.model.service import Locality, Service, ServiceKey
    from xds.model.sharing import Sharing
    from xds.model.view import View
    from xds.policy.book import PolicyBook
    from xds.problems import Problem
    from xds.protocol import StreamInfo
    from xds.snapshot.resource import Resource
    from xds.snapshot.store import SnapshotStore


class Counters(Protocol):
    """Totals since the start; `xds.server.counters.Counters` is one. By type means by `cds`, `eds`, ... or `other`."""

    @property
    def streams_opened(self) -> Mapping[str, int]:
        """By kind, e.g. `ads delta`."""

    @property
    def streams_closed(self) -> Mapping[str, int]:
        """By kind."""

    @property
    def requests(self) -> Mapping[str, int]:
        """By type."""

    @property
    def responses(self) -> Mapping[str, int]:
        """By type."""

    @property
    def response_bytes(self) -> Mapping[str, int]:
        """By type."""

    @property
    def nacks(self) -> Mapping[str, int]:
        """By type."""

    @property
    def stale_nonces(self) -> Mapping[str, int]:
        """By type."""

    @property
    def rejected_nodes(self) -> int:
        """Nodes that could not be given a view."""

    @property
    def refused_streams(self) -> int:
        """Streams ended because of what the client sent."""

    @property
    def aged_streams(self) -> int:
        """Streams ended because their connection had reached its maximum age."""

    @property
    def publications(self) -> int:
        """Change sets published."""

    @property
    def wakes(self) -> int:
        """Streams woken by them."""


class Admission(Protocol):
    """First syncs, of which few are written at once; `xds.server.admission.Admission` is one."""

    @property
    def waiting(self) -> int:
        """Streams that wait for their turn."""

    @property
    def active(self) -> int:
        """Streams whose turn it is."""

    @property
    def admitted(self) -> int:
        """Turns given since the start."""

    @property
    def overdue(self) -> int:
        """Turns that ended because the client was too slow."""


class Load(Protocol):
    """Requests to one locality of a cluster; `xds.server.loads.Load` is one."""

    @property
    def issued(self) -> int:
        """Requests sent."""

    @property
    def succeeded(self) -> int:
        """Requests answered well."""

    @property
    def failed(self) -> int:
        """Requests answered with an error, or not at all."""


class ClusterLoad(Protocol):
    """Requests to one cluster; `xds.server.loads.ClusterLoad` is one."""

    @property
    def localities(self) -> Mapping[Locality, Load]:
        """By locality."""

    @property
    def dropped(self) -> int:
        """Requests that clients dropped because a policy said so."""

    @property
    def categories(self) -> Mapping[str, int]:
        """The same by category."""

    @property
    def reported_at_s(self) -> float:
        """When a client reported the cluster last."""


class Loads(Protocol):
    """Totals since the start, bounded in number; `xds.server.loads.Loads` is one."""

    @property
    def reports(self) -> int:
        """Reports taken."""

    @property
    def reporters(self) -> int:
        """Clients that report."""

    @property
    def ignored_clusters(self) -> int:
        """Statistics of clusters that the client's view does not have."""

    def by_view(self) -> Iterable[tuple[Hashable, str, ClusterLoad]]:
        """Return (view, cluster, load)."""

    def totals(self) -> Mapping[str, ClusterLoad]:
        """Return the load of each cluster, whatever the view."""

    def in_progress(self) -> Mapping[tuple[Hashable, str, Locality], int]:
        """Return the requests under way by view, cluster and locality."""


class Suspect(Protocol):
    """Content that is in quarantine; `xds.quarantine.Suspect` is one."""

    @property
    def resource(self) -> Resource:
        """The content."""

    @property
    def kept(self) -> Resource | None:
        """What is served instead; None: nothing is."""

    @property
    def error(self) -> str:
        """What a node said of it."""

    @property
    def since_s(self) -> float:
        """When it was rejected first."""

    @property
    def nodes(self) -> Collection[str]:
        """Who rejected it."""


@dataclass(slots=True)
class Timing:
    """How often something was done, and how long that took altogether."""

    count: int = 0
    sum_s: float = 0.0

    @contextmanager
    def measured(self) -> Iterator[None]:
        """Count what is done in the context, whether it succeeds or not."""
        began_s = time.perf_counter()
        try:
            yield
        finally:
            self.add(time.perf_counter() - began_s)

    def add(self, seconds: float) -> None:
        """Count what was done, and took so long."""
        self.count += 1
        self.sum_s += seconds


class ControlPlane(Protocol):
    """A running control plane, to look at."""

    @property
    def started_at_s(self) -> float:
        """When it started, seconds since the epoch."""

    @property
    def xds_address(self) -> str:
        """Where proxies connect."""

    @property
    def not_ready(self) -> str:
        """What is waited for before anything is served; "" when ready."""

    @property
    def fleet(self) -> Fleet:
        """Everything that is known."""

    @property
    def policies(self) -> PolicyBook:
        """The policies that are in force."""

    @property
    def hub(self) -> str:
        """Where further members are registered; "" if nowhere."""

    @property
    def hub_failure(self) -> str:
        """Why the hub cannot be kept up with; "" if it can."""

    @property
    def members(self) -> Mapping[str, Member]:
        """The members by name."""

    @property
    def states_since_s(self) -> Mapping[str, float]:
        """Member -> when its state began, seconds since the epoch."""

    @property
    def services(self) -> Mapping[ServiceKey, Service]:
        """Every service: each cluster's own and those of the cluster set."""

    @property
    def imports(self) -> Mapping[ServiceKey, Import]:
        """What each service of the cluster set was merged of, and where its exports differ."""

    def sharing(self, namespace: str, name: str) -> Sharing | None:
        """Return how the clusters' Services of a name share endpoints; None if they do not."""

    @property
    def remotes(self) -> Mapping[ServiceKey, Remote]:
        """What Flomesh's objects come to in each cluster that has some."""

    @property
    def clusters(self) -> Mapping[str, Cluster]:
        """The objects of each cluster, by name."""

    def source_of(self, member: str) -> str:
        """Return where a member's objects are read from, for people; "" if nothing is read of it."""

    def scope_of(self, member: str) -> ScopeSpec:
        """Return what is read of a member."""

    @property
    def store(self) -> SnapshotStore[View]:
        """The snapshots of the live views; its keys are what `StreamInfo.view` holds."""

    @property
    def counters(self) -> Counters:
        """What the xDS server counted."""

    @property
    def admission(self) -> Admission:
        """Who waits for a first sync."""

    @property
    def loads(self) -> Loads:
        """What clients reported of their requests since the start."""

    @property
    def dns_queries(self) -> Mapping[tuple[str, str], int]:
        """How many DNS queries were answered since the start, by type and rcode; both are few."""

    @property
    def timings(self) -> Mapping[str, Timing]:
        """Stage -> how long its work took, e.g. `translate`; becomes the metric `xds_<stage>_seconds`."""

    def problems(self) -> Sequence[Problem]:
        """Return everything that is wrong now, whichever stage found it."""

    def quarantined(self) -> Iterable[tuple[View, Suspect]]:
        """Return what no node of a view is given because several rejected it, by view."""

    def streams(self) -> Sequence[StreamInfo]:
        """Return the open streams whose clients said who they are."""
