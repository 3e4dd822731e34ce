"""The names of one exported service, and the records that each of them has (KEP-1645, DNS specification, 2.3 and 2.4)."""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from xds.model.events import Standing
from xds.model.service import Health

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from xds.model.service import Endpoint, Service

    Allowed = Callable[[Service, int, str], tuple[Endpoint, ...]]
    """(service, port, member) -> the endpoints that its clients may use."""

Name = tuple[str, ...]
"""A domain name: its labels in lower case, the leftmost first, without the root."""

ZONE: Name = ("clusterset", "local")
QUERY_BYTES = 4_096
"""The largest query that is looked into: one name, and EDNS options with their padding, have some hundred bytes."""
HEADER_BYTES = 12
_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_READY = frozenset((Health.HEALTHY, Health.DEGRADED))
"""DEGRADED is ready, only wanted last; DNS knows no such order, and who asks for one pod by its hostname wants that one."""


def everything(service: Service, port: int, _cluster: str) -> tuple[Endpoint, ...]:
    """Return all endpoints of a port: nothing is forbidden."""
    return service.endpoints[port]


@dataclass(frozen=True, slots=True)
class Clients:
    """For whom answers are: the clients of a member."""

    cluster: str
    network: str
    ids: Mapping[str, str] = field(default_factory=dict)
    """Member -> how the cluster set names it; a cluster that is no member goes by its name."""
    allowed: Allowed = everything


@dataclass(frozen=True, slots=True)
class Target:
    """What an SRV record says."""

    port: int
    host: Name


Data = str | Target
"""What a record says: an address, a text, or where a port is."""
Names = dict[Name, dict[str, tuple[Data, ...]]]
"""Labels left of the service's name, () for itself -> type, e.g. `AAAA` -> data; a name without types has names below it."""


def exists(service: Service, clients: Clients) -> bool:
    """Return whether the service has any name; one without an address has none.

    A headless service without ready endpoints does not exist (NXDOMAIN, 2.4.1). One with a ClusterSetIP comes into being with
    its ServiceImport, which has the address.
    """
    if not (service.is_visible(clients.cluster) and _fits(_name_of(service))):
        return False
    if service.headless:
        return any(True for port in service.endpoints for _ in _ready(service, port, clients))
    return bool(service.vips.get(clients.cluster))


def names_of(service: Service, clients: Clients) -> Names:
    """Return every name of the service and its records; none if it does not exist."""
    if not exists(service, clients):
        return {}
    found: dict[Name, dict[str, dict[Data, None]]] = defaultdict(lambda: defaultdict(dict))
    for name, kind, data in (_of_endpoints if service.headless else _of_addresses)(service, clients):
        found[name][kind][data] = None  # a dictionary as an ordered set: RRsets have no duplicates (RFC 2181, 5)
    for name in tuple(found):
        for cut in range(1, len(name)):
            _ = found[name[cut:]]  # it has no records, but exists (RFC 8020)
    return {name: {kind: tuple(data) for kind, data in kinds.items()} for name, kinds in found.items()}


def _of_addresses(service: Service, clients: Clients) -> Iterator[tuple[Name, str, Data]]:
    """2.3: the ClusterSetIPs; nothing tells the clusters apart (2.3.4)."""
    for address in service.vips[clients.cluster]:
        yield (), _kind(address), address
    for port in service.ports:
        if port.name:
            yield _service_label(port.name), "SRV", Target(port.number, _name_of(service))


def _of_endpoints(service: Service, clients: Clients) -> Iterator[tuple[Name, str, Data]]:
    """2.4: every ready endpoint, under the service's name and under its own; no name for a cluster alone (2.4.4).

    The port is the one that the endpoint listens on, as in CoreDNS: nothing translates ports on the way to a pod.
    """
    for port in service.ports:
        for endpoint in _ready(service, port.number, clients):
            own = _own_name(endpoint, clients)
            host = (*own, *_name_of(service))
            is_nameable = _fits(host)
            for address in endpoint.addresses:
                yield (), _kind(address), address
                if is_nameable:
                    yield own, _kind(address), address
            if is_nameable and port.name:
                yield _service_label(port.name), "SRV", Target(endpoint.port, host)


def _ready(service: Service, port: int, clients: Clients) -> Iterator[Endpoint]:
    """Return those that are allowed, ready and reachable: nothing leads to another network, as in `xds.policy.ladder`."""
    for found in clients.allowed(service, port, clients.cluster):
        is_left_out = found.standing is Standing.REMOVED and found.locality.cluster != clients.cluster
        if found.health in _READY and found.network == clients.network and not is_left_out:
            yield found


def _own_name(endpoint: Endpoint, clients: Clients) -> Name:
    """Return `<hostname>.<clusterid>`; who has no hostname is known by its address with dashes, as in CoreDNS."""
    hostname = endpoint.hostname.lower()
    if not _LABEL.fullmatch(hostname):
        hostname = re.sub(r"[.:]", "-", endpoint.addresses[0])
    cluster = endpoint.locality.cluster
    return (hostname, *clients.ids.get(cluster, cluster).lower().split("."))  # an id may have two labels (KEP-2149)


def _service_label(port: str) -> Name:
    return (f"_{port.lower()}", "_tcp")  # the model has no other ports than TCP


def _name_of(service: Service) -> Name:
    return (service.key.name, service.key.namespace, "svc", *ZONE)


def _kind(address: str) -> str:
    return "AAAA" if ":" in address else "A"


def _fits(name: Name) -> bool:
    """Return whether it is a domain name: labels of 63 octets, 255 in all with their lengths and the root (RFC 1035, 2.3.4)."""
    return all(0 < len(label) <= 63 and label.isascii() for label in name) and sum(len(label) + 1 for label in name) < 255
