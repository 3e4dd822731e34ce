"""What is fleet-wide, between the hub and the model: most of it does not go at once, as if by mistake.

Overrides do: an operator who takes drains back or closes gates, maybe in a disaster, means it. They are held only beside
something else that the hub loses, since then it has lost its data.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from xds.discovery.guard import LEAST, WINDOW_S, Population
from xds.discovery.live.collection import key_of
from xds.model.events import FLEET, Delete, Upsert
from xds.model.objects import MemberCluster
from xds.problems import Problem

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from xds.model.events import Event, ObjectKey
    from xds.model.objects import KubernetesObject

MEMBERS: Final = "MemberCluster"
OVERRIDES: Final = "TrafficOverride"
GATHER_S: Final = 3.0
"""How long most overrides, gone at once, wait for what else the hub may have lost: each kind is listed by itself."""
LEAST_MEMBERS: Final = 2
"""A fleet of two is lost with both."""


class FleetWide:
    """The fleet-wide objects in force. Owned by the event loop's thread.

    Args:
        sink: gets the events.
        share: of the objects of a kind that may go within a minute.
        delay_s: how long more than that are held.
    """

    def __init__(self, sink: Callable[[list[Event]], None], share: float, delay_s: float) -> None:
        self.objects: dict[ObjectKey, KubernetesObject] = {}
        """What the hub told, and what is held."""
        self.stand_ins: dict[str, MemberCluster] = {}
        """Name of a cluster that another registry than ours names -> what says where it stands, as a MemberCluster would."""
        self.changes = 0
        self._sink = sink
        self._share = share
        self._delay_s = delay_s
        self._kinds: dict[str, Population] = {}
        self._held: dict[ObjectKey, float] = {}
        """What the hub has no more -> since when, by the loop's clock."""
        self._doubted: dict[ObjectKey, float] = {}
        """Overrides that it has no more, of which it is found out soon whether somebody meant it; as above."""
        self.is_losing_members: Callable[[], bool] = lambda: False
        """Returns whether registrations went at once."""

    def restore(self, objects: Iterable[KubernetesObject]) -> None:
        """Begin with what was saved: what has no uid, no API server has made."""
        saved = list(objects)
        self.take([Upsert(FLEET, item) for item in saved if item.metadata.uid])
        self.stand_in({item.metadata.name: item for item in saved if isinstance(item, MemberCluster) and not item.metadata.uid})

    @property
    def saved(self) -> list[KubernetesObject]:
        """What is to be saved."""
        return [*self.objects.values(), *self.stand_ins.values()]

    def of(self, kind: str) -> tuple[KubernetesObject, ...]:
        """Return the objects of a kind that are in force."""
        return tuple(item for key, item in self.objects.items() if key.kind == kind)

    def take(self, events: Iterable[Upsert | Delete]) -> None:
        """Take what the hub tells."""
        passing: list[Event] = []
        gone: dict[str, dict[ObjectKey, Delete]] = {}
        last = {event.key: event for event in events}
        """What is deleted and made again at once is not lost."""
        for key, event in last.items():
            if isinstance(event, Upsert):
                self._held.pop(key, None)
                self._doubted.pop(key, None)
                self._population(key.kind).add((key.namespace, key.name), "")
                self.objects[key] = event.object
                passing.append(event)
            else:
                gone.setdefault(key.kind, {})[key] = event
        now_s = asyncio.get_running_loop().time()
        for kind, deleted in gone.items():
            if self._is_mass(kind, deleted, now_s):
                if kind == OVERRIDES:
                    self._doubt(deleted, now_s)
                else:
                    self._held.update(dict.fromkeys(deleted, now_s))
            else:
                passing += self._dropped(deleted, now_s)
        self._tell(passing)

    def stand_in(self, items: Mapping[str, MemberCluster]) -> None:
        """Tell where clusters stand of which the hub has no MemberCluster: where it has one, that counts."""
        before, self.stand_ins = self.stand_ins, dict(items)
        new = [item for name, item in items.items() if before.get(name) != item]
        gone = [item for name, item in before.items() if name not in items]
        events: list[Upsert | Delete] = [Upsert(FLEET, item) for item in new]
        events += [Delete(FLEET, key_of(item)) for item in gone]
        self._tell([event for event in events if event.key not in self.objects])

    @property
    def is_losing(self) -> bool:
        """Whether the hub has lost much within a minute, so that what else it loses is doubtful, too; overrides say nothing."""
        now_s = asyncio.get_running_loop().time()
        return any(now_s < since_s + WINDOW_S for key, since_s in self._held.items() if key.kind != OVERRIDES)

    def tick(self) -> list[ObjectKey]:
        """Let go what was held for long enough, and return it."""
        now_s = asyncio.get_running_loop().time()
        due = [key for key, since_s in self._held.items() if now_s >= since_s + self._delay_s]
        self._tell(self._dropped(due, now_s))
        return due

    def problems(self) -> Iterator[Problem]:
        """Yield what is held."""
        for kind in sorted({key.kind for key in self._held}):
            names = ", ".join(sorted(key.name for key in self._held if key.kind == kind))
            message = f"objects of the kind {kind} went from the hub all at once ({names}); they stay in force for now"
            hint = f"make them again; if that was meant, wait {self._delay_s / 60:.0f} min"
            yield Problem("XDS0308", message, hint=hint, about=f"{kind} of the hub")

    def _doubt(self, keys: Iterable[ObjectKey], now_s: float) -> None:
        """Wait a moment for what else is lost."""
        if not self._doubted:
            asyncio.get_running_loop().call_later(GATHER_S, self._judge)
        self._doubted.update(dict.fromkeys(keys, now_s))

    def _judge(self) -> None:
        """Hold the overrides that are doubted if the hub loses other things, too, and let them go if not."""
        doubted, self._doubted = self._doubted, {}
        if self.is_losing or self.is_losing_members():
            self._held.update(doubted)
        else:
            self._tell(self._dropped(doubted, asyncio.get_running_loop().time()))

    def _population(self, kind: str) -> Population:
        return self._kinds.setdefault(kind, Population(LEAST_MEMBERS if kind == MEMBERS else LEAST))

    def _is_mass(self, kind: str, deleted: Iterable[ObjectKey], now_s: float) -> bool:
        is_going_on = any(key.kind == kind and now_s < since_s + WINDOW_S for key, since_s in self._held.items())
        names = {(key.namespace, key.name) for key in deleted}
        return is_going_on or self._population(kind).is_mass(names, self._share, now_s)

    def _dropped(self, keys: Iterable[ObjectKey], now_s: float) -> list[Event]:
        """Take objects out of force; one that another registry stands in for stays as that says."""
        events: list[Event] = []
        for key in keys:
            self._held.pop(key, None)
            self._population(key.kind).remove((key.namespace, key.name), "", now_s)
            if self.objects.pop(key, None) is not None:
                instead = self.stand_ins.get(key.name) if key.kind == MEMBERS else None
                events.append(Upsert(FLEET, instead) if instead else Delete(FLEET, key))
        return events

    def _tell(self, events: list[Event]) -> None:
        if events:
            self.changes += len(events)
            self._sink(events)
