"""Tables: the resources of one type by name, immutable, so cheap to change that every publication can have its own.

A table is a base that many tables share and a few changes over it. Changing it copies the changes alone; when they have become
many, they are merged into a new base. So one changed endpoint among ten thousand services costs what it costs among a hundred,
in time and in the memory of the history.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator, KeysView, Mapping
from typing import TYPE_CHECKING, TypeVar, overload

if TYPE_CHECKING:
    from collections.abc import Iterable

    from xds.snapshot.resource import Resource

T = TypeVar("T")

MAX_CHANGES = 256
"""Over a base; few enough to copy in microseconds, many enough that merging is rare."""

_VERSIONS = 1 << 64


def set_version(resources: Iterable[Resource]) -> str:
    """Return a content hash over the names and versions of resources of one type, in whatever order they come."""
    return _as_text(_sum(resources))


def _sum(resources: Iterable[Resource]) -> int:
    return sum(map(_mark, resources)) % _VERSIONS


def _mark(resource: Resource) -> int:
    """Return what a resource adds to the version of the set that it is in: a sum, so that a change of one costs that one."""
    text = f"{len(resource.name)}:{resource.name}{resource.version}"
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8])


def _as_text(version: int) -> str:
    return f"{version:016x}"


class Table(Mapping[str, "Resource"]):
    """Name -> resource. Equal to any mapping of the same content."""

    __slots__ = ("_base", "_changes", "_perishable", "_plain", "_size", "_version")

    def __init__(self, base: Mapping[str, Resource] | None = None, version: int | None = None) -> None:
        self._base: dict[str, Resource] = dict(base or {})
        self._changes: dict[str, Resource | None] = {}
        self._plain: dict[str, Resource] | None = None
        self._perishable: frozenset[str] | None = None
        self._size = len(self._base)
        self._version = version

    @property
    def version(self) -> str:
        """Content hash over the names and versions (`set_version`); once asked for, it is kept up to date with each change."""
        if self._version is None:
            self._version = _sum(self.plain.values())
        return _as_text(self._version)

    @property
    def plain(self) -> Mapping[str, Resource]:
        """The same as a dictionary, made once: for those who look at all of it, many times."""
        if not self._changes:
            return self._base
        if self._plain is None:
            both = {**self._base, **self._changes}
            self._plain = {name: resource for name, resource in both.items() if resource is not None}
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
        table = Table(version=self._version_after(changes))
        table._base, table._changes = self._base, {**self._changes, **changes}
        gone = sum(name in self for name in changes)
        put = sum(resource is not None for resource in changes.values())
        table._size = self._size - gone + put
        return Table(table, table._version) if len(table._changes) > MAX_CHANGES else table

    def _version_after(self, changes: Mapping[str, Resource | None]) -> int | None:
        """Return the version with some changes, without a look at what does not change; None if nobody asked for this one's."""
        if self._version is None:
            return None
        gone = _sum(self[name] for name in changes if name in self)
        put = _sum(resource for resource in changes.values() if resource is not None)
        return (self._version - gone + put) % _VERSIONS

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
        changes, base = self._quick(len(names))
        found = [changes[name] if name in changes else base.get(name) for name in names]
        return [resource for resource in found if resource is not None]

    def others(self, wanted: Mapping[str, Resource | None]) -> Mapping[str, Resource | None]:
        """Return what of this is not the very object, or the very absence, that there is; it may be equal."""
        if not self._size and all(wanted.values()):  # everything, as nearly always then
            return wanted
        changes, base = self._quick(len(wanted))
        return {n: wants for n, wants in wanted.items() if (changes[n] if n in changes else base.get(n)) is not wants}

    def _quick(self, names: int) -> tuple[Mapping[str, Resource | None], Mapping[str, Resource]]:
        """Return the changes and the base in which to look up as many names in the least time."""
        return ({}, self.plain) if names * 4 > self._size else (self._changes, self._base)

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
