"""The hub, read once: which clusters it registers now."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import msgspec

from xds.discovery.live.collection import Refusal
from xds.discovery.live.hub import READ
from xds.discovery.live.resources import NOT_FOUND, find_served
from xds.discovery.registry import registry_objects as registry
from xds.discovery.registry.registrations import Hub, registered

if TYPE_CHECKING:
    from collections.abc import Iterable

    from xds.discovery.live.api_server import ApiServer
    from xds.discovery.registry.registrations import Registered, SecretName
    from xds.model.kinds import Kind

FORBIDDEN: Final = 403


class _Listed(msgspec.Struct):
    items: list[dict[str, Any]] | None = None


async def read_registrations(server: ApiServer) -> tuple[Registered, list[str]]:
    """Return what the hub registers, and what of it may not be read, in the server's words.

    Raises:
        Refusal: the server does not know who we are.
        UnreachableError: it cannot be reached.
    """
    found: dict[str, tuple[Any, ...]] = {}
    unread: list[str] = []
    for what, kind in READ:
        try:
            found[what] = await _list(server, kind)
        except Refusal as error:
            if error.status != FORBIDDEN:
                raise
            found[what] = ()
            unread.append(error.message)
    hub = Hub(
        members=found["MemberCluster"],
        labelled=(*found["own secrets"], *found["Istio's secrets"]),
        karmada=found["karmada"],
        flomesh=found["flomesh"],
        erie_canal=found["erie_canal"],
        kubefed=found["kubefed"],
        profiles=found["profiles"],
    )
    first = registered(hub)
    if not first.needed:
        return first, unread
    return registered(replace(hub, secrets=await _secrets(server, first.needed))), unread


async def _list(server: ApiServer, kind: Kind) -> tuple[Any, ...]:
    """Return the objects of a kind, none if it is not there; one that cannot be read is left out, as `serve` does."""
    served = (await find_served(server, (kind,))).served.get(kind.name)
    if served is None:
        return ()
    query = (("labelSelector", kind.selector),) if kind.selector else ()
    found = msgspec.json.decode(await server.get(served.path, query), type=_Listed).items or []
    version = f"{kind.group}/{served.version}" if kind.group else served.version
    objects = []
    for item in found:
        try:
            objects.append(msgspec.convert({**item, "apiVersion": version, "kind": kind.name}, kind.struct))
        except msgspec.ValidationError:
            continue
    return tuple(objects)


async def _secrets(server: ApiServer, names: Iterable[SecretName]) -> dict[SecretName, registry.Secret | None]:
    found: dict[SecretName, registry.Secret | None] = {}
    for namespace, name in sorted(names):
        try:
            body = await server.get(f"/api/v1/namespaces/{namespace}/secrets/{name}")
            found[namespace, name] = msgspec.json.decode(body, type=registry.Secret)
        except Refusal as error:
            if error.status not in (NOT_FOUND, FORBIDDEN):
                raise
            found[namespace, name] = None
    return found
