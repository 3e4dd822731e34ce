"""What clients make of tiers: the share of requests that each priority, locality and endpoint gets.

Envoy's arithmetic, integer divisions included, as its documentation has it
(https://www.envoyproxy.io/docs/envoy/latest/intro/arch_overview/upstream/load_balancing/priority), and its source where that says
more: `LoadBalancerBase`, `effectiveLocalityWeight`. Then gRPC's, whose clients know neither spill nor panic (A27, A56). What a
client finds out by itself, such as ejections, is not in it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from xds.model.service import Health

if TYPE_CHECKING:
    from collections.abc import Sequence

    from xds.model.service import Endpoint, Locality
    from xds.policy.tiers import Share, Tier


@dataclass(frozen=True, slots=True)
class LocalityForecast:
    """One locality of one tier."""

    share: Share
    healthy: int
    degraded: int
    effective_weight: float
    """The weight, times what health leaves of it."""
    fraction: float
    """Of all requests; 0 to 1."""
    per_endpoint: dict[Endpoint, float]
    """Fraction of all requests, of each endpoint that gets some."""


@dataclass(frozen=True, slots=True)
class TierForecast:
    """One tier."""

    tier: Tier
    endpoints: int
    healthy: int
    degraded: int
    health_percent: int
    """What it can bear of its load, overprovisioning included; at most 100."""
    load_percent: int
    """Of all requests."""
    panics: bool
    """Whether endpoints are used that are known to be unhealthy."""
    localities: tuple[LocalityForecast, ...]


@dataclass(frozen=True, slots=True)
class Forecast:
    """All requests of one client to one port."""

    tiers: tuple[TierForecast, ...]
    unserved: float
    """The fraction that nobody is there for."""

    @property
    def shares(self) -> dict[Locality, float]:
        """What each locality gets of all requests, those left out that get nothing."""
        found: dict[Locality, float] = {}
        for tier in self.tiers:
            for one in tier.localities:
                if one.fraction:
                    found[one.share.locality] = found.get(one.share.locality, 0.0) + one.fraction
        return found


@dataclass(slots=True)
class _Priority:
    """The hosts of one priority."""

    hosts: int
    total: int
    """Those that count. Hosts that drain do not (Envoy's "excluded endpoints"), so that a rolling update spills nothing."""
    healthy: int
    degraded: int
    healthy_load: int = 0
    degraded_load: int = 0
    panics: bool = False

    @property
    def load(self) -> int:
        return self.healthy_load + self.degraded_load

    def availability(self, fit: int, overprovisioning: int) -> int:
        return min(100, overprovisioning * fit // self.total) if self.total else 0


def envoy_forecast(tiers: Sequence[Tier], overprovisioning: int, panic_percent: int, *, by_hash: bool = False) -> Forecast:
    """Return what an Envoy does.

    Args:
        tiers: at least one, in order of their indexes.
        overprovisioning: percent, of the CLA.
        panic_percent: `healthy_panic_threshold` of the cluster; 0: no panic.
        by_hash: clients are shared out, not requests: localities get what they weigh, in a panic, too.
    """
    priorities = [_priority(tier) for tier in tiers]
    _distribute(priorities, overprovisioning, panic_percent)
    make = partial(_hashed_forecast if by_hash else _tier_forecast, overprovisioning=overprovisioning)
    return _forecast([make(tier, one) for tier, one in zip(tiers, priorities, strict=True)])


def grpc_forecast(tiers: Sequence[Tier]) -> Forecast:
    """Return what a proxyless gRPC client does: all goes to the first tier that has a healthy endpoint, by locality weights."""
    chosen = next((tier.index for tier in tiers if _count(tier, Health.HEALTHY)), None)
    forecasts = []
    for tier in tiers:
        load = 100 if tier.index == chosen else 0
        weights = [float(one.weight) if one.healthy else 0.0 for one in tier.shares]
        localities = [
            _locality(one, weight, sum(weights), load, Health.HEALTHY) for one, weight in zip(tier.shares, weights, strict=True)
        ]
        total, healthy = sum(len(one.endpoints) for one in tier.shares), _count(tier, Health.HEALTHY)
        forecasts.append(
            TierForecast(tier, total, healthy, 0, 100 if healthy else 0, load, panics=False, localities=(*localities,))
        )
    return _forecast(forecasts)


def _forecast(tiers: list[TierForecast]) -> Forecast:
    served = sum(one.fraction for tier in tiers for one in tier.localities)
    return Forecast(tuple(tiers), unserved=max(0.0, round(1 - served, 9)))


def _priority(tier: Tier) -> _Priority:
    hosts = sum(len(share.endpoints) for share in tier.shares)
    total = sum(share.counted for share in tier.shares)
    return _Priority(hosts, total, _count(tier, Health.HEALTHY), _count(tier, Health.DEGRADED))


def _distribute(priorities: list[_Priority], overprovisioning: int, panic_percent: int) -> None:
    """Give each priority its load, and say which of them panic."""
    healthy = [one.availability(one.healthy, overprovisioning) for one in priorities]
    degraded = [one.availability(one.degraded, overprovisioning) for one in priorities]
    normal = min(100, sum(healthy) + sum(degraded))
    if not normal:
        priorities[0].healthy_load = 100
        if panic_percent and any(one.hosts for one in priorities):
            _panic(priorities)
        return
    left = 100
    for one, available in zip(priorities, healthy, strict=True):
        one.healthy_load = min(left, available * 100 // normal)
        left -= one.healthy_load
    for one, available in zip(priorities, degraded, strict=True):
        one.degraded_load = min(left, available * 100 // normal)
        left -= one.degraded_load
    # What integer division left over goes to the first that can take something.
    if any(healthy):
        priorities[next(index for index, available in enumerate(healthy) if available)].healthy_load += left
    else:
        priorities[next(index for index, available in enumerate(degraded) if available)].degraded_load += left
    if normal == 100 or not panic_percent:
        return
    for one in priorities:
        one.panics = not one.total or 100 * (one.healthy + one.degraded) / one.total < panic_percent
    if all(one.panics for one in priorities):
        _panic(priorities)


def _panic(priorities: list[_Priority]) -> None:
    """Give each priority load by its hosts: all of them panic."""
    hosts, left = sum(one.hosts for one in priorities), 100
    for one in priorities:
        one.healthy_load, one.degraded_load, one.panics = 100 * one.hosts // hosts, 0, True
        left -= one.healthy_load
    next(one for one in priorities if one.hosts).healthy_load += left


def _tier_forecast(tier: Tier, priority: _Priority, overprovisioning: int) -> TierForecast:
    parts: list[list[LocalityForecast]] = []
    if priority.panics:
        parts.append(_panicking(tier, priority.load))
    else:
        parts.append(_weighed(tier, Health.HEALTHY, priority.healthy_load, overprovisioning))
        if priority.degraded_load:
            parts.append(_weighed(tier, Health.DEGRADED, priority.degraded_load, overprovisioning))
    return _told(tier, priority, overprovisioning, tuple(_joined(found) for found in zip(*parts, strict=True)))


def _hashed_forecast(tier: Tier, priority: _Priority, overprovisioning: int) -> TierForecast:
    """Spread a load by the weights of localities alone (`ThreadAwareLoadBalancerBase`), with none that are DEGRADED."""
    used = [[one for one in share.endpoints if priority.panics or one.health is Health.HEALTHY] for share in tier.shares]
    total = sum(share.weight for share, found in zip(tier.shares, used, strict=True) if found)
    localities = []
    for share, found in zip(tier.shares, used, strict=True):
        weight = float(share.weight) if found else 0.0
        fraction = priority.load / 100 * weight / total if weight else 0.0
        each = dict.fromkeys(found, fraction / len(found)) if fraction else {}
        localities.append(LocalityForecast(share, share.healthy, share.degraded, weight, fraction, each))
    return _told(tier, priority, overprovisioning, tuple(localities))


def _told(tier: Tier, priority: _Priority, overprovisioning: int, localities: tuple[LocalityForecast, ...]) -> TierForecast:
    health = priority.availability(priority.healthy + priority.degraded, overprovisioning)
    counts = priority.hosts, priority.healthy, priority.degraded
    return TierForecast(tier, *counts, health, priority.load, priority.panics, localities)


def _weighed(tier: Tier, health: Health, load: int, overprovisioning: int) -> list[LocalityForecast]:
    """Spread a load over the localities by their effective weights for hosts of one health."""
    weights = [_effective(share, health, overprovisioning) for share in tier.shares]
    return [_locality(one, weight, sum(weights), load, health) for one, weight in zip(tier.shares, weights, strict=True)]


def _effective(share: Share, health: Health, overprovisioning: int) -> float:
    fit = sum(one.health is health for one in share.endpoints)
    return share.weight * min(1.0, overprovisioning / 100 * fit / share.counted) if fit else 0.0


def _locality(share: Share, weight: float, total: float, load: int, health: Health) -> LocalityForecast:
    fraction = load / 100 * weight / total if weight else 0.0
    fit = [one for one in share.endpoints if one.health is health]
    each = {one: fraction / len(fit) for one in fit} if fraction else {}
    return LocalityForecast(share, share.healthy, share.degraded, weight, fraction, each)


def _panicking(tier: Tier, load: int) -> list[LocalityForecast]:
    """Spread a load over all hosts alike: localities do not count then."""
    hosts = sum(len(share.endpoints) for share in tier.shares)
    found = []
    for share in tier.shares:
        each = load / 100 / hosts
        per_endpoint = dict.fromkeys(share.endpoints, each) if load else {}
        fraction = each * len(share.endpoints)
        found.append(LocalityForecast(share, share.healthy, share.degraded, float(len(share.endpoints)), fraction, per_endpoint))
    return found


def _joined(parts: tuple[LocalityForecast, ...]) -> LocalityForecast:
    first = parts[0]
    each = {endpoint: fraction for one in parts for endpoint, fraction in one.per_endpoint.items()}
    weight, fraction = sum(one.effective_weight for one in parts), sum(one.fraction for one in parts)
    return LocalityForecast(first.share, first.healthy, first.degraded, weight, fraction, each)


def _count(tier: Tier, health: Health) -> int:
    return sum(one.health is health for share in tier.shares for one in share.endpoints)
