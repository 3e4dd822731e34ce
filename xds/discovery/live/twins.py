"""Names that lead to one cluster: two registrations of it are one member, under the name that ranks first.

A cluster is known by the uid of its namespace kube-system, as is the custom (KEP-2149 takes it for a cluster's id).
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Final

import msgspec

from xds.discovery.live.api_server import UnreachableError
from xds.discovery.live.collection import Refusal
from xds.model.events import Aliases
from xds.model.objects import Namespace
from xds.problems import Problem
from xds.undecodable import UNDECODABLE

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterable, Iterator

    from xds.discovery.live.api_server import ApiServer

PATH: Final = "/api/v1/namespaces/kube-system"
ASK_S: Final = 5.0
_NAMESPACES = msgspec.json.Decoder(Namespace)


class Twins:
    """Which names lead to one cluster.

    Args:
        ranked: returns all names, the first to be taken first.
        is_told: returns whether everything of the cluster was told under a name.
    """

    def __init__(self, ranked: Callable[[], Iterable[str]], is_told: Callable[[str], bool]) -> None:
        self._ranked = ranked
        self._is_told = is_told
        self._uids: dict[str, str] = {}
        self._found: dict[str, frozenset[str]] = {}
        """The aliases as they were looked at last."""

    async def identify(self, name: str, server: ApiServer) -> None:
        """Find out which cluster a name leads to; one that does not say it is taken to be another than all others."""
        try:
            self._uids[name] = _NAMESPACES.decode(await server.get(PATH, read_s=ASK_S)).metadata.uid
        except (Refusal, *UNDECODABLE):
            self._uids.setdefault(name, "")
        except UnreachableError:
            pass  # it may be asked again

    def has_asked(self, name: str) -> bool:
        """Return whether the server that a name leads to has answered."""
        return name in self._uids

    def forget(self, name: str) -> None:
        """The name leads nowhere any more."""
        self._uids.pop(name, None)

    def first(self, name: str, *, told: bool) -> str:
        """Return the name under which the cluster is a member.

        Args:
            name: one that leads to it.
            told: whether another name counts only once everything of the cluster was told under it, so that nothing is lost.
        """
        for other in self._named_alike(name):
            if other == name or not told or self._is_told(other):
                return other
        return name

    def aliases(self, read: Container[str]) -> dict[str, frozenset[str]]:
        """Return the name of each member -> the others that lead to it, but for those under which it is read still."""
        found: dict[str, set[str]] = defaultdict(set)
        for name in self._uids:
            if name not in read and (first := self.first(name, told=False)) != name:
                found[first].add(name)
        return {name: frozenset(others) for name, others in found.items()}

    def look(self, read: Container[str]) -> Iterator[Aliases]:
        """Yield by which other names members go, where that has changed since the last look."""
        before, self._found = self._found, self.aliases(read)
        for name in sorted(before.keys() | self._found.keys()):
            if before.get(name) != self._found.get(name):
                yield Aliases(name, self._found.get(name, frozenset()))

    def problems(self, origin: Callable[[str], str]) -> Iterator[Problem]:
        """Yield clusters that have more names than one; `origin` returns where a name is said to lead there."""
        for first, others in sorted(self._found.items()):
            for name in sorted(others):
                where, there = origin(name), origin(first)
                message = f"{name!r} ({where}) is another name of cluster {first!r} ({there}), and read under that one alone"
                yield Problem("XDS0309", message, hint="both names may be used; register it once to be rid of this")

    def _named_alike(self, name: str) -> Iterable[str]:
        uid = self._uids.get(name)
        return [other for other in self._ranked() if self._uids.get(other) == uid] if uid else [name]
