"""Loads: what clients report of the requests that they sent, added up. A value: no I/O, no clock, no stream.

In: the statistics of one report. Out: totals since the start by (view, cluster, locality), what is in progress now, and the
same without the view for metrics. Bounded whatever clients say: clusters must be known, localities of a cluster are at
most LOCALITIES, and the clusters that were reported longest ago make room for new ones.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

from xds.model.service import Locality

if TYPE_CHECKING:
    from collections.abc import Container, Hashable, Iterator, Mapping, Sequence

    from xds.wire import envoy

LOCALITIES = 64
"""Localities of one cluster that are told apart; requests to any further one count as OTHER."""
CATEGORIES = 16
"""Kinds of dropped requests of one cluster that are told apart; as above."""
TEXT_CHARS = 256
"""Characters of a part of a locality, and of a category; what is longer counts as OTHER."""
CLUSTERS = 20_000
"""Clusters remembered, and as many pairs of view and cluster."""
OTHER_NAME = "other"
OTHER = Locality(OTHER_NAME, OTHER_NAME, OTHER_NAME)

K = TypeVar("K", bound="Hashable")


@dataclass(slots=True)
class Load:
    """Requests to one locality of a cluster, since the start."""

    issued: int = 0
    succeeded: int = 0
    failed: int = 0
    """Answered with an error, or not at all."""

    def add(self, other: Load) -> None:
        """Count the requests of another load as well."""
        self.issued += other.issued
        self.succeeded += other.succeeded
        self.failed += other.failed


@dataclass(slots=True)
class ClusterLoad:
    """Requests to one cluster, since the start."""

    localities: dict[Locality, Load] = field(default_factory=dict)
    dropped: int = 0
    """Requests that clients did not send because a policy told them to drop some."""
    categories: Counter[str] = field(default_factory=Counter)
    """The same by category, as far as clients gave one."""
    reported_at_s: float = 0.0

    def add(self, other: ClusterLoad, now_s: float) -> None:
        """Count the requests of a report as well."""
        for locality, load in other.localities.items():
            known = locality in self.localities or len(self.localities) < LOCALITIES
            self.localities.setdefault(locality if known else OTHER, Load()).add(load)
        for category, dropped in other.categories.items():
            known = category in self.categories or len(self.categories) < CATEGORIES
            self.categories[category if known else OTHER_NAME] += dropped
        self.dropped += other.dropped
        self.reported_at_s = now_s


@dataclass(slots=True)
class _Reporter:
    view: Hashable = None
    in_progress: dict[tuple[str, Locality], int] = field(default_factory=dict)


class Loads:
    """Adds up the reports of all clients."""

    def __init__(self, *, clusters: int = CLUSTERS) -> None:
        self.reports = 0
        self.ignored_clusters = 0
        """Statistics of clusters that the client's view does not have, e.g. of static ones in an Envoy's bootstrap."""
        self._limit = clusters
        self._by_view: dict[tuple[Hashable, str], ClusterLoad] = {}
        self._totals: dict[str, ClusterLoad] = {}
        self._reporters: dict[int, _Reporter] = {}

    def join(self, reporter: int) -> None:
        """Take in a client that will report."""
        self._reporters[reporter] = _Reporter()

    def leave(self, reporter: int) -> None:
        """Forget what a client has in progress; what it has counted stays."""
        self._reporters.pop(reporter, None)

    def report(
        self, reporter: int, view: Hashable, known: Container[str], stats: Sequence[envoy.ClusterStats], *, now_s: float
    ) -> None:
        """Count one report: an increment of the totals, and the new state of what the client has in progress.

        Args:
            reporter: the client, as it joined.
            view: its view.
            known: the names of the clusters that the view has.
            stats: what it says, by cluster.
            now_s: when it came.
        """
        self.reports += 1
        in_progress: Counter[tuple[str, Locality]] = Counter()
        for item in stats:
            name = item.cluster_name
            if name not in known:
                self.ignored_clusters += 1
                continue
            load = _load_of(item)
            if not (load.localities or load.dropped):
                continue  # Envoy names every cluster that it has, idle ones too
            view_load, total = _latest(self._by_view, (view, name), self._limit), _latest(self._totals, name, self._limit)
            view_load.add(load, now_s)
            total.add(load, now_s)
            for found in item.upstream_locality_stats:
                if found.total_requests_in_progress:
                    locality = _locality_of(found)
                    in_progress[name, locality if locality in total.localities else OTHER] += found.total_requests_in_progress
        self._reporters[reporter] = _Reporter(view, dict(in_progress))

    @property
    def reporters(self) -> int:
        """How many clients report."""
        return len(self._reporters)

    def by_view(self) -> Iterator[tuple[Hashable, str, ClusterLoad]]:
        """Return (view, cluster, load) of each cluster that the clients of a view reported."""
        return ((view, cluster, load) for (view, cluster), load in self._by_view.items())

    def totals(self) -> Mapping[str, ClusterLoad]:
        """Return the same by cluster, whatever the view."""
        return self._totals

    def in_progress(self) -> Counter[tuple[Hashable, str, Locality]]:
        """Return how many requests were under way when each client reported last, by view, cluster and locality."""
        result: Counter[tuple[Hashable, str, Locality]] = Counter()
        for reporter in self._reporters.values():
            for (cluster, locality), number in reporter.in_progress.items():
                result[reporter.view, cluster, locality] += number
        return result


def _latest(table: dict[K, ClusterLoad], key: K, limit: int) -> ClusterLoad:
    """Return the load of a key, now the youngest; the oldest one goes if the table is full."""
    load = table.pop(key, None) or ClusterLoad()
    table[key] = load
    if len(table) > limit:
        del table[next(iter(table))]
    return load


def _load_of(stats: envoy.ClusterStats) -> ClusterLoad:
    result = ClusterLoad(dropped=stats.total_dropped_requests)
    for found in stats.upstream_locality_stats:
        load = Load(found.total_issued_requests, found.total_successful_requests, found.total_error_requests)
        # One locality appears once for each priority that it has.
        result.localities.setdefault(_locality_of(found), Load()).add(load)
    for drop in stats.dropped_requests:
        result.categories[drop.category if len(drop.category) <= TEXT_CHARS else OTHER_NAME] += drop.dropped_count
    return result


def _locality_of(stats: envoy.UpstreamLocalityStats) -> Locality:
    found = Locality(stats.locality.region, stats.locality.zone, stats.locality.sub_zone)
    return found if max(map(len, (found.region, found.zone, found.cluster))) <= TEXT_CHARS else OTHER
