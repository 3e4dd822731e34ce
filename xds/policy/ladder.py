"""Ladders: a policy as the clients at one place see it. An endpoint belongs to the first rung that takes its place."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from xds.model.events import Standing
from xds.model.service import Health
from xds.model.view import Role
from xds.policy.draining import eased
from xds.policy.holding import degraded, waiting_places
from xds.policy.policies import Rung
from xds.policy.tiers import LeftOut, Place, Ranking, Tier
from xds.policy.weights import discounted, shares, weight_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from xds.model.events import Recovery
    from xds.model.members import Member
    from xds.model.service import Endpoint, Locality, Service
    from xds.model.traffic_objects import WeightSpec
    from xds.model.view import View
    from xds.policy.holding import Groups
    from xds.policy.overrides import Drain
    from xds.policy.policies import Policy

_LAST: Final = Rung("perhaps gone", ())
"""The extra tier of clients that drop what is DEGRADED."""


@dataclass(frozen=True, slots=True, eq=False)
class Governance:
    """What governs a service port for the clients of a cluster."""

    policy: Policy
    """The most specific one, whole."""
    sovereignty: tuple[Policy, ...] = ()
    """All whose sovereignty holds, the governing one's included."""
    drains: tuple[Drain, ...] = ()
    """What is drained of the service."""
    is_explicit: bool = False
    """The policy names the service: what other clusters export counts, too, under its cluster's own name."""

    @property
    def needs_region(self) -> bool:
        """Whether it depends on the region that a client is in."""
        return self.policy.needs_region or any(one.needs_region for one in self.sovereignty)

    @property
    def needs_zone(self) -> bool:
        """Whether it depends on the zone that a client is in."""
        return self.policy.needs_zone or any(one.needs_zone for one in self.sovereignty)

    def place_of(self, service: Service, view: View) -> Place:
        """Return what the tiers of the service depend on in a view, and no more, so that views share them."""
        return Place(
            network=view.network,
            cluster=view.cluster,
            region=view.region if self.needs_region else "",
            zone=view.zone if self.needs_zone else "",
            node=view.node_name if self.policy.needs_node else "",
            drops_degraded=self.has_last_resorts(service) and (service.keeps_clients or view.role is Role.PROXYLESS),
            no_gateways=self.policy.cluster.through_gateways and view.role is Role.PROXYLESS,
        )

    def has_last_resorts(self, service: Service) -> bool:
        """Whether some endpoints of a service may be DEGRADED to some clients."""
        return service.has_degraded or (bool(service.recovering) and self.policy.fail_back_s > 0)


class Ladder:
    """What governs, for clients at one place; it remembers where each locality belongs.

    Args:
        governance: the policy.
        place: the clients'.
        members: by name.
    """

    __slots__ = ("_members", "_otherwise", "_rungs", "governance", "place", "rungs")

    def __init__(self, governance: Governance, place: Place, members: Mapping[str, Member]) -> None:
        self.governance = governance
        self.place = place
        self.rungs = governance.policy.rungs_for(place)
        self._members = members
        self._rungs: dict[tuple[Locality, str, bool], int | str] = {}
        policy = governance.policy
        instead = replace(governance, policy=replace(policy, rungs=policy.otherwise, otherwise=())) if policy.otherwise else None
        self._otherwise = Ladder(instead, place, members) if instead else None

    @property
    def policy(self) -> Policy:
        """The policy."""
        return self.governance.policy

    @property
    def through_gateways(self) -> bool:
        """Whether gateways are used."""
        return self.policy.cluster.through_gateways and not self.place.no_gateways

    def resolves(self, service: Service, port: int) -> bool:
        """Return whether some gateway of a port is called by a name that clients here resolve."""
        return self.through_gateways and port in service.resolved

    def tiers(self, service: Service, port: int) -> tuple[Tier, ...]:
        """Return the tiers of one port."""
        return self.rank(service, port).tiers

    def rank(self, service: Service, port: int) -> Ranking:
        """Return the tiers of one port, and what is left out.

        Endpoints of another network are left out: nothing leads there. The fleet reports them (XDS0209).
        """
        rungs, place = self.rungs, self.place
        groups, left_out = self._grouped(service, port)
        if self._otherwise and not any(groups) and self.weights_leave_nobody(service, port):
            return self._otherwise.rank(service, port)
        if waiting := waiting_places(service, port, self.policy):
            self._hold_back(groups[: len(rungs)], waiting)
        if place.drops_degraded:
            _set_apart(groups)
        weighed = [
            shares(rung, {at: tuple(found) for at, found in group.items()}, place, service.capacities)
            for rung, group in zip(rungs, groups, strict=False)
        ]
        if self.governance.drains:
            weighed = eased(weighed, self._left, self.policy.overprovisioning)
        if service.keeps_clients:
            weighed = [discounted(found, self.policy.overprovisioning) for found in weighed]
        tiers = [Tier(index, rung.name, weighed[index], rung.closed) for index, rung in enumerate(rungs)]
        if place.drops_degraded:
            last = {at: tuple(found) for at, found in groups[-1].items()}
            tiers.append(Tier(len(rungs), _LAST.name, shares(_LAST, last, place, {})))
        ordered = sorted(left_out.items())
        without = tuple(LeftOut(at, count, reason) for (at, reason), count in ordered)
        return Ranking(tuple(tiers), without, service.keeps_clients)

    def weights_leave_nobody(self, service: Service, port: int) -> bool:
        """Return whether tiers select endpoints of a port, but none where their weights are above 0, so that these do not count.

        A typing mistake must not take a service away. Places that are drained, not healthy or silent make no weight wrong: who
        gives another place 0 may count on it all the more when they fail.
        """
        if self._otherwise is None:
            return False
        wanted = any(map(self._is_wanted, self._within_reach(service, port)))
        return not wanted and any(map(self._otherwise._is_wanted, self._within_reach(service, port)))  # noqa: SLF001 - same class

    def _within_reach(self, service: Service, port: int) -> Iterator[Endpoint]:
        apart = self._apart(service)
        return (one for one in service.endpoints[port] if one.network == self.place.network and one.locality.cluster not in apart)

    def _apart(self, service: Service) -> frozenset[str]:
        """Return the clusters whose endpoints do not count here."""
        return frozenset() if self.governance.is_explicit else service.widened_by

    def _is_wanted(self, endpoint: Endpoint) -> bool:
        """Return whether an open tier gives the place of an endpoint a weight, drained or not."""
        taking = None if self._why_never(endpoint) else self._taking(endpoint)
        if taking is None:
            return False
        index, weight = taking
        return not self.rungs[index].closed and (weight is None or weight.weight > 0)

    def _grouped(self, service: Service, port: int) -> tuple[list[Groups], dict[tuple[Locality, str], int]]:
        """Return the endpoints of each rung by locality, with room for one more tier, and how many are left out, and why."""
        place = self.place
        groups: list[Groups] = [defaultdict(list) for _ in range(len(self.rungs) + place.drops_degraded)]
        left_out: dict[tuple[Locality, str], int] = defaultdict(int)
        apart = self._apart(service)
        for found in service.endpoints[port]:
            if found.network != place.network:
                index: int | str = f"in network {found.network!r}, which is another"
            elif found.locality.cluster in apart:
                index = "exported, but what governs does not name the service"
            else:
                index = self._rung(found)
            if not isinstance(index, int):
                left_out[found.locality, index] += 1
                continue
            endpoint = self._as_seen(found) if service.has_degraded else found
            if endpoint is None:
                left_out[found.locality, "its cluster has not been heard of for too long"] += 1
                continue
            groups[index][endpoint.locality].append(endpoint)
        return groups, left_out

    def _hold_back(self, groups: list[Groups], waiting: Mapping[Locality, Recovery]) -> None:
        """Have places used last whose tier had lost its traffic, where a later tier is there that has it now."""
        last = max((index for index, group in enumerate(groups) if group), default=0)
        for index, group in enumerate(groups[:last]):
            for at in waiting.keys() & group.keys():
                beside = (self._rung(replace(group[at][0], locality=one, node="")) for one in waiting[at].beside)
                if index not in beside:
                    group[at] = degraded(group[at], self.policy)

    def _rung(self, endpoint: Endpoint) -> int | str:
        """Return the index of an endpoint's rung, or why it is left out."""
        key = endpoint.locality, endpoint.node if self.policy.needs_node else "", bool(endpoint.gateway)
        found = self._rungs.get(key)
        if found is None:
            found = self._rungs[key] = self._find_rung(endpoint)
        return found

    def _find_rung(self, endpoint: Endpoint) -> int | str:
        if reason := self._why_never(endpoint):
            return reason
        taking = self._taking(endpoint)
        if taking is None:
            return "no tier takes its place"
        index, weight = taking
        rung = self.rungs[index]
        if rung.closed:
            return f"tier {index} ({rung.name}) is closed: {rung.closed}"
        if drain := next((one for one in self.governance.drains if not one.left and one.is_at(endpoint.locality)), None):
            return f"drained by {drain}"
        return index if weight is None or weight.weight else f"weight 0 in tier {index} ({rung.name})"

    def _taking(self, endpoint: Endpoint) -> tuple[int, WeightSpec | None] | None:
        """Return the first rung that takes the place of an endpoint, and what it weighs there if that is stated."""
        for index, rung in enumerate(self.rungs):
            if any(one.fits(endpoint, self.place, self._members) for one in rung.selectors):
                weight = weight_of(rung.weights, endpoint.locality, self.place)
                if weight or not rung.weights:
                    return index, weight
        return None

    def _why_never(self, endpoint: Endpoint) -> str:
        """Return why an endpoint is in no tier, whatever the tiers are; "" if it may be in one."""
        if endpoint.gateway and self.place.no_gateways:
            return "behind an HTTP gateway, to which gRPC clients cannot talk"
        if endpoint.gateway and not self.policy.cluster.through_gateways:
            return f"behind an HTTP gateway, which {self.policy.name} does not use"
        for policy in self.governance.sovereignty:
            if policy.forbids(endpoint, self.place, self._members):
                return f"never used, by the sovereignty of {policy.name}"
        return ""

    def _left(self, at: Locality) -> float:
        """Return what drains leave of a locality."""
        return min((one.left for one in self.governance.drains if one.is_at(at)), default=1.0)

    def _as_seen(self, endpoint: Endpoint) -> Endpoint | None:
        """Return an endpoint as clients here are to take it, None if not at all."""
        if endpoint.standing is Standing.FULL or endpoint.locality.cluster == self.place.cluster:
            return endpoint
        if endpoint.standing is Standing.REMOVED:
            return None
        return replace(endpoint, health=Health.DEGRADED) if endpoint.health is Health.HEALTHY else endpoint


def _set_apart(groups: list[Groups]) -> None:
    """Move what is DEGRADED from its tier to the last one, for clients that would not use it at all."""
    *tiers, last = groups
    for group in tiers:
        for at, endpoints in list(group.items()):
            group[at] = [one for one in endpoints if one.health is not Health.DEGRADED]
            last[at] += [replace(one, health=Health.HEALTHY) for one in endpoints if one.health is Health.DEGRADED]
            for one in (group, last):
                if not one[at]:
                    del one[at]
