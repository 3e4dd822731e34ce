"""Recoveries: which places of services had lost all their traffic, and how long they have been well again. Here is the clock.

A place is a locality of a service port. It has lost its traffic when none of its endpoints is healthy any more, be they unready,
draining or gone; one pod of several that comes and goes loses nothing. It is well again with the first healthy endpoint, and its
time begins anew if it loses that, too. Which places were well beside it is kept with it: pods that move between the zones of one
tier take no traffic out of it. A place that is seen for the first time, and a cluster that was merely not heard of, have
lost nothing. Nothing of this is saved: after a start, places that are well are so for long enough.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from xds.model.events import PortPlace, Recovering, Recovery
from xds.model.service import CLUSTERSET, Health, ServiceKey

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from xds.model.service import Locality, Service

Wellness = dict[PortPlace, bool]
"""Place with endpoints -> whether one of them is healthy."""


@dataclass(slots=True)
class _Record:
    """What is known of the places of one service."""

    seen: Wellness = field(default_factory=dict)
    lost: set[PortPlace] = field(default_factory=set)
    """Those without a healthy endpoint that had one, or that have endpoints."""


class _Recovered(NamedTuple):
    """A place that had lost its traffic, and is well again."""

    since_s: float
    """By the loop's clock."""
    beside: frozenset[Locality]
    """`Recovery.beside`."""


class Recoveries:
    """Of all services. Owned by the event loop's thread.

    Args:
        tell: gets what has become true by time alone.
    """

    def __init__(self, tell: Callable[[Recovering], None]) -> None:
        self._tell = tell
        self._soaks_s: frozenset[float] = frozenset()
        self._records: dict[tuple[str, str], dict[ServiceKey, _Record]] = {}
        """(namespace, name) -> what is known of the services that are called so."""
        self._recovered: dict[PortPlace, _Recovered] = {}
        self._told: dict[PortPlace, Recovery] = {}
        self._timer: asyncio.TimerHandle | None = None

    def look(
        self, services: Mapping[ServiceKey, Service], changed: Iterable[ServiceKey], soaks_s: frozenset[float]
    ) -> Recovering | None:
        """Take services as they are now, and return what is to be told to the fleet before anybody sees them.

        Args:
            services: all of them.
            changed: those of which anything has changed.
            soaks_s: after how long policies give places their traffic back; none: nobody asks, and nothing is kept.
        """
        if soaks_s and not self._soaks_s:
            changed = services  # from now on somebody asks
        self._soaks_s = soaks_s
        if not soaks_s:
            self._records.clear()
            self._recovered.clear()
            return self._news() if self._told else None
        for key in changed:
            if service := services.get(key):
                self._note(key, _wellness(service, services))
            else:
                self._forget(key)
        return self._news()

    def close(self) -> None:
        """Tell nothing more."""
        if self._timer:
            self._timer.cancel()

    def _note(self, key: ServiceKey, now: Wellness) -> None:
        records = self._records.setdefault((key.namespace, key.name), {})
        record = records.setdefault(key, _Record())
        recovered = [place for place in record.lost if now.get(place)]
        record.lost.difference_update(recovered)
        lost = [place for place in record.seen.keys() | now.keys() if not now.get(place)]
        record.lost.update(lost)
        for place in lost:
            self._recovered.pop(place, None)
        record.seen = now
        if recovered:
            well = {place for one in records.values() for place, is_well in one.seen.items() if is_well}.difference(recovered)
            for place in recovered:
                beside = (self._steady(one) for one in well if one.port == place.port)
                self._recovered[place] = _Recovered(asyncio.get_running_loop().time(), frozenset().union(*beside))

    def _steady(self, place: PortPlace) -> frozenset[Locality]:
        """Return a place that has been well all along; of one that is well again, those that were when it became so."""
        found = self._recovered.get(place)
        return found.beside if found else frozenset((place.locality,))

    def _forget(self, key: ServiceKey) -> None:
        name = key.namespace, key.name
        records = self._records.get(name, {})
        if record := records.pop(key, None):
            for place in record.seen:
                self._recovered.pop(place, None)
            if not records:
                del self._records[name]

    def _news(self) -> Recovering | None:
        """Return how long places have been well, if that differs from what was told, and come back when it does."""
        self.close()
        now_s, longest_s = asyncio.get_running_loop().time(), max(self._soaks_s, default=0.0)
        told: dict[PortPlace, Recovery] = {}
        next_s = []
        for place, (since_s, beside) in [*self._recovered.items()]:
            well_s = max((one for one in self._soaks_s if since_s + one <= now_s), default=0.0)
            if well_s == longest_s:
                del self._recovered[place]
            else:
                told[place] = Recovery(well_s, beside)
                next_s.append(since_s + min(one for one in self._soaks_s if one > well_s))
        if next_s:
            self._timer = asyncio.get_running_loop().call_at(min(next_s), self._on_time)
        if told == self._told:
            return None
        self._told = told
        return Recovering(dict(told))

    def _on_time(self) -> None:
        if news := self._news():
            self._tell(news)


def _wellness(service: Service, services: Mapping[ServiceKey, Service]) -> Wellness:
    """Return which places of a service are well, of those that are its own to tell: what a cluster has counts there."""
    key, found = service.key, Wellness()
    for port, endpoints in service.endpoints.items():
        well: dict[Locality, bool] = {}
        for one in endpoints:
            well[one.locality] = well.get(one.locality, False) or one.health is Health.HEALTHY
        for at, is_well in well.items():
            owner = at.cluster if ServiceKey(key.namespace, key.name, at.cluster) in services else CLUSTERSET
            if owner == key.scope:
                found[PortPlace(key.namespace, key.name, port, at)] = is_well
    return found
