"""The directory: which files are manifests, whose they are, and whether they changed. Reads names and stamps, then bytes."""

from __future__ import annotations

import os
import re
import stat
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from xds.model.events import FLEET
from xds.problems import Problem

if TYPE_CHECKING:
    from collections.abc import Container
    from pathlib import Path

SUFFIXES: Final = (".yaml", ".yml", ".json")
OVERRIDES: Final = ".overrides.yaml"
"""What operators override (TrafficOverride): fleet-wide, and hidden, so that it is not taken for what a repository holds."""
_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")


@dataclass(frozen=True, slots=True)
class Stamp:
    """What tells whether a file changed, without reading it."""

    modified_ns: int
    changed_ns: int
    """Of the inode: catches a chmod, and tools that set the modification time back."""
    size_bytes: int
    inode: int
    device: int
    is_regular: bool


@dataclass(frozen=True, slots=True)
class FoundFile:
    """One manifest file."""

    path: str
    """Relative to the directory, with `/`."""
    cluster: str
    stamp: Stamp | None
    """None if the file cannot be looked at."""
    error: str = ""
    """Why not."""


@dataclass(slots=True)
class Listing:
    """Everything of interest in a directory at one moment."""

    clusters: set[str] = field(default_factory=set)
    files: dict[str, FoundFile] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    opaque: list[str] = field(default_factory=list)
    """Directories that cannot be listed, with a `/` at the end: nothing is known of what is in them now."""

    def hides(self, path: str) -> bool:
        """Return True if the file may still be there although it was not found."""
        return any(path.startswith(directory) for directory in self.opaque)


def list_directory(root: Path, *, is_alone: bool = True) -> Listing:
    """List the manifests below a directory. Follows symbolic links; leaves out names that begin with a dot, overrides aside.

    Args:
        root: the directory.
        is_alone: whether no other source tells of clusters, so that files without a cluster are of no use.

    Raises:
        OSError: the directory itself cannot be listed.
    """
    listing = Listing()
    for entry in _entries(os.fspath(root), "", listing, {OVERRIDES}):
        if entry.name == OVERRIDES and _is_directory(entry):
            message = "a directory stands where the file of overrides is expected; ignored"
            listing.problems.append(Problem("XDS0109", message, hint="remove it", source=f"{OVERRIDES}/"))
        elif _is_directory(entry):
            _note_cluster(entry, listing)
        elif _is_manifest(entry):
            _note_file(entry, entry.name, FLEET, listing)
        elif _LABEL.fullmatch(entry.name) and not entry.name.isdigit():  # vim tries whether it may write with a file 4913
            message = "a file stands where the directory of a cluster is expected; ignored"
            hint = f"make {entry.name} a directory, or give the file the suffix .yaml"
            listing.problems.append(Problem("XDS0109", message, hint=hint, source=entry.name))
    if not (listing.clusters or listing.problems or (listing.files and not is_alone)):
        message = f"{root} holds no cluster directories; expected {root}/<cluster>/….yaml"
        hint = "name the directory that holds a directory of manifests for each cluster"
        listing.problems.append(Problem("XDS0111", message, hint=hint))
    return listing


def read_file(path: Path, limit_bytes: int) -> bytes:
    """Return the content of a file, at most one byte more than the limit.

    Raises:
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        return file.read(limit_bytes + 1)


def reason(error: OSError) -> str:
    """Say what is wrong with a file, in words."""
    return (error.strerror or type(error).__name__).lower()


def _entries(directory: str, path: str, listing: Listing, hidden: Container[str] = ()) -> list[os.DirEntry[str]]:
    """Return the entries of a directory that count, sorted by name.

    Args:
        directory: which one.
        path: of it, as problems name it.
        listing: gets the problems.
        hidden: names that count though they begin with a dot.

    Raises:
        OSError: it cannot be listed.
    """
    with os.scandir(directory) as found:
        entries = [entry for entry in found if not entry.name.startswith(".") or entry.name in hidden]
    for entry in entries:
        if not entry.name.isprintable():  # nor could it be shown: file names are bytes, problems are UTF-8
            source = path + entry.name.encode("unicode_escape", "backslashreplace").decode()
            listing.problems.append(Problem("XDS0109", "the name is not printable; ignored", hint="rename it", source=source))
    return sorted((entry for entry in entries if entry.name.isprintable()), key=lambda entry: entry.name)


def _is_directory(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a loop of symbolic links; if it is named as a manifest, reading it will say so
        return False


def _is_manifest(entry: os.DirEntry[str]) -> bool:
    return entry.name.lower().endswith(SUFFIXES)


def _note_cluster(entry: os.DirEntry[str], listing: Listing) -> None:
    """List all that is below the directory of a cluster; each directory once, however many symbolic links lead to it."""
    if not _LABEL.fullmatch(entry.name):
        message = "the name of the directory is not that of a cluster; ignored"
        hint = "a directory here holds the manifests of the cluster it is named after: at most 63 of a-z, 0-9 and '-'"
        listing.problems.append(Problem("XDS0109", message, hint=hint, source=f"{entry.name}/"))
        return
    listing.clusters.add(entry.name)
    seen: set[tuple[int, int]] = set()
    waiting = [(entry, f"{entry.name}/")]
    while waiting:
        directory, path = waiting.pop()
        try:
            identity = _identity(directory)
            if identity in seen:
                message = "a symbolic link leads to this directory a second time; not followed"
                listing.problems.append(Problem("XDS0109", message, hint="remove one of the links", source=path))
                continue
            seen.add(identity)
            below = _entries(directory.path, path, listing)
        except FileNotFoundError:
            continue  # it vanished just now
        except OSError as error:
            listing.opaque.append(path)
            listing.problems.append(Problem("XDS0103", f"cannot be listed: {reason(error)}", source=path))
            continue
        waiting += _note_entries(below, path, entry.name, listing)


def _identity(directory: os.DirEntry[str]) -> tuple[int, int]:
    status = directory.stat()
    return status.st_dev, status.st_ino


def _note_entries(
    entries: list[os.DirEntry[str]], path: str, cluster: str, listing: Listing
) -> list[tuple[os.DirEntry[str], str]]:
    """Note the files of one directory; return the directories in it, last name first."""
    directories = []
    for entry in entries:
        below = path + entry.name
        if _is_directory(entry):
            if _is_manifest(entry):
                message = "a directory has the name of a manifest; ignored"
                listing.problems.append(Problem("XDS0109", message, hint="rename the directory", source=f"{below}/"))
            else:
                directories.append((entry, f"{below}/"))
        elif _is_manifest(entry):
            _note_file(entry, below, cluster, listing)
    return directories[::-1]


def _note_file(entry: os.DirEntry[str], path: str, cluster: str, listing: Listing) -> None:
    try:
        status = entry.stat()
    except FileNotFoundError:
        if entry.is_symlink():  # otherwise it vanished just now
            listing.files[path] = FoundFile(path, cluster, None, "a symbolic link to nothing")
    except OSError as error:
        listing.files[path] = FoundFile(path, cluster, None, f"cannot be read: {reason(error)}")
    else:
        stamp = Stamp(
            modified_ns=status.st_mtime_ns,
            changed_ns=status.st_ctime_ns,
            size_bytes=status.st_size,
            inode=status.st_ino,
            device=status.st_dev,
            is_regular=stat.S_ISREG(status.st_mode),
        )
        listing.files[path] = FoundFile(path, cluster, stamp)
