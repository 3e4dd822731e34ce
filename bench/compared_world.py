"""The world that every server of the comparison serves: services with ten endpoints each, and one endpoint that changes.

Two member clusters have five endpoints each of services that both export, in process and on real API servers alike, and the
clients of our control plane are in a third cluster: they get one cluster a service, by its clusterset name.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from xds.model.events import FLEET, Health, MemberState, Synced, Upsert
from xds.model.fleet import Fleet
from xds.model.kinds import KINDS
from xds.model.view import View
from xds.views import LiveViews
from xds.wire import envoy
from xds.wire.type_urls import CLUSTER, ENDPOINT, LISTENER, ROUTE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from xds.model.events import Event

Object = dict[str, Any]
NAMESPACE = "shop"
REGIONS = {"east": "north", "west": "south", "edge": "north"}
"""Members and where they are; clients are in the last one, in which no service runs."""
CLIENTS = "edge"
ENDPOINTS = 10
ZONES = ("a", "b")
PORT = 80
NODE: Object = {
    "id": "proxy-{number}",
    "cluster": "web",
    "locality": {"region": REGIONS[CLIENTS], "zone": ZONES[0]},
    "metadata": {"isthmus": {"cluster": CLIENTS, "namespace": NAMESPACE}},
}
"""What a client says of itself, as the load client wants it."""


def named(api_version: str, kind: str, name: str, namespace: str = NAMESPACE, **rest: Any) -> Object:
    return {"apiVersion": api_version, "kind": kind, "metadata": {"name": name, "namespace": namespace}, **rest}


def service(number: int) -> Object:
    ports = [{"name": "http", "port": PORT, "protocol": "TCP", "appProtocol": "http"}]
    return named("v1", "Service", f"s{number}", spec={"ports": ports})


def endpoint_slice(cluster: int, number: int, endpoints: int, first_address: str = "") -> Object:
    """Return the slice of a service; its first endpoint may have another address than it had at first."""
    addresses = [f"10.{cluster * 64 + number // 250}.{number % 250}.{pod + 1}" for pod in range(endpoints)]
    item = named("discovery.k8s.io/v1", "EndpointSlice", f"s{number}-1", addressType="IPv4")
    item["metadata"]["labels"] = {"kubernetes.io/service-name": f"s{number}"}
    item["ports"] = [{"name": "http", "port": 8080, "protocol": "TCP", "appProtocol": "http"}]
    item["endpoints"] = [
        {"addresses": [address], "conditions": {"ready": True, "serving": True}, "zone": ZONES[pod % len(ZONES)]}
        for pod, address in enumerate([first_address or addresses[0], *addresses[1:]])
    ]
    return item


def exported(cluster: int, number: int) -> tuple[Object, ...]:
    """Return what a cluster has of a service."""
    export = named("multicluster.x-k8s.io/v1beta1", "ServiceExport", f"s{number}")
    return service(number), export, endpoint_slice(cluster, number, ENDPOINTS // 2)


def member(name: str, region: str) -> Object:
    return named("traffic.isthmus.dev/v1alpha1", "MemberCluster", name, "", spec={"region": region, "zones": list(ZONES)})


def changed_slice(number: int, address: str) -> Object:
    """Return the slice of a service in the first cluster, with another address of its first endpoint."""
    return endpoint_slice(0, number, ENDPOINTS // 2, address)


def new_address(change: int) -> str:
    """Return an address that no endpoint has had before."""
    return f"10.{192 + change // 62_500}.{change // 250 % 250}.{change % 250 + 1}"


def cluster_name(number: int, domain: str = "clusterset.local") -> str:
    return f"s{number}.{NAMESPACE}.svc.{domain}:{PORT}"


def event(cluster: str, item: Object) -> Upsert:
    return Upsert(cluster, msgspec.convert(item, KINDS[item["kind"]].struct))


def change(number: int, address: str) -> Event:
    return event(next(iter(REGIONS)), changed_slice(number, address))


def events(services: int) -> Iterator[Event]:
    """Return what discovery would tell of the whole world."""
    for name, region in REGIONS.items():
        yield event(FLEET, member(name, region))
    for index, name in enumerate(REGIONS):
        yield event(name, named("v1", "Namespace", NAMESPACE, ""))
        for number in range(services if name != CLIENTS else 0):
            yield from (event(name, item) for item in exported(index, number))
        yield Health(name, MemberState.CONNECTED)
        yield Synced(name)
    yield Synced(FLEET)


def resources(services: int) -> bytes:
    """Return everything that our control plane serves to a client of this world, as one DeltaDiscoveryResponse."""
    fleet = Fleet()
    fleet.apply(list(events(services)))
    views = LiveViews(fleet, lambda _: None, idle_s=60)
    place = NODE["locality"]
    view = View(cluster=CLIENTS, region=place["region"], zone=place["zone"], namespace=NAMESPACE, listen="127.0.0.1:15001")
    snapshot = views.acquire(view)
    everything = envoy.DeltaDiscoveryResponse()
    for type_url in (CLUSTER, ENDPOINT, LISTENER, ROUTE):
        for name, resource in snapshot.resources(type_url).items():
            made = everything.resources.add(name=name, version=resource.version)
            made.resource.type_url, made.resource.value = type_url, resource.body
    return everything.SerializeToString()
