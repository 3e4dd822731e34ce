"""The service of the cluster set: what clusters export under one name, with the endpoints that they have (KEP-1645)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from msgspec import Struct

from xds.model.events import ref_of
from xds.model.hints import EXPORT_WEIGHT, NONE
from xds.model.imports import merge
from xds.model.local import canonical_address
from xds.model.protocols import protocol_of
from xds.model.service import CLUSTERSET, Endpoint, Port, Service, ServiceKey
from xds.model.union import union
from xds.problems import Problem

if TYPE_CHECKING:
    from collections.abc import Mapping

    from xds.model import objects
    from xds.model.imports import Conflict, Exported, Import
    from xds.model.members import Member


class Export(Struct, frozen=True):
    """One cluster's export of the service."""

    member: Member
    exported: Exported
    service: Service


class Merged(Struct, frozen=True):
    """The service of the cluster set, or None if nothing of it can be served, and what is wrong with it."""

    service: Service | None
    problems: tuple[Problem, ...]
    imported: Import


Imports = list[tuple[str, "objects.ServiceImport"]]


def merge_exports(exports: list[Export], imports: Imports, importers: Mapping[str, str]) -> Merged:
    """Merge the exports of one namespace and name.

    Args:
        exports: the valid exports, at least one.
        imports: (member, its ServiceImport of that name): they give the VIPs.
        importers: member -> network, of each member that has the namespace, so that its clients may use the service.
    """
    by_cluster = {export.member.name: export for export in exports}
    return _Merge(by_cluster, merge([export.exported for export in exports]), imports, importers).result()


@dataclass(slots=True)
class _Merge:
    exports: Mapping[str, Export]
    """By cluster."""
    imported: Import
    imports: Imports
    importers: Mapping[str, str]
    problems: list[Problem] = field(default_factory=list)

    def result(self) -> Merged:
        oldest = self.exports[self.imported.oldest.cluster].service
        self.problems += map(self.conflict, self.imported.conflicts)
        ports = self.ports()
        self.check_networks()
        key = ServiceKey(oldest.key.namespace, oldest.key.name, CLUSTERSET)
        endpoints = {port.number: self.endpoints(key, port, members) for port, members in ports.items()}
        vips = {member: self.vips(member, item) for member, item in self.imports}
        refs = {origin for export in self.exports.values() for origin in export.service.origins}
        refs |= {ref_of(name, export.exported.export) for name, export in self.exports.items()}
        refs |= {ref_of(member, item) for member, item in self.imports}
        service = Service(
            key=key,
            ports=tuple(sorted(ports, key=lambda port: port.number)),
            endpoints=endpoints,
            vips=vips,
            visible_in=frozenset(self.importers),
            headless=self.imported.oldest.headless,
            has_degraded=any(export.service.has_degraded for export in self.exports.values()),
            keeps_clients=oldest.keeps_clients,
            traffic_distribution=oldest.traffic_distribution,
            age=self.imported.oldest.export.metadata.age,
            capacities={name: one for export in self.exports.values() for name, one in export.service.capacities.items()},
            origins=tuple(sorted(refs)),
            export_weights=self.weights(),
        )
        return Merged(service, tuple(self.problems), self.imported)

    def weights(self) -> Mapping[str, str]:
        """Return the weights that exports say, if any does."""
        found = {name: one.exported.export.metadata.annotations.get(EXPORT_WEIGHT, "") for name, one in self.exports.items()}
        return found if any(found.values()) else NONE

    def conflict(self, found: Conflict) -> Problem:
        ref, winner = ref_of(found.cluster, self.exports[found.cluster].exported.export), found.winner
        if found.is_missing:
            text = f"{found.reason}: {found.message}; only the clusters that have it serve it"
            return Problem("XDS0203", text, ref, hint=f"add the port to the Service in {found.cluster}")
        rank = "oldest" if winner == self.imported.oldest.cluster else "older"
        text = f"{found.reason}: {found.message}; the {rank} export, in {winner}, decides"
        return Problem("XDS0203", text, ref, hint=f"make the Service in {found.cluster} agree with the one in {winner}")

    def ports(self) -> dict[Port, list[Export]]:
        """Return each port that can be served with the exports that have it."""
        result: dict[Port, list[Export]] = {}
        for found, clusters in self.imported.ports:
            if found.protocol == "TCP" and not any(found.port == port.number for port in result):
                port = Port(found.port, found.name, protocol_of(found.app_protocol, found.name))
                result[port] = [export for name, export in self.exports.items() if name in clusters]
        return result

    def endpoints(self, key: ServiceKey, port: Port, exports: list[Export]) -> tuple[Endpoint, ...]:
        """Return the endpoints of all exporters; one address counts once in a network, for the cluster first by name."""
        served = ((one.member.name, one.service.endpoints.get(port.number, ())) for one in exports)
        # Copies of other clusters' are theirs to tell.
        parts = ((name, [one for one in found if one.locality.cluster == name]) for name, found in sorted(served))
        found = union(parts)
        self.problems += found.problems(key.fqdn, {name: one.service.origins[0] for name, one in self.exports.items()})
        return found.endpoints

    def vips(self, member: str, item: objects.ServiceImport) -> tuple[str, ...]:
        found = []
        for index, text in enumerate(item.spec.ips):
            if (address := canonical_address(text)) is None:
                problem = Problem("XDS0205", f"{text!r} is not an IP address", ref_of(member, item), f"spec.ips[{index}]")
                self.problems.append(problem)
            else:
                found.append(address)
        return tuple(found)

    def check_networks(self) -> None:
        """Report exporters whose endpoints some importers cannot reach: no gateway leads from one network to another yet."""
        for name, export in self.exports.items():
            network = export.member.network
            cut_off = sorted(member for member, other in self.importers.items() if other != network)
            if cut_off:
                message = f"its endpoints are in network {network!r}, which clients in {', '.join(cut_off)} cannot reach"
                hint = "no gateway leads there; they are left out for those clients"
                self.problems.append(Problem("XDS0209", message, ref_of(name, export.exported.export), hint=hint))
