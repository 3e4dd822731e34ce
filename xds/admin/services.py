"""The answers of the admin API about services: all in a list, and one name in all clusters, as messages."""

from __future__ import annotations

from typing import TYPE_CHECKING

from xds.admin.answers import endpoint_count, problem_message
from xds.admin.flomesh import flomesh_services
from xds.admin.service_endpoints import ServiceSlices, created_at
from xds.admin.snapshots import NotFoundError
from xds.model.events import ObjectKey
from xds.model.exports import EXPORTS, export_in
from xds.model.fleet import SHARING
from xds.model.imports import INVALID_TYPE, NO_SERVICE, invalid
from xds.model.local import distribution_of
from xds.model.objects import UNDATED
from xds.model.protocols import protocol_of
from xds.model.remotes import FLOMESH_KINDS
from xds.model.service import CLUSTERSET, Health, ServiceKey
from xds.wire import admin

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from xds.admin.state import ControlPlane
    from xds.model.imports import Conflict, Import
    from xds.model.service import Service
    from xds.model.sharing import Sharing
    from xds.problems import Ref

KINDS = ("Service", *EXPORTS, "ServiceImport", *FLOMESH_KINDS)
"""Of the objects that have a service's name."""
_JOINED = "ports are joined; the clusters that have this one serve it"


def services(plane: ControlPlane) -> admin.ServiceList:
    """Return every service, by namespace and name; that of the cluster set comes before the clusters' own."""
    return admin.ServiceList(items=[_service(service, plane.services) for _, service in sorted(plane.services.items())])


def service(plane: ControlPlane, namespace: str, name: str) -> admin.ServiceDescription:
    """Return all that is known of one name: who exports it, what is merged of that, and where its endpoints are.

    Raises:
        NotFoundError: no member has an object of that name that is about a service.
    """
    known = plane.clusters
    if not any(
        ObjectKey(kind, namespace, name) in known[member].items for kind in KINDS for member in plane.members if member in known
    ):
        names = {f"{key.namespace}/{key.name}" for one in known.values() for key in one.items if key.kind in KINDS}
        raise NotFoundError("service", f"{namespace}/{name}", names)
    key = ServiceKey(namespace, name, CLUSTERSET)
    imported = plane.imports.get(key)
    slices = ServiceSlices(plane, key)

    def is_about(ref: Ref) -> bool:
        is_named = ref.kind in (*KINDS, SHARING) and ref.name == name
        return ref.namespace == namespace and (is_named or slices.has(ref))

    return admin.ServiceDescription(
        namespace=namespace,
        name=name,
        names=_names(plane, key),
        exports=_exports(plane, key),
        imported=_imported(imported) if imported else None,
        conflicts=_conflicts(imported) if imported else (),
        endpoints=slices.by_locality(),
        sharing=_sharing(plane.sharing(namespace, name)),
        problems=[problem_message(problem) for problem in plane.problems() if problem.ref and is_about(problem.ref)],
        flomesh=flomesh_services(plane, namespace, name),
    )


def _service(service: Service, known: Mapping[ServiceKey, Service]) -> admin.Service:
    key = service.key
    merged = known.get(ServiceKey(key.namespace, key.name, CLUSTERSET))
    exporters = {ref.cluster for ref in merged.origins if ref.kind in EXPORTS} if merged else set()
    return admin.Service(
        name=key.fqdn,
        cluster=key.scope,
        ports=[admin.ServicePort(port=port.number, name=port.name, protocol=port.protocol) for port in service.ports],
        exported_by=sorted(exporters & {key.scope} if key.scope else exporters),
        vips=[admin.ServiceAddresses(cluster=member, addresses=addresses) for member, addresses in sorted(service.vips.items())],
        endpoints_ready=endpoint_count(service, {Health.HEALTHY}),
        endpoints=endpoint_count(service),
    )


def _names(plane: ControlPlane, key: ServiceKey) -> Iterator[admin.ServiceName]:
    """Yield under which names and addresses clients know it."""
    for scope in (CLUSTERSET, *sorted(plane.members)):
        if found := plane.services.get(ServiceKey(key.namespace, key.name, scope)):
            for member in sorted(found.visible_in):
                addresses = found.vips.get(member, ())
                yield admin.ServiceName(name=found.key.fqdn, cluster=member, addresses=addresses, headless=found.headless)


def _exports(plane: ControlPlane, key: ServiceKey) -> Iterator[admin.ServiceExport]:
    messages = {
        NO_SERVICE: f"there is no Service {key.namespace}/{key.name}",
        INVALID_TYPE: "a Service of type ExternalName cannot be exported",
    }
    for member in sorted(plane.members.keys() & plane.clusters.keys()):
        items = plane.clusters[member].items
        if export := export_in(items, key.namespace, key.name):
            reason = invalid(items.get(ObjectKey("Service", key.namespace, key.name)))
            yield admin.ServiceExport(
                cluster=member,
                created_at=created_at(export),
                valid=not reason,
                reason=reason,
                message=messages.get(reason, ""),
            )
    imported = plane.imports.get(key)
    for one in imported.exports if imported else ():
        if one.export.kind not in EXPORTS:
            yield admin.ServiceExport(cluster=one.cluster, valid=True, copied=True)


def _sharing(found: Sharing | None) -> admin.ServiceSharing | None:
    if found is None:
        return None
    ports = sorted({port.port for port in found.item.spec.ports})
    return admin.ServiceSharing(providers=sorted(found.providers or ()), consumers=sorted(found.consumers or ()), ports=ports)


def _imported(found: Import) -> admin.MergedImport:
    oldest = found.oldest
    affinity = (oldest.spec.session_affinity_config or {}).get("clientIP")
    timeout_s = affinity.get("timeoutSeconds") if isinstance(affinity, dict) else None
    return admin.MergedImport(
        type=oldest.type,
        ports=[
            admin.MergedPort(
                port=port.port,
                name=port.name,
                protocol=protocol_of(port.app_protocol, port.name) if port.protocol == "TCP" else port.protocol,
                clusters=sorted(clusters),
            )
            for port, clusters in found.ports
        ],
        session_affinity=oldest.spec.session_affinity,
        session_affinity_timeout_seconds=timeout_s if isinstance(timeout_s, int) and 0 <= timeout_s < 1 << 32 else 0,
        internal_traffic_policy=oldest.spec.internal_traffic_policy,
        traffic_distribution=distribution_of(oldest.spec),
        oldest=oldest.cluster,
        why=_why(found, oldest.cluster),
    )


def _conflicts(imported: Import) -> Iterator[admin.ExportConflict]:
    """Yield the conflicts, those with one outcome together."""
    found: dict[tuple[object, ...], list[Conflict]] = {}
    for one in imported.conflicts:
        found.setdefault((one.reason, one.field, one.winner, one.counts, one.is_missing), []).append(one)
    for same in found.values():
        yield admin.ExportConflict(
            reason=same[0].reason,
            field=same[0].field,
            winner=admin.ExportValue(cluster=same[0].winner, value=same[0].counts),
            why=_JOINED if same[0].is_missing else _why(imported, same[0].winner),
            losers=[admin.ExportValue(cluster=one.cluster, value=one.value) for one in same],
        )


def _why(imported: Import, winner: str) -> str:
    """Return why an export counts."""
    age = next(one.export.metadata.age for one in imported.exports if one.cluster == winner)
    such = "" if winner == imported.oldest.cluster else " with such a port"
    if [one.export.metadata.age for one in imported.exports].count(age) == 1:
        return f"the oldest export{such}"
    if age == UNDATED:
        return f"no export{such} tells when it was created, so the first cluster by name counts"
    return f"the oldest export{such}, and the first cluster by name of those as old"
