"""Interest: what one stream wants of one type, what its client is believed to hold, and what has to be looked at again."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from xds.snapshot.resource import Resource

WILDCARD = "*"
NO_NAMES: frozenset[str] = frozenset()


def version_of(resource: Resource | None) -> str | None:
    """Return the version of a resource; None for what does not exist."""
    return None if resource is None else resource.version


class Subscription(NamedTuple):
    """What a stream wants of one type. A tuple `(wildcard, names)`; the same object as long as nothing changes."""

    wildcard: bool
    names: frozenset[str]
    """Names asked for beside the wildcard, or alone."""


class Look(NamedTuple):
    """Names to look at."""

    names: list[str]
    owed: set[str]
    """Those among the names that have to be answered whatever the client is believed to hold."""
    again: list[str]
    """Further names, owed too: rejected together with something that has changed since (R16b)."""


class Rejection:
    """The content of a rejected response: name -> version, None for a removal.

    Which of them the client disliked is not known, nor which it applied all the same, so that they share their fate (R16b).
    """

    __slots__ = ("versions",)

    def __init__(self, versions: dict[str, str | None]) -> None:
        self.versions = versions


class Interest:
    """One type of one stream.

    A name is *dirty* if what the client should hold may differ from what it holds, and *owed* if the client has to be
    answered whatever we believe. Both are sets: however often something changes meanwhile, it is sent once. A name is
    *withheld* while its content is what the client rejected.
    """

    __slots__ = ("dirty", "everything", "held", "owed", "subscription", "withheld")

    def __init__(self) -> None:
        self.subscription = Subscription(wildcard=False, names=NO_NAMES)
        self.held: dict[str, str] = {}
        """Name -> version that was sent, or that the client said it had."""
        self.dirty: set[str] = set()
        self.owed: set[str] = set()
        self.everything = False
        """All names that are wanted or held are dirty."""
        self.withheld: dict[str, Rejection] = {}

    @property
    def pending(self) -> bool:
        """Whether there is something to look at."""
        return self.everything or bool(self.dirty) or bool(self.owed)

    def wants(self, name: str) -> bool:
        """Return whether the client subscribes to a name, by the wildcard or by itself."""
        return self.subscription.wildcard or name in self.subscription.names

    def subscribe(self, subscription: Subscription) -> None:
        """Replace the subscription, and forget what is no longer wanted, so that a later subscribe is answered (R7)."""
        before, self.subscription = self.subscription, subscription
        if subscription.wildcard:
            return
        if before.wildcard:
            self._forget([name for name in {*self.held, *self.dirty, *self.owed, *self.withheld} if not self.wants(name)])
        else:
            self._forget(before.names - subscription.names)

    def owe(self, names: Iterable[str]) -> None:
        """Answer these names in the next response, whatever the client is believed to hold or has rejected (R6)."""
        for name in names:
            self.held.pop(name, None)
            self.withheld.pop(name, None)
            self.owed.add(name)

    def change(self, names: frozenset[str]) -> None:
        """Look at these names again, as far as they are wanted."""
        self.dirty |= names if self.subscription.wildcard else names & self.subscription.names

    def take(self, available: Mapping[str, Resource]) -> Look:
        """Return the names to look at; nothing is pending then."""
        owed, names = self.owed, self.dirty | self.owed
        if self.everything:
            names |= self.subscription.names | self.held.keys() | self.withheld.keys()
            if self.subscription.wildcard:
                names |= available.keys()
        self.dirty, self.owed, self.everything = set(), set(), False
        again = self._release(names, owed, available) if self.withheld else NO_NAMES
        return Look(sorted(names), owed, sorted(again))

    def _release(self, names: set[str], owed: set[str], available: Mapping[str, Resource]) -> set[str]:
        """Take what is still withheld out of `names`, and return what was withheld because of what has changed since."""
        blocked = names & self.withheld.keys()
        names -= {name for name in blocked if self.withheld[name].versions[name] == version_of(available.get(name))}
        again: set[str] = set()
        for name in names & blocked:
            rejection = self.withheld.get(name)
            if rejection is not None:
                group = {other for other in rejection.versions if self.withheld.get(other) is rejection}
                for other in group:
                    del self.withheld[other]
                owed |= group & names
                again |= group - names
        return again

    def reject(self, content: Mapping[str, str | None]) -> frozenset[str]:
        """Record that the client rejected this content: it is unknown what it holds, and not sent again until it differs.

        Names that were sent anew since then, or are no longer wanted, are left alone: their own answer will come.

        Returns:
            The names that are withheld now.
        """
        versions = {n: v for n, v in content.items() if self.wants(n) and self.held.get(n) == v and n not in self.owed}
        rejection = Rejection(versions)
        for name in versions:
            self.held.pop(name, None)
            self.withheld[name] = rejection
        return frozenset(versions)

    def accept(self, content: Mapping[str, str | None]) -> None:
        """Record that the client accepted this content, which matters where it had rejected the same before."""
        for name in self.withheld.keys() & content.keys():
            if self.withheld[name].versions[name] == content[name]:
                del self.withheld[name]
                if (version := content[name]) is not None:
                    self.held[name] = version

    def _forget(self, names: Iterable[str]) -> None:
        for name in names:
            self.held.pop(name, None)
            self.withheld.pop(name, None)
            self.dirty.discard(name)
            self.owed.discard(name)
