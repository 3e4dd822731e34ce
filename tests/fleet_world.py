"""Objects of a small fleet, for tests that need no files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from xds.model.events import FLEET, Synced, Upsert
from xds.model.fleet import Fleet
from xds.model.kinds import KINDS
from xds.policy.book import PolicyBook

if TYPE_CHECKING:
    from xds.model.objects import KubernetesObject

NAMESPACE = "shop"
Object = dict[str, Any]


def make(kind: str, name: str, *, namespace: str = NAMESPACE, **fields: Any) -> KubernetesObject:
    """Return an object of a kind that we read; `metadata` may add to its name and namespace."""
    known = KINDS[kind]
    metadata = {"name": name, **({"namespace": namespace} if known.namespaced else {}), **fields.pop("metadata", {})}
    return msgspec.convert({"apiVersion": known.api_versions[0], "kind": kind, "metadata": metadata, **fields}, known.struct)


def member(name: str, region: str = "", **spec: Any) -> KubernetesObject:
    return make("MemberCluster", name, spec={"region": region, **spec})


def node(name: str, zone: str, region: str = "", **labels: str) -> KubernetesObject:
    topology = {"topology.kubernetes.io/zone": zone, "topology.kubernetes.io/region": region}
    return make("Node", name, metadata={"labels": {**topology, **labels}})


def service(name: str, ports: dict[str, int] | None = None, *, namespace: str = NAMESPACE, **spec: Any) -> KubernetesObject:
    """Return a Service; ports are {name: number}, `{"http": 80}` by default."""
    listed = [{"name": key, "port": number} for key, number in ({"http": 80} if ports is None else ports).items()]
    return make("Service", name, namespace=namespace, spec={"clusterIP": "10.96.0.1", "ports": listed, **spec})


def export(name: str, *, created: str | None = None, namespace: str = NAMESPACE) -> KubernetesObject:
    return make("ServiceExport", name, namespace=namespace, metadata={"creationTimestamp": created} if created else {})


def endpoint(address: str | list[str], *, ready: bool | None = None, target: str = "", **fields: Any) -> Object:
    """Return one endpoint of a slice; `serving` and `terminating` go into its conditions."""
    conditions = {key: fields.pop(key) for key in ("serving", "terminating") if key in fields}
    found: Object = {"addresses": [address] if isinstance(address, str) else address, **fields}
    found["conditions"] = {"ready": ready, **conditions}
    if target:
        found["targetRef"] = {"kind": "Pod", "namespace": NAMESPACE, "name": target}
    return found


def endpoint_slice(
    owner: str,
    endpoints: list[Object],
    ports: dict[str, int] | None = None,
    *,
    name: str = "",
    family: str = "IPv4",
    namespace: str = NAMESPACE,
    **metadata: Any,
) -> KubernetesObject:
    """Return a slice of the service `owner`; ports are {name: number}, `{"http": 8080}` by default.

    Labels among `metadata` take the place of that which names the owner.
    """
    listed = [{"name": key, "port": number} for key, number in ({"http": 8080} if ports is None else ports).items()]
    metadata = {"labels": {"kubernetes.io/service-name": owner}, **metadata}
    fields = {"addressType": family, "ports": listed, "endpoints": endpoints}
    return make("EndpointSlice", name or f"{owner}-1", namespace=namespace, metadata=metadata, **fields)


def traffic_policy(
    name: str = "web", *targets: Object | str, created: str | None = None, namespace: str = NAMESPACE, **spec: Any
) -> KubernetesObject:
    """Return a TrafficPolicy; a target may be the name of a Service, and without one it is what `spec` says."""
    refs = [{"kind": "Service", "name": one} if isinstance(one, str) else one for one in targets]
    spec = {**({"targetRefs": refs} if refs else {}), **spec}
    metadata = {"creationTimestamp": created} if created else {}
    return make("TrafficPolicy", name, namespace=namespace, metadata=metadata, spec=spec)


def tier(name: str, *places: Object, **fields: Any) -> Object:
    return {"name": name, "places": list(places), **fields}


def book_of(fleet: Fleet) -> PolicyBook:
    """Return the policies of a fleet that has just started."""
    book = PolicyBook()
    refresh(book, fleet)
    return book


def refresh(book: PolicyBook, fleet: Fleet) -> None:
    book.refresh(fleet)


def fleet_of(clusters: dict[str, list[KubernetesObject]], *fleet_wide: KubernetesObject) -> Fleet:
    """Return a fleet that has been told everything at once."""
    fleet = Fleet()
    events = [Upsert(FLEET, item) for item in fleet_wide]
    events += [Upsert(name, item) for name, items in clusters.items() for item in items]
    fleet.apply([*events, *(Synced(name) for name in (FLEET, *clusters))])
    return fleet


def codes(fleet: Fleet) -> list[str]:
    return sorted(problem.code for problem in fleet.problems())
