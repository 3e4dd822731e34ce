"""Policies of other systems that members hold: in force as far as they can be translated, and what is to be said of the rest.

Nothing of them is ever written, and none is refused whole for one field: its author looks at the other system's status, not ours.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from xds.model.events import ref_of
from xds.model.service import CLUSTERSET, ServiceKey
from xds.policy.destination_rules import read_rule
from xds.policy.rule_notes import Surroundings, notes
from xds.policy.subjects import Subject
from xds.problems import Problem

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from xds.model.fleet import Fleet
    from xds.model.istio_objects import DestinationRule
    from xds.policy.policies import Policy

Identity = tuple[str, str, str]
"""(cluster, namespace, name)."""


@dataclass(frozen=True, slots=True)
class _Reading:
    """One object, and what came of it; a policy is the same one as long as what it was made of is."""

    made_of: tuple[DestinationRule, frozenset[str], str]
    """The object, the known regions, and the service's own preference."""
    policy: Policy


class ForeignPolicies:
    """What `refresh` was told last."""

    def __init__(self) -> None:
        self.subjects: Mapping[Subject, Policy] = {}
        """What is governed, and by what."""
        self.problems: tuple[Problem, ...] = ()
        """What differs, and what is not followed."""
        self._readings: dict[Identity, _Reading] = {}

    def refresh(self, fleet: Fleet) -> None:
        """Read the objects of a fleet anew."""
        rules = sorted(fleet.destination_rules(), key=lambda pair: (pair[1].metadata.age, pair[0], pair[1].metadata.name))
        regions = _regions(fleet) if rules else frozenset()
        subjects: dict[Subject, Policy] = {}
        problems: list[Problem] = []
        before, self._readings = self._readings, {}
        for cluster, item in rules:
            ref, host = ref_of(cluster, item), item.service
            around = _surroundings(fleet, cluster, item, regions)
            problems += [
                Problem(one.code, one.message, ref, one.field, one.hint) for one in dict.fromkeys(notes(cluster, item, around))
            ]
            if host is None:
                continue
            key = ServiceKey(host.namespace, host.name, cluster if host.kind == "Service" else CLUSTERSET)
            service = fleet.services.get(key)
            made_of = item, regions, service.traffic_distribution if service else ""
            identity = cluster, item.metadata.namespace, item.metadata.name
            reading = before.get(identity)
            if reading is None or reading.made_of != made_of:
                reading = _Reading(made_of, read_rule(cluster, item, regions, made_of[2]))
            self._readings[identity] = reading
            subject = Subject(cluster, host.kind, host.namespace, host.name, system=item.kind)
            winner = subjects.setdefault(subject, reading.policy)
            if winner is not reading.policy:
                message = f"{subject} is governed by {winner.name}, which is older"
                problems.append(Problem("XDS0603", message, ref, "spec.host", "keep one of them"))
        self.subjects, self.problems = subjects, tuple(problems)


def _regions(fleet: Fleet) -> frozenset[str]:
    """Return the regions that members and their nodes are in."""
    of_nodes = {place.region for name in fleet.members if name in fleet.clusters for place in fleet.clusters[name].nodes.values()}
    return frozenset(filter(None, {*of_nodes, *(member.region for member in fleet.members.values())}))


def _surroundings(fleet: Fleet, cluster: str, item: DestinationRule, regions: frozenset[str]) -> Surroundings:
    host = item.service
    if host is None:
        return Surroundings(regions, exists=False, apart=(), exported=False)
    imported = fleet.imports.get(ServiceKey(host.namespace, host.name))
    exporters = {one.cluster for one in imported.exports} - {cluster} if imported else set()
    scope = cluster if host.kind == "Service" else CLUSTERSET
    return Surroundings(
        regions,
        exists=ServiceKey(host.namespace, host.name, scope) in fleet.services,
        apart=tuple(sorted({*_namesakes(fleet, cluster, host.namespace, host.name)} - exporters)),
        exported=bool(exporters),
    )


def _namesakes(fleet: Fleet, cluster: str, namespace: str, name: str) -> Iterator[str]:
    return (other for other in fleet.members if other != cluster and ServiceKey(namespace, name, other) in fleet.services)
