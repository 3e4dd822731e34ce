"""The plan: what has to be written in one cluster so that it imports what the clusters export. A pure function.

- An exported service is imported into every cluster that has its namespace (KEP-1645), by a ServiceImport of its name.
- Its clusterset IPs are the ClusterIPs of a Service without selector that we derive from it, so that kube-proxy serves pods
  without a proxy, too. Each slice of an exporter is copied for that Service.
- Every ServiceExport of the cluster gets its conditions Valid, Ready and Conflict.

What another implementation manages is left alone: an import without our label, and everything of its name. What a cluster
exported that cannot be asked now stays as it is: being unreachable is no reason to take anything back.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from msgspec import structs

from xds.model import objects
from xds.model.events import ObjectKey
from xds.model.imports import INVALID_TYPE, Exported, Import, invalid, merge
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

    from xds.model.cluster import Cluster
    from xds.model.members import Member

OURS: Final = {"app.kubernetes.io/managed-by": "isthmus"}
"""The label of what we write, and may change and delete."""
DERIVED_ANNOTATION: Final = "multicluster.kubernetes.io/derived-service"
SLICE_LABELS: Final = (MCS_SERVICE_LABEL, MCS_CLUSTER_LABEL, MANAGED_BY_LABEL, SERVICE_NAME_LABEL)
"""Of a copied slice: that of the Service is there unless the import is headless."""
NAME_CHARS: Final = 63
CONFLICT_ORDER: Final = (
    *("PortConflict", "TypeConflict", "SessionAffinityConflict", "SessionAffinityConfigConflict", "LabelsConflict"),
    *("AnnotationsConflict", "InternalTrafficPolicyConflict", "TrafficDistributionConflict"),
)


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


def names_of(clusters: Mapping[str, Cluster], target: str) -> set[tuple[str, str]]:
    """Return the (namespace, name) of everything that may have to be written in a cluster, or taken back there."""
    found = {(key.namespace, key.name) for cluster in clusters.values() for key in cluster.items if key.kind == "ServiceExport"}
    for key, item in clusters[target].items.items():
        if key.kind == "ServiceImport":
            found.add((key.namespace, key.name))
        elif key.kind == "Service" and _is_ours(item) and (name := item.metadata.labels.get(MCS_SERVICE_LABEL)):
            found.add((key.namespace, name))  # whoever wrote it may have ended before it wrote the import
    return found | clusters[target].copies.keys()


class World(NamedTuple):
    """What is known of the clusters."""

    clusters: Mapping[str, Cluster]
    """The objects of every member that was told completely."""
    members: Mapping[str, Member]
    """By name; those that are not among the clusters cannot be asked."""


def plan(world: World, target: str, namespace: str, name: str) -> Iterator[Write]:
    """Yield what is to be written in a cluster because of one name; nothing if all is as it should be.

    Args:
        world: what is known.
        target: the cluster that is written to.
        namespace: of the service.
        name: of the service.
    """
    yield from _Plan(world, target, namespace, name).writes()


def derived_name(name: str) -> str:
    """Return the name of the Service behind an import."""
    derived = f"clusterset-{name}"
    if len(derived) <= NAME_CHARS:
        return derived
    return f"{derived[: NAME_CHARS - 9]}-{_digest(name)}"


class _Plan:
    def __init__(self, world: World, target: str, namespace: str, name: str) -> None:
        self.clusters, self.members = world
        self.target = world.clusters[target]
        self.namespace = namespace
        self.name = name
        self.derived = derived_name(name)
        self.unknown = world.members.keys() - world.clusters.keys()
        exports = [exported for one in self.clusters.values() if (exported := self.exported(one))]
        self.merged = merge(exports) if exports else None

    def writes(self) -> Iterator[Write]:
        existing = self.item("ServiceImport", self.name)
        if isinstance(existing, objects.ServiceImport):
            if not _is_ours(existing):
                return
            if self.unknown.intersection(one.cluster for one in existing.status.clusters):
                yield from self.put_slices(self.merged)
                return
        if self.merged is None or ObjectKey("Namespace", "", self.namespace) not in self.target.items:
            yield from self.drops(existing)
        else:
            yield from self.imports(self.merged, existing)
        yield from self.conditions()

    def exported(self, cluster: Cluster) -> Exported | None:
        """Return what a cluster exports of the name, if it is valid."""
        export = cluster.items.get(ObjectKey("ServiceExport", self.namespace, self.name))
        service = cluster.items.get(ObjectKey("Service", self.namespace, self.name))
        if not isinstance(export, objects.ServiceExport) or not isinstance(service, objects.Service) or invalid(service):
            return None
        return Exported(cluster.name, export, service.spec)

    def item(self, kind: str, name: str) -> objects.KubernetesObject | None:
        return self.target.items.get(ObjectKey(kind, self.namespace, name))

    def drops(self, existing: objects.KubernetesObject | None) -> Iterator[Write]:
        """Take back what we wrote of the name; slices go with the Service that they are owned by."""
        if existing is not None:
            yield Drop(ObjectKey("ServiceImport", self.namespace, self.name))
        yield from self.drop_derived()

    def drop_derived(self) -> Iterator[Write]:
        service = self.item("Service", self.derived)
        if service is not None and _is_ours(service):
            yield Drop(ObjectKey("Service", self.namespace, self.derived))
        for copy in self.copies():
            yield Drop(ObjectKey("EndpointSlice", self.namespace, copy))

    def copies(self) -> dict[str, objects.EndpointSlice]:
        """Return the slices that we wrote of the name."""
        found = self.target.copies.get((self.namespace, self.name), {})
        return {key: one for key, one in found.items() if one.metadata.labels.get(MANAGED_BY_LABEL) == MCS_MANAGER}

    def imports(self, merged: Import, existing: objects.KubernetesObject | None) -> Iterator[Write]:
        headless = merged.oldest.headless
        service = self.item("Service", self.derived)
        if service is not None and not _is_ours(service):
            return  # a user's own has the name; nothing of theirs is touched
        ips: list[str] = []
        if headless:
            yield from self.drop_derived_service(service)
        else:
            yield from self.derive(merged, service)
            ips = list(service.spec.cluster_ips) if isinstance(service, objects.Service) else []
        if headless or ips:  # before the Service has its addresses there is nothing to import
            yield from self.put_import(merged, existing, ips)
        yield from self.put_slices(merged)

    def drop_derived_service(self, service: objects.KubernetesObject | None) -> Iterator[Write]:
        if service is not None:
            yield Drop(ObjectKey("Service", self.namespace, self.derived))

    def derive(self, merged: Import, existing: objects.KubernetesObject | None) -> Iterator[Write]:
        """The Service without selector whose ClusterIPs are the clusterset IPs."""
        oldest = merged.oldest.spec
        ports = [port for port, _ in merged.ports]
        wanted = (ports, oldest.session_affinity, oldest.session_affinity_config)
        if isinstance(existing, objects.Service):
            spec = existing.spec
            if (spec.ports, spec.session_affinity, spec.session_affinity_config) == wanted:
                return
        body: dict[str, Any] = {"ports": [_plain(port) for port in ports], "sessionAffinity": oldest.session_affinity}
        if oldest.session_affinity_config:
            body["sessionAffinityConfig"] = oldest.session_affinity_config
        yield self.put("Service", "v1", self.derived, {"spec": body}, labels={**OURS, MCS_SERVICE_LABEL: self.name})

    def put_import(self, merged: Import, existing: objects.KubernetesObject | None, ips: list[str]) -> Iterator[Write]:
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
        status = objects.ImportStatus(
            clusters=[objects.ImportedFrom(cluster=name) for name in sorted(one.cluster for one in merged.exports)],
            conditions=_dated([objects.Condition(type="Ready", status="True", reason="Ready")], current),
        )
        carried = oldest.export.spec
        labels = {**carried.exported_labels, **OURS}
        annotations = {**carried.exported_annotations, **({} if oldest.headless else {DERIVED_ANNOTATION: self.derived})}
        if (
            current is None
            or current.spec != spec
            or current.metadata.labels != labels
            or not annotations.items() <= current.metadata.annotations.items()
        ):
            version = "multicluster.x-k8s.io/v1alpha1"
            yield self.put("ServiceImport", version, self.name, {"spec": _plain(spec)}, labels=labels, annotations=annotations)
        if current is None or current.status != status:
            body = {
                **_head("ServiceImport", "multicluster.x-k8s.io/v1alpha1", self.namespace, self.name),
                "status": _plain(status),
            }
            yield Put(ObjectKey("ServiceImport", self.namespace, self.name), body, is_status=True)

    def put_slices(self, merged: Import | None) -> Iterator[Write]:
        wanted = dict(self.wanted_slices(merged)) if merged else {}
        copies = self.copies()
        existing = {name: one for name, one in copies.items() if owner_of(one).source not in self.unknown}
        for name, item in wanted.items():
            if name not in existing or not _same_slice(existing[name], item):
                body = {
                    "addressType": item.address_type,
                    "ports": [_plain(port) for port in item.ports or []],
                    "endpoints": [_plain(found) for found in item.endpoints or []],
                }
                yield self.put("EndpointSlice", "discovery.k8s.io/v1", name, body, labels=item.metadata.labels)
        for name in existing.keys() - wanted.keys():
            yield Drop(ObjectKey("EndpointSlice", self.namespace, name))

    def wanted_slices(self, merged: Import) -> Iterator[tuple[str, objects.EndpointSlice]]:
        """Return name -> a copy of each exporter's slice, with the ports that are imported from that cluster."""
        network = self.members[self.target.name].network
        for one in merged.exports:
            if self.members[one.cluster].network != network:
                continue  # unreachable for kube-proxy; our own proxies may have a gateway
            served = {port.name for port, clusters in merged.ports if one.cluster in clusters}
            for source in self.clusters[one.cluster].slices.get((self.namespace, self.name), {}).values():
                if owner_of(source).source or source.address_type == "FQDN":
                    continue
                labels = {MCS_SERVICE_LABEL: self.name, MCS_CLUSTER_LABEL: one.cluster, MANAGED_BY_LABEL: MCS_MANAGER}
                if not merged.oldest.headless:
                    labels[SERVICE_NAME_LABEL] = self.derived
                name = f"{self.derived}-{_digest(one.cluster, source.metadata.name)}"
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
        wanted = _dated(self.conditions_of(export), export)
        current = {one.type: one for one in export.status.conditions}
        if any(current.get(one.type) != one for one in wanted):
            body = {
                **_head("ServiceExport", "multicluster.x-k8s.io/v1alpha1", self.namespace, self.name),
                "status": {"conditions": [_plain(one) for one in wanted]},
            }
            yield Put(ObjectKey("ServiceExport", self.namespace, self.name), body, is_status=True)

    def conditions_of(self, export: objects.ServiceExport) -> list[objects.Condition]:
        if reason := invalid(self.item("Service", export.metadata.name)):
            message = (
                "a Service of type ExternalName cannot be exported"
                if reason == INVALID_TYPE
                else f"there is no Service {export.metadata.namespace}/{export.metadata.name}"
            )
            return [
                objects.Condition(type="Valid", status="False", reason=reason, message=message),
                objects.Condition(type="Ready", status="False", reason="Pending", message="the export is not valid"),
            ]
        found = [
            objects.Condition(type="Valid", status="True", reason="Valid", message=""),
            objects.Condition(type="Ready", status="True", reason="Exported", message=""),
        ]
        conflicts = self.merged.conflicts if self.merged else ()
        if not conflicts:
            return [*found, objects.Condition(type="Conflict", status="False", reason="NoConflicts", message="")]
        reasons = sorted({one.reason for one in conflicts}, key=CONFLICT_ORDER.index)
        message = self.conflict_message()
        return [*found, objects.Condition(type="Conflict", status="True", reason=",".join(reasons), message=message)]

    def conflict_message(self) -> str:
        """Say for each field who decides and how many differ; a message may not name every cluster (mcs-api's own advice)."""
        assert self.merged
        total = len(self.merged.exports)
        parts = []
        for reason in sorted({one.reason for one in self.merged.conflicts}, key=CONFLICT_ORDER.index):
            found = [one for one in self.merged.conflicts if one.reason == reason]
            winners = sorted({one.winner for one in found})
            who = f"{', '.join(winners)} decide{'s' if len(winners) == 1 else ''}"
            parts.append(f"{reason}: {len({one.cluster for one in found})} of {total} clusters differ, {who}")
        return "; ".join(parts)

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


def _dated(
    wanted: list[objects.Condition], item: objects.ServiceExport | objects.ServiceImport | None
) -> list[objects.Condition]:
    """Return the conditions with the time of those that stand already; of others the time is now, which the writer knows."""
    times = {(one.type, one.status): one.last_transition_time for one in item.status.conditions} if item else {}
    return [structs.replace(one, last_transition_time=times.get((one.type, one.status), "")) for one in wanted]


def _head(kind: str, api_version: str, namespace: str, name: str) -> dict[str, Any]:
    return {"apiVersion": api_version, "kind": kind, "metadata": {"namespace": namespace, "name": name}}


def _plain(value: Any) -> Any:
    """Return a struct as JSON would have it, without what is not set."""
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if hasattr(value, "__struct_fields__"):
        pairs = zip(value.__struct_encode_fields__, value.__struct_fields__, strict=True)
        return {key: _plain(found) for key, field in pairs if (found := getattr(value, field)) not in (None, "", [], {})}
    return value


def _is_ours(item: objects.KubernetesObject) -> bool:
    return OURS.items() <= item.metadata.labels.items()


def _same_slice(one: objects.EndpointSlice, other: objects.EndpointSlice) -> bool:
    return (
        one.address_type == other.address_type
        and (one.ports or []) == (other.ports or [])
        and (one.endpoints or []) == (other.endpoints or [])
        and all(one.metadata.labels.get(label) == other.metadata.labels.get(label) for label in SLICE_LABELS)
    )


def _digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:8]
