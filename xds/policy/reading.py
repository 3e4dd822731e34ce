"""TrafficPolicy objects -> policies."""

from __future__ import annotations

from dataclasses import replace
from math import ceil
from typing import TYPE_CHECKING, Final

from xds.model.events import ref_of
from xds.policy.policies import OVERPROVISIONING, ClusterSettings, Policy, RouteSettings, Rung, Selector
from xds.policy.strategies import expand

if TYPE_CHECKING:
    from collections.abc import Container

    from xds.model.traffic_objects import TierSpec, TrafficPolicy, TrafficPolicySpec

_CLOSED: Final = {"Closed": "its gate is Closed", "Manual": "its gate is Manual, and no override opens it"}


def tiers_of(spec: TrafficPolicySpec) -> list[TierSpec]:
    """Return the tiers that a policy states or its strategy comes to; none where it leaves them to the default ladder."""
    return expand(spec.strategy) if spec.strategy else spec.tiers


def read(cluster: str, item: TrafficPolicy, opened: Container[str] = ()) -> Policy:
    """Return what an object says that nothing is wrong with.

    Args:
        cluster: that holds it; "" for a fleet-wide one.
        item: the object.
        opened: tiers that an override opens.
    """
    # Its version is no part of it: one that says the same is the same policy.
    spec, ref = item.spec, ref_of(cluster, item).unversioned
    settings = ClusterSettings(
        outlier_detection=spec.outlier_detection,
        health_check=spec.health_check,
        panic_percent=spec.panic_below_healthy_percent,
        slow_start_s=spec.slow_start_seconds or 0.0,
    )
    spill = spec.spill_below_healthy_percent
    rungs = tuple(_rung(tier, opened) for tier in tiers_of(spec))
    return Policy(
        name=str(ref),
        rungs=rungs,
        otherwise=tuple(map(_lapsed, rungs)) if any(map(_shares_by_weights, rungs)) else (),
        overprovisioning=ceil(10_000 / spill) if spill else OVERPROVISIONING,
        sovereignty=tuple(map(Selector, spec.sovereignty)),
        cluster=settings if settings == ClusterSettings() else replace(settings, origin=ref),
        route=RouteSettings(spec.retry, spec.timeout_seconds or 0.0),
        fail_back_s=spec.fail_back_after_seconds or 0.0,
        origin=ref,
    )


def _rung(tier: TierSpec, opened: Container[str]) -> Rung:
    is_open = tier.gate == "Open" or (tier.gate == "Manual" and tier.name in opened)
    return Rung(
        name=tier.name,
        selectors=tuple(map(Selector, tier.places)),
        by_capacity=tier.weigh_by == "Capacity",
        weights=tuple(tier.weights),
        closed="" if is_open else _CLOSED[tier.gate],
    )


def _shares_by_weights(rung: Rung) -> bool:
    return bool(rung.weights) and not rung.closed


def _lapsed(rung: Rung) -> Rung:
    """Return a rung whose weights do not count; those of a closed one say what it takes, and nothing of it is used anyway."""
    return replace(rung, weights=(), lapsed=True) if _shares_by_weights(rung) else rung
