"""What one changed endpoint costs, against the number of services: it should not matter how many there are.

    .venv/bin/python bench/endpoint_change.py [SERVICES ...]

Prints, for each fleet size, the time to build one sidecar's view from nothing and the time that one changed EndpointSlice takes
through the model, policy, translation and snapshots of four live views, as a ratio to the smallest fleet of the same run.
"""

from __future__ import annotations

import statistics
import sys
import time

from xds.model import objects
from xds.model.events import FLEET, Synced, Upsert
from xds.model.fleet import Fleet
from xds.model.view import View
from xds.views import LiveViews

CLUSTERS = ("east", "west")
ENDPOINTS = 5
UPDATES = 50


def meta(name: str, **labels: str) -> objects.ObjectMeta:
    return objects.ObjectMeta(name=name, namespace="shop", labels=labels)


def endpoint_slice(cluster: int, service: int, generation: int) -> objects.EndpointSlice:
    labels = {"kubernetes.io/service-name": f"s{service}"}
    endpoints = [
        objects.SliceEndpoint(
            addresses=[f"10.{cluster * 64 + service // 256}.{service % 256}.{pod + (generation % 100)}"], zone=f"z{pod % 2}"
        )
        for pod in range(ENDPOINTS)
    ]
    return objects.EndpointSlice(
        api_version="discovery.k8s.io/v1",
        kind="EndpointSlice",
        metadata=objects.ObjectMeta(name=f"s{service}-1", namespace="shop", labels=labels),
        address_type="IPv4",
        ports=[objects.SlicePort(name="http", port=8080)],
        endpoints=endpoints,
    )


def fleet_of(services: int) -> Fleet:
    events: list[Upsert | Synced] = []
    for index, cluster in enumerate(CLUSTERS):
        spec = objects.MemberClusterSpec(region=f"r{index}")
        member = objects.MemberCluster(
            api_version="traffic.isthmus.dev/v1alpha1", kind="MemberCluster", metadata=objects.ObjectMeta(name=cluster), spec=spec
        )
        events.append(Upsert(FLEET, member))
        for service in range(services):
            ports = objects.ServiceSpec(ports=[objects.ServicePort(name="http", port=80)])
            events.append(
                Upsert(cluster, objects.Service(api_version="v1", kind="Service", metadata=meta(f"s{service}"), spec=ports))
            )
            export = objects.ServiceExport(
                api_version="multicluster.x-k8s.io/v1beta1", kind="ServiceExport", metadata=meta(f"s{service}")
            )
            events += [Upsert(cluster, export), Upsert(cluster, endpoint_slice(index, service, 0))]
        events.append(Synced(cluster))
    fleet = Fleet()
    fleet.apply([*events, Synced(FLEET)])
    return fleet


def measure(services: int) -> tuple[float, float]:
    """Return (seconds to build a view, median seconds of one change)."""
    fleet = fleet_of(services)
    views = LiveViews(fleet, lambda _change: None, idle_s=60)
    began = time.perf_counter()
    views.acquire(View(cluster="east", region="r0", zone="z0", listen="127.0.0.1:15001"))
    built_s = time.perf_counter() - began
    for cluster, region, zone in (("east", "r0", "z1"), ("west", "r1", "z0"), ("west", "r1", "z1")):
        views.acquire(View(cluster=cluster, region=region, zone=zone, listen="127.0.0.1:15001"))
    changes_s = []
    for generation in range(1, UPDATES + 1):
        began = time.perf_counter()
        change = fleet.apply([Upsert("east", endpoint_slice(0, services // 2, generation))])
        views.changed(change)
        changes_s.append(time.perf_counter() - began)
    return built_s, statistics.median(changes_s)


def main() -> None:
    sizes = [int(text) for text in sys.argv[1:]] or [100, 1_000, 10_000]
    print(f"{'SERVICES':>8}  {'VIEW BUILT':>10}  {'ONE CHANGE':>10}  RATIO")
    first = 0.0
    for services in sizes:
        built_s, change_s = measure(services)
        first = first or change_s
        print(f"{services:>8}  {built_s * 1e3:>8.0f}ms  {change_s * 1e6:>8.0f}us  {change_s / first:.2f}")


if __name__ == "__main__":
    main()
