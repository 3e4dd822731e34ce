"""What the cluster set imports of one name: the exported Services of the clusters, merged by the rules of KEP-1645.

A property of the whole service is taken from the oldest export. Ports are joined; one that clusters declare differently is
that of the oldest of them, and only those that agree with it serve it. Whatever differs is a conflict, and costs no traffic.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from xds.model import objects
from xds.model.local import distribution_of
from xds.model.protocols import protocol_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

# Reasons of the condition Conflict (mcs-api, ServiceExportConditionReason), in the order in which they are told.
TYPE: Final = "TypeConflict"
PORT: Final = "PortConflict"
AFFINITY: Final = "SessionAffinityConflict"
AFFINITY_CONFIG: Final = "SessionAffinityConfigConflict"
LABELS: Final = "LabelsConflict"
ANNOTATIONS: Final = "AnnotationsConflict"
INTERNAL_POLICY: Final = "InternalTrafficPolicyConflict"
DISTRIBUTION: Final = "TrafficDistributionConflict"

# Reasons of the condition Valid, where it is False.
NO_SERVICE: Final = "NoService"
INVALID_TYPE: Final = "InvalidServiceType"


class Exported(NamedTuple):
    """One cluster's valid export, and the Service that it exports."""

    cluster: str
    export: objects.ServiceExport
    spec: objects.ServiceSpec

    @property
    def age_key(self) -> tuple[str, str]:
        """Oldest first; the tie-break by cluster name is ours, the KEP is silent."""
        return (self.export.metadata.age, self.cluster)

    @property
    def headless(self) -> bool:
        """Whether clients get the endpoints themselves."""
        return self.spec.cluster_ip == "None"

    @property
    def type(self) -> str:
        """What `spec.type` of its import would be."""
        return "Headless" if self.headless else "ClusterSetIP"


class Conflict(NamedTuple):
    """One export differs from what counts."""

    reason: str
    field: str
    """What differs, e.g. `sessionAffinity`."""
    cluster: str
    """Whose export it is."""
    value: str
    """What it says."""
    winner: str
    """Whose export counts: the oldest, or of a port the oldest that has it."""
    counts: str
    """What that one says."""
    is_missing: bool = False
    """It lacks a port that others have; nobody decides then, and those that have it serve it."""

    @property
    def message(self) -> str:
        """What differs, for people."""
        if self.is_missing:
            return f"port {self.counts} is missing here"
        if self.reason == TYPE:
            return f"the service is {'' if self.value == 'Headless' else 'not '}headless here"
        return f"{'port ' if self.reason == PORT else ''}{self.value} against {self.counts}"


@dataclass(frozen=True, slots=True)
class Import:
    """What there is to import."""

    exports: tuple[Exported, ...]
    """Oldest first."""
    ports: tuple[tuple[objects.ServicePort, frozenset[str]], ...]
    """Each port with the clusters that serve it, in the order in which they were found."""
    conflicts: tuple[Conflict, ...]

    @property
    def oldest(self) -> Exported:
        """The export that decides."""
        return self.exports[0]


def merge(exports: Sequence[Exported]) -> Import:
    """Merge the valid exports of one namespace and name; at least one."""
    ordered = tuple(sorted(exports, key=lambda one: one.age_key))
    conflicts = [found for one in ordered[1:] for found in _differences(one, ordered[0])]
    ports: list[tuple[objects.ServicePort, list[str]]] = []
    """Each with the clusters that have it, the oldest export first."""
    for one in ordered:
        for port in one.spec.ports:
            known = next((entry for entry in ports if _same(entry[0], port)), None)
            if known is not None:
                known[1].append(one.cluster)
                continue
            taken = next((entry for entry in ports if _clashes(entry[0], port)), None)
            if taken is None:
                ports.append((port, [one.cluster]))
            else:
                conflicts.append(Conflict(PORT, "ports", one.cluster, describe(port), taken[1][0], describe(taken[0])))
    for port, clusters in ports:
        conflicts += [
            Conflict(PORT, "ports", one.cluster, "", clusters[0], describe(port), is_missing=True)
            for one in ordered
            if not any(_same(port, other) or _clashes(port, other) for other in one.spec.ports)
        ]
    return Import(ordered, tuple((port, frozenset(clusters)) for port, clusters in ports), tuple(conflicts))


def invalid(service: objects.KubernetesObject | None) -> str:
    """Return the reason why an export of this Service is not valid, "" if it is."""
    if not isinstance(service, objects.Service):
        return NO_SERVICE
    return INVALID_TYPE if service.spec.type == "ExternalName" else ""


def describe(port: objects.ServicePort) -> str:
    """Return a port for people, e.g. `80 (http, HTTP)`."""
    protocol = protocol_of(port.app_protocol, port.name) if port.protocol == "TCP" else port.protocol
    return f"{port.port} ({port.name or 'unnamed'}, {protocol})"


def _differences(one: Exported, oldest: Exported) -> list[Conflict]:
    """Return in which properties of the whole service an export differs from the oldest."""
    spec, decisive = one.spec, oldest.spec
    compared = (
        (TYPE, "type", one.type, oldest.type),
        (AFFINITY, "sessionAffinity", spec.session_affinity, decisive.session_affinity),
        (AFFINITY_CONFIG, "sessionAffinityConfig", spec.session_affinity_config, decisive.session_affinity_config),
        (LABELS, "exportedLabels", one.export.spec.exported_labels, oldest.export.spec.exported_labels),
        (ANNOTATIONS, "exportedAnnotations", one.export.spec.exported_annotations, oldest.export.spec.exported_annotations),
        (INTERNAL_POLICY, "internalTrafficPolicy", spec.internal_traffic_policy, decisive.internal_traffic_policy),
        (DISTRIBUTION, "trafficDistribution", distribution_of(spec), distribution_of(decisive)),
    )
    return [
        Conflict(reason, field, one.cluster, _shown(mine), oldest.cluster, _shown(decides))
        for reason, field, mine, decides in compared
        if mine != decides
    ]


def _same(one: objects.ServicePort, other: objects.ServicePort) -> bool:
    return (one.name, one.protocol, one.port, one.app_protocol) == (other.name, other.protocol, other.port, other.app_protocol)


def _clashes(one: objects.ServicePort, other: objects.ServicePort) -> bool:
    """Return whether a service cannot have both: no name may stand twice, and no protocol with its number."""
    return one.name == other.name or (one.protocol, one.port) == (other.protocol, other.port)


def _shown(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{path}={found}" for path, found in _flat(value)) or "none"
    return str(value or "none")


def _flat(value: dict[str, Any], path: str = "") -> Iterator[tuple[str, Any]]:
    for key in sorted(value):
        found = value[key]
        if isinstance(found, dict):
            yield from _flat(found, f"{path}{key}.")
        else:
            yield f"{path}{key}", found
