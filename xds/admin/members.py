"""The answers of the admin API about the member clusters, as messages."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from xds.admin.answers import own_endpoint_count, problem_message, timestamp
from xds.admin.memory import memory_of
from xds.admin.overrides import concerning, drains
from xds.admin.snapshots import NotFoundError
from xds.model.events import ObjectKey
from xds.model.exports import EXPORTS
from xds.model.imports import invalid
from xds.model.service import Health
from xds.model.view import View
from xds.wire import admin

if TYPE_CHECKING:
    from xds.admin.memory import Memory
    from xds.admin.state import ControlPlane
    from xds.model.members import Member


def members(plane: ControlPlane) -> admin.MemberList:
    """Return the members by name, each with the number of its own services and their endpoints."""
    services, endpoints = Counter[str](), Counter[str]()
    for key, service in plane.services.items():
        services[key.scope] += 1
        endpoints[key.scope] += own_endpoint_count(service)
    since_s, drained = plane.states_since_s, drains(plane)
    return admin.MemberList(
        items=[
            _member(member, since_s.get(name), services[name], endpoints[name], concerning(drained, member))
            for name, member in sorted(plane.members.items())
        ],
    )


def member(plane: ControlPlane, name: str) -> admin.MemberDescription:
    """Return all that is known of one member.

    Raises:
        NotFoundError: there is no such member.
    """
    if name not in plane.members:
        raise NotFoundError("cluster", name, plane.members)
    own = [service for key, service in plane.services.items() if key.scope == name]
    since_s = plane.states_since_s.get(name)
    valid = _valid_exports(plane, name)
    scope = plane.scope_of(name)
    return admin.MemberDescription(
        member=_member(
            plane.members[name],
            since_s,
            len(own),
            sum(map(own_endpoint_count, own)),
            concerning(drains(plane), plane.members[name]),
        ),
        read_from=plane.source_of(name),
        endpoints_ready=sum(own_endpoint_count(service, {Health.HEALTHY}) for service in own),
        exports=len(valid),
        exports_valid=sum(valid),
        proxies=len({info.node_id for info in plane.streams() if isinstance(info.view, View) and info.view.cluster == name}),
        problems=[problem_message(problem) for problem in plane.problems() if problem.is_about(name)],
        namespace_selector=str(scope.namespace_selector or ""),
        exported_only=scope.exported_only,
        memory=_memory_use(memory_of(plane, name)),
    )


def _member(member: Member, since_s: float | None, services: int, endpoints: int, drained: list[admin.Drain]) -> admin.Member:
    return admin.Member(
        name=member.name,
        region=member.region,
        zones=member.zones,
        network=member.network,
        state=member.state,
        reason=member.reason,
        declared=member.declared,
        services=services,
        endpoints=endpoints,
        aliases=sorted(member.aliases),
        since=None if since_s is None else timestamp(since_s),
        drains=drained,
    )


def _memory_use(found: Memory) -> admin.MemoryUse:
    return admin.MemoryUse(cluster_bytes=found.cluster, service_bytes=found.service, endpoint_bytes=found.endpoint)


def _valid_exports(plane: ControlPlane, name: str) -> list[bool]:
    """Return of each ServiceExport of a cluster whether it is valid."""
    items = plane.clusters[name].items if name in plane.clusters else {}
    exported = {ObjectKey("Service", key.namespace, key.name) for key in items if key.kind in EXPORTS}
    return [not invalid(items.get(key)) for key in exported]
