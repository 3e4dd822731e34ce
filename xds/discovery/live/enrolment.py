"""Members by registration: they come and go with what the hub registers, but not with a hub that has lost its data."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, Protocol

from xds.discovery.guard import WINDOW_S, Population
from xds.discovery.live.access import RegisteredAccess
from xds.discovery.live.fleet_wide import LEAST_MEMBERS
from xds.model.objects import MemberCluster, MemberClusterSpec, ObjectMeta
from xds.problems import Problem

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Iterator

    from xds.discovery.live.access import Access
    from xds.discovery.live.fleet_wide import FleetWide
    from xds.discovery.registry.registrations import Registered, Registration

OWN_REGISTRIES: Final = frozenset(("MemberCluster", "Secret"))
"""Kinds that say nothing of a cluster's place, or say it themselves."""


class Members(Protocol):
    """Whose members they become."""

    def begin(self, name: str, access: Access) -> None:
        """Keep up with a member from now on."""

    def end(self, name: str) -> None:
        """It is a member no longer."""

    def regard(self, name: str) -> None:
        """Something else is said of it now."""


class Enrolment:
    """Who is registered. Owned by the event loop's thread.

    Args:
        hub: how the hub is reached.
        others: names that are members otherwise, which no registration changes.
        members: told who comes and goes.
        fleet_wide: told where clusters stand.
        share: of the registrations that may go within a minute.
        delay_s: how long the loss of more is held.
    """

    def __init__(
        self, hub: Access, others: Container[str], members: Members, fleet_wide: FleetWide, *, share: float, delay_s: float
    ) -> None:
        self.accesses: dict[str, RegisteredAccess] = {}
        """Member -> how it is reached."""
        self.remembered: set[str] = set()
        """Members from before our start, of which the hub has not said yet whether they still are."""
        self._hub = hub
        self._others = others
        self._members = members
        self._fleet_wide = fleet_wide
        self._share = share
        self._delay_s = delay_s
        self._ranked: list[str] = []
        self._population = Population(LEAST_MEMBERS)
        self._missing: dict[str, float] = {}
        """Members whose registrations went all at once -> since when, by the loop's clock."""

        fleet_wide.is_losing_members = lambda: bool(self._missing)
        self._expected: set[str] = set()
        """Members that were held already, so that their registrations may go."""

    @property
    def names(self) -> list[str]:
        """The members, those first whose registration counts first."""
        return [*self._ranked, *sorted(self.remembered)]

    def remember(self, name: str) -> None:
        """Take a member that was registered before our start for one until the hub has told everything."""
        self.remembered.add(name)
        self._population.add(("", name), "")

    def take(self, found: Registered, is_complete: bool) -> None:  # noqa: FBT001 - a callback
        """Begin with members that are registered, and end with those that are no longer.

        Args:
            found: what is registered.
            is_complete: whether that is all, so that who is not among it is gone.
        """
        wanted = {name: one for name, one in found.clusters.items() if name not in self._others}
        # Whoever replaces a Secret deletes it first, or makes a mistake: a member stays until its registration itself is gone.
        for name, access in self.accesses.items():
            if not is_complete or (name, str(access.registration.origin)) in found.unusable:
                wanted.setdefault(name, access.registration)
        if is_complete:
            unclear = {name for name, _ in found.unusable}  # some may be registered, just not usably
            for name in self.remembered & unclear:
                self._missing.pop(name, None)
            self._part((self.accesses.keys() - wanted.keys()) | (self.remembered - wanted.keys() - unclear))
        for name, registration in wanted.items():
            self._missing.pop(name, None)
            self._population.add(("", name), "")
            if name in self.accesses:
                self.accesses[name].registration = registration
                self._members.regard(name)
            else:
                self.accesses[name] = RegisteredAccess(registration, self._hub)
                self.remembered.discard(name)
                self._members.begin(name, self.accesses[name])
        self._ranked = [*wanted, *(self.accesses.keys() - wanted.keys())]
        self._stand_in()

    def expect(self, names: Iterable[str]) -> None:
        """Registrations by these MemberClusters go now, after they were held for long enough."""
        self._expected.update(names)

    def tick(self) -> None:
        """End with members that have been missing for long enough."""
        now_s = asyncio.get_running_loop().time()
        for name in [name for name, since_s in self._missing.items() if now_s >= since_s + self._delay_s]:
            self._leave(name, now_s)
        self._stand_in()

    def problems(self) -> Iterator[Problem]:
        """Yield what is held."""
        if self._missing:
            names = ", ".join(sorted(self._missing))
            message = f"the registrations of clusters {names} went all at once; they stay members for now"
            hint = f"register them again; if that was meant, wait {self._delay_s / 60:.0f} min"
            yield Problem("XDS0308", message, hint=hint)

    def _part(self, gone: Iterable[str]) -> None:
        """End with members whose registration is gone, unless it went with too many others."""
        now_s = asyncio.get_running_loop().time()
        new = {name for name in gone if name not in self._missing}
        for name in new & self._expected:
            self._leave(name, now_s)
        new -= self._expected
        self._expected.clear()
        is_going_on = self._fleet_wide.is_losing or any(now_s < since_s + WINDOW_S for since_s in self._missing.values())
        if new and (is_going_on or self._population.is_mass({("", name) for name in new}, self._share, now_s)):
            self._missing |= dict.fromkeys(new, now_s)
        else:
            for name in new:
                self._leave(name, now_s)

    def _leave(self, name: str, now_s: float) -> None:
        self.accesses.pop(name, None)
        self.remembered.discard(name)
        self._missing.pop(name, None)
        self._population.remove(("", name), "", now_s)
        self._ranked = [other for other in self._ranked if other != name]
        self._members.end(name)

    def _stand_in(self) -> None:
        """Tell where clusters stand that other registries than ours name."""
        remembered = {name: item for name, item in self._fleet_wide.stand_ins.items() if name in self.remembered}
        said = (access.registration for access in self.accesses.values())
        found = {one.name: _as_member_cluster(one) for one in said if one.origin.kind not in OWN_REGISTRIES}
        self._fleet_wide.stand_in(remembered | found)


def _as_member_cluster(registration: Registration) -> MemberCluster:
    meta = ObjectMeta(name=registration.name, resource_version=registration.origin.resource_version)
    spec = MemberClusterSpec(region=registration.region, zones=list(registration.zones))
    return MemberCluster(api_version="traffic.isthmus.dev/v1alpha1", kind="MemberCluster", metadata=meta, spec=spec)
