"""Which rights a user has, as the API server itself says (SelfSubjectAccessReview)."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from typing import TYPE_CHECKING, Final

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from xds.discovery.live.api_server import ApiServer

Right = tuple[str, str, str, str, str]
"""(API group, resource, subresource, verb, namespace)."""

AT_ONCE: Final = 8
"""Questions at one time."""
REVIEWS: Final = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"


class _Status(msgspec.Struct):
    allowed: bool = False


class _Review(msgspec.Struct):
    status: _Status


async def lacking(server: ApiServer, rights: Sequence[Right]) -> list[Right]:
    """Return the rights among those given that our user does not have.

    Raises:
        Refusal: that may not be asked.
        UnreachableError: the server cannot be reached.
        msgspec.DecodeError: what it answers is something else.
    """
    limit = asyncio.Semaphore(AT_ONCE)

    async def ask(right: Right) -> bool:
        async with limit:
            return await _is_allowed(server, right)

    allowed = await asyncio.gather(*map(ask, rights))
    return [right for right, yes in zip(rights, allowed, strict=True) if not yes]


def listed(rights: Iterable[Right]) -> str:
    """Return `list, watch nodes, services; patch leases.coordination.k8s.io in NAMESPACE`."""
    verbs: dict[str, list[str]] = defaultdict(list)
    for group, resource, sub, verb, namespace in rights:
        name = "/".join(part for part in (resource, sub) if part) + f".{group}" * bool(group)
        verbs[f"{name}{f' in {namespace}' * bool(namespace)}"].append(verb)
    names: dict[str, list[str]] = defaultdict(list)
    for name, found in verbs.items():
        names[", ".join(found)].append(name)
    return "; ".join(f"{found} {', '.join(alike)}" for found, alike in names.items())


async def _is_allowed(server: ApiServer, right: Right) -> bool:
    group, resource, sub, verb, namespace = right
    asked = {"group": group, "resource": resource, "subresource": sub, "verb": verb, "namespace": namespace}
    review = {"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview", "spec": {"resourceAttributes": asked}}
    return msgspec.json.decode(await server.send("POST", REVIEWS, review), type=_Review).status.allowed
