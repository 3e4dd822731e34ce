"""Interest: what one stream wants of one type, and what has to be looked at again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple
from weakref import WeakValueDictionary

from xds.protocol.blame import CONTESTED, named_in
from xds.protocol.holdings import NO_NAMES, UNCERTAIN, Holdings, Rejection, version_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from collections.abc import Set as AbstractSet

    from xds.protocol.claims import Claims, Compared
    from xds.protocol.holdings import Claim
    from xds.snapshot.resource import Resource
    from xds.snapshot.table import Table

WILDCARD = "*"
PATIENCE = 64
"""Rejections of several names in a row, none accepted between them, after which the culprit is no longer searched for."""


class Subscription(NamedTuple):
    """What a stream wants of one type. A tuple `(wildcard, names)`; the same object as long as nothing changes."""

    wildcard: bool
    names: frozenset[str]
    """Names asked for beside the wildcard, or alone."""

    @property
    def asked(self) -> frozenset[str] | None:
        """The names; None for everything."""
        return None if self.wildcard else self.names


_NOTHING: Final = Subscription(wildcard=False, names=NO_NAMES)
_SETS: WeakValueDictionary[int, frozenset[str]] = WeakValueDictionary()


def shared(names: frozenset[str]) -> frozenset[str]:
    """Return an equal set that is in use already, if there is one: a thousand proxies often name the same thousand clusters."""
    found = _SETS.get(hash(names))
    if found is not names and found != names:
        found = _SETS[hash(names)] = names
    return found


class Look(NamedTuple):
    """Names to look at."""

    names: list[str]
    owed: AbstractSet[str]
    """Those among the names that have to be answered whatever the client is believed to hold."""
    apart: list[list[str]]
    """Further names, all owed, each list in a response of its own."""
    deadlines: dict[str, float]
    """Name -> when it has waited long enough; of names that a gate has held back before."""
    available: Table
    """What there is of the type."""


class Interest:
    """One type of one stream.

    A name is *dirty* if what the client should hold may differ from what it holds, and *owed* if the client has to be
    answered whatever we believe. Both are sets: however often something changes meanwhile, it is sent once. They are others' own
    while that is all that is in them, since a thousand streams are told of the same. A name *waits* while a gate holds it back
    (`xds.protocol.gates`).
    """

    __slots__ = ("abandoned", "apart", "client", "dirty", "everything", "owed", "rejections_in_a_row", "subscription", "waiting")

    def __init__(self) -> None:
        self.subscription = _NOTHING
        self.client = Holdings()
        self.dirty: AbstractSet[str] = NO_NAMES
        self.owed: AbstractSet[str] = NO_NAMES
        self.waiting: dict[str, float] = {}
        """Name -> the time at which it waits no longer."""
        self.abandoned = NO_NAMES
        """Names that are gone while the client holds them, of a type for which it cannot be told so."""
        self.apart: Sequence[list[str]] = ()
        """Names owed in responses of their own, because one of them was rejected and it is not known which."""
        self.everything = False
        """All names that are wanted or held are dirty."""
        self.rejections_in_a_row = 0

    @property
    def pending(self) -> bool:
        """Whether there is something to look at."""
        return bool(self.everything or self.dirty or self.owed or self.apart or self.waiting)

    @property
    def asks(self) -> bool:
        """Whether there is more to look at than what may have changed."""
        return bool(self.everything or self.owed or self.apart or self.waiting)

    @property
    def owes_all(self) -> bool:
        """Whether exactly what the client asks for by name is owed."""
        asked = self.subscription.names
        return self.owed is asked or self.owed == asked

    def wants(self, name: str) -> bool:
        """Return whether the client subscribes to a name, by the wildcard or by itself."""
        return self.subscription.wildcard or name in self.subscription.names

    def subscribe(self, subscription: Subscription) -> None:
        """Replace the subscription, and forget what is no longer wanted, so that a later subscribe is answered (R7)."""
        before = self.subscription
        names = shared(subscription.names)
        self.subscription = subscription if names is subscription.names else Subscription(subscription.wildcard, names)
        if subscription.wildcard:
            return
        if before.wildcard:
            client = self.client
            known = {*client.held, *client.before, *client.withheld, *self.dirty, *self.owed, *self.waiting}
            self._forget(known - subscription.names)
        elif before.names:
            self._forget(before.names - subscription.names)

    def wanted(self, names: frozenset[str]) -> frozenset[str]:
        """Return those among the names that the client subscribes to."""
        wildcard, asked = self.subscription
        return names if wildcard or names <= asked else names & asked

    def owe(self, names: AbstractSet[str]) -> None:
        """Answer these names in the next response, whatever the client is believed to hold or has rejected (R6)."""
        if names:
            self.client.doubt(names)
            self.go_on_owing(names)

    def go_on_owing(self, names: AbstractSet[str]) -> None:
        """Answer these names later, which are owed already or not known to be held."""
        self.owed = _joined(self.owed, names)

    def look_at(self, names: AbstractSet[str]) -> None:
        """Look at these names, which are wanted, again."""
        self.dirty = _joined(self.dirty, names)

    def change(self, names: frozenset[str]) -> None:
        """Look at these names again, as far as they are wanted."""
        self.look_at(self.wanted(names))

    def take(self, available: Table) -> Look:
        """Return the names to look at; nothing is pending then."""
        if not (self.asks or self.client.withheld):
            dirty, self.dirty = self.dirty, NO_NAMES
            return Look(_in_order(dirty, available), NO_NAMES, [], {}, available)
        withheld = self.client.withheld
        names = {*self.dirty, *self.owed, *self.waiting}
        if self.everything:
            names.update(self.subscription.names, self.client.held, withheld)
            if self.subscription.wildcard:
                names |= available.keys()
        apart = [[name for name in batch if self.wants(name)] for batch in self.apart]
        for name in names & withheld.keys():
            if version_of(withheld[name].resource) == version_of(available.get(name)):
                if name not in self.owed:
                    names.discard(name)
            else:
                self.release(name, still_exists=name in available)
        names.difference_update(*apart)
        look = Look(_in_order(names, available), self.owed, apart, self.waiting, available)
        self.dirty, self.owed, self.everything, self.apart, self.waiting = NO_NAMES, NO_NAMES, False, (), {}
        return look

    def claimed(self, claims: Claims, found: Compared) -> None:
        """Record what the client, in its first request, says it has, and how that compares with what there is.

        Only what is outdated is to be looked at, and what the client wants and does not have.
        """
        client = self.client
        if client.held.size:
            client.held.put(found.held)
        else:
            client.held.rest_on(found.held)
        if self.everything:
            self.everything = False
            self.look_at(claims.lacking(self.subscription.names))
            self.look_at(found.unclaimed if self.subscription.wildcard else NO_NAMES)
        self.look_at(found.outdated)

    def looked_at(self) -> None:
        """Record that the client is sent all that it wants, or has it; nothing is pending then, unless it waits or goes apart."""
        self.everything = False
        self.dirty = self.owed = NO_NAMES

    def reject(self, content: Mapping[str, Resource | None], error: str, now_s: float) -> frozenset[str]:
        """Record that the client rejected this content. It may have applied part of it: what it holds of it is unknown (R16b).

        What the error names is withheld until it differs; the rest goes out again without it. An error that names nothing
        is about one of two halves, and so on: each goes out apart, until what is rejected stands alone. A client that accepts
        nothing is given up on soon. Names that were sent anew since, or are no longer wanted, are left alone.

        Returns:
            The names that are dealt with here.
        """
        self.rejections_in_a_row += len(content) > 1
        client = self.client
        waiting = {*self.owed}.union(*self.apart)
        suspects = [
            name
            for name, sent in content.items()
            if self.wants(name) and version_of(client.held.get(name)) == version_of(sent) and name not in waiting
        ]
        unknown = {name for name in content if name not in client.held and name not in client.before}
        self._take_as_uncertain({name for name in unknown if content[name] is not None and self.wants(name)})
        for name in suspects:
            client.held.pop(name, None)  # absent for a removal
        guilty = named_in(error, content)
        contested = CONTESTED in error
        if not guilty and (len(content) == 1 or self.rejections_in_a_row > PATIENCE):
            guilty = frozenset(content)
        client.withheld.update({name: Rejection(content[name], error, now_s, contested) for name in suspects if name in guilty})
        rest = [name for name in suspects if name not in guilty]
        # Smaller than what was rejected in any case: without the guilty, without what was sent anew since, or a half.
        middle = len(rest) if len(rest) < len(content) else (len(rest) + 1) // 2
        self.apart = [*self.apart, *[half for half in (rest[:middle], rest[middle:]) if half]]
        return frozenset(suspects)

    def accept(self, content: Mapping[str, Resource | None], later: Sequence[AbstractSet[str]]) -> None:
        """Record that the client accepted this content; what another resource was in the way of may go out again now.

        Args:
            content: name -> resource, None for what is gone.
            later: as for `Holdings.accept`.
        """
        self.rejections_in_a_row = 0
        self.client.accept(content, later)
        uncertain: set[str] = set()
        for name in self.client.held.lacking(content):  # of which there may be many
            accepted = content[name]
            if accepted is not None and self.wants(name) and not any(name in names for names in later):
                self.client.before.setdefault(name, accepted)
                uncertain.add(name)
        self._take_as_uncertain(uncertain)
        for name in [name for name, rejection in self.client.withheld.items() if rejection.contested and content]:
            self.release(name)

    def outdated(self, available: Mapping[str, Resource]) -> Iterator[Resource | Claim]:
        """Return what the client has and is to be replaced or removed, but was not yet."""
        due = self.dirty | self.owed | self.waiting.keys()
        names = self.client.held.keys() if self.everything else due.union(*self.apart)
        return self.client.outdated(names, available)

    def release(self, name: str, *, still_exists: bool = True) -> None:
        """Withhold a name no longer: it differs now, or its circumstances do."""
        client = self.client
        del client.withheld[name]
        if not (still_exists or name in self.owed or name in client.held):  # neither to be sent nor sent since
            client.restore((name,))
        if name not in client.held:  # else it is known what the client has
            self.go_on_owing({name})
        else:
            self.look_at({name})

    def _take_as_uncertain(self, names: AbstractSet[str]) -> None:
        """Take into account that the client may have what it had dropped, and asked for anew, while it was under way."""
        uncertain = names - self.client.withheld.keys() - {*self.owed}.union(*self.apart)
        self.client.held.put(dict.fromkeys(uncertain, UNCERTAIN))
        self.look_at(uncertain)

    def _forget(self, names: AbstractSet[str]) -> None:
        if not names:
            return
        self.client.forget(names)
        if self.abandoned:
            self.abandoned -= names
        self.dirty = self.dirty - names if self.dirty else NO_NAMES
        self.owed = self.owed - names if self.owed else NO_NAMES
        for name in self.waiting.keys() & names:
            del self.waiting[name]


def _joined(some: AbstractSet[str], more: AbstractSet[str]) -> AbstractSet[str]:
    """Return the names of two sets: the second itself if it is frozen and has all; the first, added to, if it is not frozen."""
    if not some and isinstance(more, frozenset):
        return more
    if not more:
        return some
    if isinstance(some, set):
        some |= more
        return some
    return {*some, *more}


def _in_order(names: AbstractSet[str], available: Mapping[str, Resource]) -> list[str]:
    """Return the names sorted, so that streams that need the same ask the encoder for the same."""
    if len(names) == 1:
        return [*names]
    if len(names) * 4 < len(available):
        return sorted(names)
    # A snapshot's names are nearly in order, which sort() takes advantage of.
    result = [name for name in available if name in names]
    if len(result) < len(names):
        result += names - available.keys()
    result.sort()
    return result
