"""What the localities of one tier weigh: never 0, and within what Envoy can add up."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from math import gcd, lcm
from typing import TYPE_CHECKING, Final

from xds.model.traffic_objects import ANY, OWN
from xds.policy.policies import is_own_zone
from xds.policy.tiers import Share, counted

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from xds.model.service import Endpoint, Locality
    from xds.model.traffic_objects import WeightSpec
    from xds.policy.policies import Rung
    from xds.policy.tiers import Place

MOST: Final = 2**32 - 1
"""What the weights of one priority may come to (Envoy's `load_balancing_weight`)."""
_WHOLE: Final = Fraction(1)
_THOUSANDTHS: Final = 1000
"""What capacities are written down to, so that in these they are whole numbers."""
_LAPSED: Final = "by endpoints, since the weights leave nobody"
Groups = dict["Locality", tuple["Endpoint", ...]]


def weight_of(weights: Iterable[WeightSpec], at: Locality, place: Place) -> WeightSpec | None:
    """Return which of some weights is that of a locality: of those that name it, the one that names most."""
    fitting = [one for one in weights if _names(one, at, place)]
    return max(fitting, key=lambda one: (bool(one.zone), one.cluster not in ("", ANY), bool(one.region)), default=None)


def shares(rung: Rung, groups: Groups, place: Place, capacities: Mapping[str, float]) -> tuple[Share, ...]:
    """Return what the localities of a tier weigh, sorted; one that weighs nothing is left out.

    Args:
        rung: says by what.
        groups: the endpoints by locality.
        place: the client's.
        capacities: cluster -> what one endpoint there can bear, in requests a second, as far as that is known.
    """
    if rung.weights:
        return _by_words(rung.weights, groups, place)
    unknown = sorted({at.cluster for at in groups} - capacities.keys()) if rung.by_capacity else []
    if rung.by_capacity and not unknown:
        return _by_capacity(groups, capacities)
    reasons = (f"by endpoints, since nothing says what those in {', '.join(unknown)} can bear",) if unknown else ()
    more = (_LAPSED,) if rung.lapsed else reasons
    return tuple(_by_endpoints(at, found, more) for at, found in sorted(groups.items()))


def _by_endpoints(at: Locality, endpoints: tuple[Endpoint, ...], more: tuple[str, ...]) -> Share:
    """Weigh a locality by its endpoints, healthy or not: Envoy discounts the unhealthy itself (locality weighting)."""
    number = counted(endpoints)
    reasons = [*_count(endpoints)]
    if not number:
        reasons.append("a locality that has endpoints keeps weight 1")
    return Share(at, endpoints, max(1, number), (*reasons, *more))


def _by_capacity(groups: Groups, capacities: Mapping[str, float]) -> tuple[Share, ...]:
    found = sorted(groups.items())
    exact = [max(1, counted(endpoints)) * capacities[at.cluster] for at, endpoints in found]
    weights = scaled([round(one * _THOUSANDTHS) for one in exact])
    return tuple(
        Share(at, endpoints, weight, (*_count(endpoints), f"each bears {capacities[at.cluster]:g} requests/s in {at.cluster}"))
        for (at, endpoints), weight in zip(found, weights, strict=True)
    )


def _by_words(weights: Sequence[WeightSpec], groups: Groups, place: Place) -> tuple[Share, ...]:
    """Give each weight to all localities that it is of together, by their endpoints."""
    owners = {at: weight_of(weights, at, place) for at in groups}
    totals: dict[int, int] = {}
    for at, owner in owners.items():
        totals[id(owner)] = totals.get(id(owner), 0) + max(1, counted(groups[at]))
    found = [(at, owner) for at, owner in sorted(owners.items()) if owner and owner.weight]
    common = lcm(*(totals[id(owner)] for _, owner in found)) if found else 1
    exact = [owner.weight * common * max(1, counted(groups[at])) // totals[id(owner)] for at, owner in found]
    result = []
    for (at, owner), weight in zip(found, scaled(exact), strict=True):
        reasons = [f"weight {owner.weight} of {_place(owner)}"]
        if totals[id(owner)] != max(1, counted(groups[at])):
            reasons.append(f"shared by {totals[id(owner)]} endpoints, {counted(groups[at])} of them here")
        result.append(Share(at, groups[at], weight, (*_count(groups[at]), *reasons)))
    return tuple(result)


def discounted(shares: tuple[Share, ...], overprovisioning: int) -> tuple[Share, ...]:
    """Return the localities of a tier with weights for clients that go by a hash: what health leaves of each is in them.

    Envoy discounts a locality itself only where requests take turns. One without a healthy endpoint gets nothing, whatever it
    weighs, unless in a panic; it keeps its weight.

    Args:
        shares: of a tier.
        overprovisioning: percent, of the CLA.
    """
    parts = [Fraction(min(100 * one.counted, overprovisioning * one.healthy), 100 * one.counted or 1) or _WHOLE for one in shares]
    if all(part == _WHOLE for part in parts):
        return shares
    common = lcm(*(part.denominator for part in parts))
    weights = scaled([int(one.weight * part * common) for one, part in zip(shares, parts, strict=True)])
    return tuple(
        replace(one, weight=weight, reasons=(*one.reasons, *_discount(one, part)))
        for one, part, weight in zip(shares, parts, weights, strict=True)
    )


def scaled(weights: Sequence[int]) -> list[int]:
    """Return weights in the same proportions, as small as they can be, and so that Envoy can add them up."""
    if not weights:
        return []
    divisor = gcd(*weights)
    small = [one // divisor for one in weights]
    total, most = sum(small), MOST - len(small)
    return small if total <= most else [max(1, one * most // total) for one in small]


def _discount(share: Share, part: Fraction) -> tuple[str, ...]:
    return (f"{float(100 * part):.3g} % of it, by the {share.healthy} that are healthy",) if part != _WHOLE else ()


def _names(spec: WeightSpec, at: Locality, place: Place) -> bool:
    return (
        (spec.cluster in ("", ANY, at.cluster) or (spec.cluster == OWN and at.cluster == place.cluster))
        and (spec.region in ("", at.region) or (spec.region == OWN and at.region == place.region and bool(place.region)))
        and (spec.zone in ("", at.zone) or (spec.zone == OWN and is_own_zone(at, place)))
    )


def _place(spec: WeightSpec) -> str:
    parts = (("zone", spec.zone), ("cluster", spec.cluster), ("region", spec.region))
    return ", ".join(f"{kind} {name}" for kind, name in parts if name) or "every place that nothing else names"


def _count(endpoints: tuple[Endpoint, ...]) -> tuple[str, ...]:
    draining = len(endpoints) - counted(endpoints)
    count = f"{len(endpoints)} endpoint{'s' if len(endpoints) > 1 else ''}"
    return (count, f"{draining} of them draining, not counted") if draining else (count,)
