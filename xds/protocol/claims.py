"""Claims: what a client says, when it reconnects, that it holds of one type.

The clients of a view come back with the same, perhaps all at once. They share one object (`xds.protocol.alike`), and what there
is to find out about it, a comparison of all its versions with what there is, is found out once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple, Self

from xds.protocol.holdings import Claim
from xds.protocol.layers import Ground

if TYPE_CHECKING:
    from collections.abc import Mapping
    from collections.abc import Set as AbstractSet

    from xds.snapshot.resource import Resource
    from xds.snapshot.table import Table


class Compared(NamedTuple):
    """Claims beside what there is."""

    held: Ground[Resource | Claim]
    """Name -> what the client has: what there is, or a version that is not that."""
    outdated: frozenset[str]
    """Names of which the client has something else than there is."""
    unclaimed: frozenset[str]
    """Names of what there is and the client does not have."""
    perishable: frozenset[str]
    """Names of what the client has that has a time to live."""


class Claims(dict[str, str]):
    """Name -> version. Not to be changed."""

    __slots__ = ("_among", "_compared", "_lacking")

    def __init__(self, versions: Mapping[str, str] | None = None) -> None:
        super().__init__(versions or {})
        self._among: tuple[frozenset[str], Claims] | None = None
        self._lacking: tuple[frozenset[str], frozenset[str]] | None = None
        self._compared: tuple[Table, Compared] | None = None

    @classmethod
    def of(cls, versions: Mapping[str, str]) -> Self:
        """Return these versions as claims."""
        return versions if isinstance(versions, cls) else cls(versions)

    def among(self, names: frozenset[str]) -> Claims:
        """Return the claims of some names; the answer for the names that were given last is remembered."""
        if self._among is None or self._among[0] is not names:
            covered = self.keys() <= names
            found = self if covered else Claims({name: version for name, version in self.items() if name in names})
            self._among = names, found
        return self._among[1]

    def without(self, names: AbstractSet[str]) -> Claims:
        """Return the claims of all names but these."""
        if names.isdisjoint(self):
            return self
        return Claims({name: version for name, version in self.items() if name not in names})

    def lacking(self, names: frozenset[str]) -> frozenset[str]:
        """Return which of some names are not claimed; the answer for the names that were given last is remembered."""
        if not (names and self):
            return names
        if self._lacking is None or self._lacking[0] is not names:
            self._lacking = names, names - self.keys()
        return self._lacking[1]

    def compared(self, available: Table) -> Compared:
        """Return how the claims compare with what there is; the answer for what was given last is remembered."""
        if self._compared is None or self._compared[0] is not available:
            self._compared = available, self._compare(available)
        return self._compared[1]

    def _compare(self, available: Table) -> Compared:
        there = available.plain
        outdated = {name: version for name, version in self.items() if name not in there or there[name].version != version}
        held: Ground[Resource | Claim] = Ground(
            {name: Claim(version) if name in outdated else there[name] for name, version in self.items()}
        )
        unclaimed, perishable = available.keys() - self.keys(), self.keys() & available.perishable
        return Compared(held, frozenset(outdated), frozenset(unclaimed), frozenset(perishable))


NO_CLAIMS: Final = Claims()
