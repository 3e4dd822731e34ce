"""Tiers: the answer of a policy to "which endpoints, in which order, with what weight?", each number with its reason."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from xds.model.service import Health

if TYPE_CHECKING:
    from collections.abc import Iterable

    from xds.model.service import Endpoint, Locality


class Placed(Protocol):
    """What has a place."""

    @property
    def cluster(self) -> str:
        """Its cluster."""

    @property
    def region(self) -> str:
        """Its region."""

    @property
    def zone(self) -> str:
        """Its zone."""


def is_within(at: Placed, wanted: Placed) -> bool:
    """Return whether something is at a place of which parts that are "" mean all."""
    pairs = ((wanted.cluster, at.cluster), (wanted.region, at.region), (wanted.zone, at.zone))
    return all(part in ("", found) for part, found in pairs)


def counted(endpoints: Iterable[Endpoint]) -> int:
    """Return how many endpoints count, to us and to Envoy: those that drain are not missed."""
    return sum(one.health is not Health.DRAINING for one in endpoints)


@dataclass(frozen=True, slots=True)
class Share:
    """One locality inside a tier."""

    locality: Locality
    endpoints: tuple[Endpoint, ...]
    weight: int
    """At least 1; relative to the other localities of the tier."""
    reasons: tuple[str, ...]
    """What made the weight, in words and numbers."""

    @property
    def healthy(self) -> int:
        """How many endpoints are HEALTHY."""
        return sum(one.health is Health.HEALTHY for one in self.endpoints)

    @property
    def degraded(self) -> int:
        """How many endpoints are DEGRADED."""
        return sum(one.health is Health.DEGRADED for one in self.endpoints)

    @property
    def counted(self) -> int:
        """How many endpoints count."""
        return counted(self.endpoints)


@dataclass(frozen=True, slots=True)
class Tier:
    """All the places of one priority. A tier keeps its index while it is empty or closed, so that hosts never change tier."""

    index: int
    name: str
    """The rule that put the places here, e.g. `own cluster`."""
    shares: tuple[Share, ...]
    """By locality."""
    closed: str = ""
    """Why nothing of it is used; "" if it is."""


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Endpoints of one locality that a client is not given."""

    locality: Locality
    endpoints: int
    reason: str


@dataclass(frozen=True, slots=True)
class Ranking:
    """All endpoints of one port of a service: those in tiers, and the others."""

    tiers: tuple[Tier, ...]
    left_out: tuple[LeftOut, ...]
    """By locality and reason."""
    keeps_clients: bool = False
    """What is shared out are clients, not requests: each by a hash, which knows weights and no health but of endpoints."""


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """The part of a view that a service's tiers depend on: views of one place get the same tiers."""

    network: str = ""
    cluster: str = ""
    region: str = ""
    zone: str = ""
    node: str = ""
    drops_degraded: bool = False
    """Clients there do not use what is DEGRADED at all, as gRPC (A27), and Envoys that go by a hash: it stands in an extra last
    tier instead."""
    no_gateways: bool = False
    """Clients there cannot put a path in front of a request's, as gRPC: gateways are none for them."""
