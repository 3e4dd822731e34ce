"""Envoy's documented load-balancing arithmetic, written down once more, independently of `xds.policy`.

Priorities: https://www.envoyproxy.io/docs/envoy/latest/intro/arch_overview/upstream/load_balancing/priority
Localities: https://www.envoyproxy.io/docs/envoy/latest/intro/arch_overview/upstream/load_balancing/locality_weight

Panic threshold 0 (off), health from EDS alone, no degraded hosts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from xds.cli.demo.places import World

OVERPROVISIONING_PERCENT = 140
"""Envoy's default `overprovisioning_factor`."""


@dataclass(frozen=True, slots=True)
class LocalityHealth:
    """What Envoy knows of one locality of one priority."""

    name: str
    weight: int
    healthy: int
    """Hosts that may be used."""
    total: int
    """Hosts in the CLA, healthy or not."""


def priority_loads(priorities: Sequence[Sequence[LocalityHealth]]) -> list[int]:
    """Return the percentage of requests that each priority gets; all 0 if no host is healthy."""
    healths = [_priority_health(localities) for localities in priorities]
    normal = min(100, sum(healths))
    if normal == 0:
        return [0] * len(healths)
    loads: list[int] = []
    for health in healths:
        loads.append(min(100 - sum(loads), health * 100 // normal))
    first = next(index for index, health in enumerate(healths) if health)
    loads[first] += 100 - sum(loads)  # what integer division left over
    return loads


def shares(priorities: Sequence[Sequence[LocalityHealth]]) -> dict[str, float]:
    """Return the fraction of requests that each locality gets, by name; names that get none are left out."""
    result: dict[str, float] = {}
    for load, localities in zip(priority_loads(priorities), priorities, strict=True):
        weights = {locality.name: _effective_weight(locality) for locality in localities}
        for name, weight in weights.items():
            if load and weight:
                result[name] = result.get(name, 0.0) + load / 100 * weight / sum(weights.values())
    return result


def default_ladder(world: World, cluster: str) -> list[list[LocalityHealth]]:
    """Return the priorities of a client in the cluster where no policy speaks: own cluster, same region, anywhere.

    The weight of a locality is the number of its endpoints, ready or not.
    """
    own = world.cluster(cluster)
    priorities: list[list[LocalityHealth]] = [[], [], []]
    for place in world.places:
        pods = world.select(lambda pod, place=place: pod.place == place)  # type: ignore[misc]
        if pods:
            same_region = world.cluster(place.cluster).region == own.region
            tier = 0 if place.cluster == cluster else 1 if same_region else 2
            healthy = sum(pod.ready for pod in pods)
            priorities[tier].append(LocalityHealth(str(place), len(pods), healthy, len(pods)))
    return priorities


def expected_shares(world: World, cluster: str) -> dict[str, float]:
    """Return the share of requests of a client in the cluster that each place should serve; places without are left out."""
    return shares(default_ladder(world, cluster))


def _priority_health(localities: Sequence[LocalityHealth]) -> int:
    total = sum(locality.total for locality in localities)
    healthy = sum(locality.healthy for locality in localities)
    return min(100, OVERPROVISIONING_PERCENT * healthy // total) if total else 0


def _effective_weight(locality: LocalityHealth) -> float:
    if not locality.total:
        return 0.0
    return locality.weight * min(1.0, OVERPROVISIONING_PERCENT / 100 * locality.healthy / locality.total)
