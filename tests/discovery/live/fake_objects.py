"""What a fake API server does with single objects: makes, gives, applies, replaces, deletes them; and who may do what."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

from fake_store import Answer, Resource

if TYPE_CHECKING:
    from fake_api_server import FakeApiServer

RBAC, REVIEWS = "rbac.authorization.k8s.io", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
FURTHER = (
    Resource("Secret", "", "v1", "secrets", built_in=True),
    Resource("ConfigMap", "", "v1", "configmaps", built_in=True),
    Resource("ServiceAccount", "", "v1", "serviceaccounts", built_in=True),
    Resource("Pod", "", "v1", "pods", built_in=True),
    Resource("Lease", "coordination.k8s.io", "v1", "leases", built_in=True),
    Resource("PersistentVolumeClaim", "", "v1", "persistentvolumeclaims", built_in=True),
    *(Resource(kind, "apps", "v1", f"{kind.lower()}s", built_in=True) for kind in ("Deployment", "StatefulSet", "DaemonSet")),
    *(
        Resource(kind, RBAC, "v1", f"{kind.lower()}s", namespaced="Cluster" not in kind, built_in=True)
        for kind in ("Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding")
    ),
)
"""Kinds that nobody watches."""
MEMBER_CLUSTER = Resource("MemberCluster", "traffic.isthmus.dev", "v1alpha1", "memberclusters", namespaced=False)
_PATH = re.compile(r"(/apis/[^/]+/[^/]+|/api/v1)(?:/namespaces/([^/]+))?/([^/]+)(?:/([^/]+)(?:/status)?)?")


def serve_further(server: FakeApiServer, *more: Resource) -> None:
    """Let a server have what a join needs."""
    server.store.resources.update({one.kind: one for one in (*FURTHER, *more)})


def answer_object(server: FakeApiServer, method: str, path: str, query: dict[str, str], body: bytes) -> Answer | None:
    """Answer a request for one object, or for the objects of one namespace; None if there can be no such thing."""
    document = json.loads(body) if body else {}
    if path == REVIEWS:
        asked = document["spec"]["resourceAttributes"]
        resource = "/".join(part for part in (asked["resource"], asked.get("subresource")) if part)
        allowed = f"{asked['verb']} {resource}" not in server.forbidden
        return Answer(201, json.dumps({**document, "status": {"allowed": allowed}}).encode())
    found = _PATH.fullmatch(path)
    base, namespace, plural, name = found.groups() if found else ("",) * 4
    resource = next((one for one in server.store.resources.values() if one.path == f"{base}/{plural}"), None)
    if resource is None:
        return None
    if resource.kind in server.forbidden:
        message = f'{plural} is forbidden: User "isthmus" cannot {method.lower()} resource "{plural}"'
        return server.store.status(403, "Forbidden", message)
    if name is None and method == "POST":
        return _created(server, resource, namespace or "", document)
    if name is None:
        items = [item for key, item in server.store.objects(resource.kind).items() if key[0] == (namespace or "")]
        return Answer(200, json.dumps({"metadata": {}, "items": items}).encode())
    return _one(server, resource, (namespace or "", name), method, query, document)


def _one(server: FakeApiServer, resource: Resource, key: tuple, method: str, query: dict, document: dict) -> Answer:
    store, kind = server.store, resource.kind
    now = store.objects(kind).get(key)
    meant = document.get("preconditions" if method == "DELETE" else "metadata", {}).pop("resourceVersion", "")
    if meant and (now["metadata"]["resourceVersion"] if now else method != "PATCH" and meant) != meant:
        return store.status(409, "Conflict", f'{resource.plural} "{key[1]}": the object has been modified')
    if method == "PATCH":
        merged = _merged(now or {}, document)
        if now is None or merged != _merged(now, {}):
            if "dryRun" in query:
                return _full(resource, merged)
            labels = merged["metadata"].get("labels")
            store.put(kind, key[1], key[0], labels=labels, **_content(merged))
        return _full(resource, store.objects(kind)[key])
    if now is None:
        return store.status(404, "NotFound", f'{resource.plural} "{key[1]}" not found')
    if method == "PUT":
        store.put(kind, key[1], key[0], **_content(document))
        return _full(resource, store.objects(kind)[key])
    if method == "DELETE":
        store.delete(kind, key[1], key[0])
    return _full(resource, now)


def _created(server: FakeApiServer, resource: Resource, namespace: str, document: dict) -> Answer:
    key = namespace, document["metadata"]["name"]
    if key in server.store.objects(resource.kind):
        return server.store.status(409, "AlreadyExists", f'{resource.plural} "{key[1]}" already exists')
    server.store.put(resource.kind, key[1], namespace, **_content(document))
    return _full(resource, server.store.objects(resource.kind)[key])


def _content(document: dict) -> dict:
    return {part: value for part, value in document.items() if part not in ("apiVersion", "kind", "metadata")}


def _merged(now: dict, wanted: dict) -> dict:
    """Return an object after an apply: what it says replaces what was there, beside that all stays."""
    meta = {**now.get("metadata", {})}
    labels = {**meta.get("labels", {}), **wanted.get("metadata", {}).get("labels", {})}
    content = {part: value for part, value in wanted.items() if part not in ("apiVersion", "kind")}
    return {**now, **content, "metadata": {**meta, **({"labels": labels} if labels else {})}}


def _full(resource: Resource, item: dict) -> Answer:
    return Answer(200, json.dumps({"apiVersion": resource.api_version, "kind": resource.kind, **item}).encode())
