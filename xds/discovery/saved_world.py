"""The saved world: what was read of each live cluster, kept on disk for a control plane that starts while clusters are down.

Beside the objects stands what does not follow from them: which endpoints have been ready, and as what policies were accepted.

A file a cluster, `<directory>/<cluster>.json`, replaced as a whole: whoever reads it finds the one before or the one after. A
file of another version of this format, of another cluster, or that cannot be read is worth nothing, and costs no more than that.
"""

from __future__ import annotations

import os
import tempfile
from typing import TYPE_CHECKING, Any, Final

import msgspec

from xds.model.kinds import KINDS
from xds.model.traffic_objects import TrafficPolicy
from xds.problems import Problem
from xds.undecodable import UNDECODABLE

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from xds.model.objects import KubernetesObject

FLEET_WIDE: Final = ".fleet"
"""Stands for a cluster's name where what is fleet-wide is saved."""
FORMAT: Final = 1
MAX_BYTES: Final = 512 * 1024 * 1024
"""Of a file; a cluster that needs more is not saved."""

Memory = dict[tuple[str, str, str], frozenset[str]]
"""(namespace, service, source) -> identities of endpoints that have been ready."""


class Saved(msgspec.Struct, frozen=True, kw_only=True):
    """One cluster as it was."""

    cluster: str
    at_s: float
    """When it was saved, seconds since the epoch."""
    objects: list[Any]
    memory: list[tuple[str, str, str, list[str]]] = []
    accepted: list[Any] = []
    """Its policies, each as it was accepted last (`Remember.accepted`)."""
    format: int = FORMAT

    @property
    def seen(self) -> Memory:
        """The memory of endpoints that have been ready."""
        return {(namespace, name, source): frozenset(found) for namespace, name, source, found in self.memory}


class _Kind(msgspec.Struct):
    kind: str = ""


_FILES = msgspec.json.Decoder(Saved)


class SavedWorld:
    """The files of one directory.

    Args:
        directory: made if it does not exist.
        max_bytes: of a file.
    """

    def __init__(self, directory: Path, *, max_bytes: int = MAX_BYTES) -> None:
        self._directory = directory
        self._max_bytes = max_bytes
        self.problems: dict[str, Problem] = {}
        """Cluster -> why it is not saved, or could not be read."""

    def names(self) -> list[str]:
        """Return the clusters that are saved."""
        return sorted(path.stem for path in self._directory.glob("[!.]*.json"))

    def forget(self, cluster: str) -> None:
        """Keep nothing of a cluster that is a member no longer."""
        try:
            self._path(cluster).unlink(missing_ok=True)
        except OSError as error:
            self._complain(cluster, f"what was saved of {_shown(cluster)} cannot be deleted: {error.strerror or error}")
        else:
            self.problems.pop(cluster, None)

    def load(self, cluster: str) -> Saved | None:
        """Return a cluster as it was saved last, its objects decoded; None if there is nothing that can be used."""
        path = self._path(cluster)
        try:
            if path.stat().st_size > self._max_bytes:
                raise OSError(f"it is larger than {self._max_bytes:,} bytes")  # noqa: TRY301 - one way to tell
            found = _FILES.decode(path.read_bytes())
            if found.format != FORMAT or found.cluster != cluster:
                return None
            objects = [item for value in found.objects if (item := _decoded(value)) is not None]
            accepted = [item for value in found.accepted if isinstance(item := _decoded(value), TrafficPolicy)]
        except FileNotFoundError:
            return None
        except (OSError, *UNDECODABLE) as error:
            self._complain(cluster, f"what was saved of {_shown(cluster)} cannot be read: {error}")
            return None
        return msgspec.structs.replace(found, objects=objects, accepted=accepted)

    def save(
        self,
        cluster: str,
        objects: Iterable[KubernetesObject],
        seen: Mapping[tuple[str, str, str], frozenset[str]],
        at_s: float,
        *,
        accepted: Iterable[TrafficPolicy] = (),
    ) -> None:
        """Replace what is saved of a cluster."""
        memory = [(*name, sorted(found)) for name, found in sorted(seen.items()) if found]
        saved = Saved(cluster=cluster, at_s=at_s, objects=list(objects), memory=memory, accepted=list(accepted))
        body = msgspec.json.encode(saved)
        if len(body) > self._max_bytes:
            self._complain(
                cluster, f"{_shown(cluster)} takes {len(body):,} bytes, more than {self._max_bytes:,}: it is not saved"
            )
            return
        try:
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            _replace_file(self._path(cluster), body)
        except OSError as error:
            self._complain(cluster, f"{_shown(cluster)} cannot be saved: {error.strerror or error}")
        else:
            self.problems.pop(cluster, None)

    def _path(self, cluster: str) -> Path:
        return self._directory / f"{cluster}.json"

    def _complain(self, cluster: str, message: str) -> None:
        what = "the hub" if cluster == FLEET_WIDE else "the cluster"
        hint = f"a control plane that restarts while {what} cannot be reached will know nothing of it"
        self.problems[cluster] = Problem("XDS0307", message, hint=hint, source=str(self._path(cluster)))


def _shown(cluster: str) -> str:
    return "the hub" if cluster == FLEET_WIDE else f"cluster {cluster!r}"


def _decoded(value: Any) -> KubernetesObject | None:
    """Return an object; None for a kind that we no longer read."""
    kind = KINDS.get(msgspec.convert(value, _Kind).kind)
    return msgspec.convert(value, kind.struct) if kind else None


def _replace_file(path: Path, body: bytes) -> None:
    """Write a file so that it is whole even after a power cut.

    Raises:
        OSError: it cannot be written.
    """
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(body)
            file.flush()
            os.fsync(file.fileno())
        os.replace(name, path)  # noqa: PTH105 - both are in one directory
    except OSError:
        os.unlink(name)  # noqa: PTH108
        raise
