"""Addresses of clusters that must not be those of anything else: pods' of each other, and a range for clusterset IPs."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from xds.discovery.live.api_server import UnreachableError
from xds.discovery.live.collection import Refusal
from xds.discovery.live.resources import NOT_FOUND
from xds.discovery.remote.findings import Finding, Result
from xds.discovery.remote.hub_reading import FORBIDDEN
from xds.model.slices import MCS_SERVICE_LABEL
from xds.ranges import Network, networks, within

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from xds.discovery.live.api_server import ApiServer

CACHED: Final = (("resourceVersion", "0"),)
"""As the server has it in memory: a list of thousands of objects costs it least."""
SERVICE_CIDRS: Final = "/apis/networking.k8s.io/v1/servicecidrs"


class _Meta(msgspec.Struct):
    name: str = ""
    namespace: str = ""
    labels: dict[str, str] = {}


class _Spec(msgspec.Struct):
    """Of a Service, a ServiceCIDR or a Node."""

    cluster_ip: str = msgspec.field(name="clusterIP", default="")
    cluster_ips: list[str] = msgspec.field(name="clusterIPs", default_factory=list)
    cidrs: list[str] = []
    pod_cidr: str = msgspec.field(name="podCIDR", default="")
    pod_cidrs: list[str] = msgspec.field(name="podCIDRs", default_factory=list)


class _Item(msgspec.Struct):
    metadata: _Meta = msgspec.field(default_factory=_Meta)
    spec: _Spec = msgspec.field(default_factory=_Spec)


class _List(msgspec.Struct):
    items: list[_Item] | None = None


class Pods(NamedTuple):
    """The addresses of the pods on one node."""

    range: Network
    node: str
    cluster: str


async def read_pods(server: ApiServer, cluster: str) -> list[Pods]:
    """Return what the nodes of a cluster say; nothing if they may not be read, which is a matter of rights."""
    try:
        nodes = await _listed(server, "/api/v1/nodes")
    except Refusal:
        return []
    return [
        Pods(network, item.metadata.name, cluster)
        for item in nodes
        for network in networks(item.spec.pod_cidrs or [item.spec.pod_cidr])
    ]


async def compare_range(server: ApiServer, cluster: str, ranges: Sequence[Network], pods: Sequence[Pods]) -> Finding:
    """Look whether anything of a cluster has addresses of the ranges for clusterset IPs."""
    try:
        services = await _listed(server, "/api/v1/services")
    except Refusal as error:
        return Finding("range", cluster, Result.WARNING, f"cannot be compared: {error}", "let it list services")
    cidrs = await _service_cidrs(server)
    used = [f"ServiceCIDR {name} ({cidr})" for name, cidr in cidrs or () if _overlaps(cidr, ranges)]
    used += [
        f"Service {item.metadata.namespace}/{item.metadata.name} ({address})"
        for item in services
        if MCS_SERVICE_LABEL not in item.metadata.labels  # one that is derived from an import goes when there is a range
        for address in within(ranges, item.spec.cluster_ips or [item.spec.cluster_ip])
    ]
    used += [f"pods on node {one.node} ({one.range})" for one in pods if _overlaps(one.range, ranges)]
    told = " and ".join(map(str, ranges))
    if not used and cidrs is None:
        unseen = f"nothing else has addresses of {told}, but ranges of Services were not compared"
        return Finding("range", cluster, Result.WARNING, unseen, "let it list servicecidrs in networking.k8s.io")
    if not used:
        return Finding("range", cluster, Result.OK, f"nothing has addresses of {told}")
    more = f", and {len(used) - 1} more" if len(used) > 1 else ""
    return Finding("range", cluster, Result.FAILED, f"{told} overlaps {used[0]}{more}", "choose a range that no cluster uses")


def compare_pods(pods: Iterable[Pods], network_of: Mapping[str, str]) -> dict[str, list[Finding]]:
    """Return cluster -> a warning for each other one that gives its pods the same addresses, on one network."""
    found: dict[str, list[Finding]] = defaultdict(list)
    told: set[tuple[str, str]] = set()
    for one, other in _pairs(pods, network_of):
        for mine, theirs in ((one, other), (other, one)):
            if (mine.cluster, theirs.cluster) not in told:
                told.add((mine.cluster, theirs.cluster))
                text = (
                    f"those on node {mine.node} ({mine.range}) may have addresses of those of {theirs.cluster}, "
                    f"on node {theirs.node} ({theirs.range})"
                )
                remedy = "give clusters of one network different ranges of pods, or other networks (MemberCluster spec.network)"
                found[mine.cluster].append(Finding("pods", mine.cluster, Result.WARNING, text, remedy))
    return found


def _pairs(pods: Iterable[Pods], network_of: Mapping[str, str]) -> Iterator[tuple[Pods, Pods]]:
    """Yield overlapping ranges of different clusters: of two CIDRs that overlap, one contains the other."""
    by_network: dict[tuple[str, int], list[Pods]] = defaultdict(list)
    for one in pods:
        by_network[network_of.get(one.cluster, "default"), one.range.version].append(one)
    for group in by_network.values():
        around: list[Pods] = []
        for one in sorted(group, key=lambda one: (int(one.range.network_address), one.range.prefixlen, one.cluster, one.node)):
            around = [other for other in around if other.range.overlaps(one.range)]
            yield from ((one, other) for other in around if other.cluster != one.cluster)
            around.append(one)


async def _service_cidrs(server: ApiServer) -> list[tuple[str, Network]] | None:
    """Return (name, range) of those that there are: older servers have no such kind. None: they may not be read."""
    try:
        items = await _listed(server, SERVICE_CIDRS)
    except Refusal as error:
        if error.status not in (NOT_FOUND, FORBIDDEN):
            raise
        return None if error.status == FORBIDDEN else []
    return [(item.metadata.name, network) for item in items for network in networks(item.spec.cidrs)]


async def _listed(server: ApiServer, path: str) -> list[_Item]:
    try:
        return msgspec.json.decode(await server.get(path, CACHED), type=_List).items or []
    except msgspec.DecodeError as error:
        raise UnreachableError(f"it does not answer as an API server does: {error}") from error


def _overlaps(network: Network, ranges: Iterable[Network]) -> bool:
    return any(network.overlaps(one) for one in ranges)
