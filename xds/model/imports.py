"""What the cluster set imports of one name: the exported Services of the clusters, merged by the rules of KEP-1645.

A property of the whole service is taken from the oldest export. Ports are joined; one that clusters declare differently is
that of the oldest of them, and only those that agree with it serve it. Whatever differs is a conflict, and costs no traffic.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

from xds.model.local import distribution_of
from xds.model.protocols import protocol_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from xds.model import objects

# Reasons of the condition Conflict (mcs-api, ServiceExportConditionReason), in the order in which they are told.
TYPE: Final = "TypeConflict"
PORT: Final = "PortConflict"
AFFINITY: Final = "SessionAffinityConflict"
AFFINITY_CONFIG: Final = "SessionAffinityConfigConflict"
LABELS: Final = "LabelsConflict"
ANNOTATIONS: Final = "AnnotationsConflict"
INTERNAL_POLICY: Final = "InternalTrafficPolicyConflict"
DISTRIBUTION: Final = "TrafficDistributionConflict"


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


class Conflict(NamedTuple):
    """One export differs from what counts."""

    reason: str
    cluster: str
    """Whose export it is."""
    message: str
    is_missing: bool = False
    """It lacks a port that others have; else the oldest export decides."""


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
    ports: dict[int, tuple[objects.ServicePort, set[str]]] = {}
    """By the order in which they were found."""
    for one in ordered:
        for port in one.spec.ports:
            known = next((entry for entry in ports.values() if _same(entry[0], port)), None)
            if known is not None:
                known[1].add(one.cluster)
                continue
            taken = next((entry[0] for entry in ports.values() if _clashes(entry[0], port)), None)
            if taken is None:
                ports[len(ports)] = port, {one.cluster}
            else:
                conflicts.append(Conflict(PORT, one.cluster, f"port {describe(port)} against {describe(taken)}"))
    for port, _ in ports.values():
        conflicts += [
            Conflict(PORT, one.cluster, f"port {describe(port)} is missing here", is_missing=True)
            for one in ordered
            if not any(_same(port, other) or _clashes(port, other) for other in one.spec.ports)
        ]
    return Import(ordered, tuple((port, frozenset(clusters)) for port, clusters in ports.values()), tuple(conflicts))


def describe(port: objects.ServicePort) -> str:
    """Return a port for people, e.g. `80 (http, HTTP)`."""
    protocol = protocol_of(port.app_protocol, port.name) if port.protocol == "TCP" else port.protocol
    return f"{port.port} ({port.name or 'unnamed'}, {protocol})"


def _differences(one: Exported, oldest: Exported) -> list[Conflict]:
    """Return in which properties of the whole service an export differs from the oldest."""
    found = []
    if one.headless != oldest.headless:
        found.append(Conflict(TYPE, one.cluster, f"the service is {'' if one.headless else 'not '}headless here"))
    spec, decisive = one.spec, oldest.spec
    compared = (
        (AFFINITY, spec.session_affinity, decisive.session_affinity),
        (AFFINITY_CONFIG, spec.session_affinity_config, decisive.session_affinity_config),
        (LABELS, one.export.spec.exported_labels, oldest.export.spec.exported_labels),
        (ANNOTATIONS, one.export.spec.exported_annotations, oldest.export.spec.exported_annotations),
        (INTERNAL_POLICY, spec.internal_traffic_policy, decisive.internal_traffic_policy),
        (DISTRIBUTION, distribution_of(spec), distribution_of(decisive)),
    )
    for reason, mine, decides in compared:
        if mine != decides:
            found.append(Conflict(reason, one.cluster, f"{_shown(mine)} against {_shown(decides)}"))
    return found


def _same(one: objects.ServicePort, other: objects.ServicePort) -> bool:
    return (one.name, one.protocol, one.port, one.app_protocol) == (other.name, other.protocol, other.port, other.app_protocol)


def _clashes(one: objects.ServicePort, other: objects.ServicePort) -> bool:
    """Return whether a service cannot have both: no name may stand twice, and no protocol with its number."""
    return one.name == other.name or (one.protocol, one.port) == (other.protocol, other.port)


def _shown(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key}={value[key]}" for key in sorted(value)) or "none"
    return str(value or "none")
