"""Layers: what many streams have in common is kept once, with what is different on each over it.

The clients of a view hold the same thousands of resources. A stream records what its client holds as changes over a *ground*
that it shares with others, so that its memory depends on how it differs from them, and to take in a first sync, or what
a client claims when it reconnects, costs the same however much that is.
"""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping
from collections.abc import Set as AbstractSet
from typing import TYPE_CHECKING, Any, Final, TypeVar, overload
from weakref import ref

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

MOST = 64
"""Changes over a ground, beyond which another ground is looked for, or made."""
HEIRS: Final = 8
"""Grounds that are remembered of those that were made of one."""

V = TypeVar("V")
T = TypeVar("T")

_GONE: Final[Any] = object()
"""Stands for what is in the ground and was taken out since."""


class Ground(dict[str, V]):
    """Name -> value. Not to be changed."""

    __slots__ = ("__weakref__", "_absent", "_heirs", "_is_whole", "_present", "changes")

    def __init__(self, content: Mapping[str, V] | Iterable[tuple[str, V]] = (), changes: Mapping[str, V] | None = None) -> None:
        super().__init__(content)
        self.changes: Mapping[str, V] = changes or {}
        """By which it was made of another one."""
        self._is_whole: bool | None = None
        self._present: Ground[V] | None = None
        self._absent: Ground[Any] | None = None
        self._heirs: list[ref[Ground[V]]] = []
        """What was made of this one, the latest first, as long as somebody uses it."""

    @property
    def present(self) -> Ground[V]:
        """Without the names that stand for None."""
        if self._is_whole is None:
            self._is_whole = all(value is not None for value in self.values())
        if self._is_whole:  # which is not remembered as a reference to ourselves: nobody would find that for minutes
            return self
        if self._present is None:
            self._present = Ground({name: value for name, value in self.items() if value is not None})
        return self._present

    @property
    def absent(self) -> Ground[Any]:
        """The same names, each standing for None."""
        if self._absent is None:
            self._absent = Ground(dict.fromkeys(self))
        return self._absent

    def heirs(self) -> list[Ground[V]]:
        """Return the grounds that were made of this one and are in use."""
        return [heir for found in self._heirs if (heir := found()) is not None]

    def put_heir(self, heir: Ground[V]) -> None:
        """Remember what was made of this one."""
        self._heirs = [ref(heir), *[found for found in self._heirs if found() is not None][: HEIRS - 1]]


_BARE: Final[Ground[Any]] = Ground()


class Layered(MutableMapping[str, V]):
    """Name -> value, of which much may be shared. Values that are equal are as good as the same."""

    __slots__ = ("_ground", "_own", "size")

    def __init__(self) -> None:
        self._ground: Ground[V] = _BARE
        self._own: dict[str, V] = {}
        """What is not in the ground, or other than there; _GONE for what is there alone."""
        self.size = 0
        """How many there are: `len`, without the call."""

    def rest_on(self, ground: Ground[V]) -> None:
        """Be like a ground."""
        self._ground, self._own, self.size = ground, {}, len(ground)

    def among(self, names: AbstractSet[str]) -> set[str]:
        """Return which of some names there are."""
        if len(names) > self.size:
            return {name for name in self if name in names}
        own, ground = self._own, self._ground
        return {name for name in names if (own[name] is not _GONE if name in own else name in ground)}

    def lacking(self, names: Iterable[str]) -> list[str]:
        """Return which of some names there are not."""
        own, ground = self._own, self._ground
        return [name for name in names if (own[name] is _GONE if name in own else name not in ground)]

    def picked(self, names: Collection[str]) -> dict[str, V | None]:
        """Return name -> value of some names, None where there is none: of many, in a fraction of the time that `get` takes."""
        own, value_of = self._own, self._ground.get
        found = {name: value_of(name) for name in names}
        for name in own.keys() & names:
            found[name] = None if own[name] is _GONE else own[name]
        return found

    def put(self, content: Mapping[str, V]) -> None:
        """Put in all of this, which may be much."""
        own, ground = self._own, self._ground
        if own or ground:
            for name in content:
                if own[name] is _GONE if name in own else name not in ground:
                    self.size += 1
        else:
            self.size = len(content)
        own.update(content)
        if len(self._own) > MOST:
            self._settle()

    def drop(self, names: Collection[str]) -> None:
        """Take out all of these, which are there and may be many."""
        own, ground = self._own, self._ground
        for name in names:
            if name in ground:
                own[name] = _GONE
            else:
                del own[name]
        self.size -= len(names)
        if len(own) > MOST:
            self._settle()

    def swap(self, name: str, value: V) -> V | None:
        """Put in one value, and return what was there before; None if nothing was."""
        own = self._own
        had = own[name] if name in own else self._ground.get(name, _GONE)
        if had is _GONE:
            self.size += 1
            had = None
        own[name] = value
        if len(own) > MOST:
            self._settle()
        return had

    def clear(self) -> None:
        """Take out everything."""
        if self.size or self._own:
            self.rest_on(_BARE)

    def merged(self) -> dict[str, V]:
        """Return the same as a dictionary, the caller's own."""
        found = {**self._ground, **self._own}
        return {name: value for name, value in found.items() if value is not _GONE} if len(found) > self.size else found

    @overload
    def get(self, name: str) -> V | None: ...
    @overload
    def get(self, name: str, default: T) -> V | T: ...
    def get(self, name: str, default: T | None = None) -> V | T | None:
        """Return a value, or the default; the hot path of every push."""
        found = self._own.get(name, self) if self._own else self
        if found is self:
            return self._ground.get(name, default)
        return default if found is _GONE else found  # type: ignore[return-value]

    def __getitem__(self, name: str) -> V:
        found = self._own[name] if name in self._own else self._ground[name]
        if found is _GONE:
            raise KeyError(name)
        return found

    def __contains__(self, name: object) -> bool:
        return self._own[name] is not _GONE if name in self._own else name in self._ground

    def __len__(self) -> int:
        return self.size

    def __iter__(self) -> Iterator[str]:
        return iter(self.merged() if self._own else self._ground)

    def __setitem__(self, name: str, value: V) -> None:
        self.swap(name, value)

    def __delitem__(self, name: str) -> None:
        if name not in self:
            raise KeyError(name)
        self.drop((name,))

    def _settle(self) -> None:
        """Rest on a ground that is much like this: one that others made of the same, or one of our own that they will find."""
        heirs = self._ground.heirs()
        for heir in heirs:
            if self._own == heir.changes:  # as nearly always, and quick
                self._ground, self._own = heir, {}
                return
        for heir in heirs:
            own = self._differing(heir)
            if own is not None:
                self._ground, self._own = heir, own
                return
        made = Ground(self.merged(), self._own)
        self._ground.put_heir(made)
        self._ground, self._own = made, {}

    def _differing(self, heir: Ground[V]) -> dict[str, V] | None:
        """Return what would be different from an heir of our ground; None if that is too much."""
        own, changes, ground = self._own, heir.changes, self._ground
        if len(own.keys() ^ changes.keys()) > MOST // 2:
            return None
        differing = {name: value for name, value in own.items() if changes.get(name, ground) is not value}
        differing.update({name: ground.get(name, _GONE) for name in changes.keys() - own.keys()})
        return differing if len(differing) <= MOST // 2 else None
