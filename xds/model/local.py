"""One cluster's own service: its Service and EndpointSlices become ports and endpoints."""

from __future__ import annotations

import ipaddress
import re
from collections import defaultdict
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from xds.model.events import ref_of
from xds.model.hints import DISTRIBUTION, SLICE_WEIGHT, hints_of
from xds.model.protocols import protocol_of
from xds.model.service import Endpoint, Health, Locality, Port, Service, ServiceKey
from xds.model.slices import SERVICE_NAME_LABEL, owner_of
from xds.problems import Problem

if TYPE_CHECKING:
    from collections.abc import Mapping

    from xds.model import objects
    from xds.model.members import Member
    from xds.problems import Ref

CAPACITY: Final = "traffic.isthmus.dev/endpoint-capacity"
"""Annotation of a Service: what one of its endpoints can bear, in requests a second."""
MAINTAINED: Final = f"in maintenance: its EndpointSlice has {SLICE_WEIGHT} 0"
TRAFFIC_DISTRIBUTIONS = {
    "PreferSameZone": "PreferSameZone",
    "PreferClose": "PreferSameZone",
    "PreferSameNode": "PreferSameNode",
}
"""`spec.trafficDistribution` -> its present name (KEP-3015)."""

_ANNOTATED = {"any": "", **{name.casefold(): present for name, present in TRAFFIC_DISTRIBUTIONS.items()}}
"""The same of Istio's annotation, which knows `Any`, too, and looks at no case."""


def distribution_of(spec: objects.ServiceSpec) -> str:
    """Return `PreferSameZone`, `PreferSameNode`, or "" for none and for what we do not know."""
    return TRAFFIC_DISTRIBUTIONS.get(spec.traffic_distribution or "", "")


class NodePlace(Struct, frozen=True):
    """Where a Kubernetes node stands, by its topology labels."""

    region: str = ""
    zone: str = ""


class LocalInput(Struct, frozen=True):
    """Everything that a cluster's own service is made of."""

    member: Member
    service: objects.Service
    slices: tuple[objects.EndpointSlice, ...]
    """Sorted by name."""
    nodes: Mapping[str, NodePlace]
    known: Mapping[str, Member]
    """Members by name, and by what other clusters call them: where copies of slices come from."""
    seen: frozenset[str] = frozenset()
    """Endpoints that have been ready before (memory of the fleet), by identity."""
    doubted: bool = False
    """Whether all of them may be gone."""
    namespace: Mapping[str, str] = {}
    """What its Namespace says for the Services in it (`xds.model.hints.said_of`)."""
    is_given_more: bool = False
    """Whether other clusters share their endpoints with it, so that it needs none of its own."""


class LocalResult(Struct, frozen=True):
    """What became of it."""

    service: Service
    seen: frozenset[str]
    """The memory after this reading; endpoints that left their slice are forgotten."""
    problems: tuple[Problem, ...]


def build_local(given: LocalInput) -> LocalResult:
    """Return the service of one cluster; what cannot be used is left out with a problem."""
    return _Builder(given).result()


_OCTET: Final = r"(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"
_DOTTED: Final = re.compile(rf"{_OCTET}(?:\.{_OCTET}){{3}}")
"""Every IPv4 address in its canonical form, and nothing else."""


@lru_cache(maxsize=1 << 16)
def canonical_address(text: str) -> str | None:
    """Return the canonical form of an IP address, or None if it is not one that means the same on every machine."""
    if _DOTTED.fullmatch(text):  # ten times as quick, and nearly all are so
        return text
    if "%" in text:  # a scope, e.g. fe80::1%eth0
        return None
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        return None


class _Found(Struct):
    """One endpoint, perhaps told by two slices, one for each address family."""

    addresses: list[str]
    port: int
    source: objects.SliceEndpoint
    origin: Ref
    cluster: str
    """Where it runs."""
    is_maintained: bool
    """It is in maintenance, so it is not to be used."""


@dataclass(slots=True)
class _Builder:
    given: LocalInput
    problems: list[Problem] = field(default_factory=list)
    seen: set[str] = field(default_factory=set)
    """Ready now or before; complete before any health is told, so that the order of slices does not matter."""

    @property
    def ref(self) -> Ref:
        return ref_of(self.given.member.name, self.given.service)

    def problem(self, code: str, message: str, *, at: str = "", hint: str = "", ref: Ref | None = None) -> None:
        self.problems.append(Problem(code, message, ref or self.ref, at, hint))

    def result(self) -> LocalResult:
        given, spec = self.given, self.given.service.spec
        ports = self.ports()
        if ports and not given.slices and not given.is_given_more:
            message = "no EndpointSlice in its namespace names it, so it has no endpoints"
            self.problem("XDS0215", message, hint=f"add its EndpointSlices, with the label {SERVICE_NAME_LABEL}")
        by_port = self.found_by_port_name()
        endpoints = {port.number: self.endpoints(port, by_port.get(port.name)) for port in ports}
        is_demoted = any(endpoint.standing for found in endpoints.values() for endpoint in found)
        service = Service(
            key=ServiceKey(given.service.metadata.namespace, given.service.metadata.name, given.member.name),
            ports=ports,
            endpoints=endpoints,
            vips={given.member.name: self.vips()},
            visible_in=frozenset((given.member.name,)),
            headless=spec.cluster_ip == "None",
            keeps_clients=spec.session_affinity == "ClientIP",
            has_degraded=given.doubted or is_demoted,
            has_copies=any(self.cluster(owner_of(item).source) != given.member.name for item in given.slices),
            traffic_distribution=self.distribution(),
            age=given.service.metadata.age,
            capacities=self.capacities(),
            hints=hints_of(given.service, given.namespace),
            origins=(self.ref,),
        )
        return LocalResult(service, frozenset(self.seen), tuple(self.problems))

    def distribution(self) -> str:
        """Return what is preferred: by the field, else by Istio's annotation, else by that of the namespace."""
        item = self.given.service
        annotation = f'metadata.annotations["{DISTRIBUTION}"]'
        said = (
            ("spec.trafficDistribution", item.spec.traffic_distribution),
            (annotation, item.metadata.annotations.get(DISTRIBUTION)),
        )
        for at, text in said:
            if (
                text
                and (found := _ANNOTATED.get(text.casefold()) if at == annotation else TRAFFIC_DISTRIBUTIONS.get(text))
                is not None
            ):
                return found
            if text:
                known = ", ".join((*TRAFFIC_DISTRIBUTIONS, *(["Any"] if at == annotation else [])))
                self.problem("XDS0213", f"{text!r} is unknown", at=at, hint=f"use one of {known}")
        return _ANNOTATED.get(self.given.namespace.get(DISTRIBUTION, "").casefold(), "")

    def capacities(self) -> dict[str, float]:
        """Return what one endpoint can bear, where its Service says so."""
        text = self.given.service.metadata.annotations.get(CAPACITY)
        if text is None:
            return {}
        if re.fullmatch(r"[0-9]{1,7}(\.[0-9]{1,3})?", text) and float(text):
            return {self.given.member.name: float(text)}
        message = f"{text!r} is no number of requests a second above 0"
        self.problem("XDS0213", message, at=f'metadata.annotations["{CAPACITY}"]', hint='e.g. "250" for each endpoint')
        return {}

    def ports(self) -> tuple[Port, ...]:
        ports: dict[int, Port] = {}
        declared = self.given.service.spec.ports
        if not declared:
            self.problem("XDS0206", "no port is declared, so there is nothing to serve", at="spec.ports", hint="declare a port")
        for index, port in enumerate(declared):
            if port.protocol != "TCP":
                message = f"protocol {port.protocol} of port {port.port} is not served, only TCP is"
                self.problem("XDS0210", message, at=f"spec.ports[{index}].protocol")
            elif port.port in ports:
                self.problem(
                    "XDS0214", f"port {port.port} is declared twice; the first one counts", at=f"spec.ports[{index}].port"
                )
            else:
                ports[port.port] = Port(port.port, port.name, protocol_of(port.app_protocol, port.name))
        return tuple(sorted(ports.values(), key=lambda port: port.number))

    def vips(self) -> tuple[str, ...]:
        spec, vips = self.given.service.spec, []
        for text in dict.fromkeys([*spec.cluster_ips, spec.cluster_ip]):
            if text in ("", "None"):
                continue
            if (address := canonical_address(text)) is None:
                self.problem("XDS0205", f"{text!r} is not an IP address", at="spec.clusterIP")
            elif address not in vips:
                vips.append(address)
        return tuple(vips)

    def found_by_port_name(self) -> dict[str, dict[str, _Found]]:
        """Return port name -> endpoint identity -> what the slices tell of it, the two address families joined."""
        found: dict[str, dict[str, _Found]] = defaultdict(dict)
        for item in self.given.slices:
            origin = ref_of(self.given.member.name, item)
            cluster = self.cluster(owner_of(item).source)
            if item.address_type == "FQDN":
                self.problem("XDS0205", "addressType FQDN is not served", at="addressType", hint="use IPv4 or IPv6", ref=origin)
                continue
            is_maintained = self.is_maintained(item, origin)
            where = "" if cluster == self.given.member.name else f"{cluster}:"  # clusters have pods of one name
            usable = [
                (where + name, entry)
                for index, entry in enumerate(item.endpoints or ())
                for name in self.identity(entry, index, origin)
            ]
            self.seen.update(name for name, entry in usable if entry.conditions.ready is not False or name in self.given.seen)
            for port in item.ports or ():
                if port.port is None or port.protocol != "TCP":
                    continue
                named = found[port.name or ""]  # there is a port of that name, even if no endpoint has it yet
                for identity, entry in usable:
                    self.merge(named, _Found([], port.port, entry, origin, cluster, is_maintained), identity)
        return found

    def is_maintained(self, item: objects.EndpointSlice, origin: Ref) -> bool:
        """Return whether a slice takes its endpoints out of use, by Cilium's weight 0."""
        weight = item.metadata.annotations.get(SLICE_WEIGHT)
        if weight is not None and weight != "0":
            message, hint = f"{weight!r} is not followed: only 0 is, which takes the endpoints out of use", "use a TrafficPolicy"
            self.problem("XDS0611", message, at=f'metadata.annotations["{SLICE_WEIGHT}"]', hint=hint, ref=origin)
        return weight == "0"

    def identity(self, entry: objects.SliceEndpoint, index: int, origin: Ref) -> list[str]:
        """Return [identity] of an endpoint: its target where it has one, as both families name it; [] if it is unusable."""
        bad = [text for text in entry.addresses if canonical_address(text) is None]
        if bad or not entry.addresses:
            message = f"{bad[0]!r} is not an IP address" if bad else "no address is given"
            self.problem("XDS0205", message, at=f"endpoints[{index}].addresses", hint="the endpoint is left out", ref=origin)
            return []
        target = entry.target_ref
        if target is not None and (target.uid or target.name):
            return [target.uid or f"{target.kind}/{target.namespace}/{target.name}"]
        return [str(canonical_address(entry.addresses[0]))]

    def merge(self, named: dict[str, _Found], new: _Found, identity: str) -> None:
        """Enter an endpoint, or add the addresses of its other family to what is known of it."""
        addresses = [address for text in new.source.addresses if (address := canonical_address(text))]
        known = named.setdefault(f"{identity} {new.port}", new)
        families = {":" in address for address in known.addresses}
        other_family = [address for address in addresses if (":" in address) not in families]
        if not other_family:
            message = (
                f"{addresses[0]} port {new.port}: the slices have its target twice in one address family; the first one counts"
            )
            self.problem("XDS0208", message, ref=new.origin)
        known.addresses += other_family

    def cluster(self, source: str) -> str:
        """Return where the endpoints of a slice run, by its member's name if it is one."""
        member = self.given.known.get(source)
        return member.name if member else source or self.given.member.name

    def endpoints(self, port: Port, found: dict[str, _Found] | None) -> tuple[Endpoint, ...]:
        if found is None:
            if any(item.endpoints for item in self.given.slices):
                message = f"no EndpointSlice has a TCP port named {port.name!r}, so port {port.number} has no endpoints"
                self.problem("XDS0207", message, at="spec.ports", hint="the names of slice and service ports must agree")
            return ()
        endpoints: list[Endpoint] = []
        taken: set[tuple[str, int]] = set()
        for identity, item in found.items():
            endpoint = self.endpoint(identity.rpartition(" ")[0], item)
            if endpoint is None:
                continue
            clashes = [address for address in endpoint.addresses if (address, endpoint.port) in taken]
            if clashes:
                message = f"{clashes[0]} port {endpoint.port} has two targets; the first one counts"
                self.problem("XDS0208", message, ref=item.origin)
            if rest := endpoint.without(clashes):
                taken.update((address, rest.port) for address in rest.addresses)
                endpoints.append(rest)
        return tuple(sorted(endpoints))

    def endpoint(self, identity: str, item: _Found) -> Endpoint | None:
        health = self.health(identity, item.source.conditions)
        if health is None:
            return None
        if item.is_maintained:
            health = Health.DRAINING
        return Endpoint(
            locality=self.locality(item),
            addresses=tuple(sorted(item.addresses, key=lambda address: ":" in address)),
            port=item.port,
            health=health,
            network=self.network(item.cluster),
            node=item.source.node_name or "",
            hostname=item.source.hostname or "",
            standing=self.given.known.get(item.cluster, self.given.member).standing,
            note=MAINTAINED if item.is_maintained else "",
            origin=item.origin,
        )

    def health(self, identity: str, conditions: objects.EndpointConditions) -> Health | None:
        """Return what EDS says of it; None for one that was never ready: a scale-up must not look like an outage."""
        ready = conditions.ready is not False
        serving = conditions.serving if conditions.serving is not None else ready
        if conditions.terminating and serving:
            return Health.DRAINING
        if ready and not conditions.terminating:
            return Health.DEGRADED if self.given.doubted else Health.HEALTHY
        return Health.UNHEALTHY if identity in self.seen else None

    def network(self, cluster: str) -> str:
        """Return a cluster's network; one that is no member is taken to be where those are that have copies of its slices."""
        member = self.given.known.get(cluster, self.given.member)
        return member.network

    def locality(self, item: _Found) -> Locality:
        member, entry = self.given.member, item.source
        if item.cluster != member.name:  # its node is none of ours
            other = self.given.known.get(item.cluster)
            return Locality(other.region if other else "", entry.zone or "", item.cluster)
        place = self.given.nodes.get(entry.node_name or "")
        if place is None:
            if entry.node_name and not entry.zone and self.given.nodes:
                message = f"node {entry.node_name!r} of endpoint {entry.addresses[0]} is unknown, so its zone is"
                self.problem("XDS0211", message, hint="add the Node, or zone to the endpoint", ref=item.origin)
            place = NodePlace()
        only_zone = member.zones[0] if len(member.zones) == 1 else ""
        return Locality(place.region or member.region, entry.zone or place.zone or only_zone, member.name)
