"""Which TrafficPolicies can be put into force: whatever is wrong with one is said, and what was in force before stays."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from xds.model.events import FLEET
from xds.model.traffic_objects import ANY, OWN, PlaceSpec
from xds.policy.reading import tiers_of
from xds.policy.strategies import lacks
from xds.problems import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from xds.model.members import Member
    from xds.model.traffic_objects import TierSpec, TrafficPolicy, TrafficPolicySpec, WeightSpec

INVALID: Final = "Invalid"
"""Reasons of the condition Accepted (GEP-713)."""
TARGET_NOT_FOUND: Final = "TargetNotFound"
CONFLICTED: Final = "Conflicted"
_PATH: Final = re.compile("/[!-~]*")


@dataclass(frozen=True, slots=True)
class Fault:
    """Why a policy cannot be put into force."""

    field: str
    message: str
    hint: str = ""
    reason: str = INVALID


@dataclass(frozen=True, slots=True)
class Known:
    """What there is that policies may name."""

    clusters: frozenset[str]
    regions: frozenset[str]
    zones: frozenset[str]
    providers: frozenset[str]

    @staticmethod
    def of(members: Mapping[str, Member]) -> Known:
        """Return what members have."""
        return Known(
            clusters=frozenset(members),
            regions=frozenset(one.region for one in members.values() if one.region),
            zones=frozenset(zone for one in members.values() for zone in one.zones),
            providers=frozenset(one.provider for one in members.values() if one.provider),
        )


def faults(cluster: str, item: TrafficPolicy, members: Mapping[str, Member]) -> Iterator[Fault]:
    """Yield what is wrong with a policy, whatever it is about.

    Args:
        cluster: that holds it.
        item: the object.
        members: by name.
    """
    spec, known = item.spec, Known.of(members)
    yield from _targets(cluster, spec)
    if spec.strategy and spec.tiers:
        yield Fault("spec.tiers", "a policy has either tiers or a strategy", "take one of them out")
    if spec.strategy:
        for lack in lacks(spec.strategy, members):
            yield Fault(".".join(filter(None, ("spec.strategy", lack.field))), lack.message, lack.hint)
        yield from _named_clusters(spec.strategy.clusters, "spec.strategy.clusters", known)
        for _, tier in _unreached(tiers_of(spec) if spec.strategy.clusters else []):
            message = f"earlier clusters take everything that {tier.name!r} selects"
            yield Fault("spec.strategy.clusters", message, "the own cluster comes first anyway, and after '*' nothing is left")
        yield from _weights(spec.strategy.weights, "spec.strategy.weights", known)
    else:
        yield from _tiers(tiers_of(spec), known)
    yield from _sovereignty(spec.sovereignty, known)
    yield from _settings(spec)


def _targets(cluster: str, spec: TrafficPolicySpec) -> Iterator[Fault]:
    if bool(spec.target_refs) is bool(spec.default_for):
        message = "names targets and is a default" if spec.default_for else "names no targets and is no default"
        yield Fault("spec.targetRefs", message, "give either targetRefs or defaultFor (Namespace, or Fleet on the hub)")
    if spec.default_for == "Fleet" and cluster != FLEET:
        message = "only a fleet-wide policy can be the default of the fleet"
        yield Fault("spec.defaultFor", message, "put it on the hub, or at the top of the directory, or use Namespace")
    for index, ref in enumerate(spec.target_refs):
        if (ref.kind == "ServiceImport") is not bool(ref.group):
            expected = "multicluster.x-k8s.io" if ref.kind == "ServiceImport" else '""'
            yield Fault(
                f"spec.targetRefs[{index}].group", f"{ref.kind} is not of the group {ref.group!r}", f"set it to {expected}"
            )


def _sovereignty(places: list[PlaceSpec], known: Known) -> Iterator[Fault]:
    for index, place in enumerate(places):
        at = f"spec.sovereignty[{index}]"
        yield from _place(place, at, known)
        if place != PlaceSpec() and covers(place, PlaceSpec(clusters=[ANY])):
            yield Fault(at, "no place is left that may be used", "name the places that must not be used")


def _settings(spec: TrafficPolicySpec) -> Iterator[Fault]:
    """Yield what clients would refuse a whole cluster for."""
    outlier, check = spec.outlier_detection, spec.health_check
    if outlier is not None and outlier.max_ejection_seconds < outlier.base_ejection_seconds:
        at = "spec.outlierDetection.maxEjectionSeconds"
        message = f"{outlier.max_ejection_seconds:g} is less than baseEjectionSeconds, {outlier.base_ejection_seconds:g}"
        yield Fault(at, message, "an ejection begins with the one and never lasts longer than the other")
    if check is not None and check.path and not _PATH.fullmatch(check.path):
        hint = "begin it with /, and write spaces and other letters as %20 and the like"
        yield Fault("spec.healthCheck.path", f"{check.path!r} is no path of a request", hint)


def _tiers(tiers: list[TierSpec], known: Known) -> Iterator[Fault]:
    names: dict[str, int] = {}
    for index, tier in enumerate(tiers):
        at = f"spec.tiers[{index}]"
        if (first := names.setdefault(tier.name, index)) != index:
            yield Fault(
                f"{at}.name", f"tier {first} has the name {tier.name!r} already", "gates are opened by name: give it another"
            )
        if not index and tier.gate != "Open":
            yield Fault(f"{at}.gate", f"the first tier is {tier.gate}", "something has to serve: gate a later one")
        for number, place in enumerate(tier.places):
            yield from _place(place, f"{at}.places[{number}]", known)
        if tier.weights and tier.weigh_by != "Endpoints":
            yield Fault(f"{at}.weighBy", "a tier has either weights or weighBy", "take one of them out")
        yield from _weights(tier.weights, f"{at}.weights", known)
    for index, tier in _unreached(tiers):
        hint = "an endpoint belongs to the first tier that takes its place: put this one before, or narrow those"
        yield Fault(f"spec.tiers[{index}].places", f"earlier tiers take everything that tier {tier.name!r} selects", hint)


def _unreached(tiers: list[TierSpec]) -> Iterator[tuple[int, TierSpec]]:
    """Yield the tiers that certainly get nothing, wherever the client is."""
    before: list[PlaceSpec] = []
    for index, tier in enumerate(tiers):
        if all(any(covers(wide, place) for wide in before) for place in tier.places):
            yield index, tier
        if not tier.weights:  # with weights a tier may leave places to later ones
            before += tier.places


def _weights(weights: list[WeightSpec], at: str, known: Known) -> Iterator[Fault]:
    if weights and not any(one.weight for one in weights):
        yield Fault(at, "the weights sum to nothing", "give one place a weight above 0")
    seen: dict[tuple[str, str, str], int] = {}
    for index, one in enumerate(weights):
        first = seen.setdefault((one.cluster.replace(ANY, ""), one.region, one.zone), index)
        if first != index:
            yield Fault(f"{at}[{index}]", f"entry {first} weighs the same place", "keep one of them")
        for field, name in (("cluster", one.cluster), ("region", one.region), ("zone", one.zone)):
            if name:
                yield from _name(name, field, f"{at}[{index}].{field}", known)


def _place(place: PlaceSpec, at: str, known: Known) -> Iterator[Fault]:
    if place == PlaceSpec():
        yield Fault(
            at, "selects nothing", 'name clusters, regions, zones, providers or a clusterSelector; clusters: ["*"] are all'
        )
    for field in ("clusters", "regions", "zones", "providers"):
        for index, name in enumerate(getattr(place, field)):
            yield from _name(name, field.removesuffix("s"), f"{at}.{field}[{index}]", known)


def _named_clusters(names: list[str], at: str, known: Known) -> Iterator[Fault]:
    for index, name in enumerate(names):
        if name in names[:index]:
            yield Fault(f"{at}[{index}]", f"cluster {name!r} is named twice", "keep one of them")
        yield from _name(name, "cluster", f"{at}[{index}]", known)


def _name(name: str, what: str, at: str, known: Known) -> Iterator[Fault]:
    there: frozenset[str] = getattr(known, f"{what}s")
    if name in there or name == OWN or (name == ANY and what == "cluster"):
        return
    hint = did_you_mean(name, there) or (f"known {what}s: {', '.join(sorted(there))}" if there else f"no {what} is known")
    yield Fault(at, f"there is no {what} {name!r}", hint)


def covers(wide: PlaceSpec, narrow: PlaceSpec) -> bool:
    """Return whether one selection certainly takes all that another does, wherever the client is."""
    if wide.cluster_selector is not None and wide.cluster_selector != narrow.cluster_selector:
        return False
    return all(_covers(getattr(wide, name), narrow, name) for name in ("clusters", "regions", "zones", "providers"))


def _covers(wide: list[str], narrow: PlaceSpec, name: str) -> bool:
    if not wide or ANY in wide:
        return True
    names: list[str] = getattr(narrow, name)
    if names and set(names) <= set(wide):
        return True
    # The client's own zone lies in its own region.
    return name == "regions" and OWN in wide and narrow.zones == [OWN]
