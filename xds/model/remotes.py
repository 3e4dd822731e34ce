"""The remotes: what Flomesh's objects come to in every cluster, made anew where something changed that they depend on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from xds.model import flomesh_objects as flomesh
from xds.model.events import ObjectKey
from xds.model.flomesh import Remote, RemoteInput, build_remote
from xds.model.service import ServiceKey

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from xds.model.cluster import Cluster
    from xds.model.members import Member
    from xds.model.objects import KubernetesObject
    from xds.problems import Problem

FLOMESH_KINDS: Final = tuple(f"{kind}.{group}" for group in flomesh.GROUPS for kind in flomesh.STRUCTS)
"""The names of the kinds that they are made of, in the order in which they count."""


class Remotes:
    """Holds the remotes and their problems."""

    def __init__(self) -> None:
        self.found: dict[ServiceKey, Remote] = {}
        """By name and cluster."""
        self._problems: dict[ServiceKey, tuple[Problem, ...]] = {}
        """Of those that have some."""
        self._dirty: set[ServiceKey] = set()
        self._names: dict[str, str] = {}
        """Each name of a member -> the member's own."""

    def problems(self) -> Iterator[Problem]:
        """Yield what is wrong with the objects."""
        for found in self._problems.values():
            yield from found

    def touch(self, cluster: str, key: ObjectKey) -> None:
        """Take into account that an object changed."""
        name = ServiceKey(key.namespace, key.name, cluster)
        if key.kind in FLOMESH_KINDS or (key.kind == "Service" and name in self.found):
            self._dirty.add(name)

    def rename(self, known: Mapping[str, Member]) -> None:
        """Take into account that members may have come, gone, or be called otherwise."""
        before, self._names = self._names, {name: member.name for name, member in known.items()}
        changed = {name for name in before.keys() | self._names.keys() if before.get(name) != self._names.get(name)}
        if changed:
            self._dirty.update(key for key, remote in self.found.items() if not changed.isdisjoint(remote.mentioned))
            self._dirty.update(self._problems)  # a name may be the nearest one by now

    def move(self, members: Iterable[str]) -> None:
        """Take into account that members are elsewhere now."""
        moved = {*members}
        names = {name for name, member in self._names.items() if member in moved}
        self._dirty.update(key for key, remote in self.found.items() if not names.isdisjoint(remote.mentioned))

    def rebuild(self, clusters: Mapping[str, Cluster], known: Mapping[str, Member]) -> set[ServiceKey]:
        """Make anew what depends on what changed; return those from which something else follows now."""
        dirty, self._dirty = self._dirty, set()
        changed: set[ServiceKey] = set()
        for key in sorted(dirty):
            given = _input(key, clusters[key.scope].items, known)
            before = self.found.get(key)
            if given.exports or given.imports or given.policies:
                self.found[key], problems = build_remote(given)
            else:
                self.found.pop(key, None)
                problems = ()
            if problems:
                self._problems[key] = problems
            else:
                self._problems.pop(key, None)
            if self.found.get(key) != before:
                changed.add(key)
        return changed


def _input(key: ServiceKey, items: Mapping[ObjectKey, KubernetesObject], known: Mapping[str, Member]) -> RemoteInput:
    there = [items.get(ObjectKey(kind, key.namespace, key.name)) for kind in FLOMESH_KINDS]
    return RemoteInput(
        key=key,
        exports=tuple(item for item in there if isinstance(item, flomesh.FlomeshExport)),
        imports=tuple(item for item in there if isinstance(item, flomesh.FlomeshImport)),
        policies=tuple(item for item in there if isinstance(item, flomesh.GlobalTrafficPolicy)),
        service=items.get(ObjectKey("Service", key.namespace, key.name)),
        known=known,
    )
