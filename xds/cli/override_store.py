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

    def put_drain(self, name: str, drain: DrainSpec, reason: str, version: str) -> str:
        """Make a drain, or have it be as given; return its version then.

        Args:
            name: of the override.
            drain: what it drains.
            reason: why.
            version: `resourceVersion` as it was read; "" if it was not there, or has none.

        Raises:
            ChangedError: somebody else has changed it.
        """

    def put_gate(self, name: str, gate: GateSpec, reason: str) -> None:
        """Have a gate be open."""

    def take_back(self, name: str, drain: DrainSpec, version: str) -> None:
        """Delete a drain, which may be gone already, once it is as given, without a step.

        Raises:
            ChangedError: somebody else has changed it.
        """

    def delete(self, name: str) -> None:
        """Delete one, which may be gone already."""


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

    def put_drain(self, name: str, drain: DrainSpec, reason: str, version: str) -> str:
        """Make a drain, or have it be as given; return its version then."""
        from xds.discovery.remote.overrides import apply_override

        return asyncio.run(apply_override(self.place, _drain_document(name, drain, reason), version))

    def put_gate(self, name: str, gate: GateSpec, reason: str) -> None:
        """Have a gate be open."""
        from xds.discovery.remote.overrides import apply_override

        asyncio.run(apply_override(self.place, _gate_document(name, gate, reason)))

    def take_back(self, name: str, drain: DrainSpec, version: str) -> None:
        """Delete a drain that xdsctl has made, which may be gone already, once it is as given, without a step."""
        from xds.discovery.remote.overrides import delete_override

        asyncio.run(delete_override(self.place, name, _drain_document(name, drain, ""), version))

    def delete(self, name: str) -> None:
        """Delete one that xdsctl has made, which may be gone already."""
        from xds.discovery.remote.overrides import delete_override

        asyncio.run(delete_override(self.place, name))


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

    def put_drain(self, name: str, drain: DrainSpec, reason: str, version: str) -> str:
        """Make a drain, or have it be as given; objects of files have no version."""
        self.file.put(_drain_document(name, drain, reason))
        return version

    def put_gate(self, name: str, gate: GateSpec, reason: str) -> None:
        """Have a gate be open."""
        self.file.put(_gate_document(name, gate, reason))

    def take_back(self, name: str, drain: DrainSpec, version: str) -> None:  # noqa: ARG002 - nobody holds deletions of files
        """Take a drain out."""
        self.file.delete(name)

    def delete(self, name: str) -> None:
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


def _drain_document(name: str, drain: DrainSpec, reason: str) -> dict[str, Any]:
    place = {"cluster": drain.cluster, "region": drain.region, "zone": drain.zone}
    named = {key: value for key, value in place.items() if value}
    services = {"services": drain.services} if drain.services else {}
    what = f"drain {' '.join(f'{kind}={value}' for kind, value in named.items())}"
    what += f" of {', '.join(drain.services)}" if drain.services else ""
    return _document(name, what, {"drain": {**named, **services, "steps": drain.steps, "step": drain.step}}, reason)


def _gate_document(name: str, gate: GateSpec, reason: str) -> dict[str, Any]:
    names = {"cluster": gate.cluster, "namespace": gate.namespace, "policy": gate.policy, "tier": gate.tier}
    holder = f"{gate.cluster}:" if gate.cluster else ""
    what = f"open {holder}{gate.namespace}/{gate.policy} {gate.tier}"
    return _document(name, what, {"open": {key: value for key, value in names.items() if value}}, reason)


def _document(name: str, what: str, spec: dict[str, Any], reason: str) -> dict[str, Any]:
    from xds.discovery.remote.objects import traffic_override

    return traffic_override(name, what, {**spec, **({"reason": reason} if reason else {})})
