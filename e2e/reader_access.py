"""The control plane's own user in a cluster: a service account that may list and watch what Isthmus reads, and nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kubeconfigs import write_kubeconfig
from workload import named

if TYPE_CHECKING:
    from pathlib import Path

    from provider import Cluster

NAME, NAMESPACE = "isthmus-reader", "kube-system"
READABLE = {
    "": ["namespaces", "nodes", "services"],
    "discovery.k8s.io": ["endpointslices"],
    "multicluster.x-k8s.io": ["serviceexports", "serviceimports"],
    "gateway.networking.k8s.io": ["gateways", "httproutes"],
}
"""API group -> resources."""
TOKEN_S = 3600


def role(readable: dict[str, list[str]]) -> dict[str, object]:
    """Return the ClusterRole that lets resources be read."""
    rules = [
        {"apiGroups": [group], "resources": resources, "verbs": ["get", "list", "watch"]} for group, resources in readable.items()
    ]
    return named("rbac.authorization.k8s.io/v1", "ClusterRole", NAME, rules=rules)


async def give_access(cluster: Cluster, file: Path) -> Path:
    """Make the user, and write a kubeconfig with a token of it; its context has the cluster's name."""
    account = named("v1", "ServiceAccount", NAME, NAMESPACE)
    binding = named(
        "rbac.authorization.k8s.io/v1",
        "ClusterRoleBinding",
        NAME,
        roleRef={"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": NAME},
        subjects=[{"kind": "ServiceAccount", "name": NAME, "namespace": NAMESPACE}],
    )
    await cluster.api.apply(account, role(READABLE), binding)
    path = f"/api/v1/namespaces/{NAMESPACE}/serviceaccounts/{NAME}/token"
    answer = await cluster.api.ask("POST", path, body={"spec": {"expirationSeconds": TOKEN_S}})
    return write_kubeconfig(
        file, cluster.name, server=cluster.api.url, authority=cluster.api.authority, token=answer["status"]["token"]
    )
