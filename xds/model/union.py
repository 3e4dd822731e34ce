"""Endpoints of several clusters as those of one service: one address counts once in a network."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, NamedTuple

from xds.problems import Problem

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from xds.model.service import Endpoint
    from xds.problems import Ref


class Union(NamedTuple):
    """What came of it."""

    endpoints: tuple[Endpoint, ...]
    """Sorted."""
    clashes: dict[tuple[str, str], list[str]]
    """(cluster whose address counts, the other) -> `ADDRESS port PORT` of each that both have on one network."""

    def problems(self, name: str, refs: Mapping[str, Ref]) -> Iterator[Problem]:
        """Yield what is wrong.

        Args:
            name: of the service.
            refs: cluster -> its object to blame.
        """
        for (owner, other), addresses in sorted(self.clashes.items()):
            more = f" and {len(addresses) - 1} more" if len(addresses) > 1 else ""
            message = f"{addresses[0]}{more} of {name} in {other} is also in {owner}, on the same network; {owner}'s counts"
            hint = "give the clusters different networks, or pod ranges that do not overlap"
            yield Problem("XDS0208", message, refs[other], hint=hint)


def union(parts: Iterable[tuple[str, Iterable[Endpoint]]]) -> Union:
    """Return the endpoints of all clusters; a clash counts for the cluster that comes first.

    Args:
        parts: (cluster, endpoints that run there).
    """
    merged: list[Endpoint] = []
    owners: dict[tuple[str, str, int], str] = {}
    clashes: dict[tuple[str, str], list[str]] = defaultdict(list)
    for name, endpoints in parts:
        for endpoint in endpoints:
            places = {address: (endpoint.network, address, endpoint.port) for address in endpoint.addresses}
            taken = [address for address, place in places.items() if owners.get(place, name) != name]
            for address in taken:
                clashes[owners[places[address]], name].append(f"{address} port {endpoint.port}")
            if rest := endpoint.without(taken):
                merged.append(rest)
                owners.update((places[address], name) for address in rest.addresses)
    return Union(tuple(sorted(merged)), clashes)
