"""What the files hold: manifests in, the differences between objects out. No I/O, no clock.

Each file's newest good reading counts; an object that several files define belongs to the first of them by path.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from xds.model.events import Delete, ObjectKey, Upsert, ref_of
from xds.problems import Problem

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from xds.discovery.manifests import Manifest
    from xds.model.objects import KubernetesObject

SPOILING: Final = frozenset(("XDS0101", "XDS0102", "XDS0103", "XDS0104", "XDS0108"))
"""What makes a reading incomplete: one says with it what is in force instead."""
Identity = tuple[str, ObjectKey]
"""Cluster and key."""


def placed(problem: Problem, place: Callable[[Identity], str]) -> Problem:
    """Return a problem that a later stage found with the place of its object, if a file defines that."""
    if problem.source or problem.ref is None:
        return problem
    ref = problem.ref
    return replace(problem, source=place((ref.cluster, ObjectKey(ref.kind, ref.namespace, ref.name))))


class Inventory:
    """The objects of all files, each file's problems, and who defines what."""

    def __init__(self) -> None:
        self._good: dict[str, Manifest] = {}
        """File -> the reading whose objects count."""
        self._latest: dict[str, Manifest] = {}
        """File -> the newest reading, whose problems count."""
        self._claims: dict[Identity, set[str]] = {}
        """Object -> the files that define it."""
        self._contested: set[Identity] = set()
        """The objects that more than one file defines."""
        self._served: dict[Identity, KubernetesObject] = {}
        self._owners: dict[Identity, str] = {}
        """Object -> the file whose definition counts."""

    @property
    def objects(self) -> Mapping[Identity, KubernetesObject]:
        """The objects that count, in no order."""
        return self._served

    def place(self, identity: Identity) -> str:
        """Return `FILE:LINE` of an object that counts; "" if no file defines it.

        May be called while another thread applies readings: it looks up and never iterates.
        """
        path = self._owners.get(identity, "")
        good = self._good.get(path)
        item = good.items.get(identity[1]) if good else None
        return f"{path}:{item.line}" if item else ""

    def latest(self, path: str) -> Manifest | None:
        """Return the newest reading of a file."""
        return self._latest.get(path)

    def apply(self, readings: Mapping[str, Manifest | None]) -> list[Upsert | Delete]:
        """Take new readings of files, None for a file that is gone, and return what differs now, sorted by object.

        A reading that is not complete changes nothing but the problems while there is an earlier complete one.
        """
        touched: set[Identity] = set()
        for path, manifest in readings.items():
            before = self._good.get(path)
            if manifest is None:
                self._latest.pop(path, None)
                self._good.pop(path, None)
            else:
                self._latest[path] = manifest
                if not manifest.complete and before is not None and before.complete:
                    continue
                self._good[path] = manifest
            touched |= self._reclaim(path, before, manifest)
        return [event for identity in sorted(touched) if (event := self._settle(identity))]

    def problems(self) -> Iterator[Problem]:
        """Yield what is wrong now, in no order."""
        for path, manifest in self._latest.items():
            if manifest.complete:
                yield from manifest.problems
            else:
                yield from self._with_what_is_in_force(path, manifest)
        for identity in self._contested:
            first, *others = sorted(self._claims[identity])
            cluster, key = identity
            for path in others:
                kept = self._good[first].items[key]
                item = self._good[path].items[key]
                message = f"already defined in {first}:{kept.line}; this one is ignored"
                source = f"{path}:{item.line}"
                yield Problem("XDS0105", message, ref_of(cluster, item.object), hint="keep one of them", source=source)

    def _with_what_is_in_force(self, path: str, manifest: Manifest) -> Iterator[Problem]:
        good = self._good[path]
        if good is not manifest:
            in_force = "the last good objects of the file stay in force"
        else:
            rest = "its other objects are" if good.items else "nothing of it is"
            in_force = f"{rest} in force: the file was never whole"
        for problem in manifest.problems:
            # A file that is blank from the start lacks nothing.
            spoils = problem.code in SPOILING and (good is not manifest or problem.code != "XDS0108")
            yield replace(problem, hint="; ".join(filter(None, (problem.hint, in_force)))) if spoils else problem

    def _reclaim(self, path: str, before: Manifest | None, after: Manifest | None) -> set[Identity]:
        """Note what a file defines; return the objects it defines now or defined before."""
        old = {(before.cluster, key) for key in before.items} if before else set()
        new = {(after.cluster, key) for key in after.items} if after else set()
        for identity in old - new:
            self._claims[identity].discard(path)
        for identity in new - old:
            self._claims.setdefault(identity, set()).add(path)
        return old | new

    def _settle(self, identity: Identity) -> Upsert | Delete | None:
        """Bring one object up to date; return what that changed."""
        cluster, key = identity
        claims = self._claims[identity]
        (self._contested.add if len(claims) > 1 else self._contested.discard)(identity)
        before = self._served.get(identity)
        if not claims:
            del self._claims[identity]
            self._served.pop(identity, None)
            self._owners.pop(identity, None)
            return Delete(cluster, key) if before is not None else None
        path = self._owners[identity] = min(claims)
        after = self._good[path].items[key].object
        self._served[identity] = after
        return Upsert(cluster, after) if after != before else None
