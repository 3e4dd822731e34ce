"""The answers of the admin API about the fleet and its proxies, as messages, and their JSON. Pure: nothing is served here."""

from __future__ import annotations

import json
import platform
from collections import Counter
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, Any, cast

from google.protobuf import json_format

from xds._version import __version__
from xds.admin.overrides import drains, gates
from xds.model.events import MemberState
from xds.model.service import CLUSTERSET, Health
from xds.model.view import View
from xds.wire import POOL, SHORT_NAMES, admin, envoy, short_name

if TYPE_CHECKING:
    from collections.abc import Container, Iterable

    from google.protobuf.descriptor import Descriptor
    from google.protobuf.message import Message

    from xds.admin.state import ControlPlane
    from xds.model.service import Endpoint, Service
    from xds.problems import Problem, Ref
    from xds.protocol import StreamInfo, TypeStatus

Json = dict[str, Any]

_ORDER = {url: position for position, url in enumerate(SHORT_NAMES.values())}


def to_json(message: Message, *, defaults: bool = True) -> str:
    """Return the proto3 JSON of an answer.

    Args:
        message: the answer.
        defaults: write fields that have their default value too, so that clients need not know it.
    """
    found: Json = json_format.MessageToDict(
        message, preserving_proto_field_name=True, always_print_fields_with_no_presence=defaults, descriptor_pool=POOL
    )
    _sort_maps(found, cast("Descriptor", message.DESCRIPTOR))
    return json.dumps(found, ensure_ascii=False)


def _sort_maps(found: Json, kind: Descriptor) -> None:
    """Have the maps of a message, and of those in its lists, in the order of their keys: protobuf has them in none."""
    for name, inside in _with_maps(kind):
        if inside is not None:
            for one in found.get(name, ()):
                _sort_maps(one, inside)
        elif name in found:
            found[name] = dict(sorted(found[name].items()))


@cache
def _with_maps(kind: Descriptor) -> tuple[tuple[str, Descriptor | None], ...]:
    """Return the fields of a message of ours that are maps (None), and those that list messages with such fields."""
    found: list[tuple[str, Descriptor | None]] = []
    for field in kind.fields:
        inside = field.message_type
        if inside is not None and inside.GetOptions().map_entry:
            found.append((field.name, None))
        elif inside is not None and field.is_repeated and inside.file is kind.file and _with_maps(inside):
            found.append((field.name, inside))
    return tuple(found)


def version() -> admin.Version:
    """Return what runs here."""
    return admin.Version(version=__version__, python=platform.python_version())


def status(plane: ControlPlane) -> admin.Status:
    """Return the one-screen summary."""
    streams = plane.streams()
    return admin.Status(
        version=__version__,
        started_at=timestamp(plane.started_at_s),
        ready=not plane.not_ready,
        not_ready_reason=plane.not_ready,
        xds_address=plane.xds_address,
        hub=plane.hub,
        hub_failure=plane.hub_failure,
        members=len(plane.members),
        members_connected=sum(member.state is MemberState.CONNECTED for member in plane.members.values()),
        services=len(plane.services),
        services_clusterset=sum(key.scope == CLUSTERSET for key in plane.services),
        endpoints=sum(own_endpoint_count(service) for service in plane.services.values() if service.key.scope),
        views=sum(1 for _ in plane.store.views()),
        streams=len(streams),
        streams_rejecting=sum(any(held.state == "ERROR" for held in stream.types.values()) for stream in streams),
        problems=Counter(str(problem.severity) for problem in plane.problems()),
        drains=drains(plane),
        gates=gates(plane),
    )


def problems(found: Iterable[Problem]) -> admin.ProblemList:
    """Return the problems as a message, in their given order."""
    return admin.ProblemList(items=map(problem_message, found))


def proxies(plane: ControlPlane) -> admin.ProxyList:
    """Return the open streams, by node id and kind."""
    streams = sorted(plane.streams(), key=lambda stream: (stream.node_id, stream.service, stream.connected_at_s))
    return admin.ProxyList(items=[_proxy(stream) for stream in streams])


def timestamp(at_s: float) -> envoy.Timestamp:
    """Return a moment, to the millisecond."""
    result = envoy.Timestamp()
    result.FromMilliseconds(round(at_s * 1000))
    return result


def problem_message(problem: Problem) -> admin.Problem:
    """Return a problem as a message."""
    return admin.Problem(
        code=problem.code,
        severity=problem.severity,
        message=problem.message,
        object=object_ref(problem.ref) if problem.ref else None,
        field=problem.field,
        hint=problem.hint,
        source=problem.source,
    )


def object_ref(ref: Ref) -> admin.ObjectRef:
    """Return the message that names a source object."""
    return admin.ObjectRef(
        cluster=ref.cluster, kind=ref.kind, namespace=ref.namespace, name=ref.name, resource_version=ref.resource_version
    )


def endpoint_count(service: Service, among: Container[Health] = frozenset(Health)) -> int:
    """Return how many endpoints of some health a service has; one that serves several ports counts once."""
    everything = (endpoint for found in service.endpoints.values() for endpoint in found)
    return len({(endpoint.network, endpoint.addresses) for endpoint in everything if endpoint.health in among})


def own_endpoint_count(service: Service, among: Container[Health] = frozenset(Health)) -> int:
    """Return how many of them are in the cluster whose own service it is, and not lent or shared by others."""
    own = {port: tuple(one for one in found if is_own(service, one)) for port, found in service.endpoints.items()}
    return endpoint_count(replace(service, endpoints=own), among)


def is_own(service: Service, endpoint: Endpoint) -> bool:
    """Return whether an endpoint is in the cluster whose own service it is of."""
    return endpoint.locality.cluster == service.key.scope


def _proxy(stream: StreamInfo) -> admin.Proxy:
    view = stream.view if isinstance(stream.view, View) else View()
    return admin.Proxy(
        node_id=stream.node_id,
        cluster=view.cluster,
        region=view.region,
        zone=view.zone,
        role=view.role,
        kind=f"{stream.service} {stream.kind}",
        view=str(stream.view),
        peer=stream.peer,
        connected_at=timestamp(stream.connected_at_s),
        types=[_type_status(url, held) for url, held in sorted(stream.types.items(), key=lambda item: _place(item[0]))],
    )


def _place(type_url: str) -> tuple[int, str]:
    return _ORDER.get(type_url, len(_ORDER)), type_url


def _type_status(type_url: str, held: TypeStatus) -> admin.TypeStatus:
    rejection = None
    if held.nack_error is not None:
        rejection = admin.Rejection(error=held.nack_error, at=timestamp(held.nack_at_s or 0.0), names=held.nack_names)
    return admin.TypeStatus(
        type=short_name(type_url),
        type_url=type_url,
        state=held.state,
        since=timestamp(held.since_s),
        sent_version=held.sent_version,
        acked_version=held.acked_version,
        rejection=rejection,
        responses=held.responses,
        acks=held.acks,
        nacks=held.nacks,
    )
