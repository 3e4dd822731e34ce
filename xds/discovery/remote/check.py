"""Looks whether clusters, and the hub, can be what they are to be: all at once, each within a time limit."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from xds.discovery.live.access import FileAccess, RegisteredAccess
from xds.discovery.live.api_server import ApiServer, UnreachableError
from xds.discovery.live.collection import Refusal
from xds.discovery.live.hub import READ
from xds.discovery.live.intake import MEMBER_KINDS
from xds.discovery.live.kubeconfig import user_of
from xds.discovery.remote.expiry import credentials
from xds.discovery.remote.findings import Finding, Result
from xds.discovery.remote.hub_reading import read_registrations
from xds.discovery.remote.networks import compare_pods
from xds.discovery.remote.objects import MCS_WRITER, READER, granted_rights
from xds.discovery.remote.probes import Identity, Probes, Wanted
from xds.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from xds.discovery.live.access import Access, Credentials
    from xds.discovery.live.kubeconfig import Context
    from xds.discovery.registry.registrations import Registered
    from xds.discovery.remote.networks import Pods
    from xds.ranges import Network

HUB: Final = "the hub"
MCS_GROUP: Final = "multicluster.x-k8s.io"
WATCHED: Final = ("list", "watch")
HUB_RIGHTS: Final = tuple(
    ("" if resource == "secrets" else "traffic.isthmus.dev", resource, "", verb, "")
    for resource, verbs in (("secrets", ("get", *WATCHED)), ("memberclusters", WATCHED))
    for verb in verbs
)
WANTED_OF_HUB: Final = Wanted(
    tuple(kind for _, kind in READ),
    HUB_RIGHTS,
    remedy="bind the role of deploy/control-plane/hub-reader.yaml to its user",
    is_member=False,
)


@dataclass(frozen=True, slots=True)
class Checked:
    """What one cluster has come to."""

    findings: list[Finding]
    identity: Identity
    pods: list[Pods] = field(default_factory=list)


def wanted_of_member(*, mcs: bool, ranges: Sequence[Network] = ()) -> Wanted:
    """Return what a member must have and grant, and the ranges of which it must have nothing."""
    reading = [right for right in granted_rights((READER,)) if right[3] in WATCHED]
    writing = list(granted_rights((MCS_WRITER,))) if mcs else []
    remedy = f"apply deploy/remote/{READER}{f' and {MCS_WRITER}' * mcs} and bind it, as `xdsctl clusters join` does"
    return Wanted(MEMBER_KINDS, [*reading, *writing], frozenset({MCS_GROUP} if mcs else ()), remedy, ranges=ranges)


async def check(
    contexts: Iterable[Context], hub: Access | None, *, mcs: bool, limit_s: float, ranges: Sequence[Network] = ()
) -> list[Finding]:
    """Return what there is to say of every cluster, those of kubeconfigs first, then the hub and what it registers.

    Args:
        contexts: each a member.
        hub: where further members are registered.
        mcs: whether members are written to.
        limit_s: for each cluster; what could not be asked until then is missing.
        ranges: for clusterset IPs.
    """
    wanted = wanted_of_member(mcs=mcs, ranges=ranges)
    registrations: list[tuple[Registered, list[str]]] = []

    async def read(server: ApiServer) -> None:
        registrations.append(await read_registrations(server))

    async def look(members: Mapping[str, Access]) -> dict[str, Checked]:
        found = await asyncio.gather(*(_check_one(name, access, wanted, limit_s) for name, access in members.items()))
        return dict(zip(members, found, strict=True))

    of_files = look({one.member: FileAccess(one) for one in contexts})
    if hub is None:
        return _told(await of_files, {})
    found, of_hub = await asyncio.gather(of_files, _check_one(HUB, hub, WANTED_OF_HUB, limit_s, then=read))
    networks: Mapping[str, str] = {}
    if registrations:
        networks = registrations[0][0].networks
        of_hub.findings.append(_registered(*registrations[0]))
        clusters = {name: one for name, one in registrations[0][0].clusters.items() if name not in found}
        found |= await look({name: RegisteredAccess(one, hub) for name, one in clusters.items()})
    return [*_told(found, networks), *of_hub.findings]


def _told(found: Mapping[str, Checked], networks: Mapping[str, str]) -> list[Finding]:
    same = compared({name: one.identity for name, one in found.items()})
    distinct = {one.identity.uid or name: one for name, one in found.items()}.values()  # one under two names has one range
    pods = compare_pods((pods for one in distinct for pods in one.pods), networks)
    return [row for name, one in found.items() for row in (*one.findings, *same.get(name, ()), *pods.get(name, ()))]


async def _check_one(
    name: str, access: Access, wanted: Wanted, limit_s: float, *, then: Callable[[ApiServer], Any] | None = None
) -> Checked:
    checked = Checked([], Identity())

    def fail(check: str, found: str, remedy: str) -> None:
        checked.findings.append(Finding(check, name, Result.FAILED, found, remedy))

    try:
        async with asyncio.timeout(limit_s):
            await _probe(name, await access.credentials(), wanted, checked, then)
    except TimeoutError:
        reached = any(finding.check == "reachable" for finding in checked.findings)
        told = f"{'not everything was answered' if reached else 'no answer'} within {limit_s:g} s"
        fail("time limit" if reached else "reachable", told, "see whether the API server has too much to do, or hangs")
    except ConfigurationError as error:
        fail("kubeconfig", str(error), "mend it")
    except UnreachableError as error:
        fail("reachable", str(error), "see whether the address is right, and the network between")
    except Refusal as error:
        fail("credentials", f"the server refuses: {error}", "renew them, e.g. by `xdsctl clusters join`")
    return checked


async def _probe(
    name: str, found: Credentials, wanted: Wanted, checked: Checked, then: Callable[[ApiServer], Any] | None
) -> None:
    user = user_of(found.content, found.context)
    result, told = credentials(user, found.directory, datetime.now(UTC))
    remedy = "" if result is Result.OK else "`xdsctl clusters join` makes a token that does not expire"
    checked.findings.append(Finding("credentials", name, result, told, remedy))
    server = await ApiServer.connect(found.content, context=found.context, base_path=found.directory)
    try:
        probes = Probes(name, server, _cluster(found), wanted)
        async for finding in probes.run():
            checked.findings.append(finding)
        checked.identity.uid, checked.identity.cluster_id = probes.identity.uid, probes.identity.cluster_id
        checked.pods.extend(probes.pods)
        if then:
            await then(server)
    finally:
        await server.close()


def compared(identities: dict[str, Identity]) -> dict[str, list[Finding]]:
    """Return what is wrong between clusters: two names of one, or two with one name."""
    found: dict[str, list[Finding]] = defaultdict(list)
    for name, identity in identities.items():
        others = {other: one for other, one in identities.items() if other != name}
        twins = [other for other, one in others.items() if identity.uid and one.uid == identity.uid]
        alike = [
            other
            for other, one in others.items()
            if other not in twins and identity.cluster_id and identity.cluster_id in (one.cluster_id, other)
        ]
        if twins:
            told = f"is the same cluster as {', '.join(twins)}"
            found[name].append(Finding("identity", name, Result.FAILED, told, "keep one name: its endpoints would count twice"))
        if alike:
            told = f"its id {identity.cluster_id} is also that of {', '.join(alike)}"
            remedy = "ids are unique in a cluster set (KEP-2149): change one ClusterProperty"
            found[name].append(Finding("identity", name, Result.FAILED, told, remedy))
    return found


def _registered(found: Registered, unread: list[str]) -> Finding:
    names = f"registers {', '.join(sorted(found.clusters)) or 'no cluster'}"
    wrong = [f"{problem.ref}: {problem.message}" for problem in found.problems]
    if not (wrong or unread):
        return Finding("registrations", HUB, Result.OK, names)
    remedy = " ".join(
        ["mend these objects, or delete them"] * bool(wrong) + ["let its user read what is not, if you use it"] * bool(unread)
    )
    return Finding("registrations", HUB, Result.WARNING, "; ".join((names, *wrong, *unread)), remedy)


def _cluster(found: Credentials) -> dict[str, Any]:
    by_name = {key: {one["name"]: one.get(key[:-1]) for one in found.content[key]} for key in ("contexts", "clusters")}
    cluster: dict[str, Any] = by_name["clusters"][by_name["contexts"][found.context]["cluster"]]
    return cluster
