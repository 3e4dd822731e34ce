"""`xdsctl gate`: tiers whose gate is Manual are opened, and closed again."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import click

from xds.cli.client import UnreachableError
from xds.cli.options import asks_server
from xds.cli.output import note, say
from xds.cli.override_store import command_line, keeps_overrides, name_of, store_of
from xds.errors import XdsError

if TYPE_CHECKING:
    from pathlib import Path

    from xds.cli.client import Client
    from xds.cli.options import Command
    from xds.cli.override_store import Store
    from xds.model.traffic_objects import GateSpec, TrafficOverride


class OpenGateError(XdsError):
    """A gate that the policy has open."""

    exit_code = 65


FORM = re.compile(r"(?:([^:/\s]+):)?([^:/\s]+)/([^:/\s]+)")


@click.group()
def gate() -> None:
    """Open and close tiers of policies whose gate is Manual."""


def _names_gate(command: Command) -> Command:
    for argument in (click.argument("tier"), click.argument("policy", metavar="[CLUSTER:]NAMESPACE/POLICY")):
        command = argument(command)
    return command


@gate.command("open", short_help="Have clients use a tier.")
@_names_gate
@click.option("--reason", default="", metavar="TEXT", help="For whoever looks at it later.")
@keeps_overrides
@asks_server
def open_(client: Client, policy: str, tier: str, *, reason: str, hub: str, clusters: Path | None) -> None:
    """Open the gate of a tier, so that clients use it as if its policy said so. Without CLUSTER, the fleet holds the policy.

    It is rehearsed first; what would be bad about it is told, and done nevertheless.
    """
    spec = _gate(policy, tier)
    store = store_of(hub, clusters)
    if found := _found(store, spec):
        say(f"tier {tier} of {policy} is open already (TrafficOverride {found[0].metadata.name} in {store.title})")
        return
    if not _needs_opening(client, clusters, spec):
        say(f"tier {tier} of {policy} is open already, as the policy says")
        return
    _tell_consequences(client, clusters, f"{policy}/{tier}")
    name = name_of("gate", *([spec.cluster] if spec.cluster else []), spec.namespace, spec.policy, tier, rest=("open",))
    store.put_gate(name, spec, reason)
    undo = command_line("gate", "close", policy, tier, store=store)
    say(f"tier {tier} of {policy} is open (TrafficOverride {name} in {store.title}); undo: {undo}")


@gate.command(short_help="Have a tier be as its policy says.")
@_names_gate
@keeps_overrides
@asks_server
def close(client: Client, policy: str, tier: str, *, hub: str, clusters: Path | None) -> None:
    """Close a gate that was opened: clients use its tier no longer.

    Where nothing has opened it, the control plane is asked whether there is such a gate.
    """
    spec = _gate(policy, tier)
    store = store_of(hub, clusters)
    found = _found(store, spec)
    for item in found:
        store.delete(item.metadata.name)
        say(f"tier {tier} of {policy} is closed (TrafficOverride {item.metadata.name} in {store.title} is deleted)")
    if not found:
        _must_be_closed(client, clusters, spec)
        others = "; ".join(_title(item.spec.open) for item in store.read() if item.spec.open is not None)
        open_ones = f"; open are: {others}" if others else ""
        say(f"tier {tier} of {policy} is closed already: nothing has opened it{open_ones}")


def _gate(policy: str, tier: str) -> GateSpec:
    from xds.model.traffic_objects import GateSpec

    found = FORM.fullmatch(policy)
    if found is None:
        raise click.UsageError(f"{policy!r} names no policy; use [CLUSTER:]NAMESPACE/NAME", click.get_current_context())
    return GateSpec(cluster=found[1] or "", namespace=found[2], policy=found[3], tier=tier)


def _title(spec: GateSpec) -> str:
    holder = f"{spec.cluster}:" if spec.cluster else ""
    return f"tier {spec.tier} of {holder}{spec.namespace}/{spec.policy}"


def _found(store: Store, spec: GateSpec) -> list[TrafficOverride]:
    return [item for item in store.read() if item.spec.open == spec]


def _needs_opening(client: Client, clusters: Path | None, spec: GateSpec) -> bool:
    """Return whether a gate is not open as its policy has it; if nobody tells, it is opened unchecked.

    Raises:
        XdsError: there is no such gate.
    """
    from xds.cli.carrying import World

    try:
        return World(client, clusters).gate(spec) != "Open"
    except UnreachableError:
        return True


def _must_be_closed(client: Client, clusters: Path | None, spec: GateSpec) -> None:
    """See that a gate that nothing has opened is closed.

    Raises:
        XdsError: there is no such gate, the policy itself has it open, or nobody tells.
    """
    from xds.cli.carrying import World

    try:
        says = World(client, clusters).gate(spec)
    except UnreachableError as error:
        raise UnreachableError(
            f"nothing has opened {_title(spec)}, and nobody tells whether there is such a tier: {error}"
        ) from error
    if says == "Open":
        raise OpenGateError(
            f"{_title(spec)} is open as the policy says, which no override changes; set its gate to Manual or Closed there"
        )


def _tell_consequences(client: Client, clusters: Path | None, text: str) -> None:
    """Say what is bad about opening a gate.

    Raises:
        XdsError: there is no such gate.
    """
    from xds.cli.carrying import World, listed, objections

    try:
        world = World(client, clusters)
        found = world.simulate(gates=[text])
    except UnreachableError as error:
        note(f"not checked whether there is such a gate: {error}")
        return
    if lines := objections(found):
        note(f"warning:\n{listed(lines, world.command('--gate', text))}")
