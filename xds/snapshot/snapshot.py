"""Snapshots: everything that the proxies of one view are given, at one moment."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from xds.snapshot.table import Table

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping

EMPTY = Table()


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Immutable; successive snapshots of a view share what did not change."""

    view: Hashable
    types: Mapping[str, Table]
    """Type URL -> name -> resource."""
    at_s: float = 0.0
    """When it was published, seconds since the epoch."""
    trigger: str = ""
    """What caused it, for people."""

    def resources(self, type_url: str) -> Table:
        """Return the resources of one type by name; empty for an unknown type."""
        return self.types.get(type_url, EMPTY)

    def type_version(self, type_url: str) -> str:
        """Return a content hash over the names and versions of one type: SotW's `version_info`."""
        return self.resources(type_url).version

    @property
    def version(self) -> str:
        """Return a content hash over all types; names the snapshot in `xdsctl snapshot`."""
        text = "".join(f"{url}={self.type_version(url)};" for url in sorted(self.types) if self.types[url])
        return hashlib.sha256(text.encode()).hexdigest()[:12]


@dataclass(frozen=True, slots=True)
class ChangeSet:
    """What a publication changed: the only thing that streams are told."""

    view: Hashable
    names: Mapping[str, frozenset[str]]
    """Type URL -> names added, changed or removed; no empty sets."""
