"""Metrics: read from the running stages at each scrape, so that no number is kept twice.

Names follow Prometheus: prefix `xds_`, base units. No label takes a value that a client chooses, but for the localities in
load reports, which are bounded in number (`xds.server.loads`).
"""

from __future__ import annotations

import math
import time
from collections import Counter
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily, SummaryMetricFamily
from prometheus_client.registry import Collector

from xds._version import __version__
from xds.admin import loads, nacks
from xds.admin.answers import is_own
from xds.admin.memory import memory_of
from xds.model.events import MemberState
from xds.wire import SHORT_NAMES, short_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from prometheus_client import Metric

    from xds.admin.memory import Memory
    from xds.admin.state import ControlPlane

MEASURED_S = 60.0
"""How long a measurement of memory is good for: each takes some ten milliseconds."""
STATES = ("SYNCED", "STALE", "NOT SENT", "ERROR")


def registry(plane: ControlPlane) -> CollectorRegistry:
    """Return a registry of our metrics and those of the process."""
    result = CollectorRegistry()
    ProcessCollector(registry=result)
    PlatformCollector(registry=result)
    GCCollector(registry=result)
    result.register(ControlPlaneCollector(plane))
    return result


class ControlPlaneCollector(Collector):
    """Reads a control plane at each scrape."""

    def __init__(self, plane: ControlPlane) -> None:
        self._plane = plane
        self._memory: tuple[float, dict[str, Memory]] = (-math.inf, {})
        """When it was measured, and member -> what was found."""

    def describe(self) -> Iterable[Metric]:
        """Return nothing: registering must not read a control plane that is still starting."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """Return every metric with its present values."""
        yield InfoMetricFamily("xds_build", "The version that runs.", {"version": __version__})
        ready = GaugeMetricFamily("xds_ready", "1 if the control plane serves, 0 while it waits for its first sync.")
        ready.add_metric((), not self._plane.not_ready)
        yield ready
        yield from self._fleet()
        yield from self._held()
        yield from self._snapshots()
        yield from self._streams()
        yield from self._admission()
        yield from self._counters()
        yield from nacks.metrics(self._plane)
        yield from loads.metrics(self._plane.loads)
        yield from self._dns()
        for stage, timing in self._plane.timings.items():
            yield SummaryMetricFamily(f"xds_{stage}_seconds", f"Time spent in the stage {stage}.", timing.count, timing.sum_s)

    def _fleet(self) -> Iterator[Metric]:
        plane = self._plane
        found = Counter(str(member.state) for member in plane.members.values())
        yield _gauge("xds_clusters", "Member clusters by state.", {str(state): found[state] for state in MemberState}, "state")
        by_health = Counter[tuple[str, str]]()
        for key, service in plane.services.items():
            if key.scope:
                # As in answers.own_endpoint_count: one that serves several ports counts once, and one of another cluster there.
                held = (item for found in service.endpoints.values() for item in found if is_own(service, item))
                distinct = {(item.network, item.addresses, item.health) for item in held}
                by_health.update((key.scope, health) for _, _, health in distinct)
        yield _gauge("xds_endpoints", "Endpoints of the members' own services.", by_health, "cluster", "health")
        services = Counter(key.scope or "clusterset" for key in plane.services)
        yield _gauge("xds_services", "Services of each member, and of the cluster set.", services, "scope")
        problems = Counter((problem.code, str(problem.severity)) for problem in plane.problems())
        yield _gauge("xds_config_problems", "Problems that users can mend.", problems, "code", "severity")

    def _held(self) -> Iterator[Metric]:
        now_s = time.monotonic()
        if now_s >= self._memory[0] + MEASURED_S:
            self._memory = now_s, {name: memory_of(self._plane, name) for name in sorted(self._plane.members)}
        for name, text, index in (
            ("xds_service_memory_bytes", "Memory that a service of a member takes, but for its endpoints; estimated.", 0),
            ("xds_endpoint_memory_bytes", "Memory that an endpoint of a member takes; estimated.", 1),
            ("xds_cluster_memory_bytes", "Memory that all services and endpoints of a member take; estimated.", 2),
        ):
            yield _gauge(name, text, {cluster: found[index] for cluster, found in self._memory[1].items()}, "cluster")

    def _snapshots(self) -> Iterator[Metric]:
        snapshots = [self._plane.store.current(view) for view in self._plane.store.views()]
        views = GaugeMetricFamily("xds_views", "Live views: groups of proxies that share a snapshot.")
        views.add_metric((), len(snapshots))
        yield views
        resources = dict.fromkeys(SHORT_NAMES, 0)
        for snapshot in snapshots:
            for url, held in snapshot.types.items():
                resources[short_name(url)] = resources.get(short_name(url), 0) + len(held)
        yield _gauge("xds_resources", "Resources in the newest snapshots of all live views.", resources, "type")

    def _streams(self) -> Iterator[Metric]:
        counters = self._plane.counters
        streams = {kind: opened - counters.streams_closed.get(kind, 0) for kind, opened in counters.streams_opened.items()}
        yield _gauge("xds_streams", "Open streams by service and variant.", streams, "kind")
        states = Counter(
            (short_name(url), str(held.state))
            for stream in self._plane.streams()
            for url, held in stream.types.items()
            if url in SHORT_NAMES.values()
        )
        values = {(name, state): states[name, state] for name in SHORT_NAMES for state in STATES}
        yield _gauge("xds_stream_types", "Types that open streams asked for, by how they stand.", values, "type", "state")

    def _admission(self) -> Iterator[Metric]:
        admission = self._plane.admission
        for name, text, number in (
            ("xds_admission_waiting", "Streams that wait for their turn to be written a first sync.", admission.waiting),
            ("xds_first_syncs_active", "Streams that are written a first sync.", admission.active),
        ):
            family = GaugeMetricFamily(name, text)
            family.add_metric((), number)
            yield family
        yield CounterMetricFamily("xds_first_syncs", "First syncs admitted, one or more a stream.", admission.admitted)
        yield CounterMetricFamily("xds_first_syncs_overdue", "Those whose client was too slow to count.", admission.overdue)

    def _counters(self) -> Iterator[Metric]:
        counters = self._plane.counters
        for name, text, by_type in (
            ("xds_requests", "Requests received, ACKs included.", counters.requests),
            ("xds_pushes", "Responses written.", counters.responses),
            ("xds_response_bytes", "Bytes of responses written.", counters.response_bytes),
            ("xds_nacks", "Responses that clients rejected.", counters.nacks),
            ("xds_expired_nonces", "Requests whose nonce was not the latest.", counters.stale_nonces),
        ):
            # Every type from the start, so that rate() and alerts see the first event.
            family = CounterMetricFamily(name, text, labels=("type",))
            for kind in dict.fromkeys((*SHORT_NAMES, *by_type)):
                family.add_metric((kind,), by_type.get(kind, 0))
            yield family
        yield CounterMetricFamily("xds_rejected_nodes", "Nodes that could not be given a view.", counters.rejected_nodes)
        yield CounterMetricFamily("xds_refused_streams", "Streams ended for what the client sent.", counters.refused_streams)
        yield CounterMetricFamily("xds_aged_streams", "Streams ended at their connection's maximum age.", counters.aged_streams)
        yield CounterMetricFamily("xds_publications", "Changes published to streams.", counters.publications)
        yield CounterMetricFamily("xds_wakes", "Streams woken by publications.", counters.wakes)

    def _dns(self) -> Iterator[Metric]:
        family = CounterMetricFamily("xds_dns_queries", "DNS queries answered.", labels=("type", "rcode"))
        for labels, count in sorted(self._plane.dns_queries.items()):
            family.add_metric(labels, count)
        yield family


def _gauge(name: str, text: str, values: Mapping[str, int] | Mapping[tuple[str, str], int], *labels: str) -> Metric:
    family = GaugeMetricFamily(name, text, labels=labels)
    for key, value in values.items():
        family.add_metric((key,) if isinstance(key, str) else key, value)
    return family
