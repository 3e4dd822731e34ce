"""A directory read again and again: each pass reads the files that changed and says what differs."""

from __future__ import annotations

import hashlib
import os
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from xds.discovery.directory import FoundFile, Listing, Stamp, list_directory, read_file, reason
from xds.discovery.inventory import Inventory
from xds.discovery.manifests import Manifest, broken_manifest, read_manifest
from xds.errors import ConfigurationError
from xds.model.events import FLEET, Health, MemberState, Synced
from xds.problems import Problem

if TYPE_CHECKING:
    from pathlib import Path

    from xds.model.events import Event

MAX_FILE_BYTES: Final = 32 * 1024 * 1024
RACY_NS: Final = 2_000_000_000
"""A file modified as shortly as this before it was looked at may be modified again within its time stamp's grain, unnoticed."""


@dataclass(frozen=True, slots=True)
class Pass:
    """What one pass over the directory gave."""

    events: list[Event]
    problems: tuple[Problem, ...]
    """Everything that is wrong now, sorted."""


@dataclass(slots=True)
class _Known:
    """What we remember of a file."""

    stamp: Stamp | None
    is_racy: bool
    digest: bytes = b""
    """Of the content that was decoded last; empty if it could not be read."""


class Readings:
    """One directory, its inventory and what is known of its files. Not thread-safe: one pass at a time.

    Args:
        root: the directory.
        max_file_bytes: larger files are not read.
        is_alone: whether no other source tells of clusters.
    """

    def __init__(self, root: Path, *, max_file_bytes: int = MAX_FILE_BYTES, is_alone: bool = True) -> None:
        self.root = root
        self._is_alone = is_alone
        self.max_file_bytes = max_file_bytes
        self.inventory = Inventory()
        self.clusters: frozenset[str] = frozenset()
        self._known: dict[str, _Known] = {}
        self._has_listed = False

    def check(self) -> None:
        """See whether the directory can be listed, without reading what is in it.

        Raises:
            ConfigurationError: it cannot.
        """
        try:
            with os.scandir(self.root):
                pass
        except OSError as error:
            self._unlisted(error)

    def next_pass(self) -> Pass:
        """Look at every file, read what changed, and return the differences since the pass before.

        The first pass says everything; then that each cluster, and the fleet, is complete.

        Raises:
            ConfigurationError: the directory cannot be listed, and never could.
        """
        try:
            listing = list_directory(self.root, is_alone=self._is_alone)
        except OSError as error:
            return self._unlisted(error)
        events: list[Event] = [*self.inventory.apply(self._changed(listing))]
        events += self._arrivals(listing)
        self._has_listed = True
        found = {*listing.problems, *self.inventory.problems()}
        problems = sorted(found | _too_high(self.root, listing, found), key=_by_place)
        return Pass(events, tuple(problems))

    def _unlisted(self, error: OSError) -> Pass:
        text = f"{self.root}: {reason(error)}"
        if not self._has_listed:
            hint = "name a directory that holds a directory of manifests for each cluster"
            raise ConfigurationError(f"{text}; {hint}") from error
        problem = Problem("XDS0103", f"{text}; what was read of it stays in force", hint="bring the directory back")
        return Pass([], tuple(sorted({problem, *self.inventory.problems()}, key=_by_place)))

    def _arrivals(self, listing: Listing) -> list[Event]:
        """Tell of clusters that were not there before, of those that are gone, and at first of the fleet."""
        new, gone = sorted(listing.clusters - self.clusters), sorted(self.clusters - listing.clusters)
        self.clusters = frozenset(listing.clusters)
        synced = new if self._has_listed else [*new, FLEET]
        return [
            *map(Synced, synced),
            *(Health(cluster, MemberState.CONNECTED) for cluster in new),
            *(Health(cluster, MemberState.LOST, f"there is no directory {cluster}") for cluster in gone),
        ]

    def _changed(self, listing: Listing) -> dict[str, Manifest | None]:
        readings: dict[str, Manifest | None] = {}
        for path in [path for path in self._known if path not in listing.files and not listing.hides(path)]:
            del self._known[path]
            readings[path] = None
        for path, found in listing.files.items():
            known = self._known.get(path)
            if known is None or known.is_racy or known.stamp != found.stamp:
                self._read(found, readings)
        return readings

    def _read(self, found: FoundFile, readings: dict[str, Manifest | None]) -> None:
        """Read one file, and decode it if its content is new."""
        is_racy = found.stamp is None or time.time_ns() - found.stamp.modified_ns < RACY_NS
        before = self._known.get(found.path)
        known = self._known[found.path] = _Known(found.stamp, is_racy)
        content = self._content(found)
        if content is None:
            del self._known[found.path]
            if before:
                readings[found.path] = None
        elif isinstance(content, Manifest):
            readings[found.path] = content
        else:
            known.digest = hashlib.blake2b(content, digest_size=16).digest()
            if before is None or before.digest != known.digest:
                readings[found.path] = read_manifest(found.path, found.cluster, content, self.inventory.latest(found.path))

    def _content(self, found: FoundFile) -> bytes | Manifest | None:
        """Return a file's bytes; a broken manifest if they cannot be had; None if the file is gone."""
        problem = Problem("XDS0103", found.error)
        if found.stamp and not found.stamp.is_regular:
            problem = Problem("XDS0103", "is not a regular file")
        elif found.stamp:
            try:
                content = read_file(self.root / found.path, self.max_file_bytes)
            except FileNotFoundError:
                return None
            except OSError as error:
                hint = "let the control plane's user read it" if isinstance(error, PermissionError) else ""
                problem = Problem("XDS0103", f"cannot be read: {reason(error)}", hint=hint)
            else:
                if len(content) <= self.max_file_bytes:
                    return content
                problem = Problem("XDS0104", f"is larger than {self.max_file_bytes:,} bytes", hint="split the file")
        return broken_manifest(found.path, found.cluster, problem)


def _too_high(root: Path, listing: Listing, problems: set[Problem]) -> set[Problem]:
    """Return a problem for each directory with MemberClusters and directories of their names: fleets, not clusters."""
    members = {(found.ref.cluster, found.ref.name) for found in problems if found.ref and found.ref.kind == "MemberCluster"}
    inner = {tuple(path.split("/")[:2]) for path in listing.files if path.count("/") > 1} if members else set()
    fleets = sorted({cluster for cluster, name in members if (cluster, name) in inner})
    return {
        Problem(
            "XDS0111",
            f"{root}/{name} looks like a fleet's directory, but was read as a cluster's; expected {root}/<cluster>/….yaml",
            hint=f"serve {root}/{name} instead",
        )
        for name in fleets
    }


def _by_place(problem: Problem) -> tuple[str, int, str]:
    path, _, line = problem.source.rpartition(":")
    return (path, int(line), str(problem)) if line.isdigit() else (problem.source, 0, str(problem))
