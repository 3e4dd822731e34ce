"""Who the members are: declared ones, those that tell something, and how they are called by each other."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

from xds.model import objects
from xds.model.cluster import CLUSTER_ID, Cluster
from xds.model.events import FLEET, MemberState, Standing, ref_of
from xds.model.members import Member
from xds.problems import Problem

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from collections.abc import Set as AbstractSet


_ID = re.compile(r"(?=.{1,63}\Z)[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)?")
"""One label or two; in the labels of slices there is room for 63 characters."""
_UNREAD = {MemberState.STALE, MemberState.SYNCING}
"""States of members that may have objects that we have not read."""


class Moved(NamedTuple):
    """What changed about the members."""

    members: list[str]
    """Those that appeared, went, or changed place or network."""
    sources: bool
    """Whether copies that one cluster has of another's slices may count otherwise now."""
    names: frozenset[str]
    """Those that mean another cluster now."""


class Membership:
    """The members of the fleet, and what was told of each as a whole."""

    def __init__(self) -> None:
        self.members: dict[str, Member] = {}
        """By name."""
        self.known: dict[str, Member] = {}
        """By name, and by what other clusters call them."""
        self.synced: set[str] = set()
        """Clusters of which everything was told, and FLEET."""
        self.told: set[str] = set()
        """Clusters whose state was told."""
        self.reading: set[str] = set()
        """Those among them of which a part may have been told: what is missing of it may only come later."""
        self._sources: dict[str, tuple[str, bool, Standing]] = {}
        """Each name that is known -> the member's, whether it tells of its endpoints itself, its standing."""
        self._declared: dict[str, objects.MemberCluster] = {}
        self._holders: set[str] = set()
        self._alike: dict[str, str] = {}
        """Member whose id cannot be used -> who goes by it."""

    def is_complete(self, clusters: Mapping[str, Cluster]) -> bool:
        """Return whether everything has been told, but for clusters that cannot be reached."""
        due = (name for name, cluster in clusters.items() if cluster.state not in {MemberState.STALE, MemberState.LOST})
        return FLEET in self.synced and self.synced.issuperset(due)

    def has_told(self, name: str) -> None:
        """Take into account that everything was told of a cluster, or of the fleet."""
        self.synced.add(name)
        self.reading.discard(name)

    def has_state(self, cluster: Cluster) -> None:
        """Take into account that the state of a cluster was told; one that is read and of which nothing is known begins anew."""
        self.told.add(cluster.name)
        if cluster.state is MemberState.SYNCING and not cluster.items:
            self.reading.add(cluster.name)

    def source(self, name: str) -> tuple[str, bool]:
        """Return which cluster a slice means by a name, and whether that tells of its endpoints itself."""
        member, is_watched, _ = self._sources.get(name, (name, False, Standing.FULL))
        return member, is_watched

    def rebuild(self, clusters: Mapping[str, Cluster]) -> Moved:
        """Find out anew who the members are."""
        fleet_wide = clusters[FLEET].of(objects.MemberCluster) if FLEET in clusters else ()
        self._declared = {item.metadata.name: item for item in fleet_wide}
        self._holders = {name for name, cluster in clusters.items() if cluster.items}
        lost = {name for name, cluster in clusters.items() if cluster.state is MemberState.LOST}
        aliases = {alias: name for name, cluster in clusters.items() for alias in cluster.aliases}
        names = (self._declared.keys() | self._holders | ((self.synced | self.told) - lost)) - {FLEET} - aliases.keys()
        ids = self._own_ids({name: clusters[name].cluster_id for name in sorted(names & clusters.keys())}, names)
        members = {
            name: _member(clusters.get(name, Cluster(name)), self._declared.get(name), ids.get(name, ""))
            for name in sorted(names)
        }
        moved = [name for name in {*members, *self.members} if _place(members.get(name)) != _place(self.members.get(name))]
        self.members = members
        by_id = {found: members[name] for name, found in ids.items()}
        self.known = {**by_id, **members, **{alias: members[name] for alias, name in aliases.items() if name in members}}
        before = self._sources
        self._sources = {name: (one.name, one.name in self.synced, one.standing) for name, one in self.known.items()}
        renamed = (name for name in before.keys() | self.known.keys() if before.get(name, (name,))[0] != self.source(name)[0])
        return Moved(moved, bool(moved) or self._sources != before, frozenset(renamed))

    def _own_ids(self, given: Mapping[str, str], names: AbstractSet[str]) -> dict[str, str]:
        """Return member -> its id, if no other member goes by that: of several that say they do, the first by name does."""
        owners = {name: name for name in names}
        self._alike = {name: owners[found] for name, found in given.items() if found and owners.setdefault(found, name) != name}
        return {name: found for name, found in given.items() if found and name not in self._alike}

    def problems(self) -> Iterator[Problem]:
        """Yield what is wrong with the members, once all that is fleet-wide was told."""
        if FLEET not in self.synced:
            return
        for name, other in self._alike.items():
            message = (
                f"the id of cluster {name!r}, its ClusterProperty {CLUSTER_ID}, is also that of {other!r}; it goes by its name"
            )
            yield Problem("XDS0220", message, hint="ids are unique in a cluster set (KEP-2149): change one")
        unread = {name for name, member in self.members.items() if name in self.told and member.state in _UNREAD}
        for name in sorted(self._declared.keys() & (self.members.keys() - self._holders - unread)):
            hint = f"add its manifests, {name}/….yaml, or a kubeconfig for it, or delete the MemberCluster"
            yield Problem("XDS0217", f"there is no object of cluster {name!r}", ref_of(FLEET, self._declared[name]), hint=hint)
        for name in self.members:
            if name not in self._declared:
                message = f"cluster {name!r} has no MemberCluster; its region follows from its nodes"
                yield Problem("XDS0201", message, hint="add a MemberCluster with its region")


def _member(cluster: Cluster, declared: objects.MemberCluster | None, cluster_id: str) -> Member:
    places = cluster.nodes.values()
    regions = Counter(place.region for place in places if place.region)
    spec = declared.spec if declared else objects.MemberClusterSpec()
    return Member(
        name=cluster.name,
        region=spec.region or (min(regions, key=lambda region: (-regions[region], region)) if regions else ""),
        zones=tuple(sorted(spec.zones or {place.zone for place in places if place.zone})),
        network=spec.network,
        state=cluster.state,
        reason=cluster.reason,
        aliases=cluster.aliases,
        standing=cluster.standing,
        provider=spec.provider,
        labels=declared.metadata.labels if declared else {},
        property_id=cluster_id if _ID.fullmatch(cluster_id) else "",
        declared=declared is not None,
        origin=ref_of(FLEET, declared) if declared else None,
    )


def _place(member: Member | None) -> tuple[object, ...] | None:
    if member is None:
        return None
    return (member.region, member.zones, member.network, member.id, member.provider, member.labels)
