"""The guard: deletions of so much of a cluster that they are more likely a mistake than a wish. No I/O, no clock.

An etcd that was emptied, a backup of the wrong cluster, `kubectl delete --all`: what they take away is held, and goes on being
served, DEGRADED, until it is confirmed, is there again, or a delay has passed. What is scaled to zero one by one is never held.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from xds.model.events import Delete, Doubt, Upsert
from xds.model.objects import EndpointSlice
from xds.model.slices import owner_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from xds.model.events import Event, ObjectKey
    from xds.model.objects import KubernetesObject

WINDOW_S: Final = 60.0
"""Losses within so long of each other are one."""
LEAST: Final = 3
"""Services; the loss of fewer is never held."""

Name = tuple[str, str]
"""(namespace, name) of a service."""


@dataclass(slots=True)
class Guard:
    """Stands between one cluster's source and the model.

    Args:
        cluster: whose events it sees.
        share: of the services with endpoints that may be lost within the window.
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
    _slices: dict[Name, set[str]] = field(default_factory=dict)
    """Service -> its slices that have endpoints, in force."""
    _losses: deque[tuple[float, Name]] = field(default_factory=deque)
    _doubted: frozenset[Name] = frozenset()

    def take(self, events: Iterable[Event], now_s: float) -> list[Event]:
        """Return what may pass of a batch of events, which are about this cluster alone.

        The batch should hold everything that happened at once: all that a cluster lost while nobody looked.
        """
        passing: list[Event] = []
        taking: list[Delete | Upsert] = []
        for event in events:
            if isinstance(event, Upsert):
                self.held.pop(event.key, None)  # it is there again
                (taking if self._empties(event) else passing).append(event)
            elif isinstance(event, Delete):
                taking.append(event)
            else:
                passing.append(event)
        if taking and self._is_mass(taking, now_s):
            if not self.held:
                self.held_since_s = now_s
            self.held.update({event.key: event for event in taking})
        else:
            passing += taking
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
        self._losses.clear()
        return [*passing, *self._doubt()]

    @property
    def doubted(self) -> frozenset[Name]:
        """The services that may be gone."""
        return self._doubted

    def _is_mass(self, taking: list[Delete | Upsert], now_s: float) -> bool:
        """Return whether too many services would be lost with these, those lost shortly before included."""
        if self.held:
            return True
        while self._losses and self._losses[0][0] < now_s - WINDOW_S:
            self._losses.popleft()
        lost = self._lost(taking)
        recent = {name for _, name in self._losses if not self._slices.get(name)}
        total = len(self._slices) + len(recent - self._slices.keys())
        return bool(lost) and len(lost | recent) >= LEAST and len(lost | recent) > self.share * total

    def _lost(self, taking: Iterable[Delete | Upsert]) -> set[Name]:
        """Return the services that would have no endpoints any more."""
        gone: dict[Name, set[str]] = {}
        lost: set[Name] = set()
        for event in taking:
            key = event.key
            if key.kind == "Service" and (key.namespace, key.name) in self._slices:
                lost.add((key.namespace, key.name))
            elif name := self._service_of(key):
                gone.setdefault(name, set()).add(key.name)
        return lost | {name for name, slices in gone.items() if name in self._slices and self._slices[name] <= slices}

    def _empties(self, event: Upsert) -> bool:
        """Return whether a slice that has endpoints would have none."""
        known = self.objects.get(event.key)
        return isinstance(known, EndpointSlice) and bool(known.endpoints) and not _endpoints(event.object)

    def _service_of(self, key: ObjectKey) -> Name | None:
        item = self.objects.get(key)
        return (key.namespace, owner_of(item).service) if isinstance(item, EndpointSlice) else None

    def _enter(self, events: Iterable[Event], now_s: float) -> None:
        """Take into account what passes."""
        for event in events:
            if isinstance(event, Delete):
                self._index(event.key, None, now_s)
                self.objects.pop(event.key, None)
            elif isinstance(event, Upsert):
                self._index(event.key, event.object, now_s)
                self.objects[event.key] = event.object

    def _index(self, key: ObjectKey, new: KubernetesObject | None, now_s: float) -> None:
        if key.kind != "EndpointSlice":
            return
        if (name := self._service_of(key)) in self._slices:
            slices = self._slices[name]
            slices.discard(key.name)
            if not slices:
                del self._slices[name]
                if not _endpoints(new):
                    self._losses.append((now_s, name))
        if isinstance(new, EndpointSlice) and new.endpoints:
            self._slices.setdefault((key.namespace, owner_of(new).service), set()).add(key.name)

    def _doubt(self) -> list[Event]:
        """Return what changed about what may be gone."""
        doubted = frozenset(self._lost(self.held.values()))
        if doubted == self._doubted:
            return []
        self._doubted = doubted
        return [Doubt(self.cluster, doubted)]


def _endpoints(item: KubernetesObject | None) -> bool:
    return isinstance(item, EndpointSlice) and bool(item.endpoints)
