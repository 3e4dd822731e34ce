"""What if: the shares of every service for clients everywhere, before and after something fails, is drained, opened or rewritten.

The worlds are fleets like the one that is served, and what is asked of them are the server's own functions.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from itertools import groupby
from typing import TYPE_CHECKING, Literal

from xds.model.fleet import Fleet
from xds.model.service import Health
from xds.model.view import View
from xds.policy.acceptance import Known
from xds.policy.arithmetic import Forecast
from xds.policy.book import PolicyBook
from xds.policy.explanation import predicted
from xds.policy.failures import Failure, failed

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

    from xds.model.events import Event
    from xds.model.service import Endpoint, Locality, Service, ServiceKey

PROBLEMS = ("blackhole", "breach", "sovereignty", "panic")
Kind = Literal["blackhole", "breach", "sovereignty", "panic"]
_LEAST = 1e-9
_NOTHING = Forecast((), 1.0)
"""Of a port that there is not."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What is bad about an outcome."""

    kind: Kind
    text: str
    is_new: bool = True
    """False: it is so before, too."""

    @property
    def fails(self) -> bool:
        """Whether a rehearsal with it is not passed."""
        return self.is_new and self.kind != "panic"


@dataclass(frozen=True, slots=True)
class Outcome:
    """One port of one service, for the clients of one locality."""

    service: Service
    port: int
    view: View
    before: Forecast
    after: Forecast
    findings: tuple[Finding, ...]

    @property
    def changes(self) -> bool:
        """Whether anything moves."""
        return self.before.shares != self.after.shares or self.before.unserved != self.after.unserved


@dataclass(frozen=True, slots=True)
class Loads:
    """Requests a second to services, evenly from all client localities; after a failure, from those that are not down."""

    by_service: Mapping[str, float] = field(default_factory=dict)
    """`NAMESPACE/NAME` -> requests a second to it in all: as if all were for one port, by one name in DNS, each in turn."""

    def of(self, key: ServiceKey) -> float | None:
        """Return the load of a service; None if it is not known."""
        return self.by_service.get(f"{key.namespace}/{key.name}")


class World:
    """A fleet, and the policies in force in it.

    Args:
        events: what makes it (`Fleet.told`, `PolicyBook.told`, and more).
    """

    def __init__(self, events: Collection[Event]) -> None:
        self.fleet = Fleet()
        self.fleet.apply(events)
        self.book = PolicyBook()
        self.book.remember(events)
        self.book.refresh(self.fleet)

    @property
    def known(self) -> Known:
        """The places that there are."""
        return Known.of(self.fleet)

    def views(self) -> list[View]:
        """Return one view for each place that clients may be at."""
        return [
            View(member.name, member.network, member.region, zone)
            for member in self.fleet.members.values()
            for zone in (member.zones or ("",))
        ]

    def forecast(self, service: Service, port: int, view: View) -> Forecast:
        """Return what clients of a view do."""
        ladder = self.book.ladder(service, port, view)
        return predicted(ladder.rank(service, port), ladder.policy, view)


class Rehearsal:
    """Compares two worlds.

    Args:
        before: as it is.
        after: as it would be, failures aside.
        loads: requests to services, as far as they are known.
        wanted: `NAMESPACE/NAME` of the services to look at; none: all.
    """

    def __init__(self, before: World, after: World, loads: Loads, wanted: frozenset[str] = frozenset()) -> None:
        self._before = before
        self._after = after
        self._loads = loads
        self._wanted = wanted
        self._forecasts: dict[tuple[ServiceKey, int, View], Forecast] = {}
        """Of the world before, which many failures are compared with."""

    def outcomes(self, failures: Sequence[Failure] = ()) -> list[Outcome]:
        """Return what becomes of every port, for clients everywhere but where these are down themselves."""
        found: list[Outcome] = []
        for services in self._alike():
            there = [failed(one, failures) for one in services]
            for port in dict.fromkeys(port.number for one in there for port in one.ports):
                found += self._of_port([one for one in there if port in one.endpoints], port, failures)
        return found

    def _alike(self) -> Iterator[list[Service]]:
        """Yield the services that are called by one name in DNS: a name of `cluster.local` is another service in each cluster."""
        services = self._after.fleet.services
        wanted = (key for key in sorted(services) if not self._wanted or f"{key.namespace}/{key.name}" in self._wanted)
        for _, keys in groupby(wanted, lambda key: (key.namespace, key.name, bool(key.scope))):
            yield [services[key] for key in keys]

    def _of_port(self, services: Sequence[Service], port: int, failures: Sequence[Failure]) -> list[Outcome]:
        everywhere = [(one, view) for one in services for view in self._after.views() if one.is_visible(view.cluster)]
        cases = [(one, view) for one, view in everywhere if not any(down.has_clients(view) for down in failures)]
        after = {view: self._after.forecast(one, port, view) for one, view in cases}
        # Those that fail have a part of the load before, which the others have after.
        before = {view: self._forecast_before(one.key, port, view) for one, view in everywhere}
        breaches = self._breaches(services, port, before, after)
        return [
            Outcome(
                one,
                port,
                view,
                before[view],
                after[view],
                (
                    *self._findings(one, port, view, before, after),
                    *(breaches[at] for at in sorted(after[view].shares) if at in breaches),
                ),
            )
            for one, view in cases
        ]

    def _forecast_before(self, key: ServiceKey, port: int, view: View) -> Forecast:
        asked = key, port, view
        found = self._forecasts.get(asked)
        if found is None:
            service = self._before.fleet.services.get(key)
            has_port = service is not None and port in service.endpoints
            found = self._before.forecast(service, port, view) if service and has_port else _NOTHING
            self._forecasts[asked] = found
        return found

    def _findings(
        self, service: Service, port: int, view: View, before: Mapping[View, Forecast], after: Mapping[View, Forecast]
    ) -> Iterator[Finding]:
        was, now = before[view], after[view]
        if now.unserved > _LEAST:
            text = f"{100 * now.unserved:.0f} % of the requests find nobody"
            yield Finding("blackhole", text, is_new=now.unserved > was.unserved + _LEAST)
        if any(tier.panics for tier in now.tiers) and not now.unserved:
            yield Finding("panic", "unhealthy endpoints are used", is_new=not any(tier.panics for tier in was.tiers))
        for policy in self._after.book.governing(service, port, view.cluster).sovereignty:
            for tier in now.tiers:
                for endpoint in (one for at in tier.localities for one in at.per_endpoint):
                    if self._after.book.is_forbidden(policy, endpoint, view):
                        yield Finding("sovereignty", f"{endpoint.locality.cluster} is used, which {policy.name} forbids")
                        return

    def _breaches(
        self, services: Sequence[Service], port: int, before: Mapping[View, Forecast], after: Mapping[View, Forecast]
    ) -> dict[Locality, Finding]:
        """Return which places get more than their healthy endpoints can bear."""
        load = self._loads.of(services[0].key) if services else None
        if load is None or not after:
            return {}
        known = (self._before.fleet.services.get(one.key) for one in services)
        too_much = _excess((one for one in known if one), port, _load_by_locality(before, load))
        found: dict[Locality, Finding] = {}
        for at, (excess, got, bears) in _excess(services, port, _load_by_locality(after, load)).items():
            text = f"{at.cluster}/{at.zone} gets {got:.0f} requests/s, and its endpoints bear {bears:.0f}"
            is_new = at not in too_much or too_much[at][0] < excess - _LEAST
            found[at] = Finding("breach", text, is_new=is_new)
        return found


def _excess(
    services: Iterable[Service], port: int, loads: Mapping[Locality, float]
) -> dict[Locality, tuple[float, float, float]]:
    """Return (how much more, what it gets, what it bears) of each locality that gets more than its endpoints can bear."""
    capacity: dict[Locality, float] = {}
    for service in services:
        for at, bears in _capacities(service, port).items():
            capacity[at] = max(bears, capacity.get(at, 0.0))
    found = {at: (got - capacity[at], got, capacity[at]) for at, got in loads.items() if at in capacity}
    return {at: one for at, one in found.items() if one[0] > _LEAST}


def _load_by_locality(forecasts: Mapping[View, Forecast], load: float) -> dict[Locality, float]:
    found: dict[Locality, float] = defaultdict(float)
    for forecast in forecasts.values():
        for at, share in forecast.shares.items():
            found[at] += share * load / len(forecasts)
    return found


def _capacities(service: Service, port: int) -> dict[Locality, float]:
    """Return what the endpoints of each locality can bear that are not unhealthy, where that is declared."""
    found: dict[Locality, float] = {}
    usable: tuple[Endpoint, ...] = service.endpoints.get(port, ())
    for one in usable:
        if one.locality.cluster in service.capacities:
            each = service.capacities[one.locality.cluster] if one.health in (Health.HEALTHY, Health.DEGRADED) else 0.0
            found[one.locality] = found.get(one.locality, 0.0) + each
    return found


def cost(forecast: Forecast, view: View, prices: Mapping[str, float]) -> float:
    """Return what a million requests cost.

    Args:
        forecast: where they go.
        view: where they come from.
        prices: `FROM>TO`, two regions -> what a million requests between them cost.
    """
    return sum(share * prices.get(f"{view.region}>{at.region}", 0.0) for at, share in forecast.shares.items())


def cross_region(forecast: Forecast, view: View) -> float:
    """Return which fraction of the requests leaves the clients' region."""
    return sum(share for at, share in forecast.shares.items() if at.region != view.region)
