"""The service of the cluster set: exported services of one name, merged over the clusters by KEP-1645.

Only what is exported takes part. Properties that cannot be merged are taken from the oldest export; a port that clusters
declare differently is served only by those that agree with the oldest.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from xds.model.events import ref_of
from xds.model.local import canonical_address
from xds.model.service import CLUSTERSET, Endpoint, Port, Service, ServiceKey
from xds.problems import Problem

if TYPE_CHECKING:
    from collections.abc import Mapping

    from xds.model import objects
    from xds.model.members import Member


@dataclass(frozen=True, slots=True)
class Export:
    """One cluster's export of the service."""

    member: Member
    export: objects.ServiceExport
    service: Service

    @property
    def age_key(self) -> tuple[str, str]:
        """Oldest first; the tie-break by cluster name is ours, the KEP is silent."""
        return (self.export.metadata.age, self.member.name)


@dataclass(frozen=True, slots=True)
class Merged:
    """The service of the cluster set, or None if nothing of it can be served, and what is wrong with it."""

    service: Service | None
    problems: tuple[Problem, ...]


Imports = list[tuple[str, "objects.ServiceImport"]]


def merge_exports(exports: list[Export], imports: Imports, importers: Mapping[str, str]) -> Merged:
    """Merge the exports of one namespace and name.

    Args:
        exports: the valid exports, at least one.
        imports: (member, its ServiceImport of that name): they give the VIPs.
        importers: member -> network, of each member that has the namespace, so that its clients may use the service.
    """
    return _Merge(sorted(exports, key=lambda export: export.age_key), imports, importers).result()


@dataclass(slots=True)
class _Merge:
    exports: list[Export]
    imports: Imports
    importers: Mapping[str, str]
    problems: list[Problem] = field(default_factory=list)

    def result(self) -> Merged:
        oldest = self.exports[0].service
        for export in self.exports:
            self.check_type(export)
        ports = self.ports()
        self.check_networks()
        key = ServiceKey(oldest.key.namespace, oldest.key.name, CLUSTERSET)
        endpoints = {port.number: self.endpoints(key, port, members) for port, members in ports.items()}
        vips = {member: self.vips(member, item) for member, item in self.imports}
        refs = {origin for export in self.exports for origin in export.service.origins}
        refs |= {ref_of(export.member.name, export.export) for export in self.exports}
        refs |= {ref_of(member, item) for member, item in self.imports}
        service = Service(
            key=key,
            ports=tuple(sorted(ports, key=lambda port: port.number)),
            endpoints=endpoints,
            vips=vips,
            visible_in=frozenset(self.importers),
            headless=oldest.headless,
            traffic_distribution=oldest.traffic_distribution,
            age=self.exports[0].export.metadata.age,
            origins=tuple(sorted(refs)),
        )
        return Merged(service, tuple(self.problems))

    def conflict(self, export: Export, what: str, message: str) -> None:
        winner = self.exports[0]
        text = f"{what}: {message}; the oldest export, in {winner.member.name}, decides"
        hint = f"make the Service in {export.member.name} agree with the one in {winner.member.name}"
        self.problems.append(Problem("XDS0203", text, ref_of(export.member.name, export.export), hint=hint))

    def check_type(self, export: Export) -> None:
        oldest, service = self.exports[0].service, export.service
        if service.headless != oldest.headless:
            self.conflict(export, "TypeConflict", f"the service is {'' if service.headless else 'not '}headless here")
        if service.traffic_distribution != oldest.traffic_distribution:
            message = f"{service.traffic_distribution or 'none'} against {oldest.traffic_distribution or 'none'}"
            self.conflict(export, "TrafficDistributionConflict", message)

    def ports(self) -> dict[Port, list[Export]]:
        """Return each port of the union with the exports that declare exactly it (KEP-1645, port conflicts)."""
        ports: dict[Port, list[Export]] = {}
        for export in self.exports:
            for port in export.service.ports:
                if port in ports:
                    ports[port].append(export)
                    continue
                taken = next((known for known in ports if known.number == port.number or known.name == port.name), None)
                if taken is None:
                    ports[port] = [export]
                else:
                    message = f"port {_describe(port)} against {_describe(taken)}"
                    self.conflict(export, "PortConflict", message)
        for port in ports:
            self.check_missing(port)
        return ports

    def check_missing(self, port: Port) -> None:
        """Report the exports without a port that others have; one that declares it differently is reported already."""
        for export in self.exports:
            if not any(port.number == other.number or port.name == other.name for other in export.service.ports):
                text = f"PortConflict: port {_describe(port)} is missing here; only the clusters that have it serve it"
                hint = f"add the port to the Service in {export.member.name}"
                self.problems.append(Problem("XDS0203", text, ref_of(export.member.name, export.export), hint=hint))

    def endpoints(self, key: ServiceKey, port: Port, exports: list[Export]) -> tuple[Endpoint, ...]:
        """Return the endpoints of all exporters; one address counts once in a network, for the cluster first by name."""
        merged: list[Endpoint] = []
        owners: dict[tuple[str, str, int], str] = {}
        clashes: dict[tuple[str, str], list[str]] = defaultdict(list)
        for export in sorted(exports, key=lambda export: export.member.name):
            name = export.member.name
            own = [endpoint for endpoint in export.service.endpoints[port.number] if endpoint.locality.cluster == name]
            for endpoint in own:  # copies of other clusters' are theirs to tell
                places = {address: (endpoint.network, address, endpoint.port) for address in endpoint.addresses}
                taken = [address for address, place in places.items() if owners.get(place, name) != name]
                for address in taken:
                    clashes[owners[places[address]], name].append(f"{address} port {endpoint.port}")
                if rest := endpoint.without(taken):
                    merged.append(rest)
                    owners.update((places[address], name) for address in rest.addresses)
        for (owner, other), addresses in sorted(clashes.items()):
            more = f" and {len(addresses) - 1} more" if len(addresses) > 1 else ""
            message = f"{addresses[0]}{more} of {key.fqdn} in {other} is also in {owner}, on the same network; {owner}'s counts"
            export = next(export for export in exports if export.member.name == other)
            hint = "give the clusters different networks, or pod ranges that do not overlap"
            self.problems.append(Problem("XDS0208", message, export.service.origins[0], hint=hint))
        return tuple(sorted(merged))

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
        for export in self.exports:
            network = export.member.network
            cut_off = sorted(member for member, other in self.importers.items() if other != network)
            if cut_off:
                message = f"its endpoints are in network {network!r}, which clients in {', '.join(cut_off)} cannot reach"
                hint = "no gateway leads there; they are left out for those clients"
                self.problems.append(Problem("XDS0209", message, ref_of(export.member.name, export.export), hint=hint))


def _describe(port: Port) -> str:
    return f"{port.number} ({port.name or 'unnamed'}, {port.protocol})"
