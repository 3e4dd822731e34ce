"""What is known of the clusters, and what in them is ours."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final, NamedTuple

from xds.model import objects
from xds.model.events import ObjectKey
from xds.model.exports import EXPORTS, export_in
from xds.model.imports import Exported, invalid
from xds.model.slices import MCS_SERVICE_LABEL

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from xds.model.cluster import Cluster
    from xds.model.members import Member

OURS: Final = {"app.kubernetes.io/managed-by": "isthmus"}
"""The label of what we write, and may change and delete."""
NAME_CHARS: Final = 63

Name = tuple[str, str]
"""(namespace, name) of a service, and of what stands for it."""


class World(NamedTuple):
    """What is known of the clusters."""

    clusters: Mapping[str, Cluster]
    """The objects of every member that was told completely."""
    members: Mapping[str, Member]
    """By name; those that are not among the clusters cannot be asked."""


def names_of(clusters: Mapping[str, Cluster], target: str) -> set[Name]:
    """Return the (namespace, name) of everything that may have to be written in a cluster, or taken back there."""
    found = {(key.namespace, key.name) for cluster in clusters.values() for key in cluster.items if key.kind in EXPORTS}
    for key, item in clusters[target].items.items():
        if key.kind == "ServiceImport":
            found.add((key.namespace, key.name))
        elif key.kind == "Service" and (name := stands_for(item)):
            found.add((key.namespace, name))  # whoever wrote it may have ended before it wrote the import
    return found | clusters[target].copies.keys()


def exports_of(clusters: Mapping[str, Cluster], namespace: str, name: str) -> Iterator[Exported]:
    """Yield what each cluster exports of a name, as far as it is valid."""
    for cluster in clusters.values():
        export = export_in(cluster.items, namespace, name)
        service = cluster.items.get(ObjectKey("Service", namespace, name))
        if export is not None and isinstance(service, objects.Service) and not invalid(service):
            yield Exported(cluster.name, export, service.spec)


def has_namespace(cluster: Cluster, name: str) -> bool:
    """Return whether things can be made in a namespace of a cluster: one that is being deleted takes nothing new."""
    item = cluster.items.get(ObjectKey("Namespace", "", name))
    return isinstance(item, objects.Namespace) and item.status.phase != "Terminating"


def is_ours(item: objects.KubernetesObject) -> bool:
    """Return whether we may change an object, and delete it."""
    return OURS.items() <= item.metadata.labels.items()


def stands_for(service: objects.KubernetesObject) -> str:
    """Return the name of the import that a Service of ours is derived from, "" if it is none."""
    return service.metadata.labels.get(MCS_SERVICE_LABEL, "") if is_ours(service) else ""


def derived_name(name: str) -> str:
    """Return the name of the Service behind an import."""
    derived = f"clusterset-{name}"
    if len(derived) <= NAME_CHARS:
        return derived
    return f"{derived[: NAME_CHARS - 9]}-{digest(name)}"


def digest(*parts: str) -> str:
    """Return eight digits that stand for some texts."""
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:8]
