"""What runs in the clusters, as objects: nodes in their zones, services, and pods with the status that a kubelet would report."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kubernetes_api import KubernetesApi

Object = dict[str, Any]
PORT_NAME = "http"


def named(api_version: str, kind: str, name: str, namespace: str = "", **rest: Any) -> Object:
    """Return an object."""
    metadata = {"name": name, **({"namespace": namespace} if namespace else {})}
    return {"apiVersion": api_version, "kind": kind, "metadata": metadata, **rest}


def namespace(name: str) -> Object:
    """Return a Namespace."""
    return named("v1", "Namespace", name)


def node(name: str, *, region: str, zone: str) -> Object:
    """Return a Node in a zone."""
    item = named("v1", "Node", name)
    item["metadata"]["labels"] = {"topology.kubernetes.io/region": region, "topology.kubernetes.io/zone": zone}
    return item


def service(name: str, namespace: str) -> Object:
    """Return a Service for the pods whose label `app` is its name."""
    ports = [{"name": PORT_NAME, "port": 80, "targetPort": PORT_NAME, "protocol": "TCP", "appProtocol": "http"}]
    return named("v1", "Service", name, namespace, spec={"selector": {"app": name}, "ports": ports})


def pod(name: str, namespace: str, *, app: str, node_name: str, port: int) -> Object:
    """Return a Pod that is already scheduled."""
    ports = [{"name": PORT_NAME, "containerPort": port, "protocol": "TCP"}]
    spec = {
        "nodeName": node_name,
        "automountServiceAccountToken": False,
        "containers": [{"name": "app", "image": "none.invalid/app", "ports": ports}],
    }
    item = named("v1", "Pod", name, namespace, spec=spec)
    item["metadata"]["labels"] = {"app": app}
    return item


def running(address: str, *, ready: bool = True) -> Object:
    """Return the status of a pod that runs."""
    conditions = [{"type": name, "status": "True" if ready else "False"} for name in ("Ready", "ContainersReady")]
    return {"phase": "Running", "podIP": address, "podIPs": [{"ip": address}], "conditions": conditions}


async def run_pod(api: KubernetesApi, item: Object, address: str, *, ready: bool = True) -> None:
    """Create a pod that runs at an address, or change what it reports."""
    await api.apply(item)
    await api.patch_status(item, running(address, ready=ready))
