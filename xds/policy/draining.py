"""Tiers of which places are drained, in part: within a tier by weights, and from one tier to the next by health.

Envoy has one way to send a part of a tier's requests to the next one: fewer healthy endpoints. So many are told to be UNHEALTHY
that what the tier can bear, overprovisioning included, is what it is to get; the others bear it, by the same margin as in an
outage. DRAINING would not do: Envoy takes no account of such endpoints, so that the rest would bear all. Clients of gRPC do not
spill (A56): they stay with a tier until it is drained altogether.
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

_PRECISION: Final = 1000
"""To how many parts of a weight a step is told apart."""
NOTE: Final = "draining, as an override says"


def eased(shares: tuple[Share, ...], left: Callable[[Locality], float], overprovisioning: int) -> tuple[Share, ...]:
    """Return the localities of a tier with what drains leave of them.

    Args:
        shares: what they would be.
        left: what is left of a locality, as a fraction above 0.
        overprovisioning: percent, of the CLA.
    """
    lefts = [left(one.locality) for one in shares]
    if not shares or min(lefts) == 1.0:
        return shares
    most = max(lefts)
    weights = scaled([max(1, round(one.weight * part / most * _PRECISION)) for one, part in zip(shares, lefts, strict=True)])
    result = [
        replace(one, weight=weight, reasons=one.reasons if part == 1.0 else (*one.reasons, f"drained to {100 * part:.0f} %"))
        for one, weight, part in zip(shares, weights, lefts, strict=True)
    ]
    return tuple(result) if most == 1.0 else _lessened(result, most, overprovisioning)


def _lessened(shares: Sequence[Share], part: float, overprovisioning: int) -> tuple[Share, ...]:
    """Return localities with so many endpoints UNHEALTHY that all together bear only a part of what they can."""
    total = sum(endpoint.health is not Health.DRAINING for one in shares for endpoint in one.endpoints)
    healthy = [sum(endpoint.health is Health.HEALTHY for endpoint in one.endpoints) for one in shares]
    bears = min(100.0, overprovisioning * sum(healthy) / total) if total else 0.0
    wanted = min(sum(healthy), max(1, round(part * bears * total / overprovisioning)))
    kept = _apportioned(wanted, healthy)
    return tuple(_drained(one, count) for one, count in zip(shares, kept, strict=True))


def _apportioned(wanted: int, healthy: Sequence[int]) -> list[int]:
    """Divide a number in proportion, by largest remainders."""
    whole = sum(healthy)
    if not whole:
        return [0] * len(healthy)
    exact = [wanted * one / whole for one in healthy]
    result = [int(one) for one in exact]
    by_rest = sorted(range(len(healthy)), key=lambda index: result[index] - exact[index])
    for index in by_rest[: wanted - sum(result)]:
        result[index] += 1
    return result


def _drained(share: Share, kept: int) -> Share:
    """Return a locality of which so many endpoints go on; who drains first, stays so while more do."""
    endpoints: list[Endpoint] = []
    for endpoint in share.endpoints:
        if endpoint.health is Health.HEALTHY:
            kept -= 1
            endpoints.append(endpoint if kept >= 0 else replace(endpoint, health=Health.UNHEALTHY, note=NOTE))
        else:
            endpoints.append(endpoint)
    return replace(share, endpoints=tuple(endpoints))
