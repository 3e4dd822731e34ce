"""The objects by which a cluster exports the Service of their name: the MCS API's, and Azure Fleet's, which has its shape.

`Azure/fleet-networking: api/v1beta1/serviceexport_types.go`. Flomesh's are not among them: they lead to gateways.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from xds.model.events import ObjectKey, ref_of
from xds.model.hints import EXPORT_WEIGHT
from xds.model.objects import ServiceExport
from xds.problems import Problem

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from xds.model.objects import KubernetesObject

FLEET_GROUP: Final = "networking.fleet.azure.com"
MCS_EXPORT: Final = ServiceExport.__name__
FLEET_EXPORT: Final = f"{MCS_EXPORT}.{FLEET_GROUP}"
EXPORTS: Final = (MCS_EXPORT, FLEET_EXPORT)
"""Kinds: of two exports of one name in a cluster, the first counts."""


def exports_in(items: Mapping[ObjectKey, KubernetesObject], namespace: str, name: str) -> list[ServiceExport]:
    """Return the exports that a cluster has of a name; the first counts."""
    found = (items.get(ObjectKey(kind, namespace, name)) for kind in EXPORTS)
    return [one for one in found if isinstance(one, ServiceExport)]


def export_in(items: Mapping[ObjectKey, KubernetesObject], namespace: str, name: str) -> ServiceExport | None:
    """Return the export of a name that counts in a cluster, if it has one."""
    return next(iter(exports_in(items, namespace, name)), None)


def overruled(cluster: str, item: ServiceExport, counting: ServiceExport) -> Iterator[Problem]:
    """Yield that the weight of an export does not count where another one does."""
    said, counts = (one.metadata.annotations.get(EXPORT_WEIGHT) for one in (item, counting))
    if said is not None and said != counts:
        message = f"{said!r} has no effect: the {counting.kind} of its name in {cluster} counts"
        hint = f"give that one the annotation, or delete this {item.kind}"
        yield Problem("XDS0611", message, ref_of(cluster, item), f'metadata.annotations["{EXPORT_WEIGHT}"]', hint)
