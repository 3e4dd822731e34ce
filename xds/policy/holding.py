"""Fail-back: a place that had lost its traffic to later tiers gets it back, all of it, once it has been well for long enough.

Until then its endpoints are DEGRADED, so that they are used before anything fails for good: if what is later cannot bear the
traffic, Envoy sends them the rest. How long a place has been well is a fact that the model has (`Recovering`).
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from xds.model.service import Health

if TYPE_CHECKING:
    from collections.abc import Sequence

    from xds.model.service import Endpoint, Locality, Service
    from xds.policy.policies import Policy

Groups = dict["Locality", list["Endpoint"]]


def held(service: Service, port: int, policy: Policy) -> frozenset[Locality]:
    """Return the places of a service port that a policy holds back."""
    found = service.recovering.items() if policy.fail_back_s else ()
    return frozenset(at for (number, at), well_s in found if number == port and well_s < policy.fail_back_s)


def hold_back(groups: Sequence[Groups], places: frozenset[Locality], policy: Policy) -> None:
    """Have places used last, where a later tier is there that has their traffic now.

    Args:
        groups: the endpoints of each tier by locality; changed.
        places: those to hold back.
        policy: says for how long.
    """
    note = f"well again, and held back until it has been so for {policy.fail_back_s:g} s"
    last = max((index for index, group in enumerate(groups) if group), default=0)
    for group in groups[:last]:
        for at in places & group.keys():
            group[at] = [_degraded(one, note) for one in group[at]]


def _degraded(endpoint: Endpoint, note: str) -> Endpoint:
    return replace(endpoint, health=Health.DEGRADED, note=note) if endpoint.health is Health.HEALTHY else endpoint
