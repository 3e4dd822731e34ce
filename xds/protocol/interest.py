"""Interest: what one stream wants of one type, what its client is believed to hold, and what has to be looked at again."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple
from weakref import WeakValueDictionary

from xds.protocol.blame import named_in

if TYPE_CHECKING:
    from collections.abc import Mapping
    from collections.abc import Set as AbstractSet

    from xds.snapshot.resource import Resource

WILDCARD = "*"
NO_NAMES: frozenset[str] = frozenset()
PATIENCE = 64
"""Rejections of several names in a row, none accepted between them, after which the culprit is no longer searched for."""


def version_of(resource: Resource | None) -> str | None:
    """Return the version of a resource; None for what does not exist."""
    return None if resource is None else resource.version


class Subscription(NamedTuple):
    """What a stream wants of one type. A tuple `(wildcard, names)`; the same object as long as nothing changes."""

    wildcard: bool
    names: frozenset[str]
    """Names asked for beside the wildcard, or alone."""


_SETS: WeakValueDictionary[int, frozenset[str]] = WeakValueDictionary()


def shared(names: frozenset[str]) -> frozenset[str]:
    """Return an equal set that is in use already, if there is one: a thousand proxies often name the same thousand clusters."""
    found = _SETS.get(hash(names))
    if found != names:
        found = _SETS[hash(names)] = names
    return found


class Look(NamedTuple):
    """Names to look at."""

    names: list[str]
    owed: set[str]
    """Those among the names that have to be answered whatever the client is believed to hold."""
    apart: list[list[str]]
    """Further names, all owed, each list in a response of its own."""


class Interest:
    """One type of one stream.

    A name is *dirty* if what the client should hold may differ from what it holds, and *owed* if the client has to be
    answered whatever we believe. Both are sets: however often something changes meanwhile, it is sent once. A name is
    *withheld* while its content is what the client rejected (R16b).
    """

    __slots__ = ("apart", "dirty", "everything", "held", "owed", "rejections_in_a_row", "subscription", "withheld")

    def __init__(self) -> None:
        self.subscription = Subscription(wildcard=False, names=NO_NAMES)
        self.held: dict[str, str] = {}
        """Name -> version that was sent, or that the client said it had."""
        self.dirty: set[str] = set()
        self.owed: set[str] = set()
        self.apart: list[list[str]] = []
        """Names owed in responses of their own, because one of them was rejected and it is not known which."""
        self.everything = False
        """All names that are wanted or held are dirty."""
        self.withheld: dict[str, str | None] = {}
        """Name -> the version that was rejected, None for a removal."""
        self.rejections_in_a_row = 0

    @property
    def pending(self) -> bool:
        """Whether there is something to look at."""
        return bool(self.everything or self.dirty or self.owed or self.apart)

    def wants(self, name: str) -> bool:
        """Return whether the client subscribes to a name, by the wildcard or by itself."""
        return self.subscription.wildcard or name in self.subscription.names

    def subscribe(self, subscription: Subscription) -> None:
        """Replace the subscription, and forget what is no longer wanted, so that a later subscribe is answered (R7)."""
        before = self.subscription
        self.subscription = Subscription(subscription.wildcard, shared(subscription.names))
        if subscription.wildcard:
            return
        if before.wildcard:
            self._forget({*self.held, *self.dirty, *self.owed, *self.withheld} - subscription.names)
        else:
            self._forget(before.names - subscription.names)

    def wanted(self, names: frozenset[str]) -> frozenset[str]:
        """Return those among the names that the client subscribes to."""
        return names if self.subscription.wildcard else names & self.subscription.names

    def owe(self, names: AbstractSet[str]) -> None:
        """Answer these names in the next response, whatever the client is believed to hold or has rejected (R6)."""
        self._drop(names)
        self.owed |= names

    def change(self, names: frozenset[str]) -> None:
        """Look at these names again, as far as they are wanted."""
        self.dirty |= self.wanted(names)

    def take(self, available: Mapping[str, Resource]) -> Look:
        """Return the names to look at; nothing is pending then."""
        owed, names = self.owed, self.dirty | self.owed
        if self.everything:
            names |= self.subscription.names | self.held.keys() | self.withheld.keys()
            if self.subscription.wildcard:
                names |= available.keys()
        apart = [[name for name in batch if self.wants(name)] for batch in self.apart]
        self.dirty, self.owed, self.everything, self.apart = set(), set(), False, []
        names.difference_update(*apart)
        for name in names & self.withheld.keys():
            if self.withheld[name] == version_of(available.get(name)):
                names.discard(name)
            else:
                del self.withheld[name]
                owed.add(name)
        return Look(_in_order(names, available), owed, apart)

    def reject(self, content: Mapping[str, str | None], error: str) -> frozenset[str]:
        """Record that the client rejected this content. It may have applied part of it: what it holds of it is unknown (R16b).

        What the error names is withheld until it differs; the rest goes out again without it. An error that names nothing
        is about one of two halves, and so on: each goes out apart, until what is rejected stands alone. A client that accepts
        nothing is given up on soon. Names that were sent anew since, or are no longer wanted, are left alone.

        Returns:
            The names that are dealt with here.
        """
        self.rejections_in_a_row += len(content) > 1
        waiting = self.owed.union(*self.apart)
        suspects = [n for n, v in content.items() if self.wants(n) and self.held.get(n) == v and n not in waiting]
        for name in suspects:
            self.held.pop(name, None)  # absent for a removal
        guilty = named_in(error, content)
        if not guilty and (len(content) == 1 or self.rejections_in_a_row > PATIENCE):
            guilty = frozenset(content)
        self.withheld.update({name: content[name] for name in suspects if name in guilty})
        rest = [name for name in suspects if name not in guilty]
        # Smaller than what was rejected in any case: without the guilty, without what was sent anew since, or a half.
        middle = len(rest) if len(rest) < len(content) else (len(rest) + 1) // 2
        self.apart += [half for half in (rest[:middle], rest[middle:]) if half]
        return frozenset(suspects)

    def accept(self, content: Mapping[str, str | None]) -> None:
        """Record that the client accepted this content, which matters where it had rejected the same before."""
        self.rejections_in_a_row = 0
        for name in self.withheld.keys() & content.keys():
            version = content[name]
            if self.withheld[name] == version:
                del self.withheld[name]
                if version is not None:
                    self.held[name] = version

    def _forget(self, names: AbstractSet[str]) -> None:
        self._drop(names)
        self.dirty -= names
        self.owed -= names

    def _drop(self, names: AbstractSet[str]) -> None:
        for known in (self.held, self.withheld):
            for name in known.keys() & names:
                del known[name]


def _in_order(names: set[str], available: Mapping[str, Resource]) -> list[str]:
    """Return the names sorted, so that streams that need the same ask the encoder for the same."""
    if len(names) * 4 < len(available):
        return sorted(names)
    # A snapshot's names are nearly in order, which sort() takes advantage of.
    result = [name for name in available if name in names]
    if len(result) < len(names):
        result += names - available.keys()
    result.sort()
    return result
