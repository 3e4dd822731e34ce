"""The fleet: everything that is known, and what follows from it, kept up to date event by event.

A change of one object makes only the services anew that depend on it. What comes out is immutable; `Fleet` itself is
owned by one task.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

from xds.model import gateway_objects, objects
from xds.model.assembly import Assembly
from xds.model.catalog import Catalog
from xds.model.cluster import Cluster
from xds.model.events import (
    FLEET,
    Aliases,
    Delete,
    Doubt,
    Event,
    Health,
    MemberState,
    ObjectKey,
    Recovering,
    Remember,
    Standing,
    Synced,
    Upsert,
)
from xds.model.gateways import leads_elsewhere
from xds.model.istio_objects import DestinationRule
from xds.model.karmada_objects import MultiClusterService
from xds.model.lending import Lending
from xds.model.membership import Membership
from xds.model.remotes import Remotes
from xds.model.service import CLUSTERSET, Service, ServiceKey
from xds.model.sharing import Sharing, Sharings
from xds.model.slices import owner_of
from xds.model.traffic_objects import TrafficOverride, TrafficPolicy
from xds.model.unowned import unowned_slices

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping

    from xds.model.flomesh import Remote
    from xds.model.imports import Import
    from xds.model.members import Member
    from xds.model.service import Locality
    from xds.problems import Problem

SHARING = MultiClusterService.__name__
RULE = DestinationRule.__name__
POLICY = TrafficPolicy.__name__
POLICIES = frozenset((POLICY, RULE))
WIDENING = POLICIES | {objects.Service.__name__}
"""Kinds by which a cluster's own service may be given what others export."""
OVERRIDE = TrafficOverride.__name__
Kind = TypeVar("Kind", bound=objects.KubernetesObject)


@dataclass(frozen=True, slots=True)
class FleetChange:
    """What a batch of events changed."""

    endpoints: frozenset[ServiceKey] = frozenset()
    """Services of which nothing but endpoints changed: the fast lane."""
    services: frozenset[ServiceKey] = frozenset()
    """Services added, removed, or changed in more than their endpoints."""
    gateways: bool = False
    """A Gateway or HTTPRoute changed."""
    members: bool = False
    """A member appeared, went, or changed place or network: nodes may belong to other views now."""
    policies: bool = False
    """A TrafficPolicy, a TrafficOverride or a policy of another system changed."""
    remade: frozenset[ServiceKey] = field(default=frozenset(), compare=False)
    """Services made anew that came out as they were, but for the versions of the objects that they come from."""

    @property
    def needs_batch(self) -> bool:
        """True if more than endpoints changed."""
        return bool(self.services) or self.gateways or self.members or self.policies


class Fleet:
    """The model. `apply` takes events and says what changed; the rest reads."""

    def __init__(self) -> None:
        self._clusters: dict[str, Cluster] = {}
        self._membership = Membership()
        self._catalog = Catalog()
        self._remotes = Remotes()
        self._sharings = Sharings(self._membership)
        self._assembly = Assembly(self._clusters, self._membership, self._remotes, self._sharings.of)
        self._lending = Lending(self._assembly.own, self._catalog.services, self._membership, self._sharings, self._remotes)
        self._rules: dict[tuple[str, ObjectKey], DestinationRule] = {}
        self._dirty: set[ServiceKey] = set()
        self._given_anew: set[ServiceKey] = set()
        """Clusters' services that stay as they are, but may be lent something else."""
        self._gateways_changed = False
        self._members_changed = False
        self._moved = False
        """Whether a member has changed since the last `apply`."""
        self._policies_changed = False

    # Reading

    @property
    def members(self) -> Mapping[str, Member]:
        """The members by name."""
        return self._membership.members

    @property
    def known(self) -> Mapping[str, Member]:
        """The members by each of their names: their own, their ids, and others by which they are registered."""
        return self._membership.known

    @property
    def services(self) -> Mapping[ServiceKey, Service]:
        """Every service: each cluster's own and those of the cluster set."""
        return self._catalog.services

    @property
    def hinting(self) -> Collection[Service]:
        """Those of them that say something for other systems."""
        return self._catalog.hinting.values()

    @property
    def localities(self) -> frozenset[Locality]:
        """Where their endpoints are."""
        return self._catalog.localities

    @property
    def names(self) -> Mapping[str, frozenset[str]]:
        """Namespace -> the names of its services, whoever has them; the same object while none is added or removed."""
        return self._catalog.names

    @property
    def imports(self) -> Mapping[ServiceKey, Import]:
        """What each service of the cluster set was merged of, and where its exports differ."""
        return self._assembly.imports

    @property
    def services_built(self) -> int:
        """How many services have been made or made anew: the cost of changes."""
        return self._assembly.services_built

    @property
    def remotes(self) -> Mapping[ServiceKey, Remote]:
        """What Flomesh's objects come to in each cluster that has some."""
        return self._remotes.found

    @property
    def clusters(self) -> Mapping[str, Cluster]:
        """What was told of each cluster, member or not, and under FLEET what is fleet-wide."""
        return self._clusters

    @property
    def synced(self) -> bool:
        """True once the fleet-wide objects and every cluster have been told completely, but for those that cannot be reached."""
        return self._membership.is_complete(self._clusters)

    def memory(self, cluster: str) -> Mapping[tuple[str, str, str], frozenset[str]]:
        """Return which endpoints of a cluster have been ready (`Remember.seen`)."""
        return self._clusters[cluster].seen if cluster in self._clusters else {}

    @property
    def complete(self) -> Mapping[str, Cluster]:
        """The objects of every member that was told completely."""
        return {name: self._clusters[name] for name in self.members if name in self._membership.synced}

    def sharing(self, namespace: str, name: str) -> Sharing | None:
        """Return how the Services of a name are shared, by a MultiClusterService; None if they are not."""
        return self._sharings.of(namespace, name)

    def sharings(self) -> Iterator[Sharing]:
        """Return how Services are shared, by namespace and name."""
        return iter(self._sharings)

    def policies(self) -> Iterator[tuple[str, TrafficPolicy]]:
        """Yield (cluster that holds it, or FLEET; object) of every TrafficPolicy whose clients are members'."""
        for cluster in (FLEET, *self.members):
            for item in self._of(cluster, TrafficPolicy):
                yield cluster, item

    def destination_rules(self) -> Iterator[tuple[str, DestinationRule]]:
        """Yield (cluster that holds it, object) of every DestinationRule whose clients are members'."""
        return ((cluster, item) for (cluster, _), item in self._rules.items() if cluster in self.members)

    def overrides(self) -> Iterator[TrafficOverride]:
        """Yield what operators have overridden."""
        return self._of(FLEET, TrafficOverride)

    @property
    def prefers_node(self) -> bool:
        """True if some service wants endpoints on the client's own node first, or no others."""
        return bool(self._catalog.node_first) or any(item.looks_at_nodes for item in self._rules.values())

    def visible(self, cluster: str) -> Iterator[Service]:
        """Return the services that clients in a member may use, or for "" those of the cluster set; in order of their keys."""
        return self._catalog.visible(cluster)

    def gateways(self, cluster: str) -> tuple[gateway_objects.Gateway, ...]:
        """Return the Gateways of a member, in order of namespace and name."""
        return tuple(self._of(cluster, gateway_objects.Gateway))

    def routes(self, cluster: str) -> tuple[gateway_objects.HTTPRoute, ...]:
        """Return the HTTPRoutes of a member, in order of namespace and name."""
        return tuple(self._of(cluster, gateway_objects.HTTPRoute))

    def told(self) -> list[Event]:
        """Return events that make the same fleet of an empty one: what to begin with when asking what if."""
        events: list[Event] = []
        for name, one in self._clusters.items():
            events += [Remember(name, dict(one.seen))] if one.seen else []
            events += [Upsert(name, item) for item in one.items.values()]
            if name in self._membership.told:
                events.append(Health(name, one.state, one.reason, one.standing))
            events += [Aliases(name, one.aliases)] if one.aliases else []
            events += [Doubt(name, one.doubted)] if one.doubted else []
        places = self._catalog.recovering
        return [*events, *map(Synced, self._membership.synced), *([Recovering(places)] if places else [])]

    def problems(self) -> tuple[Problem, ...]:
        """Return what is wrong with the objects as they stand; nothing of a cluster that is read for the first time."""
        reading = self._membership.reading
        kept = (problem for found in self._assembly.problems.values() for problem in found)
        # Which names are near depends on all Services of the namespace: found when asked for.
        owners = {key: self._clusters[key.scope].slices[key.namespace, key.name].values() for key in self._assembly.unowned}
        unowned = unowned_slices(owners, self.services)
        of_clusters = (*kept, *self._lending.problems(), *self._remotes.problems(), *unowned)
        told = (problem for problem in of_clusters if problem.ref is None or problem.ref.cluster not in reading)
        return (*self._membership.problems(), *self._sharings.problems(self._assembly.own), *told)

    # Writing

    def apply(self, events: Iterable[Event]) -> FleetChange:
        """Take a batch of events and make anew what depends on them, and on what was only taken before."""
        self.take(events)
        members, self._moved = self._moved, False
        remotes = self._remotes.rebuild(self._clusters, self.known)
        self._dirty |= remotes
        self._rebuild_services()
        endpoints, services, remade = self._catalog.take_changes()
        gateways, self._gateways_changed = self._gateways_changed, False
        policies, self._policies_changed = self._policies_changed or bool(remotes), False
        return FleetChange(endpoints, services, gateways, members, policies, remade)

    def take(self, events: Iterable[Event]) -> None:
        """Take a batch of events; what depends on them, but for the members, is made by the next `apply`."""
        for event in events:
            match event:
                case Upsert():
                    self._replace(event.cluster, event.key, event.object)
                case Delete():
                    self._replace(event.cluster, event.key, None)
                case Synced():
                    self._cluster(event.cluster)
                    self._membership.has_told(event.cluster)
                    self._members_changed = True
                case Health():
                    self._take_state(event)
                case Aliases():
                    self._cluster(event.cluster).aliases = event.names
                    self._members_changed = True
                case Remember():
                    self._remember(event)
                case Recovering():
                    self._catalog.recover(event, self.members)
                case Doubt():
                    cluster = self._cluster(event.cluster)
                    self._dirty.update(ServiceKey(*name, event.cluster) for name in cluster.doubted ^ event.services)
                    cluster.doubted = event.services
        self._moved |= self._members_changed and self._rebuild_members()
        self._members_changed = False

    def _take_state(self, told: Health) -> None:
        cluster = self._cluster(told.cluster)
        if cluster.standing is not told.standing:
            self._dirty_all_of(told.cluster)
        cluster.state, cluster.reason, cluster.standing = told.state, told.reason, told.standing
        self._membership.has_state(cluster)
        if told.state is MemberState.LOST and told.standing is Standing.FULL:
            # It has left, other than one that is silent: whoever comes back by its name tells everything anew.
            self._membership.synced.discard(told.cluster)
        self._members_changed = True

    def _remember(self, told: Remember) -> None:
        self._cluster(told.cluster).seen |= told.seen
        self._membership.reading.discard(told.cluster)  # what was saved with it is all that there was
        for item in told.accepted:  # it may be in force, and name other Services than the policy does now
            self._take_targets(told.cluster, ObjectKey(POLICY, item.metadata.namespace, item.metadata.name), item)

    def _cluster(self, name: str) -> Cluster:
        if (found := self._clusters.get(name)) is None:
            found = self._clusters[name] = Cluster(name)
        return found

    def _replace(self, cluster: str, key: ObjectKey, item: objects.KubernetesObject | None) -> None:
        old = self._cluster(cluster).items.get(key)
        touched = self._cluster(cluster).replace(key, item)
        self._remotes.touch(cluster, key)
        self._dirty |= touched.services
        if key.kind == SHARING:
            self._sharings.put(key, item)
            self._dirty_everywhere(key.namespace, key.name)
        if key.kind in WIDENING:
            self._take_targets(cluster, key, item)
        if key.kind == RULE:
            self._rules.pop((cluster, key), None)
            if isinstance(item, DestinationRule):
                self._rules[cluster, key] = item
        self._policies_changed |= key.kind in {RULE, OVERRIDE} or (key.kind == POLICY and _said(old) != _said(item))
        if touched.namespace and cluster != FLEET:  # nobody imports there
            self._dirty.update(found for found in self._catalog.of_scope(CLUSTERSET) if found.namespace == touched.namespace)
        if touched.everything:
            self._dirty_all_of(cluster)
        self._members_changed |= touched.members
        self._gateways_changed |= touched.gateways

    def keep_targets(self, in_force: Callable[[tuple[str, str, str]], TrafficPolicy | None]) -> None:
        """Forget which Services versions of policies named that are not in force; those are made anew with the next `apply`.

        Args:
            in_force: returns of (holder, namespace, name) of a policy the version that is in force.
        """
        for holder, names in self._lending.targets.keep(in_force).items():
            self._give_anew(holder, names)

    def _take_targets(self, holder: str, key: ObjectKey, item: objects.KubernetesObject | None) -> None:
        """Take which Services a policy names."""
        self._give_anew(holder, self._lending.targets.put(holder, key, item))

    def _give_anew(self, holder: str, names: Iterable[tuple[str, str]]) -> None:
        """Look anew at what the Services of some names are given, in all clusters that policies of a holder are for."""
        governed = self._clusters.keys() - {FLEET} if holder == FLEET else (holder,)
        self._given_anew.update(ServiceKey(*name, one) for name in names for one in governed)

    def _dirty_copies(self) -> None:
        """Make anew what copies of other clusters' slices are part of."""
        for name, cluster in self._clusters.items():
            self._dirty.update(ServiceKey(namespace, exported) for namespace, exported in cluster.copies)
            for (namespace, service), slices in cluster.slices.items():
                if any(owner_of(item).source for item in slices.values()):
                    self._dirty.add(ServiceKey(namespace, service, name))

    def _dirty_everywhere(self, namespace: str, name: str) -> None:
        self._dirty.update(ServiceKey(namespace, name, cluster) for cluster in self._clusters if cluster != FLEET)

    def _dirty_all_of(self, cluster: str) -> None:
        self._dirty.update(self._catalog.of_scope(cluster))

    def _rebuild_members(self) -> bool:
        moved, sources, names = self._membership.rebuild(self._clusters)
        if sources:
            self._dirty_copies()
            self._remotes.rename(self.known)
            self._given_anew.update(key for key, remote in self.remotes.items() if leads_elsewhere(remote))
        for shared in self._sharings.naming(names):
            self._dirty_everywhere(*shared)
        self._remotes.move(moved)
        for name in moved:
            self._dirty_all_of(name)
            self._dirty.update(self._catalog.of_scope(CLUSTERSET))
            # A declared member may have told nothing yet; asking the mapping for it would make it a cluster to wait for.
            if (cluster := self._clusters.get(name)) is not None:
                self._dirty.update(cluster.services())
        return bool(moved)

    def _rebuild_services(self) -> None:
        """Make the dirty services anew."""
        dirty, self._dirty = self._dirty, set()
        own = {key for key in dirty if key.scope != CLUSTERSET}
        merged = dirty - own
        for key in sorted(own):
            if found := self._assembly.local(key):
                self._assembly.own[key] = found
            else:
                self._assembly.own.pop(key, None)
            merged.add(ServiceKey(key.namespace, key.name, CLUSTERSET))
        for key in sorted(merged):
            self._catalog.put(key, self._assembly.merged(key))
        given, self._given_anew = self._given_anew, set()
        for key in sorted(self._lending.depending(own, merged) | given):
            self._catalog.put(key, self._lending.given(key))

    def _of(self, cluster: str, kind: type[Kind]) -> Iterator[Kind]:
        return self._clusters[cluster].of(kind) if cluster in self._clusters else iter(())


def _said(item: objects.KubernetesObject | None) -> object:
    """Return what counts of a policy: conditions are written into it, too, and change nothing."""
    return (item.spec, item.metadata.uid, item.metadata.age) if isinstance(item, TrafficPolicy) else None
