"""What operators override, as messages."""

from __future__ import annotations

from typing import TYPE_CHECKING

from xds.policy.explanation import QuestionError
from xds.policy.overrides import says_one_thing
from xds.problems import Problem
from xds.wire import admin

if TYPE_CHECKING:
    from xds.admin.state import ControlPlane
    from xds.model.members import Member
    from xds.model.traffic_objects import GateSpec, TrafficOverride
    from xds.policy.book import PolicyBook


def drains(plane: ControlPlane) -> list[admin.Drain]:
    """Return what is drained, or partly so, by name."""
    found = []
    for item in _doing_something(plane):
        spec = item.spec.drain
        if spec is not None and spec.step:
            found.append(
                admin.Drain(
                    name=item.metadata.name,
                    cluster=spec.cluster,
                    region=spec.region,
                    zone=spec.zone,
                    services=spec.services,
                    step=min(spec.step, spec.steps),
                    steps=spec.steps,
                    reason=item.spec.reason,
                )
            )
    return found


def gates(plane: ControlPlane) -> list[admin.OpenGate]:
    """Return what is open that policies have closed until then, by name."""
    return [
        admin.OpenGate(
            name=item.metadata.name,
            cluster=spec.cluster,
            namespace=spec.namespace,
            policy=spec.policy,
            tier=spec.tier,
            reason=item.spec.reason,
        )
        for item in _doing_something(plane)
        if (spec := item.spec.open) is not None
    ]


def _doing_something(plane: ControlPlane) -> list[TrafficOverride]:
    return sorted(filter(says_one_thing, plane.fleet.overrides()), key=lambda item: item.metadata.name)


def gate(book: PolicyBook, spec: GateSpec) -> admin.Gate:
    """Return what a policy says of the gate of one of its tiers.

    Raises:
        QuestionError: there is no such policy, or it has no such tier.
    """
    found = book.gate(spec)
    if isinstance(found, Problem):
        raise QuestionError(f"{found.message}; {found.hint}")
    return admin.Gate(cluster=spec.cluster, namespace=spec.namespace, policy=spec.policy, tier=spec.tier, gate=found)


def concerning(found: list[admin.Drain], member: Member) -> list[admin.Drain]:
    """Return the drains that are about a member, or a part of it."""
    return [
        one
        for one in found
        if one.cluster in ("", member.name)
        and one.region in ("", member.region)
        and (not one.zone or one.zone in member.zones)
        and (one.cluster or one.region or one.zone)
    ]
