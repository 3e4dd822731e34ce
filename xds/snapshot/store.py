"""The store: the current snapshot and a short history of every live view."""

from __future__ import annotations

from collections import deque
from dataclasses import replace
from typing import TYPE_CHECKING, Generic, TypeVar

from xds.snapshot.snapshot import EMPTY, ChangeSet, Snapshot

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping

    from xds.snapshot.resource import Resource

HISTORY = 32
"""Snapshots kept a view; they share what did not change, so each costs little more than its change."""


Key = TypeVar("Key", bound="Hashable")


class SnapshotStore(Generic[Key]):
    """Owned by one task; readers get immutable snapshots. `Key` is what names a view."""

    def __init__(self) -> None:
        self._history: dict[Key, deque[Snapshot]] = {}

    def publish(self, view: Key, changes: Mapping[str, Mapping[str, Resource | None]], *, at_s: float, trigger: str) -> ChangeSet:
        """Apply changes to the view's snapshot and return what really changed.

        Args:
            view: the view's key; an unknown one starts empty.
            changes: type URL -> name -> the resource, or None to remove it. A resource whose version is the current one
                changes nothing (R16d), so a change set may be empty; then nothing is recorded either, except for a new view.
                If its origins or refs are others, it takes the place of the one that is held all the same.
            at_s: seconds since the epoch.
            trigger: what caused it, for people.
        """
        history = self._history.get(view)
        types = dict(history[-1].types) if history else {}
        changed: dict[str, frozenset[str]] = {}
        for type_url, wanted in changes.items():
            held = types.get(type_url, EMPTY)
            newer = names = held.others(wanted)
            if held:
                newer = {name: resource for name, resource in newer.items() if _is_other(held.get(name), resource)}
                names = {name: resource for name, resource in newer.items() if _differs(held.get(name), resource)}
            if newer:
                types[type_url] = held.changed(newer)
            if names:
                changed[type_url] = frozenset(names)
        if history is None:
            history = self._history[view] = deque(maxlen=HISTORY)
            history.append(Snapshot(view, types, at_s, trigger))
        elif changed:
            history.append(Snapshot(view, types, at_s, trigger))
        elif any(table is not history[-1].types.get(type_url) for type_url, table in types.items()):
            history[-1] = replace(history[-1], types=types)  # the same content, and so the same versions
        return ChangeSet(view, changed)

    def current(self, view: Key) -> Snapshot:
        """Return the newest snapshot.

        Raises:
            KeyError: the view is not live.
        """
        return self._history[view][-1]

    def history(self, view: Key) -> tuple[Snapshot, ...]:
        """Return the snapshots kept, oldest first; empty for a view that is not live."""
        return tuple(self._history.get(view, ()))

    def views(self) -> tuple[Key, ...]:
        """Return the live views."""
        return tuple(self._history)

    def is_live(self, view: Key) -> bool:
        """Return whether the view has a snapshot."""
        return view in self._history

    def drop(self, view: Key) -> None:
        """Forget a view that nobody uses any more."""
        self._history.pop(view, None)


def _is_other(held: Resource | None, wanted: Resource | None) -> bool:
    """Return whether anything is different, be it only where the content comes from, e.g. the version of its Service."""
    return _differs(held, wanted) or (held is not None and wanted is not None and _provenance(held) != _provenance(wanted))


def _provenance(resource: Resource) -> tuple[object, object]:
    return resource.origins, resource.refs


def _differs(held: Resource | None, wanted: Resource | None) -> bool:
    if held is None or wanted is None:
        return held is not wanted
    return held.version != wanted.version
