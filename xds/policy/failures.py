"""Failures to be rehearsed: a cluster, zone or region that is down, or a part of the endpoints somewhere."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from itertools import combinations
from math import ceil
from typing import TYPE_CHECKING

from xds.errors import XdsError
from xds.model.service import Health
from xds.policy.places import KINDS, find_place
from xds.policy.tiers import is_within
from xds.problems import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from xds.model.service import Endpoint, Locality, Service, ServiceKey
    from xds.model.view import View
    from xds.policy.acceptance import Known

_PART = re.compile(r"(\d{1,3})%@([^/]+)(?:/([^/]+))?")


class FailureError(XdsError):
    """A failure that names what does not exist, or nothing."""

    exit_code = 65


@dataclass(frozen=True, slots=True)
class Failure:
    """What is down. Fields that are "" mean all."""

    text: str
    cluster: str = ""
    region: str = ""
    zone: str = ""
    service: str = ""
    """`NAMESPACE/NAME`."""
    percent: int = 100
    """Of the endpoints there."""

    def is_at(self, at: Locality) -> bool:
        """Return whether it is about a locality."""
        return is_within(at, self)

    def has_clients(self, view: View) -> bool:
        """Return whether clients of a view are down, too: who is in a place that is down asks nobody."""
        if self.percent < 100 or self.service:
            return False
        return is_within(view, self)


def parsed(text: str, known: Known) -> Failure:
    """Return a failure: `cluster=NAME`, `zone=NAME`, `region=NAME`, or `endpoints=30%@CLUSTER[/ZONE]` or `…@NAMESPACE/NAME`.

    A place may be named without its kind if only one kind has the name.

    Raises:
        FailureError: it has none of these forms, or names a place that is not there, or may name several.
    """
    kind, _, name = text.partition("=")
    members = known.members
    if "=" not in text or (kind in KINDS and name):
        try:
            place = find_place(text, known.places)
            place.must_be_one_of(known.places)
        except XdsError as error:
            raise FailureError(f"{text}: {error}") from error
        cluster, zone, region = (place.fields.get(one, "") for one in KINDS)
        return Failure(place.text, cluster, region, zone)
    if kind == "endpoints" and (found := _PART.fullmatch(name)) and 0 < int(found[1]) <= 100:
        percent, first, second = int(found[1]), found[2], found[3] or ""
        if first in members:
            if second and second not in (there := known.zones[first]):
                has = ", ".join(sorted(there)) or "none"
                raise FailureError(f"{text}: cluster {first!r} has no zone {second!r}; it has {has}")
            return Failure(text, cluster=first, zone=second, percent=percent)
        if second:
            return Failure(text, service=f"{first}/{second}", percent=percent)
        raise FailureError(f"{text}: there is no cluster {first!r}; {did_you_mean(first, members) or 'or use NAMESPACE/NAME'}")
    forms = "cluster=NAME, zone=NAME, region=NAME, endpoints=30%@CLUSTER[/ZONE] or endpoints=30%@NAMESPACE/NAME"
    raise FailureError(f"{text!r} is no failure; use {forms}")


def every(known: Known, number: int) -> Iterator[tuple[Failure, ...]]:
    """Yield each single zone, cluster and region as down, and with 2 each pair of which neither is a part of the other."""
    members = known.members
    # An only zone that is not declared is as good as its cluster, but no client is known to be in it and to fail with it.
    zones = {zone for name, found in known.zones.items() if len(found) > 1 or members[name].zones for zone in found}
    single = [Failure(f"zone={zone}", zone=zone) for zone in sorted(zones)]
    single += [Failure(f"cluster={name}", cluster=name) for name in sorted(members)]
    single += [Failure(f"region={name}", region=name) for name in sorted({one.region for one in members.values() if one.region})]
    yield from ((one,) for one in single)
    if number > 1:
        yield from (pair for pair in combinations(single, 2) if not _nested(*pair, known))


def _nested(one: Failure, other: Failure, known: Known) -> bool:
    """Return whether one of two failures is a part of the other."""
    first, second = _parts(one, known), _parts(other, known)
    return first <= second or second <= first


def _parts(failure: Failure, known: Known) -> set[tuple[str, str]]:
    return {
        (member.name, zone)
        for member in known.members.values()
        for zone in (known.zones[member.name] or ("",))
        if failure.cluster in ("", member.name) and failure.region in ("", member.region) and failure.zone in ("", zone)
    }


def failed(service: Service, failures: Sequence[Failure]) -> Service:
    """Return a service as it is when something is down: its endpoints there are UNHEALTHY."""
    concerning = [one for one in failures if not one.service or one.service == _name(service.key)]
    if not concerning:
        return service
    endpoints = {port: _failed(found, concerning) for port, found in service.endpoints.items()}
    return replace(service, endpoints=endpoints) if endpoints != service.endpoints else service


def _failed(endpoints: tuple[Endpoint, ...], failures: Sequence[Failure]) -> tuple[Endpoint, ...]:
    down: set[Endpoint] = set()
    for failure in failures:
        there = [one for one in endpoints if failure.is_at(one.locality)]
        down.update(there[: ceil(len(there) * failure.percent / 100)])
    return tuple(
        replace(one, health=Health.UNHEALTHY, note="down in this rehearsal") if one in down else one for one in endpoints
    )


def _name(key: ServiceKey) -> str:
    return f"{key.namespace}/{key.name}"
