"""A cluster's own service with the HTTP gateways by which Flomesh's imports reach it in other clusters, as endpoints.

They are endpoints like others, at the places of the clusters behind them, so that tiers, weights and all that is said of them are
made in the same way; whether and when they are used is for policies to say. The name is that of the cluster's own service alone:
`clusterset.local` promises what is exported by the rules of the MCS API, and Flomesh's clients do not know that name.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from xds.model.events import Standing, ref_of
from xds.model.local import canonical_address
from xds.model.objects import UNDATED
from xds.model.service import Endpoint, Health, Port, Protocol, Service

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from xds.model.flomesh import Remote
    from xds.model.members import Member


NOTE: Final = "a gateway; nobody tells whether it is well"


def leads_elsewhere(remote: Remote | None) -> bool:
    """Return whether clients in a cluster may use its import, which without a policy they do not."""
    return remote is not None and bool(remote.gateways) and remote.policy is not None and remote.policy.leads_elsewhere


def with_gateways(own: Service | None, remote: Remote, members: Mapping[str, Member]) -> Service:
    """Return what clients in a cluster are given under the name.

    Args:
        own: what their cluster has itself, if it has a Service of the name.
        remote: an import that they may use.
        members: theirs, from whose network gateways are reached, and those that the gateways are of.
    """
    found = own or _empty(remote)
    ports = {port.number: port for port in remote.ports}
    ports |= {port.number: _as_http(port) if port.number in remote.gateways else port for port in found.ports}
    endpoints = {
        number: (*found.endpoints.get(number, ()), *_endpoints(remote, found, number, members)) for number in sorted(ports)
    }
    resolved = frozenset(
        number for number, targets in remote.gateways.items() if any(not canonical_address(one.address) for one in targets)
    )
    origins = {*found.origins, *(ref_of(remote.key.scope, item) for item in remote.imports)}
    return replace(
        found,
        ports=tuple(ports[number] for number in sorted(ports)),
        endpoints=endpoints,
        has_gateways=True,
        has_degraded=found.has_degraded or any(one.standing for listed in endpoints.values() for one in listed),
        resolved=resolved,
        origins=tuple(sorted(origins)),
    )


def _empty(remote: Remote) -> Service:
    """Return the service of a cluster that has none of the name."""
    age = min((item.metadata.age for item in remote.imports), default=UNDATED)
    return Service(remote.key, (), {}, vips={}, visible_in=frozenset((remote.key.scope,)), age=age)


def _as_http(port: Port) -> Port:
    """Return a port that is imported: its owner exposes it at an HTTP gateway, whatever its name tells of it here."""
    return port if port.protocol.is_http else replace(port, protocol=Protocol.HTTP)


def _endpoints(remote: Remote, own: Service, port: int, members: Mapping[str, Member]) -> Iterator[Endpoint]:
    taken = {(address, one.port) for one in own.endpoints.get(port, ()) for address in one.addresses}
    network, origin = members[remote.key.scope].network, ref_of(remote.key.scope, remote.imports[0])
    for one in remote.gateways.get(port, ()):
        if (one.address, one.port) not in taken:
            standing = members[one.cluster].standing if one.cluster in members else Standing.FULL
            yield Endpoint(
                locality=one.locality,
                addresses=(one.address,),
                port=one.port,
                health=Health.HEALTHY,
                network=network,
                standing=standing,
                gateway=one.path,
                note=NOTE,
                origin=origin,
            )
