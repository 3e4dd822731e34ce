"""What an API server has of the kinds that we read: in which versions, and under which names (API discovery)."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from xds.discovery.live.api_server import UnreachableError
from xds.discovery.live.collection import Refusal
from xds.undecodable import UNDECODABLE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from xds.discovery.live.api_server import ApiServer
    from xds.model.kinds import Kind

NOT_FOUND = 404
ALWAYS_SERVED = frozenset(("", "discovery.k8s.io"))
"""Groups that every API server has; any other is there once its CustomResourceDefinitions are."""


class Served(NamedTuple):
    """How a server serves a kind."""

    version: str
    path: str
    """Of the collection in all namespaces, e.g. `/apis/discovery.k8s.io/v1/endpointslices`."""
    namespaced: bool
    plural: str

    def in_namespace(self, namespace: str) -> str:
        """Return the path of the collection in one namespace; "" for all."""
        if not (namespace and self.namespaced):
            return self.path
        base, _, plural = self.path.rpartition("/")
        return f"{base}/namespaces/{namespace}/{plural}"


class _GroupVersion(msgspec.Struct):
    version: str


class _Group(msgspec.Struct):
    versions: list[_GroupVersion]


class _Resource(msgspec.Struct):
    name: str
    kind: str
    namespaced: bool = False
    verbs: list[str] = []


class _Resources(msgspec.Struct):
    resources: list[_Resource]


_GROUPS = msgspec.json.Decoder(_Group)
_RESOURCES = msgspec.json.Decoder(_Resources)


class Offer(NamedTuple):
    """What a server has of some kinds."""

    served: dict[str, Served]
    """A kind's name -> how it is served: of several versions the newest that we read."""
    unread: dict[str, list[str]]
    """A kind's name -> the versions in which it is there, none of which we read."""


async def find_served(server: ApiServer, kinds: Sequence[Kind]) -> Offer:
    """Return how a server has kinds.

    Raises:
        Refusal: the server says no to the question itself.
        UnreachableError: the server cannot be reached, or is no API server: it does not even have what every one has.
    """
    found = Offer({}, {})
    groups = dict.fromkeys(kind.group for kind in kinds)
    try:
        # All at once: the connections that this opens are those of the watches to come.
        offers = await asyncio.gather(
            *(_look(server, group, [kind for kind in kinds if kind.group == group]) for group in groups)
        )
    except UNDECODABLE as error:
        raise UnreachableError(f"{server.url} does not answer as an API server does when asked what it has: {error}") from error
    for offer in offers:
        found.served.update(offer.served)
        found.unread.update(offer.unread)
    for kind in kinds:
        if kind.group in ALWAYS_SERVED and kind.name not in found.served:
            raise UnreachableError(f"{server.url} knows no {kind.name}: it is no Kubernetes API server")
    return found


async def _look(server: ApiServer, group: str, kinds: Sequence[Kind]) -> Offer:
    """Return what a group has of its kinds."""
    into = Offer({}, {})
    offered = await _versions(server, group)
    read = {version for kind in kinds for version in kind.versions}
    for version in sorted(offered & read, key=_maturity):
        resources = await _resources(server, base := _base(group, version))
        for kind in kinds:
            resource = resources.get(kind.kind)
            if version in kind.versions and resource is not None:
                into.served[kind.name] = Served(version, f"{base}/{resource.name}", resource.namespaced, resource.name)
    if missing := [kind for kind in kinds if kind.name not in into.served]:
        for version in sorted(offered - read, key=_maturity):
            resources = await _resources(server, _base(group, version))
            for kind in missing:
                if kind.kind in resources:
                    into.unread.setdefault(kind.name, []).append(version)
    return into


def _base(group: str, version: str) -> str:
    return f"/apis/{group}/{version}" if group else f"/api/{version}"


def _maturity(version: str) -> tuple[int, str]:
    """Return what sorts `v1` after `v1beta1`, and that after `v1alpha2`."""
    return (2 if version.isalnum() and version[1:].isdecimal() else 1 if "beta" in version else 0), version


async def _versions(server: ApiServer, group: str) -> set[str]:
    if not group:
        return {"v1"}
    try:
        answer = _GROUPS.decode(await server.get(f"/apis/{group}"))
    except Refusal as error:
        if error.status == NOT_FOUND:
            return set()
        raise
    return {one.version for one in answer.versions}


async def _resources(server: ApiServer, base: str) -> dict[str, _Resource]:
    """Return kind, as the API calls it -> resource, of those that can be listed and watched."""
    try:
        answer = _RESOURCES.decode(await server.get(base))
    except Refusal as error:
        if error.status == NOT_FOUND:
            return {}
        raise
    return {one.kind: one for one in answer.resources if "/" not in one.name and {"list", "watch"} <= set(one.verbs)}
