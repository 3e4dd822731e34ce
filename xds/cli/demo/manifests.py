"""The demo's world as ordinary Kubernetes manifests, one directory a cluster."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import yaml

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from xds.cli.demo.places import Cluster, World

NAMESPACE = "shop"
SERVICE = "web"
HOST = f"{SERVICE}.{NAMESPACE}.svc.clusterset.local"
"""What clients ask for: the service of the cluster set."""
GATEWAY_HOST = "shop.example.com"
GATEWAY_CLUSTER = "east"
GATEWAY = f"{NAMESPACE}/public"

Object = dict[str, Any]


class Manifests:
    """Writes the files that the control plane watches.

    Args:
        directory: `serve --clusters` of the control plane.
        backend_port: the port of every pod.
        gateway_port: the port of the Gateway's only listener; 0 for a world without a gateway.
        app_protocol: what the pods speak, as Kubernetes names it.
    """

    def __init__(self, directory: Path, *, backend_port: int, gateway_port: int = 0, app_protocol: str = "http") -> None:
        self.directory = directory
        self.backend_port = backend_port
        self.gateway_port = gateway_port
        self.app_protocol = app_protocol

    def write(self, world: World) -> None:
        """Bring the files in line with the world; a file is replaced as a whole, and only if its text changed."""
        for name, objects in self.files(world).items():
            replace_file(self.directory / name, objects)

    def files(self, world: World) -> dict[str, list[Object]]:
        """Return every file's objects by its path in the directory."""
        files = {"members.yaml": [_member(cluster) for cluster in world.clusters]}
        for number, cluster in enumerate(world.clusters):
            files[f"{cluster.name}/nodes.yaml"] = [_node(cluster, zone) for zone in cluster.zones]
            files[f"{cluster.name}/web.yaml"] = self._service(f"10.{96 + number}.0.10")
            files[f"{cluster.name}/web-endpoints.yaml"] = [self._slice(world, cluster)]
        if self.gateway_port:
            files[f"{GATEWAY_CLUSTER}/gateway.yaml"] = _gateway(self.gateway_port)
        return files

    def _service(self, cluster_ip: str) -> list[Object]:
        spec = {
            "clusterIP": cluster_ip,
            "clusterIPs": [cluster_ip],
            "selector": {"app": SERVICE},
            "ports": [{"name": "http", "port": 80, "targetPort": "http", "appProtocol": self.app_protocol}],
        }
        return [
            _object("v1", "Namespace", NAMESPACE),
            _object("v1", "Service", SERVICE, spec, namespace=NAMESPACE),
            _object("multicluster.x-k8s.io/v1alpha1", "ServiceExport", SERVICE, namespace=NAMESPACE),
        ]

    def _slice(self, world: World, cluster: Cluster) -> Object:
        head = _object(
            "discovery.k8s.io/v1",
            "EndpointSlice",
            f"{SERVICE}-{cluster.name}",
            namespace=NAMESPACE,
            labels={"kubernetes.io/service-name": SERVICE},
        )
        endpoints = [
            {
                "addresses": [pod.address],
                "conditions": {"ready": pod.ready, "serving": pod.ready, "terminating": False},
                "nodeName": f"node-{pod.place.zone}",
                "zone": pod.place.zone,
                "targetRef": {"kind": "Pod", "namespace": NAMESPACE, "name": pod.name},
            }
            for pod in world.pods
            if pod.place.cluster == cluster.name
        ]
        ports = [{"name": "http", "port": self.backend_port, "protocol": "TCP", "appProtocol": self.app_protocol}]
        return {**head, "addressType": "IPv4", "ports": ports, "endpoints": endpoints}


def replace_file(path: Path, objects: list[Object]) -> None:
    """Replace a file by these objects at once, as a careful editor does."""
    text = yaml.safe_dump_all(objects, sort_keys=False)
    if path.exists() and path.read_text() == text:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.draft")
    draft.write_text(text)
    draft.rename(path)


def _object(api_version: str, kind: str, name: str, spec: Mapping[str, Any] | None = None, **metadata: Any) -> Object:
    head = {"apiVersion": api_version, "kind": kind, "metadata": {"name": name, **metadata}}
    return {**head, "spec": spec} if spec is not None else head


def _member(cluster: Cluster) -> Object:
    spec = {"region": cluster.region, "zones": list(cluster.zones)}
    return _object("traffic.isthmus.dev/v1alpha1", "MemberCluster", cluster.name, spec)


def _node(cluster: Cluster, zone: str) -> Object:
    labels = {"topology.kubernetes.io/region": cluster.region, "topology.kubernetes.io/zone": zone}
    return _object("v1", "Node", f"node-{zone}", labels=labels)


def _gateway(port: int) -> list[Object]:
    namespace, _, name = GATEWAY.partition("/")
    listeners = [{"name": "http", "protocol": "HTTP", "port": port}]
    backend = {"group": "multicluster.x-k8s.io", "kind": "ServiceImport", "name": SERVICE, "port": 80}
    match = {"path": {"type": "PathPrefix", "value": "/"}}
    route = {
        "parentRefs": [{"name": name}],
        "hostnames": [GATEWAY_HOST],
        "rules": [{"matches": [match], "backendRefs": [backend]}],
    }
    api = "gateway.networking.k8s.io/v1"
    return [
        _object(api, "Gateway", name, {"gatewayClassName": "isthmus", "listeners": listeners}, namespace=namespace),
        _object(api, "HTTPRoute", SERVICE, route, namespace=namespace),
    ]
