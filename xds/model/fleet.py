"""The fleet: everything that is known, and what follows from it, kept up to date event by event.

A change of one object makes only the services anew that depend on it. What comes out is immutable; `Fleet` itself is
owned by one task.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

from xds.model import gateway_objects, objects
from xds.model.clusterset import Export, merge_exports
from xds.model.events import FLEET, Delete, Event, Health, MemberState, ObjectKey, Synced, Upsert, ref_of
from xds.model.local import SERVICE_NAME_LABEL, LocalInput, NodePlace, build_local
from xds.model.members import Member
from xds.model.service import CLUSTERSET, Service, ServiceKey
from xds.model.unowned import unowned_slices
from xds.problems import Problem

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

REGION_LABEL = "topology.kubernetes.io/region"
ZONE_LABEL = "topology.kubernetes.io/zone"

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

    @property
    def needs_batch(self) -> bool:
        """True if more than endpoints changed."""
        return bool(self.services) or self.gateways or self.members


@dataclass(slots=True)
class _Cluster:
    """The objects of one cluster, and indexes over them."""

    items: dict[ObjectKey, objects.KubernetesObject] = field(default_factory=dict)
    slices: dict[tuple[str, str], dict[str, objects.EndpointSlice]] = field(default_factory=lambda: defaultdict(dict))
    """(namespace, service) -> slice name -> slice."""
    nodes: dict[str, NodePlace] = field(default_factory=dict)
    namespaces: Counter[str] = field(default_factory=Counter)
    """Namespace -> objects that name it; a cluster has a namespace if anything is in it."""
    seen: dict[tuple[str, str], frozenset[str]] = field(default_factory=dict)
    """(namespace, service) -> identities of endpoints that have been ready."""
    state: MemberState = MemberState.SYNCING
    reason: str = ""


class Fleet:
    """The model. `apply` takes events and says what changed; the rest reads."""

    def __init__(self) -> None:
        self._clusters: dict[str, _Cluster] = defaultdict(_Cluster)
        self._members: dict[str, Member] = {}
        self._services: dict[ServiceKey, Service] = {}
        self._order: list[ServiceKey] | None = None
        """The keys of the services, sorted; None when one was added or removed."""
        self._problems: dict[object, tuple[Problem, ...]] = {}
        self._unowned: set[ServiceKey] = set()
        """What slices belong to that is no Service."""
        self._synced: set[str] = set()
        self._told: set[str] = set()
        """Clusters whose state we were told."""
        self._dirty: set[ServiceKey] = set()
        self._gateways_changed = False
        self._members_changed = False
        self.services_built = 0
        """How many services have been made or made anew: the cost of changes."""

    # Reading

    @property
    def members(self) -> Mapping[str, Member]:
        """The members by name."""
        return self._members

    @property
    def services(self) -> Mapping[ServiceKey, Service]:
        """Every service: each cluster's own and those of the cluster set."""
        return self._services

    @property
    def synced(self) -> bool:
        """True once the fleet-wide objects and every cluster have been told completely, but for those that cannot be reached."""
        due = (name for name, cluster in self._clusters.items() if cluster.state is not MemberState.STALE)
        return FLEET in self._synced and self._synced.issuperset(due)

    @property
    def prefers_node(self) -> bool:
        """True if some service wants endpoints on the client's own node first."""
        return any(service.traffic_distribution == "PreferSameNode" for service in self._services.values())

    def visible(self, cluster: str) -> Iterator[Service]:
        """Return the services that clients in a member may use, or for "" those of the cluster set; in order of their keys."""
        if self._order is None:
            self._order = sorted(self._services)
        for key in self._order:
            service = self._services[key]
            if service.is_visible(cluster):
                yield service

    def gateways(self, cluster: str) -> tuple[gateway_objects.Gateway, ...]:
        """Return the Gateways of a member, in order of namespace and name."""
        return tuple(self._of(cluster, gateway_objects.Gateway))

    def routes(self, cluster: str) -> tuple[gateway_objects.HTTPRoute, ...]:
        """Return the HTTPRoutes of a member, in order of namespace and name."""
        return tuple(self._of(cluster, gateway_objects.HTTPRoute))

    def problems(self) -> tuple[Problem, ...]:
        """Return what is wrong with the objects as they stand."""
        kept = (problem for found in self._problems.values() for problem in found)
        # Which names are near depends on all Services of the namespace: found when asked for.
        owners = {key: self._clusters[key.scope].slices[key.namespace, key.name].values() for key in self._unowned}
        return (*kept, *unowned_slices(owners, self._services))

    # Writing

    def apply(self, events: Iterable[Event]) -> FleetChange:
        """Take a batch of events and make anew what depends on them."""
        for event in events:
            match event:
                case Upsert():
                    self._replace(event.cluster, event.key, event.object)
                case Delete():
                    self._replace(event.cluster, event.key, None)
                case Synced():
                    self._synced.add(event.cluster)
                    self._members_changed = True
                case Health():
                    cluster = self._clusters[event.cluster]
                    cluster.state, cluster.reason = event.state, event.reason
                    self._told.add(event.cluster)
                    self._members_changed = True
        members = self._members_changed and self._rebuild_members()
        self._members_changed = False
        endpoints, services = self._rebuild_services()
        gateways, self._gateways_changed = self._gateways_changed, False
        return FleetChange(frozenset(endpoints), frozenset(services), gateways, members)

    def _replace(self, cluster_name: str, key: ObjectKey, item: objects.KubernetesObject | None) -> None:
        cluster = self._clusters[cluster_name]
        known = bool(cluster.items)
        old = cluster.items.pop(key, None)
        if item is not None:
            cluster.items[key] = item
        if key.kind == "MemberCluster" or known is not bool(cluster.items):
            self._members_changed = True
        namespace = key.name if key.kind == "Namespace" else key.namespace
        if namespace and (old is None) is not (item is None):
            before = namespace in cluster.namespaces
            cluster.namespaces[namespace] += 1 if old is None else -1
            if not cluster.namespaces[namespace]:
                del cluster.namespaces[namespace]
            if before is not (namespace in cluster.namespaces):
                self._dirty.update(found for found in self._clusterset() if found.namespace == namespace)
        self._index(cluster_name, cluster, key, old, item)

    def _index(
        self,
        name: str,
        cluster: _Cluster,
        key: ObjectKey,
        old: objects.KubernetesObject | None,
        new: objects.KubernetesObject | None,
    ) -> None:
        """Note which services depend on the object."""
        match key.kind:
            case "Service":
                self._dirty.add(ServiceKey(key.namespace, key.name, name))
            case "EndpointSlice":
                for item in (old, new):
                    if isinstance(item, objects.EndpointSlice):
                        owner = item.metadata.labels.get(SERVICE_NAME_LABEL, "")
                        slices = cluster.slices[key.namespace, owner]
                        slices.pop(key.name, None)
                        if item is new:
                            slices[key.name] = item
                        elif not slices:
                            del cluster.slices[key.namespace, owner]
                        self._dirty.add(ServiceKey(key.namespace, owner, name))
            case "ServiceExport" | "ServiceImport":
                self._dirty.add(ServiceKey(key.namespace, key.name, CLUSTERSET))
            case "Node":
                self._place_node(name, cluster, key.name, new)
            case "Gateway" | "HTTPRoute":
                self._gateways_changed = True

    def _place_node(self, name: str, cluster: _Cluster, node: str, item: objects.KubernetesObject | None) -> None:
        """Keep where a node stands; its other fields, such as heartbeats, change nothing."""
        old = cluster.nodes.get(node)
        if item is None:
            cluster.nodes.pop(node, None)
        else:
            labels = item.metadata.labels
            cluster.nodes[node] = NodePlace(labels.get(REGION_LABEL, ""), labels.get(ZONE_LABEL, ""))
        if cluster.nodes.get(node) != old:
            self._dirty_all_of(name)
            self._members_changed = True

    def _clusterset(self) -> Iterator[ServiceKey]:
        return (key for key in self._services if key.scope == CLUSTERSET)

    def _dirty_all_of(self, cluster: str) -> None:
        self._dirty.update(key for key in self._services if key.scope == cluster)

    def _rebuild_members(self) -> bool:
        declared = {item.metadata.name: item for item in self._of(FLEET, objects.MemberCluster)}
        holders = {name for name, cluster in self._clusters.items() if cluster.items}
        lost = {name for name, cluster in self._clusters.items() if cluster.state is MemberState.LOST}
        names = (declared.keys() | holders | ((self._synced | self._told) - lost)) - {FLEET}
        members = {name: self._member(name, declared.get(name)) for name in sorted(names)}
        undeclared = [name for name in members if name not in declared]
        self._problems["empty members"] = tuple(
            Problem(
                "XDS0217",
                f"there is no object of cluster {name!r}",
                ref_of(FLEET, declared[name]),
                hint=f"add its manifests, {name}/….yaml, or delete the MemberCluster",
            )
            for name in sorted(declared.keys() - holders)
        )
        self._problems["members"] = tuple(
            Problem(
                "XDS0201",
                f"cluster {name!r} has no MemberCluster; its region follows from its nodes",
                hint="add a MemberCluster with its region",
            )
            for name in undeclared
        )
        moved = [name for name in {*members, *self._members} if _place(members.get(name)) != _place(self._members.get(name))]
        self._members = members
        for name in moved:
            self._dirty_all_of(name)
            self._dirty.update(self._clusterset())
            # A declared member may have told nothing yet; asking the mapping for it would make it a cluster to wait for.
            if (cluster := self._clusters.get(name)) is not None:
                self._dirty.update(ServiceKey(key.namespace, key.name, name) for key in cluster.items if key.kind == "Service")
        return bool(moved)

    def _member(self, name: str, declared: objects.MemberCluster | None) -> Member:
        cluster = self._clusters[name] if name in self._clusters else _Cluster()
        places = cluster.nodes.values()
        regions = Counter(place.region for place in places if place.region)
        spec = declared.spec if declared else objects.MemberClusterSpec()
        return Member(
            name=name,
            region=spec.region or (min(regions, key=lambda region: (-regions[region], region)) if regions else ""),
            zones=tuple(sorted(spec.zones or {place.zone for place in places if place.zone})),
            network=spec.network,
            state=cluster.state,
            reason=cluster.reason,
            declared=declared is not None,
            origin=ref_of(FLEET, declared) if declared else None,
        )

    def _rebuild_services(self) -> tuple[set[ServiceKey], set[ServiceKey]]:
        """Make the dirty services anew; return those with new endpoints only, and those with more changed."""
        endpoints: set[ServiceKey] = set()
        services: set[ServiceKey] = set()
        dirty, self._dirty = self._dirty, set()
        own = {key for key in dirty if key.scope != CLUSTERSET}
        merged = dirty - own
        for key in sorted(own):
            self._put(key, self._local(key), endpoints, services)
            merged.add(ServiceKey(key.namespace, key.name, CLUSTERSET))
        for key in sorted(merged):
            self._put(key, self._merged(key), endpoints, services)
        return endpoints, services

    def _put(self, key: ServiceKey, new: Service | None, endpoints: set[ServiceKey], services: set[ServiceKey]) -> None:
        old = self._services.pop(key, None)
        if new is not None:
            self._services[key] = new
        if old is None or new is None:
            if old is not new:
                services.add(key)
                self._order = None
        elif _shape(old) != _shape(new):
            services.add(key)
        elif old.endpoints != new.endpoints:
            endpoints.add(key)

    def _local(self, key: ServiceKey) -> Service | None:
        cluster = self._clusters[key.scope]
        name = (key.namespace, key.name)
        item = cluster.items.get(ObjectKey("Service", key.namespace, key.name))
        (self._unowned.add if item is None and name in cluster.slices else self._unowned.discard)(key)
        if not isinstance(item, objects.Service) or item.spec.type == "ExternalName" or key.scope not in self._members:
            self._note(key, ())
            cluster.seen.pop(name, None)
            return None
        self.services_built += 1
        slices = cluster.slices.get(name, {})
        ordered = tuple(slices[slice_name] for slice_name in sorted(slices))
        result = build_local(
            LocalInput(self._members[key.scope], item, ordered, cluster.nodes, cluster.seen.get(name, frozenset()))
        )
        cluster.seen[name] = result.seen
        self._note(key, result.problems)
        return result.service

    def _merged(self, key: ServiceKey) -> Service | None:
        exports: list[Export] = []
        imports: list[tuple[str, objects.ServiceImport]] = []
        importers: dict[str, str] = {}
        problems: list[Problem] = []
        for name, member in self._members.items():
            cluster = self._clusters.get(name)
            if cluster is None:
                continue
            if key.namespace in cluster.namespaces:
                importers[name] = member.network
            item = cluster.items.get(ObjectKey("ServiceImport", key.namespace, key.name))
            if isinstance(item, objects.ServiceImport):
                imports.append((name, item))
            export = cluster.items.get(ObjectKey("ServiceExport", key.namespace, key.name))
            if isinstance(export, objects.ServiceExport):
                local = self._services.get(ServiceKey(key.namespace, key.name, name))
                if local is None:
                    problems.append(self._useless(name, export))
                else:
                    exports.append(Export(member, export, local))
        if not exports:
            self._note(key, tuple(problems))
            return None
        self.services_built += 1
        result = merge_exports(exports, imports, importers)
        self._note(key, (*problems, *result.problems))
        return result.service

    def _note(self, key: ServiceKey, problems: tuple[Problem, ...]) -> None:
        """Keep the problems of a service; nothing stays of one that has none."""
        if problems:
            self._problems[key] = problems
        else:
            self._problems.pop(key, None)

    def _useless(self, cluster: str, export: objects.ServiceExport) -> Problem:
        meta = export.metadata
        if ObjectKey("Service", meta.namespace, meta.name) in self._clusters[cluster].items:
            message, hint = (
                "an ExternalName service cannot be exported (InvalidServiceType)",
                "export a ClusterIP or headless Service",
            )
            return Problem("XDS0212", message, ref_of(cluster, export), hint=hint)
        message = f"there is no Service {meta.namespace}/{meta.name} in {cluster} to export (NoService)"
        return Problem("XDS0204", message, ref_of(cluster, export), hint="create the Service, or delete the ServiceExport")

    def _of(self, cluster: str, kind: type[Kind]) -> Iterator[Kind]:
        found = self._clusters[cluster].items if cluster in self._clusters else {}
        for key in sorted(key for key in found if key.kind == kind.__name__):
            item = found[key]
            assert isinstance(item, kind)
            yield item


def _place(member: Member | None) -> tuple[str, tuple[str, ...], str] | None:
    return None if member is None else (member.region, member.zones, member.network)


def _shape(service: Service) -> tuple[object, ...]:
    """Return everything but endpoints and origins: what a change of needs more than the fast lane."""
    return (service.ports, service.vips, service.visible_in, service.headless, service.traffic_distribution, service.age)
