"""Join and leave: what a control plane needs in a member, and the hub's Secret that tells it of the member."""

from __future__ import annotations

import asyncio
import base64
import binascii
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import yaml

from xds.discovery.registry.kubeconfigs import of_parts
from xds.discovery.remote.objects import (
    ACCOUNT,
    Joining,
    hub_objects,
    member_cluster,
    member_objects,
    title,
)
from xds.discovery.remote.target import Outcome, RemoteError, cluster_of, connected

if TYPE_CHECKING:
    from collections.abc import Callable

    from xds.discovery.remote.objects import Object
    from xds.discovery.remote.target import Place, Target

Tell = "Callable[[str, str, Outcome], None]"

TOKEN_WAIT_S: Final = 30.0
TOKEN_POLL_S: Final = 0.2
NO_TOKEN: Final = "(made when the cluster is joined)"  # noqa: S105 - there is none
USES: Final = (
    ("/api/v1", "pods"),
    ("/api/v1", "services"),
    ("/api/v1", "secrets"),
    ("/api/v1", "configmaps"),
    ("/api/v1", "serviceaccounts"),
    ("/api/v1", "persistentvolumeclaims"),
    ("/apis/apps/v1", "deployments"),
    ("/apis/apps/v1", "statefulsets"),
    ("/apis/apps/v1", "daemonsets"),
)
"""What makes a namespace be in use."""
ALWAYS_THERE: Final = {"configmaps": {"kube-root-ca.crt"}, "serviceaccounts": {"default"}}


@dataclass(frozen=True, slots=True)
class Joined:
    """What a join has come to."""

    hub: list[Object]
    """What registers the cluster, token and all."""
    outcomes: list[Outcome]


def kubeconfig_of(member: Place, token: str, *, server: str = "") -> str:
    """Return how the control plane reaches a member, as YAML.

    Args:
        member: as the user reaches it.
        token: of the control plane's account there.
        server: the API server's URL, where the user's own is not the control plane's.

    Raises:
        ConfigurationError: the user's kubeconfig cannot be used.
    """
    cluster = cluster_of(member.context)
    text: str = yaml.dump(
        of_parts({**cluster, **({"server": server} if server else {})}, {"token": token}),
        Dumper=yaml.CSafeDumper,
        sort_keys=False,
        width=1_000_000,
    )
    return text


def planned(joining: Joining, member: Place, *, server: str = "") -> tuple[list[Object], list[Object]]:
    """Return what a join would make in the member and in the hub; nobody is asked anything."""
    kubeconfig = kubeconfig_of(member, NO_TOKEN, server=server)
    return member_objects(joining), hub_objects(joining, kubeconfig)


async def join(
    joining: Joining,
    member: Place,
    hub: Place | None,
    tell: Callable[[str, str, Outcome], None],
    *,
    server: str = "",
    is_dry: bool = False,
) -> Joined:
    """Join a cluster: everything in the member first, then what registers it.

    Args:
        joining: the cluster.
        member: how the user reaches it.
        hub: and the hub; None: what registers the cluster is returned alone.
        tell: called with the cluster, the object and what became of it, one after the other.
        server: the API server's URL, where the user's own is not the control plane's.
        is_dry: whether nothing may be changed.

    Raises:
        RemoteError: an API server refuses, or cannot be reached; what was told until then is done.
        ConfigurationError: a kubeconfig cannot be used.
    """
    outcomes: list[Outcome] = []

    async def apply(target: Target, items: list[Object]) -> None:
        for item in items:
            outcomes.append(await target.apply(item))
            tell(target.title, title(item), outcomes[-1])

    async with AsyncExitStack() as stack:
        there = await stack.enter_async_context(connected(member, is_dry=is_dry))
        registry = await stack.enter_async_context(connected(hub, is_dry=is_dry)) if hub else None
        if registry:
            await _try_hub(registry, joining)
        items = member_objects(joining)
        await apply(there, items)
        token = NO_TOKEN if is_dry and Outcome.CREATED in outcomes else await _token(there, items[-1])
        registering = hub_objects(joining, kubeconfig_of(member, token, server=server))
        if registry:
            await apply(registry, registering)
    return Joined(registering, outcomes)


async def leave(
    joining: Joining,
    member: Place | None,
    hub: Place | None,
    tell: Callable[[str, str, Outcome], None],
    *,
    is_dry: bool = False,
) -> list[Outcome]:
    """Delete what a join has made: the registration first, so that nobody asks with a token that is gone.

    The hub's namespace stays: other clusters are registered there. Arguments and errors are those of `join`.
    """
    outcomes: list[Outcome] = []

    async def delete(target: Target, items: list[Object]) -> None:
        for item in items:
            in_use = item["kind"] == "Namespace" and await _is_in_use(target, item)
            outcomes.append(Outcome.IN_USE if in_use else await target.delete(item))
            tell(target.title, title(item), outcomes[-1])

    if hub:
        registering = [item for item in hub_objects(joining, "") if item["kind"] != "Namespace"]
        async with connected(hub, is_dry=is_dry) as target:
            registering.insert(0, member_cluster(joining.name, {}))
            if member and not any([await target.get(item) for item in registering]):
                # The account there has no name of the cluster: a slip would take another one's rights.
                raise RemoteError(
                    f"the hub registers no cluster {joining.name}; nothing was deleted. "
                    "Without --hub, the account in the cluster of --kubeconfig is deleted, whatever its name"
                )
            await delete(target, registering)
    if member:
        async with connected(member, is_dry=is_dry) as target:
            await delete(target, member_objects(joining)[::-1])
    return outcomes


async def _try_hub(hub: Target, joining: Joining) -> None:
    """See that the hub answers, and knows what is to be written, before anything is made anywhere.

    Raises:
        RemoteError: it does not.
    """
    for item in hub_objects(joining, "")[1:]:
        await hub.get(item)
    if joining.is_placed:
        await hub.names("/apis/traffic.isthmus.dev/v1alpha1/memberclusters")


async def _token(member: Target, secret: Object) -> str:
    """Return the token, once the cluster has filled the Secret.

    Raises:
        RemoteError: it does not.
    """
    loop = asyncio.get_running_loop()
    deadline_s = loop.time() + TOKEN_WAIT_S
    while True:
        found: dict[str, Any] = await member.get(secret) or {}
        try:
            if token := base64.b64decode((found.get("data") or {}).get("token", "")).decode():
                return token
        except (binascii.Error, UnicodeDecodeError):
            pass
        if loop.time() > deadline_s:
            raise RemoteError(
                f"{member.title}: {title(secret)} has no token after {TOKEN_WAIT_S:g} s; see whether the controller manager runs "
                f"and ServiceAccount {ACCOUNT} is still there"
            )
        await asyncio.sleep(TOKEN_POLL_S)


async def _is_in_use(target: Target, namespace: Object) -> bool:
    """Return whether there is anything in a namespace that a join has not made."""
    name = namespace["metadata"]["name"]
    if await target.get(namespace) is None:
        return False
    ours = {title(item) for item in member_objects(Joining("", name, mcs=True))} if target.is_dry else set()
    for base, plural in USES:
        known = ALWAYS_THERE.get(plural, set()) | {text.rpartition("/")[2] for text in ours}
        if {*await target.names(f"{base}/namespaces/{name}/{plural}")} - known:
            return True
    return False
