"""A cluster's own service with the HTTP gateways by which Flomesh's imports reach it in other clusters, as endpoints.

They are endpoints like others, at the places of the clusters behind them, so that tiers, weights and all that is said of them are
made in the same way; whether and when they are used is for policies to say. The name is that of the cluster's own service alone:
`clusterset.local` promises what is exported by the rules of the MCS API, and Flomesh's clients do not know that name.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from xds.model.events import ref_of
from xds.model.local import canonical_address
from xds.model.objects import UNDATED
from xds.model.service import Endpoint, Health, Port, Protocol, Service

if TYPE_CHECKING:
    from xds.model.flomesh import GatewayTarget, Remote
    from xds.problems import Ref


NOTE: Final = "a gateway; nobody tells whether it is well"


def leads_elsewhere(remote: Remote | None) -> bool:
    """Return whether clients in a cluster may use its import, which without a policy they do not."""
    return remote is not None and bool(remote.gateways) and remote.policy is not None and remote.policy.leads_elsewhere


def with_gateways(own: Service | None, remote: Remote, network: str) -> Service:
    """Return what clients in a cluster are given under the name.

    Args:
        own: what their cluster has itself, if it has a Service of the name.
        remote: an import that they may use.
        network: theirs, from which gateways are reached.
    """
    found = own or _empty(remote)
    origin = ref_of(remote.key.scope, remote.imports[0])
    ports = {port.number: port for port in remote.ports}
    ports |= {port.number: _as_http(port) if port.number in remote.gateways else port for port in found.ports}
    endpoints = {
        number: (*found.endpoints.get(number, ()), *_endpoints(remote.gateways.get(number, ()), found, number, network, origin))
        for number in sorted(ports)
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


def _endpoints(targets: tuple[GatewayTarget, ...], own: Service, port: int, network: str, origin: Ref) -> tuple[Endpoint, ...]:
    taken = {(address, one.port) for one in own.endpoints.get(port, ()) for address in one.addresses}
    return tuple(
        Endpoint(one.locality, (one.address,), one.port, Health.HEALTHY, network, note=NOTE, gateway=one.path, origin=origin)
        for one in targets
        if (one.address, one.port) not in taken
    )
