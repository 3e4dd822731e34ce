"""The control plane's own user in a cluster: a service account that may list and watch what Isthmus reads, and nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from kubeconfigs import write_kubeconfig
from workload import named

if TYPE_CHECKING:
    from provider import Cluster

Object = dict[str, Any]
NAME, NAMESPACE = "e2e-reader", "kube-system"
_ROLE = Path(__file__).parents[1] / "deploy" / "remote" / "read-only.yaml"
READABLE = {group: rule["resources"] for rule in yaml.safe_load(_ROLE.read_text())["rules"] for group in rule["apiGroups"]}
"""API group -> resources, as the role says that users are given: a test may bring any of these kinds."""
TOKEN_S = 3600


def role(*, without: str = "") -> Object:
    """Return the ClusterRole that lets resources be read, all but one."""
    verbs = ["get", "list", "watch"]
    rules = [
        {"apiGroups": [group], "resources": [resource], "verbs": verbs}
        for group, resources in READABLE.items()
        for resource in resources
        if resource != without
    ]
    return named("rbac.authorization.k8s.io/v1", "ClusterRole", NAME, rules=rules)


async def make_reader(cluster: Cluster) -> None:
    """Make the user."""
    account = named("v1", "ServiceAccount", NAME, NAMESPACE)
    binding = named(
        "rbac.authorization.k8s.io/v1",
        "ClusterRoleBinding",
        NAME,
        roleRef={"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": NAME},
        subjects=[{"kind": "ServiceAccount", "name": NAME, "namespace": NAMESPACE}],
    )
    await cluster.api.apply(account, role(), binding)


async def write_access(cluster: Cluster, file: Path, secret: Object | None = None, *, account: str = NAME) -> Path:
    """Write a kubeconfig with a new token of the user; its context has the cluster's name.

    Args:
        cluster: where the user is.
        file: replaced at once if it is there.
        secret: the token is good until this Secret is deleted.
        account: another user, whose service account is in the same namespace.
    """
    spec: Object = {"expirationSeconds": TOKEN_S}
    if secret:
        spec["boundObjectRef"] = {"apiVersion": "v1", "kind": "Secret", "name": secret["metadata"]["name"]}
    path = f"/api/v1/namespaces/{NAMESPACE}/serviceaccounts/{account}/token"
    token = (await cluster.api.ask("POST", path, body={"spec": spec}))["status"]["token"]
    return write_kubeconfig(file, cluster.name, server=cluster.api.url, authority=cluster.api.authority, token=token)
