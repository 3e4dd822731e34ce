"""What clients reported of their requests (LRS): the answer of the admin API, and the metrics."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

from xds.admin.answers import timestamp
from xds.admin.snapshots import view_of
from xds.wire import admin

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from prometheus_client import Metric

    from xds.admin.state import ClusterLoad, ControlPlane, Load, Loads
    from xds.model.service import Locality

LARGEST = 2**64 - 1
"""Of what a uint64 holds; the sum of what clients claim may be larger."""
_PLACE = ("cluster", "region", "zone", "sub_zone")


def loads(plane: ControlPlane, node: str = "") -> admin.LoadList:
    """Return what was reported, by view and cluster.

    Args:
        plane: where to look.
        node: the id of a connected node, or the key of a live view, whose view is meant; "" for all views.

    Raises:
        NotFoundError: there is no such node.
        AmbiguousError: the id stands for several views.
    """
    only = view_of(plane, node) if node else None
    under_way = plane.loads.in_progress()
    found = [item for item in plane.loads.by_view() if only in (None, item[0])]
    return admin.LoadList(
        items=[
            admin.ClusterLoad(
                view=str(view),
                cluster=cluster,
                localities=[
                    _locality(place, load, under_way.get((view, cluster, place), 0))
                    for place, load in sorted(held.localities.items(), key=lambda item: _names(item[0]))
                ],
                dropped=_clamped(held.dropped),
                dropped_by_category={name: _clamped(number) for name, number in sorted(held.categories.items())},
                reported_at=timestamp(held.reported_at_s),
            )
            for view, cluster, held in sorted(found, key=lambda item: (str(item[0]), item[1]))
        ],
    )


def metrics(reported: Loads) -> Iterator[Metric]:
    """Return the metrics of all views together: a view in the labels would multiply them by the groups of proxies."""
    totals = reported.totals()
    yield _requests(totals)
    issued = CounterMetricFamily("xds_load_issued_requests", "Requests that clients say they sent.", labels=_PLACE)
    for labels, load in _places(totals):
        issued.add_metric(labels, load.issued)
    yield issued
    yield _in_progress(reported)
    dropped = CounterMetricFamily("xds_load_dropped_requests", "Requests that clients dropped as told.", labels=("cluster",))
    for cluster, held in totals.items():
        dropped.add_metric((cluster,), held.dropped)
    yield dropped
    yield CounterMetricFamily("xds_load_reports", "Load reports received.", reported.reports)
    ignored = "Statistics in load reports about clusters that the client was not given."
    yield CounterMetricFamily("xds_load_ignored_clusters", ignored, reported.ignored_clusters)
    streams = GaugeMetricFamily("xds_load_streams", "Clients that report their loads.")
    streams.add_metric((), reported.reporters)
    yield streams


def _requests(totals: Mapping[str, ClusterLoad]) -> Metric:
    family = CounterMetricFamily("xds_load_requests", "Finished requests that clients reported.", labels=(*_PLACE, "result"))
    for labels, load in _places(totals):
        family.add_metric((*labels, "success"), load.succeeded)
        family.add_metric((*labels, "error"), load.failed)
    return family


def _in_progress(reported: Loads) -> Metric:
    family = GaugeMetricFamily("xds_load_requests_in_progress", "Requests under way when reported last.", labels=_PLACE)
    # Every place that has totals, so that one without requests is 0 and not gone.
    sums = {labels: 0 for labels, _ in _places(reported.totals())}
    for (_, cluster, place), number in reported.in_progress().items():
        labels = (cluster, *_names(place))
        sums[labels] = sums.get(labels, 0) + number
    for labels, number in sums.items():
        family.add_metric(labels, number)
    return family


def _places(totals: Mapping[str, ClusterLoad]) -> Iterator[tuple[tuple[str, str, str, str], Load]]:
    for cluster, held in totals.items():
        for place, load in held.localities.items():
            yield (cluster, *_names(place)), load


def _names(place: Locality) -> tuple[str, str, str]:
    return place.region, place.zone, place.cluster


def _locality(place: Locality, load: Load, in_progress: int) -> admin.LocalityLoad:
    return admin.LocalityLoad(
        region=place.region,
        zone=place.zone,
        sub_zone=place.cluster,
        issued=_clamped(load.issued),
        succeeded=_clamped(load.succeeded),
        failed=_clamped(load.failed),
        in_progress=_clamped(in_progress),
    )


def _clamped(number: int) -> int:
    return min(number, LARGEST)
