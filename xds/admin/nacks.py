"""What clients reject now: the answer of the admin API, and the metrics."""

from __future__ import annotations

from collections import Counter
from itertools import islice
from typing import TYPE_CHECKING, Final

from prometheus_client.core import GaugeMetricFamily

from xds.admin.answers import object_ref, timestamp
from xds.admin.snapshots import NotFoundError
from xds.protocol import Rejected, rejected, searches
from xds.wire import SHORT_NAMES, admin, short_name

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from prometheus_client import Metric

    from xds.admin.state import ControlPlane, Suspect
    from xds.model.view import View
    from xds.problems import Ref
    from xds.protocol import StreamInfo
    from xds.snapshot.resource import Resource
    from xds.snapshot.store import SnapshotStore

    Taken = list[tuple[View, Suspect, list[str]]]
    """View, what is in quarantine there, and the nodes to tell of."""

ITEMS: Final = 5_000
"""Of a list: a fleet that rejects everything must not stop the control plane when somebody looks."""
ORIGINS: Final = 20
ERROR_CHARACTERS: Final = 2_000


def nacks(plane: ControlPlane, node: str = "") -> admin.NackList:
    """Return what is withheld from clients or in quarantine, by type and name.

    Args:
        plane: where to look.
        node: the id of a node; "" for all.

    Raises:
        NotFoundError: no such node is connected, and nothing that it rejected is in quarantine.
    """
    streams = [info for info in plane.streams() if node in ("", info.node_id)]
    taken = [(view, found, [who for who in found.nodes if node in ("", who)]) for view, found in plane.quarantined()]
    if node and not streams and not any(nodes for *_, nodes in taken):
        raise NotFoundError("connected node", node, [info.node_id for info in plane.streams()])
    items = list(islice(_items(plane, streams, taken), ITEMS))
    items.sort(key=lambda item: (item.type, item.name, item.version, item.node_id, item.kind))
    total = sum(len(nodes) for *_, nodes in taken) + sum(1 for _ in searches(streams))
    total += sum(len(info.withheld(type_url)) for info in streams for type_url in info.types)
    return admin.NackList(items=items, left_off=total - len(items))


def metrics(plane: ControlPlane) -> Iterator[Metric]:
    """Return how many resources are rejected and in quarantine, each content counted once, whoever rejects it."""
    withheld = Counter(_label(entry.type_url) for entry in rejected(plane.streams()))
    taken = Counter(_label(found.resource.type_url) for _, found in plane.quarantined())
    for name, text, found in (
        ("xds_rejected_resources", "Resources that clients rejected and are not sent again until they differ.", withheld),
        ("xds_quarantined_resources", "Resources that a view is not given because several of its nodes rejected them.", taken),
    ):
        family = GaugeMetricFamily(name, text, labels=("type",))
        for label in (*SHORT_NAMES, "other"):
            family.add_metric((label,), found[label])
        yield family


def current(store: SnapshotStore[View], view: View, type_url: str, name: str) -> Resource | None:
    """Return what a view has of a name, None if there is no such view or resource."""
    return store.current(view).resources(type_url).get(name) if store.is_live(view) else None


def _items(plane: ControlPlane, streams: Sequence[StreamInfo], taken: Taken) -> Iterator[admin.Nack]:
    for view, found, nodes in taken:
        item = _item(found.resource.type_url, found.error, found.since_s, found.resource.origins)
        item.name, item.version, item.view, item.quarantined = found.resource.name, found.resource.version, str(view), True
        item.accepted_version = found.kept.version if found.kept else ""
        for node in nodes:
            yield _copy(item, node_id=node)
    for info, type_url, status in searches(streams):
        yield _of(info, _item(type_url, status.nack_error or "", status.nack_at_s or 0.0))
    for info in streams:
        for type_url in info.types:
            if withheld := info.withheld(type_url):
                yield from _withheld(plane, info, type_url, list(withheld))


def _withheld(plane: ControlPlane, info: StreamInfo, type_url: str, names: list[str]) -> Iterator[admin.Nack]:
    rejections = info.withheld(type_url)
    for status in info.resources(type_url, frozenset(names)):
        entry = Rejected(type_url, status.name, status.version, info.view, rejections[status.name])
        refs = entry.objects(current(plane.store, info.view, type_url, status.name))  # type: ignore[arg-type] # a View here
        item = _of(info, _item(type_url, status.error, status.rejected_at_s or 0.0, refs))
        item.name, item.version, item.accepted_version = status.name, status.version, status.accepted_version
        yield item


def _item(type_url: str, error: str, at_s: float, refs: tuple[Ref, ...] = ()) -> admin.Nack:
    return admin.Nack(
        type=short_name(type_url),
        type_url=type_url,
        error=error[:ERROR_CHARACTERS],
        rejected_at=timestamp(at_s),
        origins=[object_ref(ref) for ref in refs[:ORIGINS]],
        more_origins=max(0, len(refs) - ORIGINS),
    )


def _of(info: StreamInfo, item: admin.Nack) -> admin.Nack:
    item.node_id, item.view, item.kind = info.node_id, str(info.view), f"{info.service} {info.kind}"
    return item


def _copy(item: admin.Nack, *, node_id: str) -> admin.Nack:
    result = admin.Nack(node_id=node_id)
    result.MergeFrom(item)
    return result


def _label(type_url: str) -> str:
    return short_name(type_url) if type_url in SHORT_NAMES.values() else "other"
