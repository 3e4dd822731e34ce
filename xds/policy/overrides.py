"""What operators override: places that are drained, step by step, and gates that are open."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from xds.model.events import FLEET, ref_of
from xds.policy.reading import tiers_of
from xds.policy.tiers import is_within
from xds.problems import Problem, all_known, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from xds.model.service import Locality, ServiceKey
    from xds.model.traffic_objects import DrainSpec, Gate, GateSpec, TrafficOverride, TrafficPolicy
    from xds.policy.acceptance import Known
    from xds.problems import Ref

PolicyName = tuple[str, str, str]
"""(cluster that holds it, namespace, name)."""


@dataclass(frozen=True, slots=True)
class Drain:
    """A place that gets less, or nothing."""

    name: str
    """Of the override."""
    cluster: str
    region: str
    zone: str
    services: frozenset[str]
    """`NAMESPACE/NAME`; none: every service."""
    step: int
    steps: int
    origin: Ref

    @staticmethod
    def of(item: TrafficOverride) -> Drain | None:
        """Return what an object drains; None if it drains nothing, or not yet."""
        found = item.spec.drain
        if found is None or not found.step or not is_somewhere(found):
            return None
        place = (found.cluster, found.region, found.zone)
        return Drain(item.metadata.name, *place, frozenset(found.services), found.step, found.steps, ref_of(FLEET, item))

    @property
    def left(self) -> float:
        """What the place still gets, as a fraction of what it would get; 0 when all steps have been made."""
        return max(0.0, (self.steps - self.step) / self.steps)

    @property
    def place(self) -> str:
        """What it drains, for people."""
        parts = (("cluster", self.cluster), ("region", self.region), ("zone", self.zone))
        return ", ".join(f"{what} {name}" for what, name in parts if name)

    def has(self, key: ServiceKey) -> bool:
        """Return whether it is about a service."""
        return not self.services or f"{key.namespace}/{key.name}" in self.services

    def is_at(self, at: Locality) -> bool:
        """Return whether it is about a locality."""
        return is_within(at, self)

    def __str__(self) -> str:
        """Return it for people."""
        steps = f", step {self.step} of {self.steps}" if self.steps > 1 else ""
        return f"TrafficOverride {self.name}{steps}"


@dataclass(frozen=True, slots=True)
class Overrides:
    """All that are in force."""

    drains: tuple[Drain, ...] = ()
    gates: Mapping[PolicyName, frozenset[str]] = field(default_factory=dict)
    """Policy -> tiers that are open."""

    @staticmethod
    def of(items: Iterable[TrafficOverride]) -> Overrides:
        """Return what objects override: one that does not say which of two things it is to do does neither."""
        drains: list[Drain] = []
        gates: dict[PolicyName, set[str]] = {}
        for item in filter(says_one_thing, items):
            if drain := Drain.of(item):
                drains.append(drain)
            if (gate := item.spec.open) is not None:
                gates.setdefault((gate.cluster, gate.namespace, gate.policy), set()).add(gate.tier)
        return Overrides(tuple(drains), {name: frozenset(tiers) for name, tiers in gates.items()})

    def of_service(self, key: ServiceKey, *, can_move: bool) -> tuple[Drain, ...]:
        """Return the drains that are about a service.

        A cluster's own name that nothing widens, and any that a policy keeps in its clients' cluster, means that cluster's
        endpoints and no others, so that draining the cluster or its region would move nothing and only break what clients ask
        for; draining a zone moves it to the others, if there are any.

        Args:
            key: of the service.
            can_move: whether requests to it may go to other clusters than their clients'.
        """
        return tuple(one for one in self.drains if one.has(key) and (can_move or one.zone)) if self.drains else ()


NONE: Final = Overrides()


def says_one_thing(item: TrafficOverride) -> bool:
    """Return whether an override either drains or opens."""
    return (item.spec.drain is None) is not (item.spec.open is None)


def is_somewhere(place: DrainSpec) -> bool:
    """Return whether a drain names a place: one that names none would be everywhere."""
    return bool(place.cluster or place.region or place.zone)


_FORMS: Final = "give either drain, e.g. {cluster: NAME}, or open: {namespace: …, policy: …, tier: …}"


def problems(items: Iterable[TrafficOverride], known: Known, policies: Mapping[PolicyName, TrafficPolicy]) -> Iterator[Problem]:
    """Yield what is wrong with overrides.

    Args:
        items: the objects.
        known: the places that there are.
        policies: all that there are.
    """
    for item in items:
        ref, spec = ref_of(FLEET, item), item.spec
        if not says_one_thing(item):
            yield Problem("XDS0604", "overrides nothing, or two things at once", ref, "spec", _FORMS)
        if spec.drain is not None:
            yield from _drain_problems(spec.drain, ref, known)
        if (gate := spec.open) is not None:
            found = gate_of(gate, policies)
            if isinstance(found, Problem):
                yield replace(found, ref=ref)
            elif found != "Manual":
                hint = "set it to Manual in the policy" if found == "Closed" else "it needs none"
                message = f"the gate of tier {gate.tier!r} is {found}, which no override changes"
                yield Problem("XDS0604", message, ref, "spec.open.tier", hint)


def gate_of(gate: GateSpec, policies: Mapping[PolicyName, TrafficPolicy]) -> Gate | Problem:
    """Return what a policy says of the gate of one of its tiers, or that there is no such policy or tier."""
    name = (gate.cluster, gate.namespace, gate.policy)
    policy = policies.get(name)
    if policy is None:
        there = {other[2] for other in policies if other[:2] == name[:2]}
        where = f"in {gate.cluster}" if gate.cluster else "in the fleet"
        message = f"there is no TrafficPolicy {gate.namespace}/{gate.policy} {where}"
        otherwise = f"there are {', '.join(sorted(there))}" if there else f"namespace {gate.namespace} has none there"
        return Problem("XDS0604", message, field="spec.open.policy", hint=did_you_mean(gate.policy, there) or otherwise)
    tiers = {one.name: one.gate for one in tiers_of(policy.spec)}
    if gate.tier not in tiers:
        message = f"TrafficPolicy {gate.namespace}/{gate.policy} has no tier {gate.tier!r}"
        hint = did_you_mean(gate.tier, tiers) or f"it has {', '.join(tiers) or 'none of its own'}"
        return Problem("XDS0604", message, field="spec.open.tier", hint=hint)
    return tiers[gate.tier]


def _drain_problems(place: DrainSpec, ref: Ref, known: Known) -> Iterator[Problem]:
    if not is_somewhere(place):
        yield Problem("XDS0604", "drains no place", ref, "spec.drain", "name a cluster, a region or a zone")
    if place.step > place.steps:
        message = f"{place.step} of {place.steps} steps are made"
        yield Problem("XDS0604", message, ref, "spec.drain.step", "it counts as drained; set step to steps")
    for index, name in enumerate(place.services):
        if not re.fullmatch(r"[^/\s]+/[^/\s]+", name):
            yield Problem("XDS0604", f"{name!r} names no service", ref, f"spec.drain.services[{index}]", "use NAMESPACE/NAME")
    for what in ("cluster", "region", "zone"):
        name = getattr(place, what)
        if name and not known.has(what, name):
            there = known.names(what)
            hint = did_you_mean(name, there) or all_known(what, there)
            yield Problem("XDS0604", f"there is no {what} {name!r}", ref, f"spec.drain.{what}", hint)
