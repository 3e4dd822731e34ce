"""Load reports: whatever clients claim, it adds up to something bounded that can be shown."""

from __future__ import annotations

from types import SimpleNamespace

from fuzz_draw import Draw
from google.protobuf.message import DecodeError
from prometheus_client import CollectorRegistry, generate_latest

from xds.admin.loads import loads as answer
from xds.admin.loads import metrics
from xds.server.loads import CATEGORIES, LOCALITIES, TEXT_CHARS, Loads
from xds.server.node import node_of
from xds.wire import envoy

KNOWN = frozenset(("a", "b", "c", "d"))
CLUSTERS = 3
COUNTS = (0, 1, 7, 2**63, 2**64 - 1)


def run(data: bytes) -> None:
    """The first byte says whether what follows are a report's bytes or choices that make several reports."""
    draw = Draw(data)
    held = Loads(clusters=CLUSTERS)
    reports = [draw.rest()] if draw.byte() & 1 else [_made(draw) for _ in range(1 + draw.below(4))]
    for reporter, report in enumerate(reports):
        try:
            message = envoy.LoadStatsRequest.FromString(report)
        except DecodeError:
            continue
        node_of(message.node)
        held.join(reporter)
        held.report(reporter, "view", KNOWN, message.cluster_stats, now_s=0)
        if draw.below(2):
            held.leave(reporter)
    _check(held)


def _check(held: Loads) -> None:
    assert len(held.totals()) <= CLUSTERS
    for name, load in held.totals().items():
        assert name in KNOWN
        assert len(load.localities) <= LOCALITIES + 1
        assert len(load.categories) <= CATEGORIES + 1
        texts = [*load.categories, *(text for place in load.localities for text in (place.region, place.zone, place.cluster))]
        assert max(map(len, texts), default=0) <= TEXT_CHARS
    answer(SimpleNamespace(loads=held)).SerializeToString()
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Collector(held))
    generate_latest(registry).decode()


class _Collector:
    def __init__(self, held: Loads) -> None:
        self.held = held

    def collect(self):
        return metrics(self.held)


def _made(draw: Draw) -> bytes:
    report = envoy.LoadStatsRequest()
    for _ in range(draw.below(5)):
        stats = report.cluster_stats.add(cluster_name=draw.one_of((*sorted(KNOWN), draw.text())))
        stats.total_dropped_requests = draw.one_of(COUNTS)
        for _ in range(draw.below(80)):
            place = stats.upstream_locality_stats.add(total_issued_requests=draw.one_of(COUNTS))
            place.total_successful_requests, place.total_error_requests = draw.one_of(COUNTS), draw.one_of(COUNTS)
            place.total_requests_in_progress, place.priority = draw.one_of(COUNTS), draw.byte()
            place.locality.region, place.locality.zone = draw.one_of(("", "eu", "x" * 300, draw.text())), draw.text()
        for _ in range(draw.below(20)):
            stats.dropped_requests.add(category=draw.text(), dropped_count=draw.one_of(COUNTS))
    return report.SerializeToString()
