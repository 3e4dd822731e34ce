"""Which TrafficPolicies can be put into force: whatever is wrong with one is said, and what was in force before stays."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Final, NamedTuple

from msgspec.structs import replace

from xds.model.events import FLEET
from xds.model.labels import LabelSelector
from xds.model.traffic_objects import ANY, OWN, PlaceSpec
from xds.policy.places import KINDS, Place
from xds.policy.reading import tiers_of
from xds.policy.strategies import lacks
from xds.problems import all_known, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from xds.model.fleet import Fleet
    from xds.model.members import Member
    from xds.model.service import Locality, Service
    from xds.model.traffic_objects import StrategySpec, TierSpec, TrafficPolicy, TrafficPolicySpec, WeightSpec

INVALID: Final = "Invalid"
"""Reasons of the condition Accepted (GEP-713)."""
TARGET_NOT_FOUND: Final = "TargetNotFound"
CONFLICTED: Final = "Conflicted"
_PATH: Final = re.compile(r"(/[!-~]*)?")


@dataclass(frozen=True, slots=True)
class Fault:
    """Why a policy cannot be put into force."""

    field: str
    message: str
    hint: str = ""
    reason: str = INVALID
    awaited: tuple[PlaceSpec, ...] = ()
    """Places of which one would have to be there."""


class Known:
    """What there is that policies may name: what members have, and where endpoints are.

    Args:
        members: by name.
        localities: of endpoints, which may be in places that no member declares.
        nodes: (region, zone) of the members' nodes.
    """

    def __init__(
        self, members: Mapping[str, Member], localities: Iterable[Locality] = (), nodes: Iterable[tuple[str, str]] = ()
    ) -> None:
        self.members = members
        self._localities = frozenset(localities)
        self._nodes = frozenset(nodes)

    @staticmethod
    def of(fleet: Fleet) -> Known:
        """Return what there is in a fleet."""
        there = [(fleet.clusters[name], one.region) for name, one in fleet.members.items() if name in fleet.clusters]
        nodes = {(place.region or region, place.zone) for cluster, region in there for place in cluster.nodes.values()}
        return Known(fleet.members, fleet.localities, nodes)

    @property
    def facts(self) -> tuple[object, ...]:
        """All that is known; where that is equal, every answer is."""
        return {**self.members}, self._localities, self._nodes

    def names(self, what: str) -> set[str]:
        """Return all names of a `cluster`, `region`, `zone`, `region/zone` or `provider`."""
        return self._declared[what] | self._seen[what]

    def has(self, what: str, name: str) -> bool:
        """Return whether there is something of that name."""
        return name in self._declared[what] or name in self._seen[what]

    def may_hold(self, place: PlaceSpec) -> bool:
        """Return whether something may be at a place, for some client: what a member does not declare, it may have."""
        may = any(
            _is_of(place, one.name, one)
            and (not one.region or _takes(place.regions, one.region))
            and (not one.zones or any(_takes(place.zones, zone) for zone in one.zones))
            for one in self.members.values()
        )
        return may or self.sees(place)

    def sees(self, place: PlaceSpec) -> bool:
        """Return whether endpoints are at a place, for some client."""
        return any(
            _takes(place.regions, at.region)
            and _takes(place.zones, at.zone)
            and _is_of(place, at.cluster, self.members.get(at.cluster))
            for at in self._localities
        )

    @property
    def places(self) -> set[Place]:
        """All clusters, zones and regions."""
        return {Place(kind, name) for kind in KINDS for name in self.names(kind)}

    @cached_property
    def _declared(self) -> dict[str, set[str]]:
        found = self.members.values()
        places = {(one.region, zone) for one in found for zone in one.zones or [""]}
        return {
            "cluster": {*self.members},
            **_named_places(places.union(self._nodes)),
            "provider": {one.provider for one in found if one.provider},
        }

    @cached_property
    def zones(self) -> dict[str, set[str]]:
        """The zones of each member: those that it declares, and those of its endpoints."""
        found = {name: {*one.zones} for name, one in self.members.items()}
        for at in self._localities:
            if at.zone and at.cluster in found:
                found[at.cluster].add(at.zone)
        return found

    @cached_property
    def _seen(self) -> dict[str, set[str]]:
        return {
            "cluster": {at.cluster for at in self._localities},
            **_named_places({(at.region, at.zone) for at in self._localities}),
            "provider": set(),
        }


def localities_of(services: Iterable[Service]) -> set[Locality]:
    """Return where the endpoints of services are; of all of a fleet's, `Fleet.localities` knows."""
    return set().union(*(service.localities for service in services))


def _named_places(places: set[tuple[str, str]]) -> dict[str, set[str]]:
    """Return the names of (region, zone)."""
    return {
        "region": {region for region, _ in places if region},
        "zone": {zone for _, zone in places if zone},
        "region/zone": {f"{region}/{zone}" for region, zone in places if region and zone},
    }


def faults(cluster: str, item: TrafficPolicy, known: Known) -> Iterator[Fault]:
    """Yield what is wrong with a policy, whatever it is about.

    `deploy/crds/trafficpolicies.yaml` has API servers say the same, in the same words, as far as that needs no fleet.

    Args:
        cluster: that holds it.
        item: the object.
        known: what it may name.
    """
    spec = item.spec
    yield from _targets(cluster, spec)
    if spec.strategy and spec.tiers:
        yield Fault("spec.tiers", "a policy has either tiers or a strategy", "take one of them out")
    if spec.strategy:
        yield from _strategy(spec.strategy, known)
    else:
        yield from _tiers(spec.tiers, known)
    if spec.health_check and not _PATH.fullmatch(spec.health_check.path):
        yield Fault("spec.healthCheck.path", "is not the path of a URL", "begin it with '/', and write no spaces")
    outlier = spec.outlier_detection
    if outlier and outlier.max_ejection_seconds < outlier.base_ejection_seconds:  # Envoy refuses the whole cluster
        message = f"{outlier.max_ejection_seconds:g} is less than baseEjectionSeconds, {outlier.base_ejection_seconds:g}"
        hint = "an ejection begins with the one and never lasts longer than the other"
        yield Fault("spec.outlierDetection.maxEjectionSeconds", message, hint)
    yield from _sovereignty(spec, known)


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


def _strategy(strategy: StrategySpec, known: Known) -> Iterator[Fault]:
    for lack in lacks(strategy, known.members):
        yield Fault(".".join(filter(None, ("spec.strategy", lack.field))), lack.message, lack.hint)
    yield from _named_clusters(strategy.clusters, "spec.strategy.clusters", known)
    active = [PlaceSpec(clusters=strategy.clusters or [ANY])]
    yield from _weights(strategy.weights, active, "spec.strategy.weights", known)


def _sovereignty(spec: TrafficPolicySpec, known: Known) -> Iterator[Fault]:
    for index, place in enumerate(spec.sovereignty):
        yield from _place(place, f"spec.sovereignty[{index}]", known)
    if PlaceSpec() not in spec.sovereignty and _leaves_nothing(spec.sovereignty, tiers_of(spec)):
        hint = "something has to serve: narrow it, or open a tier that it leaves"
        yield Fault("spec.sovereignty", "leaves nothing of the open tiers", hint)


def _tiers(tiers: list[TierSpec], known: Known) -> Iterator[Fault]:
    names: dict[str, int] = {}
    before: list[PlaceSpec] = []
    opened: list[_Lack | None] = []
    for index, tier in enumerate(tiers):
        at = f"spec.tiers[{index}]"
        if (first := names.setdefault(tier.name, index)) != index:
            hint = f"tier {first} is called {tier.name!r}, too, and gates are opened by name: give one another"
            yield Fault(f"{at}.name", "two tiers have one name", hint)
        if not index and tier.gate != "Open":
            yield Fault(f"{at}.gate", f"the first tier is {tier.gate}", "something has to serve: gate a later one")
        wrong = [fault for number, place in enumerate(tier.places) for fault in _place(place, f"{at}.places[{number}]", known)]
        yield from wrong
        lacks = [None if wrong else _lack(place, known) for place in tier.places]
        yield from _selects_nothing(tier, f"{at}.places", lacks)
        opened += lacks if tier.gate == "Open" else ()
        if tier.places and all(any(covers(wide, place) for wide in before) for place in tier.places):
            hint = "an endpoint belongs to the first tier that takes its place: put this one before, or narrow those"
            yield Fault(f"{at}.places", f"earlier tiers take everything that tier {tier.name!r} selects", hint)
        if not tier.weights:  # with weights a tier may leave places to later ones
            before += tier.places
        if tier.weights and tier.weigh_by != "Endpoints":
            yield Fault(f"{at}.weighBy", "a tier has either weights or weighBy", "take one of them out")
        yield from _weights(tier.weights, tier.places, f"{at}.weights", known)
    nothing = _if_all_lack(opened)
    if own := [lack.message for lack in nothing if lack.is_of_clients]:
        awaited = tuple(lack.awaited for lack in nothing)
        yield Fault("spec.tiers", f"select nothing that there is: {own[0]}", "something has to serve", awaited=awaited)


class _Lack(NamedTuple):
    """Why nothing is at a place, wherever the client is."""

    message: str
    awaited: PlaceSpec
    """What would have to be there."""
    is_of_clients: bool = False
    """It is the clients' own place that is nowhere: a tier for that does no harm beside others that select something."""


def _lack(place: PlaceSpec, known: Known) -> _Lack | None:
    """Return why nothing is at a place; None if something may be."""
    if known.members and not known.may_hold(place):
        return _Lack("no cluster of the fleet is at such a place", place)
    for what in ("region", "zone"):
        if getattr(place, f"{what}s") == [OWN] and not known.names(what):
            own = replace(PlaceSpec(), **{f"{what}s": [OWN]})
            return _Lack(f"no {what} is known, so that nothing is in the client's", own, is_of_clients=True)
    return None


def _if_all_lack(lacks: list[_Lack | None]) -> list[_Lack]:
    """Return why there is nothing at any of some places; nothing if something may be at one."""
    found = [lack for lack in lacks if lack]
    return found if len(found) == len(lacks) else []


def _selects_nothing(tier: TierSpec, at: str, lacks: list[_Lack | None]) -> Iterator[Fault]:
    """Yield that nothing is at any place of a tier; of clients' own places that is told if no open tier selects anything else."""
    nothing = _if_all_lack(lacks)
    if nothing and not any(lack.is_of_clients for lack in nothing):
        hint = "of one place, every field that is given must hold: write two places to mean either of two"
        if all(place == PlaceSpec(cluster_selector=place.cluster_selector) for place in tier.places):
            hint = "give MemberClusters such labels, or select by what they have"
        yield Fault(at, f"tier {tier.name!r} selects nothing: {nothing[0].message}", hint, awaited=tuple(tier.places))


def _weights(weights: list[WeightSpec], places: list[PlaceSpec], at: str, known: Known) -> Iterator[Fault]:
    if weights and not any(one.weight for one in weights):
        yield Fault(at, "the weights sum to nothing", "give one place a weight above 0")
    seen: dict[tuple[str, str, str], int] = {}
    for index, one in enumerate(weights):
        first = seen.setdefault((one.cluster.replace(ANY, ""), one.region, one.zone), index)
        if first != index:
            yield Fault(f"{at}[{index}]", "two weights are of the same place", f"entry {first} is the other: keep one of them")
        for field, name in (("cluster", one.cluster), ("region", one.region), ("zone", one.zone)):
            if name:
                yield from _name(name, field, f"{at}[{index}].{field}", known)
        if not any(_may_meet(one, place) for place in places):
            yield Fault(
                f"{at}[{index}]", "is of a place that the tier does not take", "take it out, or add the place to the tier"
            )


def _place(place: PlaceSpec, at: str, known: Known) -> Iterator[Fault]:
    if place == PlaceSpec():
        yield Fault(
            at, "selects nothing", 'name clusters, regions, zones, providers or a clusterSelector; clusters: ["*"] are all'
        )
    if place.cluster_selector == LabelSelector():
        yield Fault(f"{at}.clusterSelector", "selects every cluster", "give matchLabels or matchExpressions, or take it out")
    for index, one in enumerate(place.cluster_selector.match_expressions if place.cluster_selector else ()):
        if (one.operator in {"In", "NotIn"}) is not bool(one.values):
            message = "In and NotIn need values, Exists and DoesNotExist have none"
            yield Fault(f"{at}.clusterSelector.matchExpressions[{index}]", message)
    for field in ("clusters", "regions", "zones", "providers"):
        for index, name in enumerate(getattr(place, field)):
            yield from _name(name, field.removesuffix("s"), f"{at}.{field}[{index}]", known)


def _named_clusters(names: list[str], at: str, known: Known) -> Iterator[Fault]:
    for index, name in enumerate(names):
        if name in names[:index]:
            yield Fault(f"{at}[{index}]", "a cluster is named twice", f"{name!r} is there already: keep one of them")
        yield from _name(name, "cluster", f"{at}[{index}]", known)


def _name(name: str, what: str, at: str, known: Known) -> Iterator[Fault]:
    if name == OWN or (name == ANY and what == "cluster") or known.has(what, name):
        return
    there = known.names(what)
    hint = all_known(what, there)
    if name == ANY:
        hint = f"leave the {what}s out to mean all"
    elif name.startswith("@"):
        hint = f"{OWN!r} is the client's own"
    awaited = replace(PlaceSpec(), **{f"{what}s": [name]})
    yield Fault(at, f"there is no {what} {name!r}", did_you_mean(name, {*there, OWN}) or hint, awaited=(awaited,))


def _takes(names: list[str], name: str) -> bool:
    """Return whether names of places may mean one, wherever the client is."""
    return not names or name in names or ANY in names or (OWN in names and bool(name))


def _is_of(place: PlaceSpec, cluster: str, member: Member | None) -> bool:
    """Return whether a cluster may be one that a place selects; one that is no member has no provider and no labels."""
    provider, labels = (member.provider, member.labels) if member else ("", {})
    has_provider = not place.providers or (bool(provider) and _takes(place.providers, provider))
    is_selected = place.cluster_selector is None or place.cluster_selector.matches(labels)
    return has_provider and is_selected and _takes(place.clusters, cluster)


def _may_meet(weight: WeightSpec, place: PlaceSpec) -> bool:
    """Return whether a weight may be of something at a place; where the client is, is not known."""
    pairs = ((weight.cluster, place.clusters), (weight.region, place.regions), (weight.zone, place.zones))
    return all(not names or name in ("", ANY, OWN, *names) or ANY in names or OWN in names for name, names in pairs)


def _leaves_nothing(sovereignty: list[PlaceSpec], tiers: list[TierSpec]) -> bool:
    """Return whether all that open tiers select is never used."""
    selected = [place for tier in tiers if tier.gate == "Open" for place in tier.places] or [PlaceSpec(clusters=[ANY])]
    return all(any(covers(never, place) for never in sovereignty) for place in selected)


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
