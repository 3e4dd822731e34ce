"""The objects of other multi-cluster systems in one API server, as they are: read once, for a migration."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any, Final

import msgspec

from xds.discovery.live.api_server import UnreachableError
from xds.discovery.live.collection import Refusal
from xds.discovery.live.resources import NOT_FOUND
from xds.discovery.registry.registry_objects import ISTIO_LABEL

if TYPE_CHECKING:
    from xds.discovery.live.api_server import ApiServer

Object = dict[str, Any]
Foreign = dict[tuple[str, str], list[Object]]
"""(API group, kind) -> objects."""

KUBEFED_V1: Final = "federation"
GROUPS: Final = (
    KUBEFED_V1,
    "types.federation.k8s.io",
    "types.kubefed.k8s.io",
    "types.kubefed.io",
    "core.kubefed.io",
    "scheduling.kubefed.io",
    "multiclusterdns.kubefed.io",
    "networking.karmada.io",
    "multicluster.flomesh.io",
    "flomesh.io",
    "multicluster.x-k8s.io",
    "networking.istio.io",
    "networking.fleet.azure.com",
)


class _Version(msgspec.Struct):
    version: str


class _Group(msgspec.Struct, rename="camel"):
    preferred_version: _Version


class _Resource(msgspec.Struct):
    name: str
    kind: str
    verbs: list[str] = []


class _Resources(msgspec.Struct):
    resources: list[_Resource]


class _Items(msgspec.Struct):
    items: list[Object] | None = None


async def read_foreign(server: ApiServer) -> tuple[Foreign, list[str]]:
    """Return what there is, and what may not be read.

    Raises:
        UnreachableError: the server cannot be reached, or is no API server.
        Refusal: it does not know who we are.
    """
    await server.get("/api/v1")
    found: Foreign = defaultdict(list)
    refused: list[str] = []
    paths = [("", "Secret", "/api/v1/secrets"), ("", "Service", "/api/v1/services")]
    for group in GROUPS:
        try:
            paths += await _collections(server, group)
        except Refusal as error:
            if error.status != NOT_FOUND:
                refused.append(f"/apis/{group}: {error.message}")
    for group, kind, path in paths:
        try:
            found[group, kind] += await _list(server, path)
        except Refusal as error:
            if error.status != NOT_FOUND:
                refused.append(error.message)
    if any(group == KUBEFED_V1 for group, _, _ in paths):  # whose own data stand in annotations of plain Services
        found[KUBEFED_V1, "Service"] = found["", "Service"]
    return found, refused


async def _collections(server: ApiServer, group: str) -> list[tuple[str, str, str]]:
    """Return (group, kind, path) of everything in a group that can be listed."""
    try:
        version = msgspec.json.decode(await server.get(f"/apis/{group}"), type=_Group).preferred_version.version
        base = f"/apis/{group}/{version}"
        offered = msgspec.json.decode(await server.get(base), type=_Resources).resources
    except msgspec.DecodeError as error:
        raise UnreachableError(f"{server.url} does not answer as an API server does: {error}") from error
    return [(group, one.kind, f"{base}/{one.name}") for one in offered if "/" not in one.name and "list" in one.verbs]


async def _list(server: ApiServer, path: str) -> list[Object]:
    query = (("labelSelector", f"{ISTIO_LABEL}=true"),) if path.endswith("/secrets") else ()
    try:
        return msgspec.json.decode(await server.get(path, query), type=_Items).items or []
    except msgspec.DecodeError as error:
        raise UnreachableError(f"{server.url}{path} is no list: {error}") from error
