"""LRS: clients report how many requests they sent where (envoy.service.load_stats.v3, gRFC A27).

A client opens one stream, says who it is, is told how often to report on which clusters, and reports until it leaves. Nothing
here changes what anybody is sent.
"""

from __future__ import annotations

import asyncio
import itertools
from typing import TYPE_CHECKING, Any

import grpc
import structlog
from google.protobuf.message import DecodeError

from xds.errors import NodeRejectedError
from xds.server.bounds import check_node, check_report
from xds.server.ending import StreamEndError, clipped, refusal
from xds.server.lifetimes import Silence
from xds.server.loads import Loads
from xds.server.node import node_of
from xds.server.source import prepared_view
from xds.wire import CLUSTER, envoy

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from xds.model.node import Node
    from xds.server.limits import Limits
    from xds.server.source import ViewSource

    Context = grpc.aio.ServicerContext[Any, Any]

SERVICE = "envoy.service.load_stats.v3.LoadReportingService"
INTERVAL_S = 10.0
SEND_ALL = "envoy.lrs.supports_send_all_clusters"
"""The feature of clients that can be asked for all their clusters; others must be told the names."""

_log = structlog.get_logger()


class LoadReporting:
    """The service, and what all its streams reported.

    Args:
        source: gives nodes their views; a report counts only for clusters that the view has.
        clock: seconds since the epoch.
        limits: what one client may take.
        interval_s: how often clients are to report.
    """

    def __init__(
        self, source: ViewSource[Any], clock: Callable[[], float], limits: Limits, *, interval_s: float = INTERVAL_S
    ) -> None:
        self.source = source
        self.clock = clock
        self.limits = limits
        self.interval_s = interval_s
        self.silence = Silence(limits.first_request_s)
        self.loads = Loads()
        self._ids = itertools.count(1)
        self._streams: dict[int, _Stream] = {}
        self._ending: StreamEndError | None = None

    def handler(self) -> grpc.GenericRpcHandler:
        """Return the service for a gRPC server."""
        method = grpc.stream_stream_rpc_method_handler(
            self._serve,
            request_deserializer=envoy.LoadStatsRequest.FromString,
            response_serializer=envoy.LoadStatsResponse.SerializeToString,
        )
        return grpc.method_handlers_generic_handler(SERVICE, {"StreamLoadStats": method})

    async def reassign(self) -> None:
        """Ask the source for every client's view again."""
        for stream in tuple(self._streams.values()):
            await stream.reassign()

    def end(self, end: StreamEndError) -> None:
        """End every stream, and those that come later too."""
        self._ending = end
        for stream in self._streams.values():
            stream.end(end)

    async def _serve(self, _: Any, context: Context) -> None:
        stream_id = next(self._ids)
        self._streams[stream_id] = stream = _Stream(self, stream_id, context)
        if self._ending:
            stream.end(self._ending)
        try:
            await stream.run()
        finally:
            del self._streams[stream_id]


class _Stream:
    """The reports of one client."""

    def __init__(self, service: LoadReporting, stream_id: int, context: Context) -> None:
        self._service = service
        self._id = stream_id
        self._context = context
        self._log = _log.bind(load_reports=stream_id, peer=context.peer())
        self._seat: tuple[Node, Hashable] | None = None
        self._end: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def run(self) -> None:
        """Take reports until the client leaves or must leave."""
        ending: StreamEndError | None = None
        try:
            async with asyncio.TaskGroup() as tasks:
                watch = tasks.create_task(self._wait_end())
                await self._read_reports()
                watch.cancel()
        except* StreamEndError as group:
            ending = next(end for end in group.exceptions if isinstance(end, StreamEndError))
        except* grpc.aio.BaseError:
            self._log.debug("the client vanished")
        finally:
            self._leave()
        self._log.info("load reports end", reason=str(ending or "the client left"))
        if ending:
            await self._context.abort(ending.code, str(ending))

    def end(self, end: StreamEndError) -> None:
        """End the stream."""
        if not self._end.done():
            self._end.set_exception(end)

    async def reassign(self) -> None:
        """Ask for the node's view again; a node that would be refused now keeps its view."""
        if self._seat is None:
            return
        node, before = self._seat
        source = self._service.source
        try:
            after = await prepared_view(source, node)
        except NodeRejectedError:
            return
        if after != before and self._seat is not None:  # it may have left meanwhile
            source.acquire(after)
            self._seat = node, after
            source.release(before)

    async def _wait_end(self) -> None:
        await self._end

    async def _read_reports(self) -> None:
        service, asked = self._service, None
        request = await service.silence.first(self._read(), self.end)
        while request is not None:
            check_report(request.cluster_stats, service.limits)
            node, view = self._seat or await self._take_seat(request)
            clusters = service.source.current(view).resources(CLUSTER)
            # The first request carries no statistics that anybody asked for, but what it has counts.
            service.loads.report(self._id, view, clusters, request.cluster_stats, now_s=service.clock())
            wanted = () if SEND_ALL in node.features else tuple(sorted(clusters))
            if wanted != asked:
                asked = wanted
                await self._context.write(self._instruction(wanted))
            request = await self._read()

    async def _read(self) -> envoy.LoadStatsRequest | None:
        try:
            request = await self._context.read()
        except DecodeError as error:
            raise refusal(f"a load report cannot be decoded: {error}") from error
        return None if request is grpc.aio.EOF else request

    async def _take_seat(self, request: envoy.LoadStatsRequest) -> tuple[Node, Hashable]:
        if not request.node.id:
            raise refusal(
                "the first load report of a stream must carry `node` with an `id`; set node.id in the client's bootstrap"
            )
        check_node(request.node, self._service.limits)
        node, source = node_of(request.node), self._service.source
        await source.wait_ready()
        try:
            view = await prepared_view(source, node)
        except NodeRejectedError as error:
            raise refusal(str(error)) from error
        source.acquire(view)
        self._seat = node, view
        self._service.loads.join(self._id)
        self._log.info("load reports begin", node=clipped(node.id), view=str(view))
        return self._seat

    def _instruction(self, clusters: tuple[str, ...]) -> envoy.LoadStatsResponse:
        """Return what the client is to report: these clusters, or all of its own if none is named."""
        response = envoy.LoadStatsResponse(clusters=clusters, send_all_clusters=not clusters)
        response.load_reporting_interval.FromMilliseconds(round(self._service.interval_s * 1000))
        return response

    def _leave(self) -> None:
        self._service.loads.leave(self._id)
        if self._seat is not None:
            self._service.source.release(self._seat[1])
            self._seat = None
