"""The answers of the admin API about snapshots, as messages; no secret is in them (`xds.wire.redaction`)."""

from __future__ import annotations

import difflib
import shlex
from collections import defaultdict
from typing import TYPE_CHECKING

from xds.admin.answers import object_ref, timestamp
from xds.errors import XdsError
from xds.model.view import View
from xds.wire import SHORT_NAMES, admin, short_name
from xds.wire.redaction import redacted

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Iterator

    from xds.admin.state import ControlPlane
    from xds.snapshot.resource import Resource
    from xds.snapshot.snapshot import Snapshot


class NotFoundError(XdsError):
    """Nothing goes by that name; the text says what does."""

    status = 404

    def __init__(self, what: str, name: str, known: Iterable[str] = (), *, hint: str = "") -> None:
        super().__init__(f"no {what} {name!r}; {hint or _hint(name, sorted(set(known)))}")


def _hint(name: str, known: list[str]) -> str:
    if close := difflib.get_close_matches(name, known, n=1):
        return f"did you mean {close[0]!r}?"
    if known:
        return f"known are {', '.join(map(repr, known[:10]))}{' and more' if len(known) > 10 else ''}"
    return "there is none yet"


class AmbiguousError(XdsError):
    """Several views go by that name; the text lists them."""

    status = 409

    def __init__(self, node: str, streams: int, views: Iterable[View]) -> None:
        listed = ", ".join(repr(str(view)) for view in sorted(views))
        super().__init__(f"{streams} streams have the id {node!r}, in different views: {listed}; name one of the views")


def summaries(plane: ControlPlane) -> admin.SnapshotList:
    """Return the newest snapshot of each live view, by the view's key."""
    nodes: dict[Hashable, set[str]] = defaultdict(set)
    for stream in plane.streams():
        nodes[stream.view].add(stream.node_id)
    return admin.SnapshotList(
        items=[
            admin.SnapshotSummary(
                view=str(view),
                version=snapshot.version,
                at=timestamp(snapshot.at_s),
                trigger=snapshot.trigger,
                resources={short_name(url): len(held) for url, held in snapshot.types.items()},
                nodes=sorted(nodes[view]),
            )
            for view in sorted(plane.store.views(), key=str)
            for snapshot in (plane.store.current(view),)
        ],
    )


def find(plane: ControlPlane, node: str, version: str) -> Snapshot:
    """Return a kept snapshot of a node.

    Args:
        plane: where to look.
        node: the id of a connected node, or the key of a live view; NODE@VERSION, if that is neither.
        version: version of the snapshot, or the beginning of it; "" for the newest.

    Raises:
        NotFoundError: there is no such node or version.
        AmbiguousError: the id stands for several views.
    """
    before, _, after = node.rpartition("@")
    if not version and not _views_of(plane, node) and _views_of(plane, before):
        node, version = before, after
    view = view_of(plane, node)
    if not version:
        return plane.store.current(view)
    for snapshot in reversed(plane.store.history(view)):
        if snapshot.version.startswith(version):
            return snapshot
    raise NotFoundError("version", version, hint=f"see `xdsctl snapshot history {shlex.quote(node)}`")


def excerpt(snapshot: Snapshot, type_name: str = "", name: str = "") -> admin.Snapshot:
    """Return a snapshot, or the part of it that is asked for.

    Args:
        snapshot: what to show.
        type_name: `cds`, `eds`, `lds`, `rds` or `sds`; "" for all.
        name: name of the resources; "" for all.

    Raises:
        NotFoundError: there is no such type or resource.
    """
    result = admin.Snapshot(
        view=str(snapshot.view), version=snapshot.version, at=timestamp(snapshot.at_s), trigger=snapshot.trigger
    )
    for url in _types_of(snapshot, type_name):
        resources = [held for known, held in sorted(snapshot.resources(url).items()) if not name or known == name]
        if resources or not name:
            result.types.append(
                admin.TypedResources(
                    type=short_name(url),
                    type_url=url,
                    version=snapshot.type_version(url),
                    resources=[_resource(held) for held in resources],
                ),
            )
    if name and not result.types:
        names = (known for url in _types_of(snapshot, type_name) for known in snapshot.resources(url))
        raise NotFoundError("resource", name, names)
    return result


def history(plane: ControlPlane, node: str) -> admin.SnapshotHistory:
    """Return the kept snapshots of a node's view, oldest first, each with what it changed.

    Raises:
        NotFoundError: there is no such node.
        AmbiguousError: the id stands for several views.
    """
    view = view_of(plane, node)
    kept = plane.store.history(view)
    return admin.SnapshotHistory(
        view=str(view),
        items=[
            admin.SnapshotRevision(
                version=snapshot.version,
                at=timestamp(snapshot.at_s),
                trigger=snapshot.trigger,
                changes=_changes(kept[position - 1], snapshot) if position else (),
            )
            for position, snapshot in enumerate(kept)
        ],
    )


def view_of(plane: ControlPlane, node: str) -> View:
    """Return the view of a connected node, or the live view with this key.

    Raises:
        NotFoundError: there is no such node.
        AmbiguousError: the id stands for several views.
    """
    views = _views_of(plane, node)
    if not views:
        known = [stream.node_id for stream in plane.streams()] or map(str, plane.store.views())
        raise NotFoundError("connected node or live view", node, known)
    if len(views) > 1:
        raise AmbiguousError(node, sum(stream.node_id == node for stream in plane.streams()), views)
    return views.pop()


def _views_of(plane: ControlPlane, node: str) -> set[View]:
    """Return the views of the streams with this id, or if there are none, the view with this key."""
    views = {stream.view for stream in plane.streams() if stream.node_id == node and isinstance(stream.view, View)}
    return views or {view for view in plane.store.views() if str(view) == node}


def _types_of(snapshot: Snapshot, name: str) -> list[str]:
    if not name:
        named = [url for url in SHORT_NAMES.values() if url in snapshot.types]
        return named + sorted(set(snapshot.types) - set(named))
    if name not in SHORT_NAMES:
        raise NotFoundError("resource type", name, SHORT_NAMES)
    return [SHORT_NAMES[name]]


def _resource(held: Resource) -> admin.Resource:
    body = redacted(held.type_url, held.body)
    return admin.Resource(name=held.name, version=held.version, resource=body, origins=map(object_ref, held.origins))


def _changes(before: Snapshot, after: Snapshot) -> Iterator[admin.TypeChange]:
    for url in _types_of(after, ""):
        old, new = before.resources(url), after.resources(url)
        if old is new:  # successive snapshots share what did not change
            continue
        changed = [name for name in old.keys() & new.keys() if old[name].version != new[name].version]
        yield admin.TypeChange(
            type=short_name(url),
            added=sorted(new.keys() - old.keys()),
            changed=sorted(changed),
            removed=sorted(old.keys() - new.keys()),
        )
