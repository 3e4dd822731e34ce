"""The objects of one cluster, and indexes over them."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from xds.model import exports, objects
from xds.model.events import MemberState, ObjectKey, Standing
from xds.model.hints import said_of
from xds.model.local import NodePlace
from xds.model.service import CLUSTERSET, ServiceKey
from xds.model.slices import owner_of

if TYPE_CHECKING:
    from collections.abc import Iterator

REGION_LABEL = "topology.kubernetes.io/region"
ZONE_LABEL = "topology.kubernetes.io/zone"
CLUSTER_ID = "cluster.clusterset.k8s.io"
"""The ClusterProperty that says how other clusters name this one (KEP-2149)."""

GATEWAY_KINDS = frozenset(("Gateway", "HTTPRoute"))

Kind = TypeVar("Kind", bound=objects.KubernetesObject)
Slices = dict[str, objects.EndpointSlice]


class Touched(NamedTuple):
    """What depends on an object that changed."""

    services: frozenset[ServiceKey] = frozenset()
    namespace: str = ""
    """It appeared, or went with its last object: then every exported service in it."""
    members: bool = False
    """What is known of the members."""
    everything: bool = False
    """Every service of the cluster."""
    gateways: bool = False


@dataclass(slots=True)
class Cluster:
    """What was told of one cluster."""

    name: str
    items: dict[ObjectKey, objects.KubernetesObject] = field(default_factory=dict)
    keys: dict[str, set[ObjectKey]] = field(default_factory=lambda: defaultdict(set))
    """Kind -> those of its objects."""
    slices: dict[tuple[str, str], Slices] = field(default_factory=lambda: defaultdict(dict))
    """(namespace, service) -> slice name -> slice; under "" those that belong to no service."""
    copies: dict[tuple[str, str], Slices] = field(default_factory=lambda: defaultdict(dict))
    """(namespace, exported service) -> slice name -> copy of what another cluster exports."""
    nodes: dict[str, NodePlace] = field(default_factory=dict)
    namespaces: Counter[str] = field(default_factory=Counter)
    """Namespace -> objects that name it; a cluster has a namespace if anything is in it."""
    seen: dict[tuple[str, str, str], frozenset[str]] = field(default_factory=dict)
    """(namespace, service, source of copies) -> identities of endpoints that have been ready."""
    cluster_id: str = ""
    """How other clusters name it, where it says so."""
    state: MemberState = MemberState.SYNCING
    reason: str = ""
    standing: Standing = Standing.FULL
    aliases: frozenset[str] = frozenset()
    """Other names by which it is registered."""
    doubted: frozenset[tuple[str, str]] = frozenset()
    """(namespace, name) of services that may be gone."""

    def of(self, kind: type[Kind]) -> Iterator[Kind]:
        """Return the objects of a kind, in order of namespace and name."""
        for key in sorted(self.keys.get(kind.__name__, ())):
            item = self.items[key]
            assert isinstance(item, kind)
            yield item

    def replace(self, key: ObjectKey, new: objects.KubernetesObject | None) -> Touched:
        """Take an object as it is now, None for one that is gone, and return what depends on it."""
        was_empty = not self.items
        old = self.items.pop(key, None)
        if new is not None:
            self.items[key] = new
            self.keys[key.kind].add(key)
        elif old is not None:
            self.keys[key.kind].remove(key)
        touched = self._index(key, old, new)
        namespace = self._count(key, old, new)
        members = touched.members or key.kind == "MemberCluster" or was_empty is bool(self.items)
        return touched._replace(namespace=namespace, members=members)

    def _count(self, key: ObjectKey, old: objects.KubernetesObject | None, new: objects.KubernetesObject | None) -> str:
        """Return the namespace that the object brings, or takes with it."""
        namespace = key.name if key.kind == "Namespace" else key.namespace
        if not namespace or (old is None) is (new is None):
            return ""
        before = namespace in self.namespaces
        self.namespaces[namespace] += 1 if old is None else -1
        if not self.namespaces[namespace]:
            del self.namespaces[namespace]
        return "" if before is (namespace in self.namespaces) else namespace

    def _index(self, key: ObjectKey, old: objects.KubernetesObject | None, new: objects.KubernetesObject | None) -> Touched:
        match key.kind:
            case "Service" | "ServiceImport" | exports.MCS_EXPORT | exports.FLEET_EXPORT:
                scope = self.name if key.kind == "Service" else CLUSTERSET
                return Touched(frozenset((ServiceKey(key.namespace, key.name, scope),)))
            case "EndpointSlice":
                found = [item for item in (old, new) if isinstance(item, objects.EndpointSlice)]
                return Touched(frozenset().union(*[self._place_slice(item, is_new=item is new) for item in found]))
            case "Namespace":
                return Touched(self._in_namespace(key.name, old, new))
            case "Node":
                return self._place_node(key.name, new)
            case "ClusterProperty" if key.name == CLUSTER_ID:
                self.cluster_id = new.spec.value if isinstance(new, objects.ClusterProperty) else ""
                return Touched(members=True)
        return Touched(gateways=key.kind in GATEWAY_KINDS)

    def _in_namespace(
        self, namespace: str, old: objects.KubernetesObject | None, new: objects.KubernetesObject | None
    ) -> frozenset[ServiceKey]:
        """Return the services for which a Namespace says something, if it says something else than before."""
        if said_of(old) == said_of(new):
            return frozenset()
        return frozenset(key for key in self.services() if key.namespace == namespace)

    def services(self) -> Iterator[ServiceKey]:
        """Return the keys of its own services."""
        return (ServiceKey(key.namespace, key.name, self.name) for key in self.keys.get("Service", ()))

    def _place_slice(self, item: objects.EndpointSlice, *, is_new: bool) -> frozenset[ServiceKey]:
        """Enter a slice, or take it out; return whose it is."""
        meta, owner = item.metadata, owner_of(item)
        touched = set()
        if owner.exported:
            touched.add(ServiceKey(meta.namespace, owner.exported, CLUSTERSET))
            _place(self.copies, (meta.namespace, owner.exported), item, is_new=is_new)
        if owner.service or not owner.exported:
            touched.add(ServiceKey(meta.namespace, owner.service, self.name))
            _place(self.slices, (meta.namespace, owner.service), item, is_new=is_new)
        return frozenset(touched)

    def _place_node(self, node: str, item: objects.KubernetesObject | None) -> Touched:
        """Keep where a node stands; its other fields, such as heartbeats, change nothing."""
        old = self.nodes.get(node)
        if item is None:
            self.nodes.pop(node, None)
        else:
            labels = item.metadata.labels
            self.nodes[node] = NodePlace(labels.get(REGION_LABEL, ""), labels.get(ZONE_LABEL, ""))
        return Touched() if self.nodes.get(node) == old else Touched(members=True, everything=True)


def _place(index: dict[tuple[str, str], Slices], key: tuple[str, str], item: objects.EndpointSlice, *, is_new: bool) -> None:
    slices = index[key]
    slices.pop(item.metadata.name, None)
    if is_new:
        slices[item.metadata.name] = item
    elif not slices:
        del index[key]
