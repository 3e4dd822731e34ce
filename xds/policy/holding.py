"""Fail-back: a place of a tier that had lost its traffic to later ones gets it back, all of it, once it has been well for long.

Until then its endpoints are DEGRADED, so that they are used before anything fails for good: if what is later cannot bear the
traffic, Envoy sends them the rest. How long a place has been well is a fact that the model has (`Recovering`).
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from xds.model.service import Health

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from xds.model.events import Recovery
    from xds.model.service import Endpoint, Locality, Service
    from xds.policy.policies import Policy

Groups = dict["Locality", list["Endpoint"]]
"""Endpoints of a tier."""


def waiting_places(service: Service, port: int, policy: Policy) -> Mapping[Locality, Recovery]:
    """Return the places of a service port that have not been well for as long as a policy asks."""
    found = service.recovering.items() if policy.fail_back_s else ()
    return {at: one for (number, at), one in found if number == port and one.well_s < policy.fail_back_s}


def degraded(endpoints: Iterable[Endpoint], policy: Policy) -> list[Endpoint]:
    """Return endpoints of a place that a policy holds back."""
    note = f"well again, and held back until it has been so for {policy.fail_back_s:g} s"
    return [replace(one, health=Health.DEGRADED, note=note) if one.health is Health.HEALTHY else one for one in endpoints]
