"""Whether a client's requests go where `explain` says."""

from collections import Counter

import yaml
from shares_lab import NOBODY

REQUESTS, AGAIN = 2000, 20_000
"""How many are sent, and how many before a world is said to be a miss."""
TOLERANCE = 0.03
"""Half of the former has a standard deviation of 1.1 points, half of the latter 0.35."""


async def missed(world, explained, measure, again=AGAIN):
    """Return in words how what a world's client measures differs from what is predicted; "" if it does not.

    Args:
        world: which.
        explained: what is predicted.
        measure: returns address -> how many requests it got of so many for the world, and NOBODY's.
        again: how many are sent before the world is said to be a miss.
    """
    for requests in (REQUESTS, again):
        measured = by_place(explained, await measure(world, requests))
        found = differences(predicted(explained), measured)
        if not found:
            return ""
    return f"{yaml.safe_dump({world.name: world.facts}, sort_keys=False)}{told(explained)}\n{found}"


def predicted(explained):
    """Return place or address -> the fraction that it gets."""
    shares = Counter({**explained.shares, NOBODY: explained.unserved})
    for locality, endpoint in endpoints(explained):
        assert f"{locality.cluster}/{locality.zone}" in shares or not endpoint.share
        shares[endpoint.addresses[0]] += endpoint.share
    return shares


def by_place(explained, counts):
    """Return the same of counted answers."""
    places = {endpoint.addresses[0]: f"{at.cluster}/{at.zone}" for at, endpoint in endpoints(explained)}
    shares = Counter()
    for who, count in counts.items():
        shares[who] += count / counts.total()
        if who != NOBODY:
            shares[places[who]] += count / counts.total()
    return shares


def differences(wanted, measured):
    """Return what is further apart than the tolerance, in words."""
    return "; ".join(
        f"{who}: predicted {100 * wanted[who]:.1f} %, measured {100 * measured[who]:.1f} %"
        for who in sorted(wanted | measured)
        if abs(wanted[who] - measured[who]) > TOLERANCE
    )


def endpoints(explained):
    """Yield all endpoints that the client is given, each with its locality."""
    for tier in explained.tiers:
        for locality in tier.localities:
            for endpoint in locality.endpoints:
                yield locality, endpoint


def told(explained):
    """Return the tiers for people."""
    lines = []
    for tier in explained.tiers:
        state = f"tier {tier.index}, {tier.name}: {tier.healthy} of {tier.endpoints} healthy, gets {tier.load_percent} %"
        lines.append(state + (", panics" if tier.panics else ""))
        for one in tier.localities:
            healths = Counter(endpoint.health for endpoint in one.endpoints)
            lines.append(
                f"  {one.cluster}/{one.zone}: weight {one.weight}, effective {one.effective_weight:.3g}, {dict(healths)}"
            )
    return "\n".join(lines)
