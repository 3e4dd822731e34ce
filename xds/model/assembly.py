"""Making services of objects: what each cluster has of its own, and what the cluster set has of those that are exported."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from xds.model import objects
from xds.model.clusterset import Export, merge_exports
from xds.model.events import ObjectKey, ref_of
from xds.model.exports import exports_in, overruled
from xds.model.gateways import leads_elsewhere
from xds.model.hints import said_of
from xds.model.imports import INVALID_TYPE, Exported, invalid
from xds.model.local import LocalInput, LocalResult, build_local
from xds.model.members import Member
from xds.model.service import ServiceKey
from xds.model.slices import owner_of
from xds.problems import Problem

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from xds.model.cluster import Cluster
    from xds.model.imports import Import
    from xds.model.membership import Membership
    from xds.model.remotes import Remotes
    from xds.model.service import Service
    from xds.model.sharing import Sharing


class Assembly:
    """Makes services, and keeps what is wrong with the objects that they are made of.

    Args:
        clusters: the objects of each cluster, as they are at any time.
        membership: who is a member, and by which names.
        remotes: what Flomesh's objects come to.
        sharing: returns how the Services of a (namespace, name) are shared.
    """

    def __init__(
        self,
        clusters: Mapping[str, Cluster],
        membership: Membership,
        remotes: Remotes,
        sharing: Callable[[str, str], Sharing | None],
    ) -> None:
        self._clusters = clusters
        self._membership = membership
        self._remotes = remotes
        self._sharing = sharing
        self.own: dict[ServiceKey, Service] = {}
        """What each cluster tells of its own."""
        self.imports: dict[ServiceKey, Import] = {}
        """What each service of the cluster set was merged of."""
        self.problems: dict[ServiceKey, tuple[Problem, ...]] = {}
        self.unowned: set[ServiceKey] = set()
        """What slices belong to that is no Service."""
        self.services_built = 0
        """How many services have been made or made anew: the cost of changes."""

    def local(self, key: ServiceKey) -> Service | None:
        """Make a cluster's own service; None if it has none."""
        cluster = self._clusters[key.scope]
        name = (key.namespace, key.name)
        item = cluster.items.get(ObjectKey("Service", key.namespace, key.name))
        (self.unowned.add if item is None and name in cluster.slices else self.unowned.discard)(key)
        if not isinstance(item, objects.Service) or item.spec.type == "ExternalName" or key.scope not in self._membership.members:
            self._note(key, ())
            cluster.seen.pop((*name, ""), None)
            return None
        result = self._built(cluster, self._membership.members[key.scope], item, cluster.slices.get(name, {}))
        self._note(key, result.problems)
        return result.service

    def _built(
        self,
        cluster: Cluster,
        member: Member,
        item: objects.Service,
        slices: Mapping[str, objects.EndpointSlice],
        source: str = "",
    ) -> LocalResult:
        """Make a service of objects of one cluster, or of the copies that it has of another cluster's."""
        self.services_built += 1
        memory = (item.metadata.namespace, item.metadata.name, source)
        ordered = tuple(slices[name] for name in sorted(slices))
        sharing = None if source else self._sharing(item.metadata.namespace, item.metadata.name)
        given = LocalInput(
            member=member,
            service=item,
            slices=ordered,
            nodes={} if source else cluster.nodes,  # the source's nodes are others, even those of the same names
            known=self._membership.known,
            seen=cluster.seen.get(memory, frozenset()),
            doubted=not source and memory[:2] in cluster.doubted,
            namespace=said_of(cluster.items.get(ObjectKey("Namespace", "", item.metadata.namespace))),
            is_given_more=(sharing is not None and sharing.consumes(member.name))
            or (not source and leads_elsewhere(self._remotes.found.get(ServiceKey(*memory[:2], member.name)))),
        )
        result = build_local(given)
        cluster.seen[memory] = result.seen
        return result

    def merged(self, key: ServiceKey) -> Service | None:
        """Make a service of the cluster set of the clusters' own that are exported; None if none is."""
        exports: list[Export] = []
        imports: list[tuple[str, objects.ServiceImport]] = []
        importers: dict[str, str] = {}
        problems: list[Problem] = []
        for name, member in self._membership.members.items():
            cluster = self._clusters.get(name)
            if cluster is None:
                continue
            if key.namespace in cluster.namespaces:
                importers[name] = member.network
            item = cluster.items.get(ObjectKey("ServiceImport", key.namespace, key.name))
            if isinstance(item, objects.ServiceImport):
                imports.append((name, item))
            if found := exports_in(cluster.items, key.namespace, key.name):
                export, *others = found
                problems += (problem for one in others for problem in overruled(name, one, export))
                local = self.own.get(ServiceKey(key.namespace, key.name, name))
                source = cluster.items.get(ObjectKey("Service", key.namespace, key.name))
                if local is None or not isinstance(source, objects.Service):
                    problems.append(self._useless(name, export))
                else:
                    exports.append(Export(member, Exported(name, export, source.spec), local))
        exports += self._copied(key, imports, {export.member.name for export in exports})
        self._forget_copies(key, {export.member.name for export in exports})
        if not exports:
            self._note(key, tuple(problems))
            self.imports.pop(key, None)
            return None
        self.services_built += 1
        result = merge_exports(exports, imports, importers)
        self.imports[key] = result.imported
        self._note(key, (*problems, *result.problems))
        return result.service

    def _copied(self, key: ServiceKey, imports: list[tuple[str, objects.ServiceImport]], told: set[str]) -> Iterator[Export]:
        """Return the exports of clusters that do not tell of themselves, by the copies that importers have of their slices."""
        for name, item in imports:
            cluster = self._clusters[name]
            by_source: dict[str, dict[str, objects.EndpointSlice]] = defaultdict(dict)
            for slice_name, copy in cluster.copies.get((key.namespace, key.name), {}).items():
                source = owner_of(copy).source
                source, is_watched = self._membership.source(source)
                if source and source not in told and not is_watched:
                    by_source[source][slice_name] = copy
            for source, copies in sorted(by_source.items()):
                told.add(source)  # other importers have the same
                exporter = Member(source, network=self._membership.members[name].network, declared=False)
                served = _as_service(item)
                built = self._built(cluster, exporter, served, copies, source)
                export = objects.ServiceExport(api_version=item.api_version, kind=item.kind, metadata=item.metadata)
                yield Export(exporter, Exported(source, export, served.spec), built.service)

    def _forget_copies(self, key: ServiceKey, exporters: set[str]) -> None:
        """Remember nothing of exporters that are no longer, whoever had copies of their slices."""
        before = self.imports.get(key)
        for source in {one.cluster for one in before.exports} - exporters if before else ():
            for cluster in self._clusters.values():
                cluster.seen.pop((key.namespace, key.name, source), None)

    def _note(self, key: ServiceKey, problems: tuple[Problem, ...]) -> None:
        """Keep the problems of a service; nothing stays of one that has none."""
        if problems:
            self.problems[key] = problems
        else:
            self.problems.pop(key, None)

    def _useless(self, cluster: str, export: objects.ServiceExport) -> Problem:
        meta = export.metadata
        reason = invalid(self._clusters[cluster].items.get(ObjectKey("Service", meta.namespace, meta.name)))
        if reason == INVALID_TYPE:
            message, hint = (
                f"an ExternalName service cannot be exported ({reason})",
                "export a ClusterIP or headless Service",
            )
            return Problem("XDS0212", message, ref_of(cluster, export), hint=hint)
        message = f"there is no Service {meta.namespace}/{meta.name} in {cluster} to export ({reason})"
        return Problem("XDS0204", message, ref_of(cluster, export), hint="create the Service, or delete the ServiceExport")


def _as_service(item: objects.ServiceImport) -> objects.Service:
    """Return the Service that an importer takes the exporters' to be."""
    ports = [
        objects.ServicePort(port=port.port, name=port.name, protocol=port.protocol, app_protocol=port.app_protocol)
        for port in item.spec.ports
    ]
    spec = objects.ServiceSpec(
        ports=ports,
        cluster_ip="None" if item.spec.type == "Headless" else "",
        session_affinity=item.spec.session_affinity or "None",
        session_affinity_config=item.spec.session_affinity_config,
    )
    return objects.Service(api_version="v1", kind=item.kind, metadata=item.metadata, spec=spec)
