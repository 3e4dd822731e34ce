"""Rehearsals, as messages: the same for a running control plane and for files."""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite
from typing import TYPE_CHECKING

import msgspec
from google.protobuf import json_format

from xds.admin.explanations import by_place, place
from xds.model.events import FLEET, Upsert
from xds.model.objects import ObjectMeta
from xds.model.traffic_objects import DrainSpec, GateSpec, TrafficOverride, TrafficOverrideSpec, TrafficPolicy
from xds.policy.failures import FailureError, every, parsed
from xds.policy.simulation import Loads, Outcome, Rehearsal, World, cost, cross_region
from xds.problems import all_known, did_you_mean
from xds.wire import POOL, admin

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from xds.model.events import Event
    from xds.policy.failures import Failure

_POLICIES = msgspec.json.Decoder(list[TrafficPolicy])
_REFUSED = ("XDS0601", "XDS0602", "XDS0603")
"""Problems of policies that are not in force as they are written."""
_API = "traffic.isthmus.dev/v1alpha1"


@dataclass(frozen=True, slots=True)
class Supposed:
    """What is to be supposed."""

    request: admin.SimulationRequest
    policies: Sequence[TrafficPolicy] = ()
    """Fleet-wide ones, read of the request."""


def supposed(text: str) -> Supposed:
    """Return what a request, as proto3 JSON, supposes.

    Raises:
        FailureError: it is none, or its policies cannot be read.
    """
    request = admin.SimulationRequest()
    try:
        json_format.Parse(text, request, descriptor_pool=POOL)
    except json_format.ParseError as error:
        raise FailureError(f"the body is no SimulationRequest: {error}") from error
    try:
        policies = _POLICIES.decode(request.policies) if request.policies else []
    except msgspec.MsgspecError as error:
        raise FailureError(f"policies is no JSON array of TrafficPolicies: {error}") from error
    return Supposed(request, policies)


def simulation(told: Sequence[Event], supposed: Supposed) -> admin.Simulation:
    """Return what would become of the requests.

    Args:
        told: what makes the fleet as it is (`Fleet.told`).
        supposed: what would be otherwise.

    Raises:
        FailureError: it names what does not exist.
    """
    request = supposed.request
    for what, numbers in (("loads", request.loads), ("prices", request.prices)):
        for name, number in numbers.items():
            if not (isfinite(number) and number >= 0):
                raise FailureError(f"{what} of {name!r}: {number:g} is no number from 0 up")
    before = World(told)
    changes: list[Event] = [Upsert(FLEET, item) for item in supposed.policies]
    changes += [Upsert(FLEET, _drain(index, text, before)) for index, text in enumerate(request.drain)]
    changes += [Upsert(FLEET, _open(index, text, before)) for index, text in enumerate(request.open)]
    after = World([*told, *changes]) if changes else before
    _refuse_faulty(after, supposed.policies)
    wanted = frozenset(request.services)
    names = {f"{key.namespace}/{key.name}" for key in before.fleet.services}
    failures = [parsed(text, before.known) for text in request.down]
    for name in sorted({*wanted, *request.loads, *(one.service for one in failures if one.service)}):
        if name not in names:
            raise FailureError(f"there is no service {name!r}; {did_you_mean(name, names) or '`xdsctl services` lists them'}")
    _know(request.prices, {*before.known.names("region"), *after.known.names("region")})
    rehearsal = Rehearsal(before, after, Loads(dict(request.loads)), wanted)
    if request.all_failures:
        return _every(rehearsal, [*every(before.known, request.all_failures)], request.prices)
    outcomes = rehearsal.outcomes(failures)
    shown = [one for one in outcomes if one.changes or one.findings]
    return admin.Simulation(
        services=[_service(one, request.prices) for one in shown], ok=_is_ok(outcomes), looked_at=len(outcomes)
    )


def _know(prices: Iterable[str], regions: set[str]) -> None:
    """Refuse prices between regions that there are not: nothing would cost anything."""
    for price in prices:
        for region in price.split(">"):
            if region not in regions:
                hint = did_you_mean(region, regions) or all_known("region", regions)
                raise FailureError(f"price of {price!r}: there is no region {region!r}; {hint}")


def _every(rehearsal: Rehearsal, failures: Sequence[tuple[Failure, ...]], prices: Mapping[str, float]) -> admin.Simulation:
    found: list[admin.SimulatedService] = []
    looked_at, ok = 0, True
    already = [one for one in rehearsal.outcomes() if any(finding.kind != "panic" for finding in one.findings)]
    for each in failures:
        outcomes = rehearsal.outcomes(each)
        looked_at += len(outcomes)
        bad = [one for one in outcomes if any(finding.fails for finding in one.findings)]
        ok = ok and not bad
        found += [_service(one, prices, each) for one in bad]
    told = [_service(one, prices) for one in already]
    return admin.Simulation(services=found, ok=ok, looked_at=looked_at, failures=len(failures), already=told)


def _is_ok(outcomes: Sequence[Outcome]) -> bool:
    return not any(finding.fails for one in outcomes for finding in one.findings)


def _service(found: Outcome, prices: Mapping[str, float], failures: Sequence[Failure] = ()) -> admin.SimulatedService:
    view = found.view
    return admin.SimulatedService(
        service=found.service.resource_name(found.port),
        **{"from": place(view.cluster, view.zone)},
        before=by_place(found.before.shares),
        after=by_place(found.after.shares),
        unserved_before=found.before.unserved,
        unserved_after=found.after.unserved,
        cross_region_before=cross_region(found.before, view),
        cross_region_after=cross_region(found.after, view),
        cost_before=cost(found.before, view, prices),
        cost_after=cost(found.after, view, prices),
        problems=[admin.SimulationProblem(kind=one.kind, message=one.text, is_new=one.is_new) for one in found.findings],
        down=[one.text for one in failures],
    )


def _drain(index: int, text: str, world: World) -> TrafficOverride:
    failure = parsed(text, world.known)
    if failure.percent < 100 or failure.service:
        raise FailureError(f"{text!r} cannot be drained; use cluster=NAME, zone=NAME or region=NAME")
    spec = DrainSpec(cluster=failure.cluster, region=failure.region, zone=failure.zone)
    return _override(f"supposed-drain-{index}", TrafficOverrideSpec(drain=spec))


def _open(index: int, text: str, world: World) -> TrafficOverride:
    holder, _, rest = text.partition("/")
    cluster, _, namespace = holder.rpartition(":")
    parts = [namespace, *rest.split("/", 1)]  # a tier may be called as people like
    if len(parts) != 3 or not all(parts):
        raise FailureError(f"{text!r} names no gate; use [CLUSTER:]NAMESPACE/POLICY/TIER")
    override = _override(f"supposed-gate-{index}", TrafficOverrideSpec(open=GateSpec(cluster=cluster, **_named(parts))))
    for problem in world.book.check(override):
        raise FailureError(f"{text}: {problem.message}; {problem.hint}")
    return override


def _named(parts: list[str]) -> dict[str, str]:
    return dict(zip(("namespace", "policy", "tier"), parts, strict=True))


def _override(name: str, spec: TrafficOverrideSpec) -> TrafficOverride:
    return TrafficOverride(api_version=_API, kind="TrafficOverride", metadata=ObjectMeta(name=name), spec=spec)


def _refuse_faulty(world: World, policies: Sequence[TrafficPolicy]) -> None:
    """Refuse policies that would not be accepted: a rehearsal of them would show what was in force before.

    Raises:
        FailureError: one would not be.
    """
    names = {(item.metadata.namespace, item.metadata.name) for item in policies}
    for problem in world.book.problems():
        ref = problem.ref
        if problem.code in _REFUSED and ref is not None and not ref.cluster and (ref.namespace, ref.name) in names:
            raise FailureError(problem.text)
