"""The guard: deletions of so much of a cluster that they are more likely a mistake than a wish. No I/O, no clock.

An etcd that was emptied, a backup of the wrong cluster, `kubectl delete --all`, a CRD that is uninstalled with every export:
what they take away is held, and goes on being served, DEGRADED, until it is confirmed, is there again, or a delay has passed.
What is scaled to zero one by one is never held.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from xds.model.events import Delete, Doubt, Upsert
from xds.model.exports import EXPORTS
from xds.model.objects import EndpointSlice
from xds.model.slices import MANAGED_BY_LABEL, MCS_MANAGER, owner_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from xds.model.events import Event, ObjectKey
    from xds.model.objects import KubernetesObject

WINDOW_S: Final = 60.0
"""Losses within so long of each other are one."""
LEAST: Final = 3
"""Services; the loss of fewer is never held."""

Name = tuple[str, str]
"""(namespace, name) of a service."""


class Population:
    """Names that are there because of parts, e.g. services because of their slices, and those that were lost of late.

    Args:
        least: the loss of fewer is none that matters.
    """

    def __init__(self, least: int = LEAST) -> None:
        self._least = least
        self._parts: dict[Name, set[str]] = {}
        self._losses: deque[tuple[float, Name]] = deque()

    def add(self, name: Name, part: str) -> None:
        """A part is there."""
        self._parts.setdefault(name, set()).add(part)

    def remove(self, name: Name, part: str, now_s: float | None) -> None:
        """A part is gone; without a time, that is no loss."""
        if parts := self._parts.get(name):
            parts.discard(part)
            if not parts:
                del self._parts[name]
                if now_s is not None:
                    self._losses.append((now_s, name))

    def having(self, names: set[Name]) -> set[Name]:
        """Return those of the names that are there."""
        return names & self._parts.keys()

    def without(self, gone: Mapping[Name, set[str]]) -> set[Name]:
        """Return the names that would be lost with these parts."""
        return {name for name, parts in gone.items() if name in self._parts and self._parts[name] <= parts}

    def is_mass(self, lost: set[Name], share: float, now_s: float) -> bool:
        """Return whether that is more than a share of all, with those that were lost shortly before."""
        while self._losses and self._losses[0][0] < now_s - WINDOW_S:
            self._losses.popleft()
        recent = {name for _, name in self._losses} - self._parts.keys()
        return bool(lost) and len(lost | recent) >= self._least and len(lost | recent) > share * len(self._parts.keys() | recent)

    def forget_losses(self) -> None:
        """They were meant."""
        self._losses.clear()


@dataclass(slots=True)
class Guard:
    """Stands between one cluster's source and the model.

    Args:
        cluster: whose events it sees.
        share: of the services with endpoints, or of the exports, that may be lost within the window.
        delay_s: after which what is held goes in any case.
    """

    cluster: str
    share: float
    delay_s: float
    objects: dict[ObjectKey, KubernetesObject] = field(default_factory=dict)
    """What is in force: what was told, and what is held."""
    held: dict[ObjectKey, Delete | Upsert] = field(default_factory=dict)
    """What would take something away."""
    held_since_s: float = 0.0
    _added_s: float = 0.0
    """When something was held last."""
    _services: Population = field(default_factory=Population)
    """Services by their slices that have endpoints."""
    _exports: Population = field(default_factory=Population)
    _doubted: frozenset[Name] = frozenset()

    def take(self, events: Sequence[Event], now_s: float) -> list[Event]:
        """Return what may pass of a batch of events, which are about this cluster alone.

        The batch should hold everything that happened at once: all that a cluster lost while nobody looked.
        """
        last = {event.key: event for event in events if isinstance(event, (Upsert, Delete))}
        """What is deleted and made again at once is not lost, and what is held counts by its end alone."""
        for key, event in last.items():
            if isinstance(event, Upsert):
                self.held.pop(key, None)  # it is there again
        taking = [
            event for event in last.values() if event.key in self.objects and (isinstance(event, Delete) or self._empties(event))
        ]
        if taking and self._is_mass(taking, now_s):
            if not self.held:
                self.held_since_s = now_s
            self._added_s = now_s
            self.held.update({event.key: event for event in taking})
        else:
            for event in taking:
                self.held.pop(event.key, None)
        passing = [
            event
            for event in events
            if not isinstance(event, (Upsert, Delete)) or self.held.get(event.key) is not last[event.key]
        ]
        passing += self._pointless()
        self._enter(passing, now_s)
        return [*passing, *self._doubt()]

    def due(self, now_s: float) -> list[Event]:
        """Return what was held for long enough."""
        return self.confirm(now_s) if self.held and now_s >= self.held_since_s + self.delay_s else []

    def confirm(self, now_s: float) -> list[Event]:
        """Return what is held: it was meant."""
        passing: list[Event] = list(self.held.values())
        self.held = {}
        self._enter(passing, now_s)
        self._services.forget_losses()
        self._exports.forget_losses()
        return [*passing, *self._doubt()]

    def release(self, keys: Iterable[ObjectKey], now_s: float) -> list[Event]:
        """Return that objects are gone which nobody wants any more, held or not, and what follows; by that nothing is lost."""
        events = [Delete(self.cluster, key) for key in keys]
        for event in events:
            self.held.pop(event.key, None)
        self._enter(events, None)
        pointless = self._pointless()
        self._enter(pointless, now_s)
        return [*events, *pointless, *self._doubt()]

    @property
    def doubted(self) -> frozenset[Name]:
        """The services that may be gone."""
        return self._doubted

    def _is_mass(self, taking: list[Delete | Upsert], now_s: float) -> bool:
        """Return whether too much would be lost with these, or they go on with what is held."""
        if self.held and now_s < self._added_s + WINDOW_S:
            return True
        services, exports = self._losses(taking)
        return self._services.is_mass(services, self.share, now_s) or self._exports.is_mass(exports, self.share, now_s)

    def _pointless(self) -> list[Delete | Upsert]:
        """Return what is held, and hold it no longer, if everything in it that mattered is there again or wanted by nobody."""
        if self._lost(self.held.values()):
            return []
        found, self.held = list(self.held.values()), {}
        return found

    def _lost(self, taking: Iterable[Delete | Upsert]) -> set[Name]:
        """Return the services that would be served no more, or exported no more."""
        services, exports = self._losses(taking)
        return services | exports

    def _losses(self, taking: Iterable[Delete | Upsert]) -> tuple[set[Name], set[Name]]:
        """Return (services that would have no endpoints any more, those that would not be exported any more)."""
        slices: dict[Name, set[str]] = {}
        exports: dict[Name, set[str]] = {}
        lost: set[Name] = set()
        for event in taking:
            key = event.key
            name = (key.namespace, key.name)
            if key.kind == "Service":
                lost.add(name)
            elif key.kind in EXPORTS:
                exports.setdefault(name, set()).add(key.kind)
            elif owner := self._service_of(key):
                slices.setdefault(owner, set()).add(key.name)
        return self._services.having(lost) | self._services.without(slices), self._exports.without(exports)

    def _empties(self, event: Upsert) -> bool:
        """Return whether a slice that has endpoints would have none."""
        known = self.objects.get(event.key)
        return isinstance(known, EndpointSlice) and bool(known.endpoints) and not _endpoints(event.object)

    def _service_of(self, key: ObjectKey) -> Name | None:
        return _owner(key, self.objects.get(key))

    def _enter(self, events: Iterable[Event], now_s: float | None) -> None:
        """Take into account what passes."""
        for event in events:
            if isinstance(event, Delete):
                self._index(event.key, None, now_s)
                self.objects.pop(event.key, None)
            elif isinstance(event, Upsert):
                self._index(event.key, event.object, now_s)
                self.objects[event.key] = event.object

    def _index(self, key: ObjectKey, new: KubernetesObject | None, now_s: float | None) -> None:
        if key.kind in EXPORTS:
            name = (key.namespace, key.name)
            if new:
                self._exports.add(name, key.kind)
            else:
                self._exports.remove(name, key.kind, now_s)
        elif key.kind == "EndpointSlice":
            old, owner = self._service_of(key), _owner(key, new) if _endpoints(new) else None
            if owner:
                self._services.add(owner, key.name)
            if old and old != owner:
                self._services.remove(old, key.name, now_s)

    def _doubt(self) -> list[Event]:
        """Return what changed about what may be gone."""
        doubted = frozenset(self._lost(self.held.values()))
        if doubted == self._doubted:
            return []
        self._doubted = doubted
        return [Doubt(self.cluster, doubted)]


def _endpoints(item: KubernetesObject | None) -> bool:
    return isinstance(item, EndpointSlice) and bool(item.endpoints)


def _owner(key: ObjectKey, item: KubernetesObject | None) -> Name | None:
    """Return the service whose endpoints a slice tells; None for a slice that we wrote ourselves, after what others have."""
    if not isinstance(item, EndpointSlice) or item.metadata.labels.get(MANAGED_BY_LABEL) == MCS_MANAGER:
        return None
    return key.namespace, owner_of(item).service
