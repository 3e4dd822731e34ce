"""The hub: who wants to hear of what.

In: the subscriptions of streams, and the change set of each publication. Out: exactly the streams that subscribe to something
that changed (`xds.server.rounds` tells them). The index is

    (view, type URL) -> name -> groups -> streams

where streams that want the same set of names share one group, so that a thousand proxies that name the same thousand
clusters cost a thousand index entries, not a million. A change costs what its subscribers cost, never services times
proxies. A stream has no queue here: it marks names dirty and finds the newest snapshot when it gets to them.

A pure data structure: no I/O, no tasks, no knowledge of gRPC.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator

    from xds.snapshot.snapshot import ChangeSet


class Subscriber(Protocol):
    """What the hub needs of a stream; compared by identity."""

    def on_change(self, change: ChangeSet) -> None:
        """Mark the names that matter to the stream dirty."""


S = TypeVar("S", bound=Subscriber)


class _Group(Generic[S]):
    """The streams of one view that want the same names of one type; `names` is None for those that want all."""

    __slots__ = ("names", "streams")

    def __init__(self, names: frozenset[str] | None) -> None:
        self.names = names
        self.streams: set[S] = set()


class _Index(Generic[S]):
    """The groups of one (view, type URL)."""

    __slots__ = ("by_name", "groups")

    def __init__(self) -> None:
        self.groups: dict[frozenset[str] | None, _Group[S]] = {}
        self.by_name: dict[str, set[_Group[S]]] = {}

    def add(self, names: frozenset[str] | None, stream: S) -> None:
        group = self.groups.get(names)
        if group is None:
            group = self.groups[names] = _Group(names)
            for name in names or ():
                self.by_name.setdefault(name, set()).add(group)
        group.streams.add(stream)

    def remove(self, names: frozenset[str] | None, stream: S) -> None:
        group = self.groups[names]
        group.streams.remove(stream)
        if group.streams:
            return
        del self.groups[names]
        for name in names or ():
            groups = self.by_name[name]
            groups.remove(group)
            if not groups:
                del self.by_name[name]

    def interested(self, names: frozenset[str]) -> Iterator[_Group[S]]:
        if None in self.groups:
            yield self.groups[None]
        for name in self.by_name.keys() & names:
            yield from self.by_name[name]


class _Seat:
    """Where a stream is entered: its view, and type URL -> the names of its group."""

    __slots__ = ("view", "wants")

    def __init__(self, view: Hashable) -> None:
        self.view = view
        self.wants: dict[str, frozenset[str] | None] = {}


class Hub(Generic[S]):
    """The index of all streams of a server. Owned by the event loop's thread; nothing in it awaits."""

    def __init__(self) -> None:
        self._indexes: dict[tuple[Hashable, str], _Index[S]] = {}
        self._seats: dict[S, _Seat] = {}

    def join(self, view: Hashable, stream: S) -> None:
        """Enter a stream that subscribes to nothing yet, or move one to another view with all that it subscribes to."""
        before = self._seats.get(stream)
        wants = dict(before.wants) if before else {}
        self.leave(stream)
        self._seats[stream] = _Seat(view)
        for type_url, names in wants.items():
            self._place(stream, type_url, names)

    def subscribe(self, stream: S, type_url: str, names: frozenset[str] | None) -> None:
        """Record what a stream that joined wants of a type now: some names, perhaps none, or None for all."""
        wants = self._seats[stream].wants
        if type_url in wants:
            if wants[type_url] == names:
                return
            self._unplace(stream, type_url)
        if names is None or names:
            self._place(stream, type_url, names)

    def leave(self, stream: S) -> None:
        """Forget a stream; one that never joined, or left before, is fine."""
        if stream in self._seats:
            for type_url in tuple(self._seats[stream].wants):
                self._unplace(stream, type_url)
            del self._seats[stream]

    def interested(self, change: ChangeSet) -> set[S]:
        """Return the streams that subscribe to something in the change set."""
        found: set[S] = set()
        for type_url, names in change.names.items():
            index = self._indexes.get((change.view, type_url))
            if index is not None:
                found.update(*(group.streams for group in set(index.interested(names))))
        return found

    def _place(self, stream: S, type_url: str, names: frozenset[str] | None) -> None:
        seat = self._seats[stream]
        key = (seat.view, type_url)
        index = self._indexes.get(key)
        if index is None:
            index = self._indexes[key] = _Index()
        index.add(names, stream)
        seat.wants[type_url] = names

    def _unplace(self, stream: S, type_url: str) -> None:
        seat = self._seats[stream]
        key = (seat.view, type_url)
        index = self._indexes[key]
        index.remove(seat.wants.pop(type_url), stream)
        if not index.groups:
            del self._indexes[key]
