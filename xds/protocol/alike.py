"""Alike: requests that are the same, and long ones that say the same, are made into values once.

The ACKs of a response that a thousand streams were sent are the same bytes, in state of the world with a thousand names in them.

A thousand proxies of one view name the same thousand clusters, and say that they hold the same versions of them, each in an
order of its own. To compare two takes a fraction of what it takes to make values of one; and whoever gets the same object has
found out already what there is to find out about it (`xds.protocol.claims`, `xds.protocol.interest.shared`).
"""

from __future__ import annotations

from collections.abc import Sized
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from google.protobuf.message import Message

LONG: Final = 32
"""Names of a request from which on it is worth the comparison."""
KEPT: Final = 8
"""Requests that are remembered, the latest ones."""
KEPT_BYTES: Final = 8 << 20
"""Size of all that are remembered, so that no client can fill our memory."""

SAME: Final = 4
"""Requests that are remembered by their bytes, the latest ones."""
SAME_BYTES: Final = 256 << 10
"""Size up to which one is remembered."""

M = TypeVar("M", bound="Message")
S = TypeVar("S", bound=Sized)
T = TypeVar("T")


class Alike(Generic[M, T]):
    """The long requests of one kind that came lately.

    Args:
        make: makes the value of a message; what it raises is the caller's, and remembered is nothing then.
        others: fields of a message of which the value does not depend.
    """

    def __init__(self, make: Callable[[M], T], others: Sequence[str]) -> None:
        self._make = make
        self._others = others
        self._recent: list[tuple[M, T, int]] = []
        """Messages without the other fields, their values, and their sizes in bytes; the latest used first."""

    def value_of(self, message: M, names: int) -> T:
        """Return the value of a message that is the caller's no more; `names`: how many names are in it."""
        if names < LONG:
            return self._make(message)
        for field in self._others:
            message.ClearField(field)
        if _is_first(message, self._recent):
            return self._recent[0][1]
        value = self._make(message)
        kept = type(message)()
        kept.CopyFrom(message)  # a message has all that it ever held in its memory, cleared or not
        _remember(self._recent, (kept, value, kept.ByteSize()))
        return value


class Unordered(Generic[S]):
    """The long maps of one kind that came lately, as lists of their entries, in any order.

    Args:
        make: makes the value of a map, which has an item for each entry unless a key is there twice or an entry is not read; what
            it raises is the caller's, and remembered is nothing then.
    """

    def __init__(self, make: Callable[[Sequence[bytes]], S]) -> None:
        self._make = make
        self._recent: list[tuple[frozenset[bytes], S, int]] = []
        """Entries, their value, and their size in bytes; the latest used first."""

    def value_of(self, entries: Sequence[bytes]) -> S:
        """Return the value of a map."""
        if len(entries) < LONG:
            return self._make(entries)
        for place, (known, value, _) in enumerate(self._recent):
            # The first one tells nearly always; who has as many, and none is left over, has all of them once.
            if entries[0] in known and len(entries) == len(known) and not known.difference(entries):
                _put_first(self._recent, place)
                return value
        value = self._make(entries)
        if len(value) == len(entries):  # else the order may matter: of a key that is there twice, the last one counts
            _remember(self._recent, (frozenset(entries), value, sum(map(len, entries))))
        return value


class Same(Generic[T]):
    """The requests that came lately, by their bytes.

    Args:
        make: makes the value, which nobody may change, of the bytes; what it raises is the caller's, and not remembered.
        is_common: returns whether others may say the same as a value.
    """

    def __init__(self, make: Callable[[bytes], T], is_common: Callable[[T], bool]) -> None:
        self._make = make
        self._is_common = is_common
        self._recent: list[tuple[bytes, T]] = []
        """The latest used first."""

    def value_of(self, data: bytes) -> T:
        """Return the value of some bytes."""
        if _is_first(data, self._recent):
            return self._recent[0][1]
        value = self._make(data)
        if len(data) <= SAME_BYTES and self._is_common(value):
            self._recent = [(data, value), *self._recent[: SAME - 1]]
        return value


def _is_first(key: object, recent: list[Any]) -> bool:
    """Return whether there is an entry that begins with a key; it stands first then."""
    for place, entry in enumerate(recent):
        if entry[0] == key:
            _put_first(recent, place)
            return True
    return False


def _put_first(recent: list[Any], place: int) -> None:
    if place:
        recent.insert(0, recent.pop(place))


def _remember(recent: list[tuple[Any, Any, int]], entry: tuple[Any, Any, int]) -> None:
    """Put in an entry, and forget those that were not used for longest, until few enough are left."""
    recent.insert(0, entry)
    while len(recent) > KEPT or sum([size for _, _, size in recent]) > KEPT_BYTES:
        recent.pop()
