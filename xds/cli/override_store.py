"""Where overrides are kept, as commands that write them see it: a hub, or a directory's `.overrides.yaml`."""

from __future__ import annotations

import asyncio
import hashlib
import re
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import click

if TYPE_CHECKING:
    from collections.abc import Sequence

    from xds.cli.options import Command
    from xds.discovery.override_file import OverrideFile
    from xds.discovery.remote.target import Place
    from xds.model.traffic_objects import DrainSpec, GateSpec, TrafficOverride

LABEL = 63
"""Of what names are made, longer ones are cut."""


class Store(Protocol):
    """Where overrides are kept."""

    @property
    def title(self) -> str:
        """What people call it."""

    @property
    def flags(self) -> tuple[str, ...]:
        """The options that lead there."""

    def read(self) -> list[TrafficOverride]:
        """Return all."""

    def put(self, name: str, *, drain: DrainSpec | None = None, gate: GateSpec | None = None, reason: str = "") -> None:
        """Make one, or have it be as given."""

    def delete(self, name: str, *, drain: DrainSpec | None = None) -> None:
        """Delete one, which may be gone already; a drain is taken back first, as it is given."""


@dataclass(frozen=True, slots=True)
class InHub:
    """The objects of an API server."""

    place: Place
    text: str
    """`KUBECONFIG[:CONTEXT]`."""
    title: str = "the hub"

    @property
    def flags(self) -> tuple[str, ...]:
        """The options that lead there."""
        return "--hub", self.text

    def read(self) -> list[TrafficOverride]:
        """Return all."""
        from xds.discovery.remote.overrides import read_overrides

        return asyncio.run(read_overrides(self.place))

    def put(self, name: str, *, drain: DrainSpec | None = None, gate: GateSpec | None = None, reason: str = "") -> None:
        """Make one, or have it be as given."""
        from xds.discovery.remote.overrides import apply_override

        asyncio.run(apply_override(self.place, _document(name, drain, gate, reason)))

    def delete(self, name: str, *, drain: DrainSpec | None = None) -> None:
        """Delete one that xdsctl has made, which may be gone already; a drain is taken back first, as it is given."""
        from xds.discovery.remote.overrides import delete_override

        last = _document(name, drain, None, "") if drain is not None else None
        asyncio.run(delete_override(self.place, name, last))


@dataclass(frozen=True, slots=True)
class InDirectory:
    """The file of a directory."""

    file: OverrideFile
    directory: Path

    @property
    def title(self) -> str:
        """What people call it."""
        return self.file.title

    @property
    def flags(self) -> tuple[str, ...]:
        """The options that lead there."""
        return "--clusters", str(self.directory)

    def read(self) -> list[TrafficOverride]:
        """Return all."""
        return self.file.read()

    def put(self, name: str, *, drain: DrainSpec | None = None, gate: GateSpec | None = None, reason: str = "") -> None:
        """Make one, or have it be as given."""
        self.file.put(_document(name, drain, gate, reason))

    def delete(self, name: str, *, drain: DrainSpec | None = None) -> None:  # noqa: ARG002 - nobody holds deletions of files
        """Take one out."""
        self.file.delete(name)


def keeps_overrides(command: Command) -> Command:
    """Add --hub and --clusters."""
    options = (
        click.option("--hub", default="", metavar="FILE[:CONTEXT]", help="Keep it in the hub, as for `serve`."),
        click.option(
            "--clusters",
            type=click.Path(path_type=Path),
            metavar="DIR",
            help="Keep it in DIR/.overrides.yaml. One of the two is needed.",
        ),
    )
    decorated: Any = command
    for option in reversed(options):
        decorated = option(decorated)
    return decorated  # type: ignore[no-any-return] # click's decorators keep the function


def store_of(hub: str, clusters: Path | None) -> Store:
    """Return where the options lead.

    Raises:
        UsageError: they lead nowhere, or to two places.
        ConfigurationError: the kubeconfig or the directory cannot be used.
    """
    if bool(hub) is (clusters is not None):
        message = "say where overrides are kept: --hub FILE[:CONTEXT], or --clusters DIR"
        raise click.UsageError(f"{message}{' (one of them)' if hub else ''}", click.get_current_context())
    if clusters is not None:
        from xds.discovery.files import read_directory
        from xds.discovery.override_file import OverrideFile

        read_directory(clusters)  # which says what is wrong with it
        return InDirectory(OverrideFile(clusters), clusters)
    from xds.discovery.live.kubeconfig import hub_context
    from xds.discovery.remote.target import Place

    return InHub(Place("the hub", hub_context(hub)), hub)


def command_line(*words: str, store: Store) -> str:
    """Return a command that writes to the same place, for people to copy."""
    return shlex.join(("xdsctl", *words, *store.flags))


def name_of(*parts: str, rest: Sequence[str] = ()) -> str:
    """Return the name of an override: its parts, and a hash of them if they do not tell everything.

    Args:
        parts: of the name.
        rest: what tells it apart beside them.
    """
    text = "-".join(parts)
    slug = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:LABEL].rstrip("-")
    if slug == text and not rest:
        return slug
    digest = hashlib.sha256("\0".join((*parts, *rest)).encode()).hexdigest()[:8]
    return f"{slug}-{digest}"


def _document(name: str, drain: DrainSpec | None, gate: GateSpec | None, reason: str) -> dict[str, Any]:
    from xds.discovery.remote.objects import traffic_override

    spec: dict[str, Any] = {}
    if drain is not None:
        place = {"cluster": drain.cluster, "region": drain.region, "zone": drain.zone, "services": drain.services}
        spec["drain"] = {**{key: value for key, value in place.items() if value}, "steps": drain.steps, "step": drain.step}
    if gate is not None:
        names = {"cluster": gate.cluster, "namespace": gate.namespace, "policy": gate.policy, "tier": gate.tier}
        spec["open"] = {key: value for key, value in names.items() if value}
    if reason:
        spec["reason"] = reason
    return traffic_override(name, _what(drain, gate), spec)


def _what(drain: DrainSpec | None, gate: GateSpec | None) -> str:
    if gate is not None:
        holder = f"{gate.cluster}:" if gate.cluster else ""
        return f"open {holder}{gate.namespace}/{gate.policy} {gate.tier}"
    assert drain is not None
    pairs = (("cluster", drain.cluster), ("region", drain.region), ("zone", drain.zone))
    place = " ".join(f"{kind}={name}" for kind, name in pairs if name)
    return f"drain {place}" + (f" of {', '.join(drain.services)}" if drain.services else "")
