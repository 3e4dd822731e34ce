"""Tiers of which places are drained, in part: within a tier by weights, and from one tier to the next by health.

Each place gets so much of what it would get; the rest goes to the others of its tier. Where they are all drained, it goes to the
next tier, for which Envoy has one way: fewer healthy endpoints. So many are told to be UNHEALTHY that what the tier can bear,
overprovisioning included, is what it is to get; the others bear it, by the same margin as in an outage. DRAINING would not do:
Envoy takes no account of such endpoints, so that the rest would bear all. What spills that way is
not for a later tier that is drained, too: it is told to bear no more than came to it before. A tier of which all endpoints are
DEGRADED is drained alike, of what comes to it: what the healthy ones of all tiers, and the DEGRADED ones of earlier tiers, cannot
bear. Clients of gRPC do not spill (A56): they stay with a tier until it is drained altogether.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from xds.model.service import Health
from xds.policy.weights import scaled

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from xds.model.service import Endpoint, Locality
    from xds.policy.tiers import Share

    Left = Callable[[Locality], float]

_PRECISION: Final = 1000
"""To how many parts of a weight a step is told apart."""
_ALL: Final = 100.0
NOTE: Final = "draining, as an override says"


def eased(tiers: Sequence[tuple[Share, ...]], left: Left, overprovisioning: int) -> list[tuple[Share, ...]]:
    """Return the localities of each tier with what drains leave of them.

    Args:
        tiers: what they would be.
        left: what is left of a locality, as a fraction above 0.
        overprovisioning: percent, of the CLA.
    """
    result: list[tuple[Share, ...]] = []
    coming = _coming(tiers, overprovisioning)
    spills = False
    for index, shares in enumerate(tiers):
        lefts = [left(one.locality) for one in shares]
        if not shares or min(lefts) == 1.0:
            result.append(shares)
            continue
        health, bears, most = coming[index]
        weighed, part = _weighed(shares, lefts, health)
        gets = min(bears, most) if spills or health is Health.DEGRADED else bears
        if part < 1.0 and (gets or spills):
            is_last = not any(_is_left(one, left, health) for later in tiers[index + 1 :] for one in later)
            kept = part * gets / overprovisioning
            weighed = _lessened(weighed, kept, health, least=int(is_last or not spills))
            spills = True
        result.append(weighed)
    return result


def _coming(tiers: Sequence[tuple[Share, ...]], overprovisioning: int) -> list[tuple[Health, float, float]]:
    """Return of each tier the health that it serves by, what its endpoints of that bear, and what comes to them at most.

    In percent of all requests, if nothing is drained. Envoy first gives healthy endpoints of all tiers what they can bear, then
    DEGRADED ones what those leave, in order. A tier serves by DEGRADED ones only if it has no others.
    """
    bears = [_bears(shares, overprovisioning) for shares in tiers]
    before, before_degraded = 0.0, sum(healthy for healthy, _ in bears)
    result: list[tuple[Health, float, float]] = []
    for healthy, degraded in bears:
        if healthy or not degraded:
            result.append((Health.HEALTHY, healthy, max(0.0, _ALL - before)))
        else:
            result.append((Health.DEGRADED, degraded, max(0.0, _ALL - before_degraded)))
        before, before_degraded = before + healthy, before_degraded + degraded
    return result


def _bears(shares: Sequence[Share], overprovisioning: int) -> tuple[float, float]:
    """Return how many percent of all requests the healthy, and the DEGRADED, endpoints of a tier bear."""
    total = sum(one.counted for one in shares)
    if not total:
        return 0.0, 0.0
    healthy, degraded = sum(one.healthy for one in shares), sum(one.degraded for one in shares)
    return min(_ALL, overprovisioning * healthy / total), min(_ALL, overprovisioning * degraded / total)


def _fit(share: Share, health: Health) -> int:
    return share.healthy if health is Health.HEALTHY else share.degraded


def _weighed(shares: Sequence[Share], lefts: Sequence[float], health: Health) -> tuple[tuple[Share, ...], float]:
    """Return localities with their new weights, and which part of its requests the tier is to keep."""
    kept = [one.weight * part for one, part in zip(shares, lefts, strict=True)]
    whole = sum(one.weight for one in shares)
    takers = [part == 1.0 and _fit(one, health) > 0 for one, part in zip(shares, lefts, strict=True)]
    taking = sum(weight for weight, takes in zip(kept, takers, strict=True) if takes)
    more = 1.0 + (whole - sum(kept)) / taking if taking else 1.0
    exact = [weight * more if takes else weight for weight, takes in zip(kept, takers, strict=True)]
    weights = scaled([max(1, round(weight * _PRECISION)) for weight in exact])
    found = [
        replace(one, weight=weight, reasons=(*one.reasons, *_reasons(part, more if takes else 1.0)))
        for one, weight, part, takes in zip(shares, weights, lefts, takers, strict=True)
    ]
    return tuple(found), 1.0 if taking else sum(kept) / whole


def _reasons(part: float, more: float) -> tuple[str, ...]:
    if part < 1.0:
        return (f"drained to {100 * part:.0f} %",)
    return (f"with what drained places of its tier give up, {100 * more:.0f} %",) if more > 1.0 else ()


def _lessened(shares: Sequence[Share], part: float, health: Health, *, least: int) -> tuple[Share, ...]:
    """Return localities with so many endpoints of one health UNHEALTHY that a part of all is left, but no fewer than some."""
    fit = [_fit(one, health) for one in shares]
    total = sum(one.counted for one in shares)
    kept = _apportioned(min(sum(fit), max(least, round(part * total))), fit, [one.weight for one in shares])
    return tuple(_drained(one, count, health) for one, count in zip(shares, kept, strict=True))


def _apportioned(wanted: int, healthy: Sequence[int], weights: Sequence[int]) -> list[int]:
    """Divide a number in proportion, by largest remainders; of equal ones that of the place which is to get most comes first."""
    whole = sum(healthy)
    if not whole:
        return [0] * len(healthy)
    exact = [wanted * one / whole for one in healthy]
    result = [int(one) for one in exact]
    by_rest = sorted(range(len(healthy)), key=lambda index: (result[index] - exact[index], -weights[index]))
    for index in by_rest[: wanted - sum(result)]:
        result[index] += 1
    return result


def _drained(share: Share, kept: int, health: Health) -> Share:
    """Return a locality of which so many endpoints go on; who drains first, stays so while more do."""
    endpoints: list[Endpoint] = []
    for endpoint in share.endpoints:
        if endpoint.health is health:
            kept -= 1
            endpoints.append(endpoint if kept >= 0 else replace(endpoint, health=Health.UNHEALTHY, note=NOTE))
        else:
            endpoints.append(endpoint)
    return replace(share, endpoints=tuple(endpoints))


def _is_left(share: Share, left: Left, health: Health) -> bool:
    """Return whether a locality is not drained, and can take something from endpoints of a health."""
    return left(share.locality) == 1.0 and (share.healthy > 0 or (health is Health.DEGRADED and share.degraded > 0))
