"""The objects of a join: what a member cluster grants (`deploy/remote`), and what the hub is told.

Pure, but that our own manifests are read.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import yaml

from xds.discovery.registry.registrations import KUBECONFIG_KEY
from xds.discovery.registry.registry_objects import CLUSTER_LABEL

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

Object = dict[str, Any]

NAMESPACE: Final = "isthmus-system"
ACCOUNT: Final = "isthmus-member"
"""The ServiceAccount by which a control plane reads a member; `isthmus` is the one that it runs as, maybe in the same cluster."""
TOKEN_SECRET: Final = "isthmus-member-token"  # noqa: S105 - a name
MANAGED_BY: Final = "app.kubernetes.io/managed-by"
MANAGER: Final = "xdsctl"
"""The value of that label, and our field manager."""
WHAT: Final = "traffic.isthmus.dev/what"
"""Annotation of an override: what it does, in words; `kubectl get` shows it."""
READER: Final = "read-only.yaml"
MCS_WRITER: Final = "mcs-writer.yaml"
RBAC: Final = "rbac.authorization.k8s.io"


@dataclass(frozen=True, slots=True)
class Joining:
    """How a cluster is to be joined."""

    name: str
    """Of the member."""
    namespace: str = NAMESPACE
    """Of what is made in the member, and of the Secret in the hub."""
    mcs: bool = False
    """Whether the control plane may write what the MCS API asks for."""
    region: str = ""
    zones: tuple[str, ...] = ()
    network: str = ""

    @property
    def is_placed(self) -> bool:
        """Whether there is something for a MemberCluster to say."""
        return bool(self.region or self.zones or self.network)


def manifests(name: str) -> list[Object]:
    """Return the objects of a file of `deploy/remote`, which the wheel has beside this module."""
    here = Path(__file__).parent / "manifests"
    directory = here if here.is_dir() else Path(__file__).parents[3] / "deploy" / "remote"
    return list(yaml.load_all((directory / name).read_text(), yaml.CSafeLoader))


def member_objects(joining: Joining) -> list[Object]:
    """Return what a join makes in the member, in the order in which it has to be made."""
    namespace, mcs = joining.namespace, manifests(MCS_WRITER) if joining.mcs else []
    granted = [*manifests(READER), *mcs]
    bindings = [_binding(item, namespace) for item in granted if item["kind"].endswith("Role")]
    account = _object("v1", "ServiceAccount", ACCOUNT, namespace)
    token = _object("v1", "Secret", TOKEN_SECRET, namespace, type="kubernetes.io/service-account-token")
    token["metadata"]["annotations"] = {"kubernetes.io/service-account.name": ACCOUNT}
    found = [_object("v1", "Namespace", namespace), account, *granted, *bindings, token]
    # Namespaces first, and each once: a manifest may have ours.
    found.sort(key=lambda item: item["kind"] != "Namespace")
    return [_ours(item) for item in {title(item): item for item in found}.values()]


def hub_objects(joining: Joining, kubeconfig: str) -> list[Object]:
    """Return what a join makes in the hub: the Secret that registers the cluster, and where it stands if that is known.

    Args:
        joining: the cluster.
        kubeconfig: how the control plane reaches it, as YAML.
    """
    secret = _object("v1", "Secret", f"cluster-{joining.name}", joining.namespace, type="Opaque")
    secret["metadata"]["labels"] = {CLUSTER_LABEL: joining.name}
    secret["data"] = {KUBECONFIG_KEY: base64.b64encode(kubeconfig.encode()).decode()}
    found = [secret]
    if joining.is_placed:
        stands = {"region": joining.region, "zones": list(joining.zones), "network": joining.network}
        spec: Object = {key: value for key, value in stands.items() if value}
        spec["kubeconfigSecret"] = {"name": secret["metadata"]["name"], "namespace": joining.namespace}
        found.append(member_cluster(joining.name, spec))
    # The namespace is not marked as ours, since leave does not delete it: other clusters are registered there.
    return [unclaimed(_ours(_object("v1", "Namespace", joining.namespace))), *map(_ours, found)]


def member_cluster(name: str, spec: Object) -> Object:
    """Return the MemberCluster of a name."""
    return _object("traffic.isthmus.dev/v1alpha1", "MemberCluster", name, spec=spec)


def traffic_override(name: str, what: str, spec: Object) -> Object:
    """Return a TrafficOverride.

    Args:
        name: its own.
        what: it does, for people who list them.
        spec: the same for us.
    """
    item = _object("traffic.isthmus.dev/v1alpha1", "TrafficOverride", name, spec=spec)
    item["metadata"]["annotations"] = {WHAT: what}
    return _ours(item)


def title(item: Object) -> str:
    """Return what people call an object: `Secret isthmus-system/isthmus-token`."""
    meta = item["metadata"]
    return f"{item['kind']} {meta['namespace']}/{meta['name']}" if "namespace" in meta else f"{item['kind']} {meta['name']}"


def plural(item: Object) -> str:
    """Return what the API calls the objects of a kind; all of ours end alike."""
    return f"{str(item['kind']).lower()}s"


def path_of(item: Object) -> str:
    """Return where the API server has an object."""
    version, meta = item["apiVersion"], item["metadata"]
    base = f"/apis/{version}" if "/" in version else f"/api/{version}"
    scope = f"/namespaces/{meta['namespace']}" if "namespace" in meta else ""
    return f"{base}{scope}/{plural(item)}/{meta['name']}"


def is_ours(item: Object) -> bool:
    """Return whether `xdsctl` has made an object."""
    return bool((item["metadata"].get("labels") or {}).get(MANAGED_BY) == MANAGER)


def unclaimed(item: Object) -> Object:
    """Return an object without the mark that it is ours, as it is applied to one that somebody else has made."""
    meta = item["metadata"]
    labels = {key: value for key, value in meta.get("labels", {}).items() if key != MANAGED_BY}
    return {**item, "metadata": {**meta, "labels": labels}}


def granted_rights(names: Iterable[str]) -> Iterator[tuple[str, str, str, str, str]]:
    """Yield (API group, resource, subresource, verb, namespace) of everything that files of `deploy/remote` grant."""
    for item in (item for name in names for item in manifests(name)):
        for rule in item.get("rules", ()):
            for group in rule["apiGroups"]:
                for resource, _, sub in (text.partition("/") for text in rule["resources"]):
                    for verb in rule["verbs"]:
                        yield group, resource, sub, verb, item["metadata"].get("namespace", "")


def _object(api_version: str, kind: str, name: str, namespace: str = "", **rest: Any) -> Object:
    metadata = {"name": name, **({"namespace": namespace} if namespace else {})}
    return {"apiVersion": api_version, "kind": kind, "metadata": metadata, **rest}


def _binding(role: Object, namespace: str) -> Object:
    """Return what gives a role to the account of a namespace, under a name that nobody else uses for a binding."""
    meta = role["metadata"]
    reference = {"apiGroup": RBAC, "kind": role["kind"], "name": meta["name"]}
    subjects = [{"kind": "ServiceAccount", "name": ACCOUNT, "namespace": namespace}]
    kind = f"{role['kind']}Binding"
    name = f"{namespace}-{meta['name']}"
    return _object(f"{RBAC}/v1", kind, name, meta.get("namespace", ""), roleRef=reference, subjects=subjects)


def _ours(item: Object) -> Object:
    meta = item["metadata"]
    labels = {**meta.get("labels", {}), "app.kubernetes.io/name": "isthmus", MANAGED_BY: MANAGER}
    return {**item, "metadata": {**meta, "labels": labels}}
