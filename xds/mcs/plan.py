"""The plan: what has to be written in one cluster so that it imports what the clusters export. A pure function.

- An exported service is imported into every cluster that has its namespace (KEP-1645), by a ServiceImport of its name.
- Its clusterset IPs are the ClusterIPs of a Service without selector that we derive from it, so that kube-proxy serves pods
  without a proxy, too; or, with a range, what `xds.mcs.addresses` gives it, and there is no such Service.
- Each slice of an exporter is copied, for that Service if there is one.
- Every ServiceExport of the cluster gets its conditions Valid, Ready and Conflict.

What another implementation manages is left alone: an import without our label, and everything of its name. What a cluster
exported that cannot be asked now stays as it is: being unreachable is no reason to take anything back.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from msgspec import structs

from xds.mcs.conditions import NO_ADDRESS, READY, conditions_of, dated
from xds.mcs.world import OURS, derived_name, digest, exports_of, has_namespace, is_ours
from xds.model import objects
from xds.model.events import ObjectKey
from xds.model.imports import merge
from xds.model.slices import (
    MANAGED_BY_LABEL,
    MCS_CLUSTER_LABEL,
    MCS_MANAGER,
    MCS_SERVICE_LABEL,
    SERVICE_NAME_LABEL,
    owner_of,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from xds.mcs.world import Name, World
    from xds.model.imports import Import

DERIVED_ANNOTATION: Final = "multicluster.kubernetes.io/derived-service"
SLICE_LABELS: Final = (MCS_SERVICE_LABEL, MCS_CLUSTER_LABEL, MANAGED_BY_LABEL, SERVICE_NAME_LABEL)
"""Of a copied slice: that of the Service is there if there is a derived one."""


class Put(NamedTuple):
    """An object, or its status, is to be as given."""

    key: ObjectKey
    body: dict[str, Any]
    """Everything of it that is ours to say: for server-side apply."""
    is_status: bool = False


class Drop(NamedTuple):
    """An object of ours is to go."""

    key: ObjectKey


Write = Put | Drop


def plan(
    world: World, target: str, namespace: str, name: str, given: Mapping[Name, tuple[str, ...]] | None = None
) -> Iterator[Write]:
    """Yield what is to be written in a cluster because of one name; nothing if all is as it should be.

    Args:
        world: what is known.
        target: the cluster that is written to.
        namespace: of the service.
        name: of the service.
        given: the addresses of imports where there is a range for them; one that is not in it has come since.
    """
    yield from _Plan(world, target, (namespace, name), given).writes()


class _Plan:
    def __init__(self, world: World, target: str, name: Name, given: Mapping[Name, tuple[str, ...]] | None) -> None:
        self.clusters, self.members = world
        self.target = world.clusters[target]
        self.namespace, self.name = name
        self.has_range = given is not None
        self.given = given.get(name) if given else None
        self.derived = derived_name(self.name)
        unknown = (one for name, one in world.members.items() if name not in world.clusters)
        self.unknown = {name for one in unknown for name in (one.name, one.id)}
        exports = list(exports_of(self.clusters, *name))
        self.merged = merge(exports) if exports else None

    def writes(self) -> Iterator[Write]:
        existing = self.item("ServiceImport", self.name)
        if isinstance(existing, objects.ServiceImport):
            if not is_ours(existing):
                return
            if self.unknown.intersection(one.cluster for one in existing.status.clusters):
                yield from self.put_slices(self.merged, for_derived=DERIVED_ANNOTATION in existing.metadata.annotations)
                return
        if self.merged is None or not has_namespace(self.target, self.namespace):
            yield from self.drops(existing)
        else:
            yield from self.imports(self.merged, existing)
        yield from self.conditions()

    def item(self, kind: str, name: str) -> objects.KubernetesObject | None:
        return self.target.items.get(ObjectKey(kind, self.namespace, name))

    def drops(self, existing: objects.KubernetesObject | None) -> Iterator[Write]:
        """Take back what we wrote of the name; slices go with the Service that they are owned by."""
        if existing is not None:
            yield Drop(ObjectKey("ServiceImport", self.namespace, self.name))
        yield from self.drop_derived()

    def drop_derived(self) -> Iterator[Write]:
        service = self.item("Service", self.derived)
        if service is not None and is_ours(service):
            yield Drop(ObjectKey("Service", self.namespace, self.derived))
        for copy in self.copies():
            yield Drop(ObjectKey("EndpointSlice", self.namespace, copy))

    def copies(self) -> dict[str, objects.EndpointSlice]:
        """Return the slices that we wrote of the name."""
        found = self.target.copies.get((self.namespace, self.name), {})
        return {key: one for key, one in found.items() if one.metadata.labels.get(MANAGED_BY_LABEL) == MCS_MANAGER}

    def imports(self, merged: Import, existing: objects.KubernetesObject | None) -> Iterator[Write]:
        service = self.item("Service", self.derived)
        if self.is_derived(merged, service):
            if service is not None and not is_ours(service):
                return  # a user's own has the name; nothing of theirs is touched
            yield from self.derive(merged, service)
            ips = service.spec.cluster_ips if isinstance(service, objects.Service) else []
            if ips:  # before the Service has its addresses there is nothing to import
                yield from self.put_import(merged, existing, ips, is_derived=True)
            yield from self.put_slices(merged, for_derived=True)
        elif merged.oldest.headless or self.given is not None:
            ips = [] if merged.oldest.headless else list(self.given or ())
            is_there = isinstance(existing, objects.ServiceImport) and existing.spec.ips == ips
            yield from self.put_import(merged, existing, ips, is_derived=False)
            yield from self.put_slices(merged, for_derived=False)
            if is_there and service is not None and is_ours(service):  # nobody is sent to its address any more
                yield Drop(ObjectKey("Service", self.namespace, self.derived))

    def is_derived(self, merged: Import, service: objects.KubernetesObject | None) -> bool:
        """Return whether the import has the addresses of a derived Service.

        Where the range has none left for an import that has a Service already, it keeps that.
        """
        if merged.oldest.headless:
            return False
        return not self.has_range or (self.given == () and service is not None and is_ours(service))

    def derive(self, merged: Import, existing: objects.KubernetesObject | None) -> Iterator[Write]:
        """The Service without selector whose ClusterIPs are the clusterset IPs."""
        oldest = merged.oldest.spec
        ports = [port for port, _ in merged.ports]
        wanted = (ports, oldest.session_affinity, oldest.session_affinity_config)
        if isinstance(existing, objects.Service):
            spec = existing.spec
            if (spec.ports, spec.session_affinity, spec.session_affinity_config) == wanted:
                return
        body: dict[str, Any] = {"ports": [plain(port) for port in ports], "sessionAffinity": oldest.session_affinity}
        if oldest.session_affinity_config:
            body["sessionAffinityConfig"] = oldest.session_affinity_config
        yield self.put("Service", "v1", self.derived, {"spec": body}, labels={**OURS, MCS_SERVICE_LABEL: self.name})

    def put_import(
        self, merged: Import, existing: objects.KubernetesObject | None, ips: list[str], *, is_derived: bool
    ) -> Iterator[Write]:
        oldest = merged.oldest
        spec = objects.ImportSpec(
            type="Headless" if oldest.headless else "ClusterSetIP",
            ips=ips,
            ip_families=["IPv6" if ":" in ip else "IPv4" for ip in ips],
            ports=[
                objects.ImportPort(name=port.name, port=port.port, protocol=port.protocol, app_protocol=port.app_protocol)
                for port, _ in merged.ports
            ],
            session_affinity=oldest.spec.session_affinity,
            session_affinity_config=oldest.spec.session_affinity_config,
            internal_traffic_policy=oldest.spec.internal_traffic_policy,
            traffic_distribution=oldest.spec.traffic_distribution,
        )
        current = existing if isinstance(existing, objects.ServiceImport) else None
        exporters = sorted(self.members[one.cluster].id for one in merged.exports)
        status = objects.ImportStatus(
            clusters=[objects.ImportedFrom(cluster=name) for name in exporters],
            conditions=dated([READY if ips or oldest.headless else NO_ADDRESS], current),
        )
        carried = oldest.export.spec
        labels = {**carried.exported_labels, **OURS}
        annotations = {**carried.exported_annotations, **({DERIVED_ANNOTATION: self.derived} if is_derived else {})}
        if (
            current is None
            or current.spec != spec
            or current.metadata.labels != labels
            or not annotations.items() <= current.metadata.annotations.items()
            or is_derived is not (DERIVED_ANNOTATION in current.metadata.annotations)
        ):
            version = "multicluster.x-k8s.io/v1alpha1"
            yield self.put("ServiceImport", version, self.name, {"spec": plain(spec)}, labels=labels, annotations=annotations)
        if current is None or current.status != status:
            body = {
                **_head("ServiceImport", "multicluster.x-k8s.io/v1alpha1", self.namespace, self.name),
                "status": plain(status),
            }
            yield Put(ObjectKey("ServiceImport", self.namespace, self.name), body, is_status=True)

    def put_slices(self, merged: Import | None, *, for_derived: bool) -> Iterator[Write]:
        wanted = dict(self.wanted_slices(merged, for_derived=for_derived)) if merged else {}
        copies = self.copies()
        existing = {name: one for name, one in copies.items() if owner_of(one).source not in self.unknown}
        for name, item in wanted.items():
            if name not in existing or not _same_slice(existing[name], item):
                body = {
                    "addressType": item.address_type,
                    "ports": [plain(port) for port in item.ports or []],
                    "endpoints": [plain(found) for found in item.endpoints or []],
                }
                yield self.put("EndpointSlice", "discovery.k8s.io/v1", name, body, labels=item.metadata.labels)
        for name in existing.keys() - wanted.keys():
            yield Drop(ObjectKey("EndpointSlice", self.namespace, name))

    def wanted_slices(self, merged: Import, *, for_derived: bool) -> Iterator[tuple[str, objects.EndpointSlice]]:
        """Return name -> a copy of each exporter's slice, with the ports that are imported from that cluster."""
        network = self.members[self.target.name].network
        for one in merged.exports:
            if self.members[one.cluster].network != network:
                continue  # unreachable for kube-proxy; our own proxies may have a gateway
            served = {port.name for port, clusters in merged.ports if one.cluster in clusters}
            for source in self.clusters[one.cluster].slices.get((self.namespace, self.name), {}).values():
                if owner_of(source).source or source.address_type == "FQDN":
                    continue
                cluster = self.members[one.cluster].id
                labels = {MCS_SERVICE_LABEL: self.name, MCS_CLUSTER_LABEL: cluster, MANAGED_BY_LABEL: MCS_MANAGER}
                if for_derived:
                    labels[SERVICE_NAME_LABEL] = self.derived
                name = f"{self.derived}-{digest(one.cluster, source.metadata.name)}"
                meta = objects.ObjectMeta(name=name, namespace=self.namespace, labels=labels)
                yield (
                    name,
                    objects.EndpointSlice(
                        api_version=source.api_version,
                        kind=source.kind,
                        metadata=meta,
                        address_type=source.address_type,
                        ports=[port for port in source.ports or [] if (port.name or "") in served],
                        # A pod or a node of another cluster would be taken for one of this cluster.
                        endpoints=[structs.replace(found, target_ref=None, node_name=None) for found in source.endpoints or []],
                    ),
                )

    def conditions(self) -> Iterator[Write]:
        """The conditions of the target's own export."""
        export = self.item("ServiceExport", self.name)
        if not isinstance(export, objects.ServiceExport):
            return
        service = self.item("Service", self.name)
        wanted = dated(conditions_of(export, service, self.merged), export)
        current = {one.type: one for one in export.status.conditions}
        if any(current.get(one.type) != one for one in wanted):
            body = {
                **_head("ServiceExport", "multicluster.x-k8s.io/v1alpha1", self.namespace, self.name),
                "status": {"conditions": [plain(one) for one in wanted]},
            }
            yield Put(ObjectKey("ServiceExport", self.namespace, self.name), body, is_status=True)

    def put(
        self,
        kind: str,
        api_version: str,
        name: str,
        body: dict[str, Any],
        *,
        labels: Mapping[str, str],
        annotations: Mapping[str, str] | None = None,
    ) -> Put:
        head = _head(kind, api_version, self.namespace, name)
        head["metadata"] |= {"labels": dict(labels), **({"annotations": dict(annotations)} if annotations else {})}
        return Put(ObjectKey(kind, self.namespace, name), {**head, **body})


def _head(kind: str, api_version: str, namespace: str, name: str) -> dict[str, Any]:
    return {"apiVersion": api_version, "kind": kind, "metadata": {"namespace": namespace, "name": name}}


def plain(value: Any) -> Any:
    """Return a struct as JSON would have it, without what is not set."""
    if isinstance(value, list):
        return [plain(item) for item in value]
    if hasattr(value, "__struct_fields__"):
        pairs = zip(value.__struct_encode_fields__, value.__struct_fields__, strict=True)
        return {key: plain(found) for key, field in pairs if (found := getattr(value, field)) not in (None, "", [], {})}
    return value


def _same_slice(one: objects.EndpointSlice, other: objects.EndpointSlice) -> bool:
    return (
        one.address_type == other.address_type
        and (one.ports or []) == (other.ports or [])
        and (one.endpoints or []) == (other.endpoints or [])
        and all(one.metadata.labels.get(label) == other.metadata.labels.get(label) for label in SLICE_LABELS)
    )
