"""Tables: the resources of one type by name, immutable, so cheap to change that every publication can have its own.

A table is a base that many tables share and a few changes over it. Changing it copies the changes alone; when they have become
many, they are merged into a new base. So one changed endpoint among ten thousand services costs what it costs among a hundred,
in time and in the memory of the history.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, KeysView, Mapping
from typing import TYPE_CHECKING, TypeVar, overload

if TYPE_CHECKING:
    from xds.snapshot.resource import Resource

T = TypeVar("T")

MAX_CHANGES = 256
"""Over a base; few enough to copy in microseconds, many enough that merging is rare."""


class Table(Mapping[str, "Resource"]):
    """Name -> resource. Equal to any mapping of the same content."""

    __slots__ = ("_base", "_changes", "_perishable", "_plain", "_size")

    def __init__(self, base: Mapping[str, Resource] | None = None) -> None:
        self._base: dict[str, Resource] = dict(base or {})
        self._changes: dict[str, Resource | None] = {}
        self._plain: dict[str, Resource] | None = None
        self._perishable: frozenset[str] | None = None
        self._size = len(self._base)

    @property
    def plain(self) -> Mapping[str, Resource]:
        """The same as a dictionary, made once: for those who look at all of it, many times."""
        if not self._changes:
            return self._base
        if self._plain is None:
            self._plain = dict(self.items())
        return self._plain

    @property
    def perishable(self) -> frozenset[str]:
        """Names of what has a time to live."""
        if self._perishable is None:
            self._perishable = frozenset(name for name, resource in self.plain.items() if resource.ttl_s is not None)
        return self._perishable

    def changed(self, changes: Mapping[str, Resource | None]) -> Table:
        """Return a table with these resources put in, or taken out where there is None."""
        if not self._size:
            return Table({name: resource for name, resource in changes.items() if resource is not None})
        self._plain = None  # who is succeeded is seldom asked any more, and kept for long
        table = Table()
        table._base, table._changes = self._base, {**self._changes, **changes}
        gone = sum(name in self for name in changes)
        put = sum(resource is not None for resource in changes.values())
        table._size = self._size - gone + put
        return Table(table) if len(table._changes) > MAX_CHANGES else table

    def __getitem__(self, name: str) -> Resource:
        found = self._changes[name] if name in self._changes else self._base[name]
        if found is None:
            raise KeyError(name)
        return found

    @overload
    def get(self, name: str) -> Resource | None: ...
    @overload
    def get(self, name: str, default: T) -> Resource | T: ...
    def get(self, name: str, default: T | None = None) -> Resource | T | None:
        """Return a resource, or the default; the hot path of every push."""
        found = self._changes[name] if name in self._changes else self._base.get(name)
        return default if found is None else found

    def present(self, names: Collection[str]) -> list[Resource]:
        """Return the resources that there are of these names, in their order."""
        get = self.plain.get if len(names) * 4 > self._size else self.get
        return [resource for name in names if (resource := get(name)) is not None]

    def __contains__(self, name: object) -> bool:
        return self._changes[name] is not None if name in self._changes else name in self._base

    def __iter__(self) -> Iterator[str]:
        if not self._changes:
            return iter(self._base)
        return self._merged()

    def __len__(self) -> int:
        return self._size

    def keys(self) -> KeysView[str]:
        """Return the names; a plain dictionary's view, with its quick set operations, where nothing has changed."""
        return super().keys() if self._changes else self._base.keys()

    def _merged(self) -> Iterator[str]:
        for name in self._base:
            if name not in self._changes:
                yield name
        for name, resource in self._changes.items():
            if resource is not None:
                yield name
