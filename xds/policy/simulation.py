"""What if: the shares of every service for clients everywhere, before and after something fails, is drained, opened or rewritten.

The worlds are fleets like the one that is served, and what is asked of them are the server's own functions.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
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
    from collections.abc import Collection, Iterator, Mapping, Sequence

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
    """`NAMESPACE/NAME` -> requests a second to it, under each of its names that has endpoints."""

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
        for key in sorted(self._after.fleet.services):
            if not self._wanted or f"{key.namespace}/{key.name}" in self._wanted:
                service = failed(self._after.fleet.services[key], failures)
                for port in service.ports:
                    found += self._of_port(service, port.number, failures)
        return found

    def _of_port(self, service: Service, port: int, failures: Sequence[Failure]) -> list[Outcome]:
        everywhere = [view for view in self._after.views() if service.is_visible(view.cluster)]
        views = [view for view in everywhere if not any(one.has_clients(view) for one in failures)]
        after = {view: self._after.forecast(service, port, view) for view in views}
        # Those that fail have a part of the load before, which the others have after.
        before = {view: self._forecast_before(service.key, port, view) for view in everywhere}
        breaches = self._breaches(service, port, before, after)
        return [
            Outcome(
                service, port, view, before[view], after[view], (*self._findings(service, port, view, before, after), *breaches)
            )
            for view in views
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
        self, service: Service, port: int, before: Mapping[View, Forecast], after: Mapping[View, Forecast]
    ) -> tuple[Finding, ...]:
        """Return which places get more than their healthy endpoints can bear."""
        load = self._loads.of(service.key)
        if load is None or not after:
            return ()
        capacity = _capacities(service, port)
        was, now = (_load_by_locality(forecasts, load) for forecasts in (before, after))
        return tuple(
            Finding(
                "breach",
                f"{at.cluster}/{at.zone} gets {got:.0f} requests/s, and its endpoints bear {capacity[at]:.0f}",
                is_new=was.get(at, 0.0) < got - _LEAST,
            )
            for at, got in sorted(now.items())
            if at in capacity and got > capacity[at] + _LEAST
        )


def _load_by_locality(forecasts: Mapping[View, Forecast], load: float) -> dict[Locality, float]:
    found: dict[Locality, float] = defaultdict(float)
    for forecast in forecasts.values():
        for at, share in forecast.shares.items():
            found[at] += share * load / len(forecasts)
    return found


def _capacities(service: Service, port: int) -> dict[Locality, float]:
    """Return what the endpoints of each locality can bear that are not unhealthy, where that is declared."""
    found: dict[Locality, float] = {}
    usable: tuple[Endpoint, ...] = service.endpoints[port]
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
