"""CSDS: what each client was sent and whether it accepted it, for stock tools such as grpcdebug (envoy.service.status.v3).

A client here is an open stream. What is told comes from its ledger: one entry for each resource that it holds, rejected or asked
for. Secrets are left out (`xds.wire.redaction`).
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import grpc
from google.protobuf.message import DecodeError

from xds.protocol import State
from xds.server.ending import silent
from xds.server.node_matchers import UnsupportedMatcherError, node_match
from xds.wire import envoy
from xds.wire.redaction import redacted

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterable, Sequence

    from xds.model.node import Node
    from xds.protocol import ResourceStatus, StreamInfo
    from xds.server.limits import Limits
    from xds.snapshot.snapshot import Snapshot

    Clients = Callable[[], Iterable[tuple[Node, StreamInfo, Snapshot]]]
    Bodies = dict[tuple[str, str], envoy.Any | None]
    Context = grpc.aio.ServicerContext[Any, Any]

SERVICE = "envoy.service.status.v3.ClientStatusDiscoveryService"
RESPONSE_BYTES = 64 * 1024 * 1024
"""The largest answer: a thousand clients with everything that they hold are more than anybody reads."""

_CONFIG = envoy.ConfigStatus
_CLIENT = envoy.ClientResourceStatus
_CONFIG_STATUS = {
    State.SYNCED: _CONFIG.SYNCED,
    State.STALE: _CONFIG.STALE,
    State.NOT_SENT: _CONFIG.NOT_SENT,
    State.ERROR: _CONFIG.ERROR,
}


class TooLargeError(Exception):
    """The answer would be larger than RESPONSE_BYTES."""


class ClientStatus:
    """The service.

    Args:
        clients: gives the open streams whose clients said who they are, each with the newest snapshot of its view.
        limits: what one client may take.
        response_bytes: the largest answer.
    """

    def __init__(self, clients: Clients, limits: Limits, *, response_bytes: int = RESPONSE_BYTES) -> None:
        self._clients = clients
        self._limits = limits
        self._response_bytes = response_bytes
        self._busy = asyncio.Semaphore(1)

    def handler(self) -> grpc.GenericRpcHandler:
        """Return the service for a gRPC server."""
        # Requests are decoded here: gRPC would end the call with UNKNOWN and a traceback in the log.
        codec: Any = {"request_deserializer": None, "response_serializer": envoy.ClientStatusResponse.SerializeToString}
        methods = {
            "FetchClientStatus": grpc.unary_unary_rpc_method_handler(self._fetch, **codec),
            "StreamClientStatus": grpc.stream_stream_rpc_method_handler(self._stream, **codec),
        }
        return grpc.method_handlers_generic_handler(SERVICE, methods)

    async def answer(self, request: envoy.ClientStatusRequest) -> envoy.ClientStatusResponse:
        """Return the clients that match, by node id.

        Raises:
            UnsupportedMatcherError: a node matcher is of a kind that we do not evaluate, or there are too many.
            TooLargeError: there is more to tell than fits.
        """
        fits = node_match(request.node_matchers)
        bodies: Bodies | None = None if request.exclude_resource_contents else {}
        response = envoy.ClientStatusResponse()
        size_bytes = 0
        async with self._busy:  # one answer at a time is in memory
            found = [client for client in self._clients() if fits(client[0])]
            for node, info, snapshot in sorted(found, key=_place):
                held = [(url, info.resources(url), snapshot.resources(url)) for url in tuple(info.types)]
                # Proxies must not wait for what is only looked at.
                config = await asyncio.to_thread(_client_config, node, info, held, bodies)
                size_bytes += config.ByteSize()
                if size_bytes > self._response_bytes:
                    raise TooLargeError
                response.config.append(config)
        return response

    async def _fetch(self, data: bytes, context: Context) -> envoy.ClientStatusResponse:
        try:
            return await self.answer(envoy.ClientStatusRequest.FromString(data))
        except DecodeError as error:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, f"the request cannot be decoded: {error}")
        except UnsupportedMatcherError as error:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))
        except TooLargeError:
            remedy = "ask for fewer clients with node_matchers, or set exclude_resource_contents"
            text = f"the answer has more than {self._response_bytes} bytes; {remedy}"
            await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, text)
        raise AssertionError("abort raises")

    async def _stream(self, _: Any, context: Context) -> None:
        try:
            async with asyncio.timeout(self._limits.first_request_s):
                request = await context.read()
        except TimeoutError:
            end = silent(self._limits.first_request_s)
            await context.abort(end.code, str(end))
        while request is not grpc.aio.EOF:
            await context.write(await self._fetch(request, context))
            request = await context.read()


def _place(client: tuple[Node, StreamInfo, Snapshot]) -> tuple[str, str, float]:
    node, info, _ = client
    return node.id, info.service, info.connected_at_s


def _client_config(
    node: Node, info: StreamInfo, held: Sequence[tuple[str, list[ResourceStatus], Container[str]]], bodies: Bodies | None
) -> envoy.ClientConfig:
    """Return all that is told of one stream; `held` is, by type, how its resources stand and the names that exist."""
    result = envoy.ClientConfig(
        node=envoy.Node(
            id=node.id,
            cluster=node.workload,
            locality={"region": node.region, "zone": node.zone},
            user_agent_name=node.user_agent,
        ),
        # What tools print beside each resource, so that the clients can be told apart.
        client_scope=f"{node.id} {info.service} {info.kind}",
    )
    result.node.metadata.update({key: value for key, value in node.metadata.items() if key == "isthmus"})
    for type_url, resources, existing in held:
        result.generic_xds_configs.extend(_entry(type_url, status, existing, bodies) for status in resources)
    return result


def _entry(
    type_url: str, status: ResourceStatus, existing: Container[str], bodies: Bodies | None
) -> envoy.ClientConfig.GenericXdsConfig:
    rejected = status.state is State.ERROR
    entry = envoy.ClientConfig.GenericXdsConfig(
        type_url=type_url,
        name=status.name,
        version_info=status.accepted_version if rejected else status.version,
        config_status=_CONFIG_STATUS[status.state],
        client_status=_client_status(status, existing),
    )
    body = _body(status, bodies)
    if rejected:
        entry.error_state.details, entry.error_state.version_info = status.error, status.version
        _set_time(entry.error_state.last_update_attempt, status.rejected_at_s)
        if body is not None:
            entry.error_state.failed_configuration.CopyFrom(body)
    elif body is not None:
        entry.xds_config.CopyFrom(body)
    updated_s = status.sent_at_s if status.accepted_at_s is None else status.accepted_at_s
    if updated_s is not None:
        _set_time(entry.last_updated, updated_s)
    return entry


def _client_status(status: ResourceStatus, existing: Container[str]) -> envoy.ClientResourceStatus:
    """Return how the client stands to the resource, as far as the server can know it."""
    if status.state is State.ERROR:
        return _CLIENT.NACKED
    if status.state is State.SYNCED:
        return _CLIENT.ACKED if status.version else _CLIENT.DOES_NOT_EXIST
    # Until it accepts what was sent, the client runs on what it had.
    if status.accepted_version:
        return _CLIENT.ACKED
    return _CLIENT.REQUESTED if status.version or status.name in existing else _CLIENT.DOES_NOT_EXIST


def _body(status: ResourceStatus, bodies: Bodies | None) -> envoy.Any | None:
    """Return the resource without its secrets; looked into once an answer, however many clients hold it."""
    resource = status.resource
    if resource is None or bodies is None:
        return None
    key = (resource.type_url, resource.version)
    if key not in bodies:
        bodies[key] = redacted(resource.type_url, resource.body)
    return bodies[key]


def _set_time(field: envoy.Timestamp, at_s: float | None) -> None:
    field.FromMilliseconds(round((at_s or 0.0) * 1000))
