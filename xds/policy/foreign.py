"""Policies of other systems: in force as far as they can be translated, and what is to be said of the rest.

Nothing of them is ever written, and none is refused whole for one field: its author looks at the other system's status, not ours.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from xds.model.events import FLEET, ref_of
from xds.model.hints import INTERNAL_POLICY, is_global
from xds.model.service import CLUSTERSET, ServiceKey
from xds.policy import flomesh, hints, rule_notes
from xds.policy.acceptance import Known
from xds.policy.destination_rules import read_rule
from xds.policy.istio_places import missing
from xds.policy.subjects import CILIUM, FLOMESH, NODE_ONLY, RULE, WEIGHTS, Subject
from xds.problems import Problem

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping

    from xds.model.fleet import Fleet
    from xds.model.flomesh import Remote
    from xds.model.istio_objects import DestinationRule, Host
    from xds.model.service import Service
    from xds.policy.istio_places import Named
    from xds.policy.notes import Note
    from xds.policy.policies import Policy
    from xds.problems import Ref

Name = tuple[str, str, str, str]
"""(cluster, kind, namespace, name)."""


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
        self._refs: dict[Name, Ref] = {}
        """The objects that policies are written in, as they are now."""
        self._fleet: Fleet | None = None
        self._known = Known({})
        self.awaited: frozenset[Named] = frozenset()
        """Places that are named and that there are not."""
        self._lost: list[tuple[Ref, Subject, Policy]] = []
        """What an older rule governs."""
        self._readings: dict[Hashable, _Reading] = {}
        self._before: Mapping[Hashable, _Reading] = {}

    def refresh(self, fleet: Fleet, known: Known) -> None:
        """Read what a fleet has anew, where there is what is known."""
        self._known, self.awaited = known, frozenset()
        self._fleet, self.subjects, self._refs, self._lost = fleet, {}, {}, []
        self._before, self._readings = self._readings, {}
        rules = sorted(fleet.destination_rules(), key=lambda pair: (pair[1].metadata.age, pair[0], pair[1].metadata.name))
        for cluster, item in rules:
            if item.service is not None:
                self._read_rule(fleet, cluster, item, item.service)
        for service in fleet.hinting:
            if service.hints:
                self._read_hints(service)
            if service.export_weights:
                self._read_weights(fleet, service)
        for key, remote in fleet.remotes.items():
            if key.scope in fleet.members:
                self._read_remote(key, remote)
        self._before = {}

    def ref(self, origin: Ref) -> Ref | None:
        """Return the object that a policy is written in, as it is now; None if it is not one of another system."""
        return self._refs.get(_name(origin))

    def problems(self) -> Iterator[Problem]:
        """Yield what differs, and what is not followed."""
        if self._fleet is None:
            return
        told = ((ref, note) for ref, notes in self._notes(self._fleet) for note in notes)
        for ref, note in dict.fromkeys(told):
            yield Problem(note.code, note.message, ref, note.field, note.hint)
        for ref, subject, winner in self._lost:
            message = f"{subject} is governed by {winner.name}, which is older"
            yield Problem("XDS0603", message, ref, "spec.host", "keep one of them")

    def _notes(self, fleet: Fleet) -> Iterator[tuple[Ref, Iterable[Note]]]:
        for cluster, item in fleet.destination_rules():
            yield ref_of(cluster, item), rule_notes.notes(cluster, item, _surroundings(fleet, cluster, item, self._known))
        for service in fleet.hinting:
            if service.hints:
                yield _own_ref(service), hints.notes(service, _exports(fleet, service.key))
            for cluster, text in service.export_weights.items():
                in_force = (
                    Subject(FLEET, "ServiceImport", service.key.namespace, service.key.name, system=WEIGHTS) in self.subjects
                )
                yield _export_refs(fleet, service.key)[cluster], hints.weight_notes(text, in_force=in_force)
        for key, remote in fleet.remotes.items():
            if remote.policy is not None:
                yield ref_of(key.scope, remote.policy.item), flomesh.notes(remote)

    def _read(self, ref: Ref, key: Hashable, made_of: tuple[object, ...], make: Callable[[], Policy | None]) -> Policy | None:
        self._refs[_name(ref)] = ref
        found = self._before.get(key)
        if found is None or found.made_of != made_of:
            found = _Reading(made_of, make())
        self._readings[key] = found
        return found.policy

    def _read_rule(self, fleet: Fleet, cluster: str, item: DestinationRule, host: Host) -> None:
        there_is_no = missing(item.locality, self._known)
        self.awaited |= there_is_no
        alone, ref = _is_node_only(fleet, cluster, host), ref_of(cluster, item)
        key, made_of = (RULE, _name(ref)), (item.spec, there_is_no, alone)
        policy = self._read(ref, key, made_of, lambda: read_rule(cluster, item, there_is_no, node_only=alone))
        assert policy is not None, "something follows from a rule that governs a service"
        subject = Subject(cluster, host.kind, host.namespace, host.name, system=RULE)
        winner = self.subjects.setdefault(subject, policy)
        if winner is not policy:
            self._lost.append((ref, subject, winner))

    def _read_hints(self, service: Service) -> None:
        key, given, ref = service.key, service.hints, _own_ref(service)
        made_of = given, service.traffic_distribution
        if INTERNAL_POLICY in given:
            self._enter(key, NODE_ONLY, self._read(ref, (NODE_ONLY, key), made_of, lambda: hints.node_only(ref)))
        if is_global(given):
            made = self._read(ref, (CILIUM, key), made_of, lambda: hints.cilium(given, service.traffic_distribution, ref))
            self._enter(key, CILIUM, made)

    def _read_weights(self, fleet: Fleet, service: Service) -> None:
        key, given = service.key, service.export_weights
        first = _export_refs(fleet, key)[min(cluster for cluster, text in given.items() if text)]
        self._enter(key, WEIGHTS, self._read(first, (WEIGHTS, key), (given,), lambda: hints.weighted(given, first)))

    def _read_remote(self, key: ServiceKey, remote: Remote) -> None:
        if remote.policy is not None:
            ref = ref_of(key.scope, remote.policy.item)
            self._enter(key, FLOMESH, self._read(ref, (FLOMESH, key), (remote,), lambda: flomesh.read(remote)))

    def _enter(self, key: ServiceKey, system: str, policy: Policy | None) -> None:
        if policy is not None:
            kind = "Service" if key.scope else "ServiceImport"
            self.subjects[Subject(key.scope or FLEET, kind, key.namespace, key.name, system=system)] = policy


def _name(ref: Ref) -> Name:
    return ref.cluster, ref.kind, ref.namespace, ref.name


def _own_ref(service: Service) -> Ref:
    """Return the Service of a cluster's own service."""
    return next(one for one in service.origins if one.kind == "Service" and one.cluster == service.key.scope)


def _export_refs(fleet: Fleet, key: ServiceKey) -> dict[str, Ref]:
    return {one.cluster: ref_of(one.cluster, one.export) for one in fleet.imports[key].exports}


def _is_node_only(fleet: Fleet, cluster: str, host: Host) -> bool:
    service = fleet.services.get(ServiceKey(host.namespace, host.name, cluster)) if host.kind == "Service" else None
    return service is not None and INTERNAL_POLICY in service.hints


def _surroundings(fleet: Fleet, cluster: str, item: DestinationRule, known: Known) -> rule_notes.Surroundings:
    host = item.service
    if host is None:
        return rule_notes.Surroundings(known, exists=False, exports=hints.Exports(own=False, others=False, apart=()))
    own, exported = (ServiceKey(host.namespace, host.name, scope) for scope in (cluster, CLUSTERSET))
    return rule_notes.Surroundings(
        known,
        exists=(own if host.kind == "Service" else exported) in fleet.services,
        exports=_exports(fleet, own),
        node_only=_is_node_only(fleet, cluster, host),
    )


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
