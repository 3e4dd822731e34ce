"""Istio's DestinationRules -> policies, by their `localityLbSetting` and `outlierDetection`; see `xds.policy.rule_notes`, too.

What Istio does was read in `istio/istio: pilot/pkg/networking/core/loadbalancer/loadbalancer.go`: `distribute` comes first, and
knows no failover; `failoverPriority` makes a tier for each further label that agrees; else there are tiers for zone, region, the
region that `failover` names, and the rest. The first entry whose `from` means the client counts.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from xds.model.events import ref_of
from xds.model.istio_objects import NODE_LABEL
from xds.model.traffic_objects import OWN, OutlierSpec, PlaceSpec, WeightSpec
from xds.policy.istio_places import CLUSTER_LABEL, REGION_LABEL, ZONE_LABEL, Parts, is_region, label_of
from xds.policy.policies import (
    ALL_ALIKE,
    ANYWHERE,
    NODE_ONLY,
    OWN_ZONE,
    ClusterSettings,
    ForClients,
    Policy,
    Rung,
    Selector,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from xds.model.istio_objects import DestinationRule, Distribute, LocalityLbSetting, OutlierDetection
    from xds.policy.istio_places import Named

NETWORK_LABEL: Final = "topology.istio.io/network"

CONSECUTIVE: Final = 5
INTERVAL_S: Final = 10.0
BASE_EJECTION_S: Final = 30.0
MAX_EJECTION_S: Final = 300.0
"""What Istio, and Envoy behind it, take where a rule says nothing."""

SHORTEST_S: Final = 0.001
LONGEST_S: Final = 365 * 86_400.0
MOST: Final = 2**32 - 1
"""What Envoy takes; files may say anything."""

_UNITS_S: Final = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}
_PART: Final = re.compile(r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+)(ms|us|µs|ns|h|m|s)")

OWN_REGION: Final = Rung("own region", (Selector(PlaceSpec(regions=[OWN])),))


@dataclass(frozen=True, slots=True)
class Rules:
    """What a `localityLbSetting` comes to, entry by entry."""

    rungs: tuple[Rung, ...]
    by_client: tuple[ForClients, ...] = ()


def read_rule(cluster: str, item: DestinationRule, missing: frozenset[Named], *, node_only: bool = False) -> Policy:
    """Return the policy of a rule from which something follows.

    Args:
        cluster: that holds it.
        item: the object.
        missing: places that it names and that there are not: requests are not distributed to these alone.
        node_only: whether the service is used on the client's node alone, which counts whatever the rule says of places.
    """
    ref, places, outliers = ref_of(cluster, item), item.locality, item.outliers
    rules = Rules(()) if places is None else _rules(places, missing)  # none: the default ladder
    if node_only:
        rules = Rules(*NODE_ONLY)
    settings = ClusterSettings()
    if outliers is not None:
        panic = max(0, outliers.min_health_percent or 0)
        settings = ClusterSettings(outlier_detection=outlier_spec(outliers), panic_percent=min(100, panic), origin=ref)
    return Policy(name=str(ref), rungs=rules.rungs, by_client=rules.by_client, cluster=settings, origin=ref)


def _rules(setting: LocalityLbSetting, missing: frozenset[Named]) -> Rules:
    if setting.enabled is False:
        return Rules((ALL_ALIKE,))
    if setting.distribute:
        return Rules((ALL_ALIKE,), tuple(_distributed(one) for one in setting.distribute if not unusable(one, missing)))
    if setting.failover_priority:
        return Rules((*_by_labels(setting.failover_priority), ANYWHERE))
    others = [
        ForClients(one.from_, "", (OWN_ZONE, OWN_REGION, _towards(one.to), ANYWHERE))
        for one in setting.failover or ()
        if is_region(one.from_) and is_region(one.to)
    ]
    return Rules((OWN_ZONE, OWN_REGION, ANYWHERE), tuple(others))


def _towards(region: str) -> Rung:
    return Rung(f"region {region}", (Selector(PlaceSpec(regions=[region])),))


def unusable(entry: Distribute, missing: frozenset[Named]) -> str:
    """Return why nothing can be distributed by an entry, "" if it can."""
    at, to = Parts.of(entry.from_), [Parts.of(place) for place in entry.to]
    if at is None or None in to or not to:
        return "has a place that is none"
    if at.subzone or any(place.subzone for place in to if place):
        return "names sub-zones, which are not read of nodes"
    used = [place for place, weight in zip(to, entry.to.values(), strict=True) if place and weight > 0]
    if not used:
        return "sends requests nowhere"
    if all(place.named in missing for place in used):
        return "sends requests to places of which none exists"
    return ""


def _distributed(entry: Distribute) -> ForClients:
    """Return the one tier of the clients at a place; what it does not name gets nothing, whatever fails, as with Istio."""
    at, weights = Parts.of(entry.from_), []
    for text, weight in sorted(entry.to.items()):
        place = Parts.of(text)
        assert place is not None, "looked at before"
        weights.append(WeightSpec(region=place.region, zone=place.zone, weight=max(0, weight)))
    assert at is not None, "looked at before"
    rung = Rung(f"distributed from {entry.from_}", ANYWHERE.selectors, weights=tuple(weights))
    return ForClients(at.region, at.zone, (rung,))


def is_followed(priority: str) -> bool:
    """Return whether we know of endpoints what a `failoverPriority` asks for."""
    key, value = label_of(priority)
    return key in (REGION_LABEL, ZONE_LABEL, CLUSTER_LABEL) or (key == NODE_LABEL and not value)


def followed(priorities: Iterable[str]) -> list[str]:
    """Return of the labels of a `failoverPriority` those that are followed, each key once.

    One that comes again has no effect if it asks for the same. Where it asks for something else, no endpoint has this label and
    all behind it, but one that has both, if a value is that of the client: then the labels behind it are not followed either.
    """
    found: dict[str, str] = {}
    for priority in filter(is_followed, priorities):
        key, value = label_of(priority)
        if found.setdefault(key, value) != value:
            break
    return [f"{key}={value}" if value else key for key, value in found.items()]


def _by_labels(priorities: Iterable[str]) -> tuple[Rung, ...]:
    """Return a rung for as many labels as agree, the most first."""
    rungs: list[Rung] = []
    names: list[str] = []
    selector = Selector(PlaceSpec())
    for priority in followed(priorities):
        key, value = label_of(priority)
        spec, wanted = selector.spec, [value or OWN]
        match key:
            case "topology.kubernetes.io/region":
                spec, name = PlaceSpec(regions=wanted, zones=spec.zones, clusters=spec.clusters), "region"
            case "topology.kubernetes.io/zone":
                spec, name = PlaceSpec(regions=spec.regions, zones=wanted, clusters=spec.clusters), "zone"
            case "topology.istio.io/cluster":
                spec, name = PlaceSpec(regions=spec.regions, zones=spec.zones, clusters=wanted), "cluster"
            case _:
                name = "node"
        selector = Selector(spec, own_node=selector.own_node or name == "node")
        names.append(f"{name} {value}" if value else f"own {name}")
        rungs.append(Rung(", ".join(names), (selector,)))
    return tuple(reversed(rungs))


def outlier_spec(given: OutlierDetection) -> OutlierSpec:
    """Return outlier detection as Istio has it, but that all endpoints may be ejected if it does not say how many.

    `istio/istio: pilot/pkg/networking/core/cluster_traffic_policy.go`: 0 switches off `consecutive5xxErrors` and
    `consecutiveGatewayErrors`; of the other counts it is as good as nothing. Istio counts connections that fail as answers 503
    unless it is told to split them; here they are always counted apart, so they get the lower one of both thresholds.
    """
    answers = CONSECUTIVE if given.consecutive_5xx_errors is None else given.consecutive_5xx_errors
    gateway = given.consecutive_gateway_errors or 0
    if given.split_external_local_origin_errors:
        local = given.consecutive_local_origin_failures or CONSECUTIVE
    else:
        local = min((one for one in (answers, gateway) if one > 0), default=0)
    base_s = _seconds(given.base_ejection_time, BASE_EJECTION_S)
    return OutlierSpec(
        consecutive_local_failures=min(MOST, max(0, local)),
        consecutive_server_errors=min(MOST, max(0, answers)),
        consecutive_gateway_errors=min(MOST, max(0, gateway)),
        interval_seconds=_seconds(given.interval, INTERVAL_S),
        base_ejection_seconds=base_s,
        max_ejection_seconds=max(base_s, MAX_EJECTION_S),
        max_ejection_percent=min(100, max(0, given.max_ejection_percent or 0)) or 100,
    )


def _seconds(text: str | None, default_s: float) -> float:
    found_s = (parse_duration(text) if text else None) or default_s
    return min(LONGEST_S, max(SHORTEST_S, found_s))


def parse_duration(text: str) -> float | None:
    """Return the seconds of a duration as Go writes it, e.g. `1m30s`; None if it is none, or not above 0."""
    parts = _PART.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        return None
    return sum(float(number) * _UNITS_S[unit] for number, unit in parts) or None
