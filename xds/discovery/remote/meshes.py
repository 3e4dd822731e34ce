"""What Istio, Cilium, Linkerd and Azure Fleet say of services: which are placed where, and what becomes of the rest. Pure."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from xds.model import hints
from xds.model.exports import FLEET_GROUP, MCS_EXPORT
from xds.model.istio_objects import DestinationRule
from xds.policy.hints import Exports
from xds.policy.notes import DIFFERS
from xds.policy.rule_notes import Surroundings, notes, unread

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from xds.discovery.remote.foreign import Foreign, Object

RULES: Final = ("networking.istio.io", "DestinationRule")
SERVICES: Final = ("", "Service")
FLEET_EXPORTS: Final = (FLEET_GROUP, MCS_EXPORT)
SAME_NAME: Final = "NAME.NAMESPACE.svc.clusterset.local"
_ANYWHERE: Final = Surroundings(None, exists=True, exports=Exports(own=True, others=True, apart=()))
"""Places and exports are told otherwise."""


class Mark(NamedTuple):
    """An annotation or label of Services or exports, and what becomes of it."""

    system: str
    kind: tuple[str, str]
    part: str
    key: str
    instead: str


MARKS: Final = (
    Mark("Cilium", SERVICES, "annotations", hints.GLOBAL, "followed: the name is widened by what other clusters export"),
    Mark(
        "Cilium",
        SERVICES,
        "annotations",
        hints.AFFINITY,
        "followed, but clusters pass on what they cannot bear, not the last endpoint",
    ),
    Mark("Cilium", SERVICES, "annotations", hints.SHARED, "none: what is exported is shared"),
    Mark("Cilium", SERVICES, "annotations", hints.ALGORITHM, "none: endpoints take turns"),
    Mark("Istio", SERVICES, "annotations", hints.DISTRIBUTION, "followed, as `spec.trafficDistribution` is"),
    Mark("Linkerd", SERVICES, "labels", hints.EXPORTED, f"{SAME_NAME} instead of NAME-CLUSTER"),
    Mark("Linkerd", SERVICES, "labels", hints.FEDERATED, f"{SAME_NAME} instead of NAME-federated"),
    Mark("Linkerd", SERVICES, "labels", hints.MIRRORED, f"{SAME_NAME} instead of mirrors"),
    Mark("Azure Fleet", FLEET_EXPORTS, "annotations", hints.EXPORT_WEIGHT, "followed: what its cluster weighs"),
)


def placed(found: Mapping[str, Foreign]) -> Iterator[tuple[str, Object, tuple[str, ...]]]:
    """Yield (system, object, clusters) of every service that is used across clusters.

    Args:
        found: cluster -> its objects.
    """
    everywhere: dict[tuple[str, str], list[str]] = {}
    for cluster, foreign in found.items():
        for item in foreign.get(SERVICES, ()):
            everywhere.setdefault(_key(item), []).append(cluster)
            annotations, labels = _part(item, "annotations"), _part(item, "labels")
            if hints.is_shared(annotations):
                yield "Cilium", item, (cluster,)
            if labels.get(hints.EXPORTED) in ("true", "remote-discovery") or labels.get(hints.FEDERATED) == "member":
                yield "Linkerd", item, (cluster,)
        for item in foreign.get(FLEET_EXPORTS, ()):
            yield "Azure Fleet", item, (cluster,)
    for foreign in found.values():
        for item in foreign.get(RULES, ()):
            rule = _rule(item)
            host = rule.service if rule else None
            clusters = everywhere.get((host.namespace, host.name), []) if host else []
            if host and len(clusters) > 1:  # Istio joins them
                yield "Istio", {"metadata": {"namespace": host.namespace, "name": host.name}}, tuple(sorted(clusters))


def counterparts(foreign: Foreign) -> Iterator[tuple[str, str, str]]:
    """Yield (system, objects, what there is instead) of one cluster."""
    for mark in MARKS:
        if number := sum(hints.written(part := _part(item, mark.part), mark.key) in part for item in foreign.get(mark.kind, ())):
            yield mark.system, f"{mark.key} of {_counted(number, mark.kind[1])}", mark.instead
    rules = [*map(_rule, foreign.get(RULES, ()))]
    if rules:
        governing = sum(bool(rule and rule.service) for rule in rules)
        yield (
            "Istio",
            _counted(len(rules), RULES[1]),
            f"{governing} followed, for the clients of their cluster; TrafficPolicies come before",
        )
    ignored: Counter[str] = Counter()
    told: Counter[tuple[str, str]] = Counter()
    for rule in filter(None, rules):
        ignored.update(fields := unread(rule))
        for note in notes("", rule, _ANYWHERE):
            if note.field not in fields:
                told[re.sub(r"\[\d+\]", "", note.field), f"{'differs' if note.code == DIFFERS else 'none'}: {note.message}"] += 1
    yield from (("Istio", f"{field} of {_counted(number, RULES[1])}", "none") for field, number in sorted(ignored.items()))
    yield from (("Istio", f"{field} of {_counted(number, RULES[1])}", text) for (field, text), number in sorted(told.items()))


def _rule(item: Object) -> DestinationRule | None:
    try:
        return msgspec.convert({"apiVersion": RULES[0], "kind": RULES[1], **item}, DestinationRule)
    except msgspec.ValidationError:
        return None


def _part(item: Object, part: str) -> Mapping[str, str]:
    found: Mapping[str, str] = item["metadata"].get(part) or {}
    return found


def _key(item: Object) -> tuple[str, str]:
    return item["metadata"].get("namespace", ""), item["metadata"]["name"]


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
