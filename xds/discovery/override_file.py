"""`DIR/.overrides.yaml`, changed one object at a time: the text of the others stays as it is, comments and all."""

from __future__ import annotations

import fcntl
import os
import re
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import yaml

from xds.discovery.directory import OVERRIDES, reason
from xds.discovery.manifests import read_manifest
from xds.errors import XdsError
from xds.model.events import FLEET
from xds.model.traffic_objects import TrafficOverride

if TYPE_CHECKING:
    from collections.abc import Iterator

_SEPARATOR: Final = re.compile(r"^---(?=\s|$)", re.MULTILINE)
_CLOSED: Final = re.compile(r"^\.\.\.\s*\Z", re.MULTILINE)
_MODE: Final = 0o644
"""Of a new file, which the control plane has to read, maybe as another user."""


class OverrideFileError(XdsError):
    """A file of overrides that cannot be read or written."""

    exit_code = 65


class OverrideFile:
    """The overrides of a directory.

    Args:
        directory: as for `xdsctl serve`.
    """

    def __init__(self, directory: Path) -> None:
        self._path = directory / OVERRIDES
        self.title = str(self._path)
        """What people call it."""

    def read(self) -> list[TrafficOverride]:
        """Return the overrides that are there.

        Raises:
            OverrideFileError: the file cannot be read, or something in it cannot.
        """
        try:
            content = self._path.read_bytes()
        except FileNotFoundError:
            return []
        except OSError as error:
            raise OverrideFileError(f"{self.title} cannot be read: {reason(error)}") from error
        manifest = read_manifest(OVERRIDES, FLEET, content)
        for problem in manifest.problems:
            if problem.code != "XDS0108":  # a file without objects
                raise OverrideFileError(f"{self.title}: {problem.message}; mend it first")
        found = (entry.object for entry in manifest.items.values())
        return [item for item in found if isinstance(item, TrafficOverride)]

    def put(self, document: dict[str, Any]) -> None:
        """Write an object, in place of the one of its name.

        Raises:
            OverrideFileError: the file cannot be read or written, or its objects not be told apart.
        """
        text = yaml.dump(document, Dumper=yaml.CSafeDumper, sort_keys=False, allow_unicode=True, width=10_000)
        self._change(document["metadata"]["name"], f"\n{text}")

    def delete(self, name: str) -> None:
        """Take an object out; a file that holds none then goes, too.

        Raises:
            OverrideFileError: as for `put`.
        """
        self._change(name, None)

    def _change(self, name: str, text: str | None) -> None:
        with self._locked():
            self.read()  # so that what cannot be read is never written over
            before = self._path.read_text(encoding="utf-8") if self._path.exists() else ""
            kept, is_new = [], True
            for index, part in enumerate(_SEPARATOR.split(before)):
                if _is_named(part, name, self.title):
                    if text is not None and is_new:
                        kept.append(f"---{text}")
                    is_new = False
                elif part.strip():
                    kept.append(_ended(f"---{part}" if index else part))
            if text is not None and is_new:
                kept.append(f"---{text}")
            # A file that holds no object any longer would keep in force what it held before.
            self._write("".join(kept) if any(_holds_something(part) for part in kept) else "")

    def _write(self, text: str) -> None:
        """Replace the file at once; a symbolic link stays one."""
        path = self._path.resolve()
        try:
            if not text.strip():
                path.unlink(missing_ok=True)
                return
            descriptor, name = tempfile.mkstemp(prefix=f"{OVERRIDES}.", dir=path.parent)
            new = Path(name)
            try:
                with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                    os.fchmod(descriptor, path.stat().st_mode & 0o777 if path.exists() else _MODE)
                    file.write(text)
                    file.flush()
                    os.fsync(descriptor)
                new.replace(path)
            except BaseException:
                new.unlink(missing_ok=True)
                raise
        except OSError as error:
            raise OverrideFileError(f"{self.title} cannot be written: {reason(error)}") from error

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Keep other commands from changing the file meanwhile."""
        try:
            descriptor = os.open(self._path.parent, os.O_RDONLY | os.O_DIRECTORY)
        except OSError as error:
            raise OverrideFileError(f"{self._path.parent} cannot be used: {reason(error)}") from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)


def _ended(part: str) -> str:
    part = _CLOSED.sub("", part)
    return part if part.endswith("\n") else f"{part}\n"


def _holds_something(part: str) -> bool:
    return yaml.load(part, yaml.CSafeLoader) is not None


def _is_named(part: str, name: str, title: str) -> bool:
    """Return whether one document is the override of a name."""
    try:
        found = yaml.load(part, yaml.CSafeLoader)
    except yaml.YAMLError as error:
        raise OverrideFileError(f"{title}: its objects cannot be told apart; separate them by lines of ---") from error
    if not isinstance(found, dict):
        return False
    if str(found.get("kind")).endswith("List"):
        raise OverrideFileError(f"{title} holds a list, which is not changed; separate its objects by lines of ---")
    return found.get("kind") == TrafficOverride.__name__ and (found.get("metadata") or {}).get("name") == name
