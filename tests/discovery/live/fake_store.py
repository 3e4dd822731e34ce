"""What a Kubernetes API server keeps, and how it answers lists and watches: no sockets, no clock.

One sequence of resourceVersions rises over all kinds, as etcd's revision does. `fake_api_server` puts it behind HTTP.
"""

from __future__ import annotations

import base64
import copy
import json
from typing import NamedTuple

from fake_selectors import meets

INITIAL_EVENTS_END = "k8s.io/initial-events-end"


class Resource(NamedTuple):
    """How a kind is served."""

    kind: str
    """With its group behind it, `KIND.GROUP`, where another one is called so, too."""
    group: str
    version: str
    plural: str
    namespaced: bool = True
    built_in: bool = False

    @property
    def api_kind(self) -> str:
        """What the server calls it."""
        return self.kind.partition(".")[0]

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def path(self) -> str:
        return f"/apis/{self.api_version}/{self.plural}" if self.group else f"/api/{self.version}/{self.plural}"


BUILT_IN = (
    Resource("Namespace", "", "v1", "namespaces", namespaced=False, built_in=True),
    Resource("Node", "", "v1", "nodes", namespaced=False, built_in=True),
    Resource("Service", "", "v1", "services", built_in=True),
    Resource("EndpointSlice", "discovery.k8s.io", "v1", "endpointslices", built_in=True),
)
MCS, GATEWAY = "multicluster.x-k8s.io", "gateway.networking.k8s.io"
FLEET_EXPORT = "ServiceExport.networking.fleet.azure.com"
CUSTOM = {
    "ServiceExport": Resource("ServiceExport", MCS, "v1beta1", "serviceexports"),
    "ServiceImport": Resource("ServiceImport", MCS, "v1beta1", "serviceimports"),
    FLEET_EXPORT: Resource(FLEET_EXPORT, "networking.fleet.azure.com", "v1beta1", "serviceexports"),
    "Gateway": Resource("Gateway", GATEWAY, "v1", "gateways"),
    "HTTPRoute": Resource("HTTPRoute", GATEWAY, "v1", "httproutes"),
    "DestinationRule": Resource("DestinationRule", "networking.istio.io", "v1", "destinationrules"),
    **{
        f"{kind}.{group}": Resource(f"{kind}.{group}", group, "v1alpha1", plural)
        for group in ("multicluster.flomesh.io", "flomesh.io")
        for kind, plural in (
            ("ServiceExport", "serviceexports"),
            ("ServiceImport", "serviceimports"),
            ("GlobalTrafficPolicy", "globaltrafficpolicies"),
        )
    },
}
"""Kinds that a server has only after `add_kind`."""


class Answer(NamedTuple):
    """A document."""

    status: int
    body: bytes


class _Change(NamedTuple):
    version: int
    kind: str
    key: tuple[str, str]
    type: str
    object: dict


class Saved(NamedTuple):
    """A backup."""

    version: int
    oldest: int
    log: tuple[_Change, ...]
    resources: dict[str, Resource]


class Store:
    """The objects of one API server, and their history since the last compaction."""

    def __init__(self, *, version: int = 100) -> None:
        self.version = version
        """The newest resourceVersion."""
        self.oldest = version
        """What is older has been compacted: nothing can go on from there."""
        self.resources = {one.kind: one for one in BUILT_IN}
        self.streamed_lists = "known"
        """What becomes of `sendInitialEvents`: "known", "refused" (the feature is off) or "ignored" (Kubernetes before 1.27)."""
        self.listeners: list = []
        """Called when something has changed."""
        self._log: list[_Change] = []

    # What users do

    def add_kind(self, kind: str, version: str | None = None) -> None:
        """Serve a custom kind, as its CustomResourceDefinition says; if it was served, in another version from now on."""
        self.resources[kind] = CUSTOM[kind]._replace(version=version or CUSTOM[kind].version)
        self._tell()

    def remove_kind(self, kind: str) -> None:
        """Delete a CustomResourceDefinition: its objects go first."""
        for namespace, name in self.objects(kind):
            self.delete(kind, name, namespace)
        del self.resources[kind]
        self._tell()

    def put(self, kind: str, name: str, namespace: str = "shop", *, labels: dict | None = None, **content) -> None:
        """Create or replace an object."""
        key = (namespace if self.resources[kind].namespaced else "", name)
        known, last = key in self.objects(kind), self.objects(kind).get(key, {})
        self.version += 1
        metadata = {"name": name, "resourceVersion": str(self.version), "uid": f"{kind}-{key[0]}-{name}"}
        metadata |= {"namespace": key[0]} if key[0] else {}
        generation = last.get("metadata", {}).get("generation", 0)
        metadata |= {"generation": generation + (last.get("spec") != content.get("spec"))}
        metadata |= {"labels": labels} if labels else {}
        self._log.append(_Change(self.version, kind, key, "MODIFIED" if known else "ADDED", {"metadata": metadata, **content}))
        self._tell()

    def delete(self, kind: str, name: str, namespace: str = "shop") -> None:
        key = (namespace if self.resources[kind].namespaced else "", name)
        last = copy.deepcopy(self.objects(kind)[key])
        self.version += 1
        last["metadata"]["resourceVersion"] = str(self.version)  # a DELETED event has the version of the deletion
        self._log.append(_Change(self.version, kind, key, "DELETED", last))
        self._tell()

    def empty(self) -> None:
        """Delete every object."""
        for kind in self.resources:
            for namespace, name in self.objects(kind):
                self.delete(kind, name, namespace)

    def objects(self, kind: str, version: int | None = None) -> dict[tuple[str, str], dict]:
        """Return (namespace, name) -> object as of a version, the newest unless told otherwise; in order."""
        found: dict[tuple[str, str], dict] = {}
        for change in self._log:
            if change.kind == kind and change.version <= (self.version if version is None else version):
                if change.type == "DELETED":
                    found.pop(change.key, None)
                else:
                    found[change.key] = change.object
        return dict(sorted(found.items()))

    # What operators do

    def compact(self) -> None:
        """Forget what led to the newest version, as etcd does every five minutes."""
        self.oldest = self.version

    def save(self) -> Saved:
        return Saved(self.version, self.oldest, tuple(self._log), dict(self.resources))

    def restore(self, saved: Saved) -> None:
        """Go back to a backup; whoever watches has to be disconnected by the caller."""
        self.version, self.oldest, self._log, self.resources = saved.version, saved.oldest, [*saved.log], dict(saved.resources)
        self._tell()

    # What clients ask

    def list_page(self, kind: str, query: dict[str, str]) -> Answer:
        """Answer a list, or a page of one: its pages show the collection as of the first one."""
        resource, version, after = self.resources[kind], self.version, ("", "")
        if token := query.get("continue"):
            version, *rest = json.loads(base64.b64decode(token))
            after = tuple(rest)
            if version < self.oldest:
                return self.status(410, "Expired", "The provided continue parameter is too old")
            if version > self.version:
                return self.status(500, "InternalError", "etcdserver: mvcc: required revision is a future revision")
        chosen = query.get("labelSelector", "")
        found = [(key, item) for key, item in self.objects(kind, version).items() if key > after and meets(chosen, item)]
        limit = int(query.get("limit", 0)) or len(found)
        metadata = {"resourceVersion": str(version)}
        if len(found) > limit:
            metadata["continue"] = base64.b64encode(json.dumps([version, *found[limit - 1][0]]).encode()).decode()
        # The items of a typed list have neither apiVersion nor kind; those of a custom resource have both.
        items = [item if resource.built_in else self._full(resource, item) for _, item in found[:limit]]
        body = {
            "kind": f"{resource.api_kind}List",
            "apiVersion": resource.api_version,
            "metadata": metadata,
            "items": items or None,
        }
        if not resource.built_in:
            body["items"] = items
        return Answer(200, json.dumps(body, separators=(",", ":")).encode())

    def watch(self, kind: str, query: dict[str, str]) -> Watch | Answer:
        """Begin a watch."""
        streamed = query.get("sendInitialEvents") == "true" and self.streamed_lists != "ignored"
        if streamed and (self.streamed_lists == "refused" or query.get("resourceVersionMatch") != "NotOlderThan"):
            message = (
                "sendInitialEvents: Forbidden: sendInitialEvents is forbidden for watch unless the WatchList feature gate is on"
            )
            return self.status(422, "Invalid", f'ListOptions.meta.k8s.io "" is invalid: {message}')
        version, chosen = query.get("resourceVersion", ""), query.get("labelSelector", "")
        return Watch(self, self.resources[kind], version, chosen, is_streamed=streamed)

    def changes(self, kind: str, after: int) -> list[_Change]:
        return [change for change in self._log if change.version > after and change.kind == kind]

    def line(self, type_: str, resource: Resource, item: dict) -> bytes:
        return json.dumps({"type": type_, "object": self._full(resource, item)}, separators=(",", ":")).encode() + b"\n"

    @staticmethod
    def status(code: int, reason: str, message: str) -> Answer:
        body = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": message, "reason": reason, "code": code}
        return Answer(code, json.dumps(body).encode())

    @staticmethod
    def _full(resource: Resource, item: dict) -> dict:
        return {"kind": resource.api_kind, "apiVersion": resource.api_version, **item}

    def _tell(self) -> None:
        for listener in self.listeners:
            listener()


class Watch:
    """One open watch."""

    def __init__(self, store: Store, resource: Resource, version: str, chosen: str, *, is_streamed: bool) -> None:
        self.is_over = False
        """The server has ended it with an error."""
        self._store = store
        self._resource = resource
        self._chosen = chosen
        self._waiting: list[bytes] = []
        if version in ("", "0"):  # from any state: it begins with what there is
            self._after = store.version
            there = [item for item in store.objects(resource.kind).values() if meets(chosen, item)]
            self._waiting += [store.line("ADDED", resource, item) for item in there]
            if is_streamed:
                self.bookmark({INITIAL_EVENTS_END: "true"})
        else:
            self._after = int(version)  # one of the future is silent until it is reached
            if self._after < store.oldest:
                status = store.status(410, "Expired", f"too old resource version: {version} ({store.oldest})")
                self._waiting.append(b'{"type":"ERROR","object":' + status.body + b"}\n")
                self.is_over = True

    def bookmark(self, annotations: dict | None = None) -> None:
        """Send how far it is."""
        self._follow()
        metadata = {"resourceVersion": str(max(self._after, self._store.version)), "creationTimestamp": None}
        metadata |= {"annotations": annotations} if annotations else {}
        self._waiting.append(self._store.line("BOOKMARK", self._resource, {"metadata": metadata}))

    def lines(self) -> list[bytes]:
        """Return what there is to send since the last call."""
        self._follow()
        lines, self._waiting = self._waiting, []
        return lines

    def _follow(self) -> None:
        if not self.is_over:
            for change in self._store.changes(self._resource.kind, self._after):
                self._after = change.version
                if type_ := self._type(change):
                    self._waiting.append(self._store.line(type_, self._resource, change.object))

    def _type(self, change: _Change) -> str:
        """Return what a change is for this watch; "" for nothing."""
        if not self._chosen:
            return change.type
        before = self._store.objects(change.kind, change.version - 1).get(change.key)
        was, is_now = before is not None and meets(self._chosen, before), meets(self._chosen, change.object)
        if change.type == "DELETED" or not is_now:
            return "DELETED" if was else ""
        return "MODIFIED" if was else "ADDED"
