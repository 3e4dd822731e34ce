"""Policies of other systems: in force as far as they can be translated, and what is to be said of the rest.

Nothing of them is ever written, and none is refused whole for one field: its author looks at the other system's status, not ours.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from xds.model.events import FLEET, ref_of
from xds.model.hints import GLOBAL, INTERNAL_POLICY, is_true
from xds.model.service import CLUSTERSET, ServiceKey
from xds.policy import hints, rule_notes
from xds.policy.destination_rules import read_rule
from xds.policy.subjects import CILIUM, NODE_ONLY, RULE, WEIGHTS, Subject
from xds.problems import Problem

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Mapping

    from xds.model.fleet import Fleet
    from xds.model.istio_objects import DestinationRule
    from xds.model.service import Service
    from xds.policy.notes import Note
    from xds.policy.policies import Policy
    from xds.problems import Ref


@dataclass(frozen=True, slots=True)
class _Reading:
    """What came of something; a policy is the same one as long as what it was made of is."""

    made_of: tuple[object, ...]
    policy: Policy | None


class ForeignPolicies:
    """What `refresh` was told last."""

    def __init__(self) -> None:
        self.subjects: dict[Subject, Policy] = {}
        """What is governed, and by what."""
        self.refs: dict[Ref, Ref] = {}
        """The objects that policies are written in, by their names alone: as they are now."""
        self._problems: dict[Problem, None] = {}
        self._readings: dict[Hashable, _Reading] = {}
        self._before: Mapping[Hashable, _Reading] = {}

    @property
    def problems(self) -> Iterable[Problem]:
        """What differs, and what is not followed."""
        return self._problems

    def refresh(self, fleet: Fleet) -> None:
        """Read what a fleet has anew."""
        self.subjects, self.refs, self._problems = {}, {}, {}
        self._before, self._readings = self._readings, {}
        rules = sorted(fleet.destination_rules(), key=lambda pair: (pair[1].metadata.age, pair[0], pair[1].metadata.name))
        regions = _regions(fleet) if rules else frozenset()
        for cluster, item in rules:
            self._read_rule(fleet, cluster, item, regions)
        for service in fleet.services.values():
            if service.hints:
                self._read_hints(fleet, service)
            if service.export_weights:
                self._read_weights(fleet, service)
        self._before = {}

    def _note(self, ref: Ref, notes: Iterable[Note]) -> None:
        self._problems |= {Problem(one.code, one.message, ref, one.field, one.hint): None for one in notes}

    def _read(self, ref: Ref, key: Hashable, made_of: tuple[object, ...], make: Callable[[], Policy | None]) -> Policy | None:
        self.refs[replace(ref, resource_version="")] = ref
        found = self._before.get(key)
        if found is None or found.made_of != made_of:
            found = _Reading(made_of, make())
        self._readings[key] = found
        return found.policy

    def _read_rule(self, fleet: Fleet, cluster: str, item: DestinationRule, regions: frozenset[str]) -> None:
        ref, host = ref_of(cluster, item), item.service
        if host is None:
            around = rule_notes.Surroundings(regions, exists=False, exports=hints.Exports(own=False, others=False, apart=()))
            self._note(ref, rule_notes.notes(cluster, item, around))
            return
        service = fleet.services.get(ServiceKey(host.namespace, host.name, cluster if host.kind == "Service" else CLUSTERSET))
        alone = service is not None and INTERNAL_POLICY in service.hints
        exports = _exports(fleet, ServiceKey(host.namespace, host.name, cluster))
        around = rule_notes.Surroundings(regions, exists=service is not None, exports=exports, node_only=alone)
        self._note(ref, rule_notes.notes(cluster, item, around))
        made_of = item.spec, regions, alone
        policy = self._read(
            ref,
            (RULE, cluster, item.metadata.namespace, item.metadata.name),
            made_of,
            lambda: read_rule(cluster, item, regions, node_only=alone),
        )
        subject = Subject(cluster, host.kind, host.namespace, host.name, system=RULE)
        assert policy is not None, "something follows from a rule that governs a service"
        winner = self.subjects.setdefault(subject, policy)
        if winner is not policy:
            message = f"{subject} is governed by {winner.name}, which is older"
            self._problems[Problem("XDS0603", message, ref, "spec.host", "keep one of them")] = None

    def _read_hints(self, fleet: Fleet, service: Service) -> None:
        key, given = service.key, service.hints
        ref = next(one for one in service.origins if one.kind == "Service" and one.cluster == key.scope)
        self._note(ref, hints.notes(service, _exports(fleet, key)))
        made_of = given, service.traffic_distribution
        if INTERNAL_POLICY in given:
            self._enter(key, NODE_ONLY, self._read(ref, (NODE_ONLY, key), made_of, lambda: hints.node_only(ref)))
        if is_true(given.get(GLOBAL, "")):
            made = self._read(ref, (CILIUM, key), made_of, lambda: hints.cilium(given, service.traffic_distribution, ref))
            self._enter(key, CILIUM, made)

    def _read_weights(self, fleet: Fleet, service: Service) -> None:
        key, given = service.key, service.export_weights
        refs = {one.cluster: ref_of(one.cluster, one.export) for one in fleet.imports[key].exports}
        first = next(refs[cluster] for cluster in sorted(given) if given[cluster])
        made = self._read(first, (WEIGHTS, key), (given,), lambda: hints.weighted(given, first))
        self._enter(key, WEIGHTS, made)
        for cluster, text in given.items():
            self._note(refs[cluster], hints.weight_notes(text, in_force=made is not None))

    def _enter(self, key: ServiceKey, system: str, policy: Policy | None) -> None:
        if policy is not None:
            kind = "Service" if key.scope else "ServiceImport"
            self.subjects[Subject(key.scope or FLEET, kind, key.namespace, key.name, system=system)] = policy


def _regions(fleet: Fleet) -> frozenset[str]:
    """Return the regions that members and their nodes are in."""
    of_nodes = {place.region for name in fleet.members if name in fleet.clusters for place in fleet.clusters[name].nodes.values()}
    return frozenset(filter(None, {*of_nodes, *(member.region for member in fleet.members.values())}))


def _exports(fleet: Fleet, key: ServiceKey) -> hints.Exports:
    """Return what other clusters have of a cluster's own service."""
    imported = fleet.imports.get(ServiceKey(key.namespace, key.name))
    exporters = {one.cluster for one in imported.exports} if imported else set()
    others = (name for name in fleet.members if name not in {key.scope, *exporters})
    return hints.Exports(
        own=key.scope in exporters,
        others=bool(exporters - {key.scope}),
        apart=tuple(name for name in sorted(others) if ServiceKey(key.namespace, key.name, name) in fleet.services),
    )
