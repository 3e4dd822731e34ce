"""Strategies: tiers by the name of what they are for. Each is a plain list of tiers, which `xdsctl policy expand` prints."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from xds.model.traffic_objects import ANY, OWN, Gate, PlaceSpec, StrategySpec, TierSpec, WeightSpec
from xds.problems import all_known, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from xds.model.members import Member

CITIES: Final = frozenset(("TwoSitesThreeCenters", "RemoteDR"))
"""Strategies of a region that serves and one that takes over."""


class Lack(NamedTuple):
    """What a strategy needs and does not have."""

    field: str
    """Below `spec.strategy`; "": the fleet lacks it."""
    message: str
    hint: str


def expand(strategy: StrategySpec) -> list[TierSpec]:
    """Return the tiers of a strategy that lacks nothing."""
    return _EXPANSIONS[strategy.type](strategy)


def lacks(strategy: StrategySpec, members: Mapping[str, Member]) -> Iterator[Lack]:
    """Yield what a strategy needs and does not have, in its fields or in the fleet."""
    yield from _misplaced(strategy)
    regions: dict[str, int] = {}
    for member in members.values():
        regions[member.region] = regions.get(member.region, 0) + 1
    match strategy.type:
        case "SameCityActiveActive":
            if not any(count > 1 for region, count in regions.items() if region):
                message = "SameCityActiveActive needs a region with two clusters, and no region of the fleet has them"
                yield Lack("", message, "declare the regions of the clusters in their MemberClusters, or use Nearest")
        case "TwoSitesThreeCenters" | "RemoteDR":
            yield from _of_cities(strategy, regions)
        case "FailOver":
            if OWN in strategy.clusters:
                yield Lack("clusters", "FailOver begins with the client's own cluster anyway", f"take {OWN!r} out")
            if ANY in strategy.clusters[:-1]:
                yield Lack("clusters", "FailOver reaches no cluster after '*', which is all", "put it last")


def _of_cities(strategy: StrategySpec, regions: Mapping[str, int]) -> Iterator[Lack]:
    hint = all_known("region", filter(None, regions))
    for field, region in (("primary", strategy.primary), ("remote", strategy.remote)):
        if not region:
            yield Lack(field, f"{strategy.type} needs {field}, the name of a region", hint)
        elif region not in regions:
            yield Lack(field, f"there is no region {region!r}", did_you_mean(region, regions) or hint)
    if strategy.primary and strategy.primary == strategy.remote:
        yield Lack("remote", "the remote region is the primary one", "name two regions")
    if strategy.type == "TwoSitesThreeCenters" and regions.get(strategy.primary, 2) < 2:
        message = f"TwoSitesThreeCenters needs two clusters in region {strategy.primary!r}; there is one"
        yield Lack("primary", message, "use RemoteDR, or add the second site")


def _misplaced(strategy: StrategySpec) -> Iterator[Lack]:
    """Yield fields that the strategy has no use for: their author expects something of them."""
    uses = {
        "clusters": {"FailOver", "ActiveActive"},
        "weights": {"ActiveActive"},
        "primary": CITIES,
        "remote": CITIES,
    }
    for field, types in uses.items():
        if getattr(strategy, field) and strategy.type not in types:
            yield Lack(field, f"{strategy.type} has no use for {field}", f"it is for {' and '.join(sorted(types))}; take it out")
    if strategy.gate != "Manual" and strategy.type not in CITIES:
        yield Lack("gate", f"{strategy.type} has no gate", f"it is for {' and '.join(sorted(CITIES))}; take it out")


def _tier(name: str, place: PlaceSpec, gate: Gate = "Open", weights: list[WeightSpec] | None = None) -> TierSpec:
    return TierSpec(name=name, places=[place], gate=gate, weights=weights or [])


_OWN_CLUSTER: Final = _tier("own cluster", PlaceSpec(clusters=[OWN]))
_ANYWHERE: Final = _tier("anywhere", PlaceSpec(clusters=[ANY]))


def _nearest(_strategy: StrategySpec) -> list[TierSpec]:
    return [_OWN_CLUSTER, _tier("same region", PlaceSpec(regions=[OWN])), _ANYWHERE]


def _locality(_strategy: StrategySpec) -> list[TierSpec]:
    return [_OWN_CLUSTER]


def _fail_over(strategy: StrategySpec) -> list[TierSpec]:
    others = [_tier(name, PlaceSpec(clusters=[name])) for name in strategy.clusters]
    return [_OWN_CLUSTER, *(others or [_ANYWHERE])]


def _active_active(strategy: StrategySpec) -> list[TierSpec]:
    return [_tier("active", PlaceSpec(clusters=strategy.clusters or [ANY]), weights=strategy.weights)]


def _same_city(_strategy: StrategySpec) -> list[TierSpec]:
    return [_tier("own site", PlaceSpec(clusters=[OWN])), _tier("same city", PlaceSpec(regions=[OWN]))]


def _centers(strategy: StrategySpec) -> list[TierSpec]:
    return [
        _tier("own site", PlaceSpec(clusters=[OWN], regions=[strategy.primary])),
        _tier("same city", PlaceSpec(regions=[strategy.primary])),
        _tier("remote", PlaceSpec(regions=[strategy.remote]), strategy.gate),
    ]


def _remote_dr(strategy: StrategySpec) -> list[TierSpec]:
    return [
        _tier("primary", PlaceSpec(regions=[strategy.primary])),
        _tier("standby", PlaceSpec(regions=[strategy.remote]), strategy.gate),
    ]


_EXPANSIONS: Final[dict[str, Callable[[StrategySpec], list[TierSpec]]]] = {
    "Nearest": _nearest,
    "Locality": _locality,
    "FailOver": _fail_over,
    "ActiveActive": _active_active,
    "SameCityActiveActive": _same_city,
    "TwoSitesThreeCenters": _centers,
    "RemoteDR": _remote_dr,
}
