"""Clusterset IPs from a range of our own: which import of one cluster has which address. A pure function.

- An import that has an address of the range keeps it, unless a Service of its cluster has it, too.
- One that has none gets what its namesake in another cluster has, so that clients find it at one address everywhere; if there
  is none, the search begins at a hash of its name. Only what is free in the cluster is given.
- All names that are exported are provided for, whether the cluster has their namespaces or not: else what one cluster lacks
  would change the addresses of others. Who comes first is decided by the age of the oldest export, then by name.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, NamedTuple

from xds.mcs.world import exports_of, has_namespace, is_ours, stands_for
from xds.model import objects
from xds.model.events import FLEET, ObjectKey
from xds.model.exports import EXPORTS
from xds.problems import Problem, Ref
from xds.ranges import Network, within

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from xds.mcs.world import Name, World
    from xds.ranges import Address

    Items = Mapping[ObjectKey, objects.KubernetesObject]


class Overlap(NamedTuple):
    """Services of a cluster have addresses of the range."""

    range: Network
    example: str
    """One of them, and its address."""
    services: int
    """How many they are."""


class Addresses(NamedTuple):
    """What the imports of one cluster are given."""

    given: Mapping[Name, tuple[str, ...]]
    """Import -> an address of each range, in the order of the ranges; fewer where one is used up."""
    lacking: tuple[tuple[Name, Network], ...] = ()
    """Imports of this cluster, and the range that had no address for them."""
    overlaps: tuple[Overlap, ...] = ()

    def problems(self, cluster: str) -> Iterator[Problem]:
        """Yield what is wrong with the range in the cluster."""
        for (namespace, name), network in self.lacking:
            yield Problem(
                "XDS0310",
                f"every address of the clusterset range {network} is taken",
                Ref(cluster, "ServiceImport", namespace, name),
                hint="give a larger range with --mcs-range that contains this one; the others keep their addresses",
            )
        for network, example, services in self.overlaps:
            which = f"Service {example}" if services == 1 else f"{services} Services, e.g. {example}"
            yield Problem(
                "XDS0311",
                f"in cluster {cluster!r} the clusterset range {network} holds the address of {which}",
                Ref(FLEET, "MemberCluster", "", cluster),
                hint="choose a range that no cluster has Services in; imports get other addresses than these meanwhile",
                about=f"{network} in {cluster}",
            )


def allocate(world: World, target: str, ranges: Sequence[Network], before: Mapping[Name, tuple[str, ...]]) -> Addresses:
    """Return what the imports of a cluster are given.

    Args:
        world: what is known.
        target: the cluster.
        ranges: one of each family.
        before: what was given last time: the imports may have been written, and not be known yet.
    """
    items = world.clusters[target].items
    there = _there(items, ranges)
    names = _wanted(world)
    here = {name for name in names if has_namespace(world.clusters[target], name[0])}
    others = [world.clusters[other].items for other in sorted(world.clusters.keys() - {target})]
    sources: tuple[Callable[[Name], Iterable[Address]], ...] = (
        lambda name: within(ranges, before.get(name, ()) if name in here else ()),
        lambda name: (address for other in others for address in _held(other, ranges, name)),
    )
    found = [_of_range(network, names, there, sources) for network in ranges]
    given = {name: tuple(str(one[name]) for one in found if name in one) for name in names}
    lacking = tuple(
        (name, network)
        for network, one in zip(ranges, found, strict=True)
        for name in names
        if name in here and name not in one and name not in there.foreign
    )
    return Addresses(given, lacking, tuple(overlap for network in ranges if (overlap := _overlap(network, there))))


class _There(NamedTuple):
    """What has addresses of the ranges in a cluster, each with its addresses."""

    services: dict[Name, list[Address]]
    """Those that are not derived."""
    derived: dict[Name, list[Address]]
    """Import -> of the Service that is derived for it."""
    imports: dict[Name, list[Address]]
    """Ours."""
    foreign: dict[Name, list[Address]]
    """Imports of another implementation, even those without addresses: it has these names."""


class _Pool:
    """Whose the addresses of one range are."""

    def __init__(self, network: Network) -> None:
        self.given: dict[Name, Address] = {}
        self._network = network
        self._unusable = {network[0], network[-1]}
        """The network's own, and in IPv4 that of all its hosts."""
        self._owners: dict[Address, Name | None] = {}
        """None: no import of ours."""

    def block(self, addresses: Iterable[Address], owner: Name | None = None) -> None:
        """Let nobody have some addresses but their owner."""
        for address in addresses:
            if self._is_usable(address):
                self._owners.setdefault(address, owner)

    def take(self, name: Name, addresses: Iterable[Address]) -> None:
        """Give an import the first of some addresses that is free."""
        for address in addresses:
            if self._is_usable(address) and self._owners.setdefault(address, name) == name:
                self.given[name] = address
                return

    def search(self, name: Name) -> None:
        """Give an import the first free address from where its hash points to on."""
        usable = self._network.num_addresses - 2
        if len(self._owners) >= usable:
            return
        start = int.from_bytes(hashlib.sha256("/".join(name).encode()).digest()) % usable
        while (address := self._network[1 + start]) in self._owners:
            start = (start + 1) % usable
        self.take(name, [address])

    def _is_usable(self, address: Address) -> bool:
        return address in self._network and address not in self._unusable


def _of_range(
    network: Network, names: Sequence[Name], there: _There, sources: Iterable[Callable[[Name], Iterable[Address]]]
) -> dict[Name, Address]:
    """Return import -> its address of one range; at first those that it has, then from the sources, then any."""
    pool = _Pool(network)
    for addresses in (*there.services.values(), *there.foreign.values()):
        pool.block(addresses)
    for name in names:
        pool.take(name, there.imports.get(name, ()))
    for name, addresses in sorted(there.imports.items()):  # of those that go, or whose exporters cannot be asked
        pool.block(addresses, name)
    for name, addresses in sorted(there.derived.items()):  # while imports go over to the range
        pool.block(addresses, name)
    for source in sources:
        for name in [one for one in names if one not in pool.given]:
            pool.take(name, source(name))
    for name in [one for one in names if one not in pool.given]:
        pool.search(name)
    return pool.given


def _wanted(world: World) -> list[Name]:
    """Return every name whose import has addresses, the oldest first."""
    exported = {(key.namespace, key.name) for one in world.clusters.values() for key in one.items if key.kind in EXPORTS}
    found: list[tuple[str, Name]] = []
    for name in exported:
        oldest = min(exports_of(world.clusters, *name), key=lambda one: one.age_key, default=None)
        if oldest is not None and not oldest.headless:
            found.append((oldest.export.metadata.age, name))
    return [name for _, name in sorted(found)]


def _there(items: Items, ranges: Sequence[Network]) -> _There:
    there = _There({}, {}, {}, {})
    for key, item in items.items():
        name = (key.namespace, key.name)
        if isinstance(item, objects.Service):
            if found := [*within(ranges, item.spec.cluster_ips or [item.spec.cluster_ip])]:
                derived_from = stands_for(item)
                (there.derived if derived_from else there.services)[key.namespace, derived_from or key.name] = found
        elif isinstance(item, objects.ServiceImport):
            (there.imports if is_ours(item) else there.foreign)[name] = [*within(ranges, item.spec.ips)]
    return there


def _held(items: Items, ranges: Sequence[Network], name: Name) -> Iterator[Address]:
    """Yield the addresses that our import of a name has in another cluster."""
    item = items.get(ObjectKey("ServiceImport", *name))
    if isinstance(item, objects.ServiceImport) and is_ours(item):
        yield from within(ranges, item.spec.ips)


def _overlap(network: Network, there: _There) -> Overlap | None:
    found = sorted((name, address) for name, addresses in there.services.items() for address in addresses if address in network)
    if not found:
        return None
    (namespace, name), address = found[0]
    return Overlap(network, f"{namespace}/{name} ({address})", len(found))
