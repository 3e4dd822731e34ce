"""One stream: the life of one proxy's connection, around a protocol core that does no I/O.

In: requests, and wakes from the hub. Out: bytes. One task reads and applies requests, one writes what is due; both
run on the event loop and touch the protocol's state only between awaits. Nothing is queued for a slow proxy: while a
write waits for the peer, changes only mark names dirty, and the next poll takes the newest snapshot.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import grpc
from google.protobuf.message import DecodeError

from xds.errors import NodeRejectedError
from xds.protocol import DeltaRequest, DeltaStream, SotwRequest, SotwStream, StreamInfo
from xds.server.bounds import check_claims, check_subscriptions, check_types
from xds.server.counters import label
from xds.server.ending import StreamEndError, clipped, refusal
from xds.server.node import node_of
from xds.server.source import prepared_view

if TYPE_CHECKING:
    from collections.abc import Hashable

    from xds.model.node import Node
    from xds.protocol import Nack, Response
    from xds.server.services import StreamKind
    from xds.server.switchboard import Switchboard
    from xds.snapshot.snapshot import ChangeSet

    Request = DeltaRequest | SotwRequest
    Context = grpc.aio.ServicerContext[Any, bytes]

FIRST_SYNC_S = 30.0
"""How long after its first slot what a stream asks for counts as its first sync, in the event loop's time."""
MUCH_BYTES = 4096
"""A request that is larger waits for its turn: to take in what is smaller, as ACKs are, takes less than to wait for it."""
_CLIENTS_FAULT = (grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.DEADLINE_EXCEEDED)


class Stream:
    """The life of one stream.

    Args:
        board: what all streams of the server share.
        kind: which service, delta or state of the world.
        stream_id: unique in this process.
        context: gRPC's side of the stream.
    """

    def __init__(self, board: Switchboard, kind: StreamKind, stream_id: int, context: Context) -> None:
        self.kind = kind
        self.stream_id = stream_id
        self._board = board
        self._context = context
        self._opened_at_s = board.clock()
        self.peer = context.peer()
        self._protocol = (DeltaStream if kind.delta else SotwStream)(board.encoder, aggregated=not kind.type_url)
        self._decode = board.parsers[kind]
        self._seat: tuple[Node, Hashable] | None = None
        """Who the client is and the view that it gets, once both are known."""
        self._info: StreamInfo | None = None
        """Once somebody has asked for it."""
        self._admitted_types = 0
        """Types of which a first sync was admitted, or not needed."""
        self._admitted_at_s: float | None = None
        """Since when, in the event loop's time."""
        self._claims = 0
        """Resources that the client said it holds, when it first asked for each type."""
        self._tasks: asyncio.TaskGroup | None = None
        """While the stream lives."""
        self._writer: asyncio.Task[None] | None = None
        """From when something has to be written for the first time: those who come back with everything may need none."""
        self._is_due = False
        """Something may have to be written."""
        self._woken: asyncio.Future[None] | None = None
        """What waits for that: of one waiter, that takes half of what an event does."""
        self._half_closed = False
        self._ending: StreamEndError | None = None

    async def run(self) -> None:
        """Live until the client leaves or must leave."""
        try:
            async with asyncio.TaskGroup() as self._tasks:
                if self._is_due:
                    self.wake()
                await self._read_requests()
        except* StreamEndError as group:
            ending = next(end for end in group.exceptions if isinstance(end, StreamEndError))
            self._ending = ending.with_traceback(None)  # which would lead from us to the request that was refused
        except* grpc.aio.BaseError:
            self._board.log.debug("the client vanished", **self._called())
        finally:
            self._leave()
        if self._ending and self._ending.code is grpc.StatusCode.OK:  # which is no reason to abort for gRPC
            self._context.set_details(str(self._ending))
        elif self._ending:
            await self._context.abort(self._ending.code, str(self._ending))

    def end(self, end: StreamEndError) -> None:
        """Write what is due, then end the stream."""
        self._ending = end
        self.wake()

    def wake(self) -> None:
        """Have the stream write what is due."""
        self._is_due = True
        if self._writer is None:
            if self._tasks is not None:
                self._writer = self._tasks.create_task(self._write_responses())
        elif self._woken is not None and not self._woken.done():
            self._woken.set_result(None)

    def on_change(self, change: ChangeSet) -> None:
        """Mark the names that matter to the client dirty."""
        self._protocol.on_change(change)

    @property
    def node(self) -> Node | None:
        """Who the client said it is."""
        return self._seat[0] if self._seat else None

    def info(self) -> StreamInfo | None:
        """Return what is known, once the node and its view are."""
        if self._info is None and self._seat is not None:
            node, view = self._seat
            self._info = StreamInfo(
                node_id=node.id,
                view=view,
                peer=self.peer,
                kind=self.kind.variant,
                service=self.kind.service,
                connected_at_s=self._opened_at_s,
                types=self._protocol.ledger.types,
                resources=self._protocol.resources,
                withheld=self._protocol.withheld,
            )
        return self._info

    def _sit(self, node: Node, view: Hashable) -> None:
        self._seat, self._info = (node, view), None

    async def reassign(self) -> None:
        """Ask for the node's view again and move there if it is another one.

        A node that would be refused now keeps its view: what it runs on must not go stale because an object that its
        metadata names is gone for a while.
        """
        if self._seat is None:
            return
        node, before = self._seat
        source = self._board.source
        try:
            after = await prepared_view(source, node)
        except NodeRejectedError as error:
            self._board.rejected(error)
            return
        if after == before or self._seat is None:  # it may have left meanwhile
            return
        source.acquire(after)
        self._sit(node, after)
        self._board.hub.join(after, self)
        self._board.rounds.leave(before, self)
        source.release(before)
        self._say("moved to another view", view=str(after))
        self._protocol.resync()
        self.wake()

    async def _read_requests(self) -> None:
        data = await self._board.silence.first(self._context.read(), self.end)
        while data is not grpc.aio.EOF:
            if len(data) > MUCH_BYTES and self._board.turns.is_over():  # of a crowd that comes back, each says much
                await self._board.turns.wait(patient=True)
            request = self._decoded(data)
            del data  # it may be large, and to take a seat take long
            if self._seat is None:
                await self._take_seat(request)
            self._apply(self._typed(request))
            del request  # likewise, and the next one may be far away
            data = await self._context.read()
        self._half_closed = True
        if self._seat is not None:
            self._board.rounds.catch_up(self._seat[1], self)  # what it was not told yet was there before it half-closed
        if self._writer is not None or self._protocol.pending:
            self.wake()

    def _decoded(self, data: bytes) -> Request:
        try:
            return self._decode(data)
        except DecodeError as error:
            raise refusal(f"a request on this {self.kind} stream cannot be decoded: {error}") from error

    async def _take_seat(self, request: Request) -> None:
        if request.node is None or not request.node.id:
            raise refusal("the first request of a stream must carry `node` with an `id`; set node.id in the client's bootstrap")
        node = node_of(request.node)
        await self._board.source.wait_ready()
        try:
            view = await prepared_view(self._board.source, node)
        except NodeRejectedError as error:
            self._board.rejected(error)
            raise refusal(str(error)) from error
        self._board.source.acquire(view)
        self._sit(node, view)
        self._protocol.earlier = lambda: self._board.source.history(self._seat[1]) if self._seat else ()
        self._protocol.reads_errors = (
            node.is_grpc
        )  # older ones ignore them, and Envoy must not get answers that hold nothing else
        self._board.accepted(node)
        if self._board.on_ack:
            self._protocol.ledger.on_ack = self._acked
        self._board.hub.join(view, self)
        self._say("stream opened", view=str(view))

    def _typed(self, request: Request) -> Request:
        """Return a request with the type that it is of, if it may be of that."""
        only = self.kind.type_url
        if not request.type_url:
            if not only:
                raise refusal("a request on an aggregated (ADS) stream must carry `type_url`")
            return replace(request, type_url=only)
        if only and request.type_url != only:
            raise refusal(f"this stream carries {only} alone, not {request.type_url}; open an ADS stream for several types")
        return request

    def _apply(self, request: Request) -> None:
        protocol, name = self._protocol, label(request.type_url)
        if request.type_url not in protocol.ledger.types:
            self._check_new_type(request)
        subscription_changes = protocol.subscription_changes
        stale_nonces = protocol.ledger.stale_nonces
        # The method that the stream was opened with decides on both, the request's class and the core's.
        nack = protocol.on_request(request, self._board.clock())  # type: ignore[arg-type]
        self._board.counters.requests[name] += 1
        if protocol.ledger.stale_nonces != stale_nonces:
            self._board.counters.stale_nonces[name] += 1
        if nack:
            self._nacked(nack)
        if protocol.subscription_changes != subscription_changes:
            subscription = protocol.subscription(request.type_url)
            if subscription.names:
                check_subscriptions(protocol.subscriptions(), self._board.limits)
            self._board.hub.subscribe(self, request.type_url, subscription.asked)
        came_with_some = isinstance(request, DeltaRequest) and request.initial_versions
        if came_with_some:
            self._settle(request.type_url)
        if protocol.pending:  # most requests are ACKs that leave nothing to say
            self.wake()
        elif came_with_some:
            self._admitted()

    def _settle(self, type_url: str) -> None:
        """Find out whether there is anything to say to a client that came with something: of a crowd, most have everything."""
        if self._seat is not None and isinstance(self._protocol, DeltaStream):
            self._protocol.settle(type_url, self._board.source.current(self._seat[1]), self._board.clock())

    def _check_new_type(self, request: Request) -> None:
        limits = self._board.limits
        check_types(len(self._protocol.ledger.types) + 1, limits)
        if isinstance(request, DeltaRequest):  # whose first request of a type alone says what the client holds
            self._claims += len(request.initial_versions)
            check_claims(self._claims, limits)

    def _acked(self, response: Response) -> None:
        if self._seat is not None and self._board.on_ack:
            self._board.on_ack(self._seat[1], response)

    def _nacked(self, nack: Nack) -> None:
        if self._seat is not None:
            self._board.nacked(self, *self._seat, nack, self._board.log.bind(**self._called()))

    async def _write_responses(self) -> None:
        last = False
        while not last:
            if not self._is_due:
                woken = self._woken = asyncio.get_running_loop().create_future()
                deadline_s = self._protocol.deadline_s()
                if deadline_s is None:  # as nearly always: a timer costs more than the wait
                    await woken
                else:
                    await asyncio.wait((woken,), timeout=max(0.0, deadline_s - self._board.clock()))
            self._is_due = False
            last = self._half_closed  # as of now: what was asked before it is answered by the poll below
            if self._seat is not None:
                if self._must_be_admitted():
                    async with self._board.admission.slot(self.stream_id):  # held while what was asked for is written
                        self._admitted()
                        await self._write_due(self._seat[1])
                else:
                    await self._write_due(self._seat[1])
            if self._ending:
                raise self._ending

    async def _write_due(self, view: Hashable) -> None:
        counters = self._board.counters
        if self._board.turns.is_over():
            await self._board.turns.wait()
        self._board.rounds.catch_up(view, self)
        for response in self._protocol.poll(self._board.source.current(view), self._board.clock()):
            await self._context.write(response.body)
            name = label(response.type_url)
            counters.responses[name] += 1
            counters.response_bytes[name] += len(response.body)

    def _admitted(self) -> None:
        """Take note that no slot is needed any more for what was asked for until now."""
        self._admitted_at_s = self._admitted_at_s or asyncio.get_running_loop().time()
        self._admitted_types = len(self._protocol.ledger.types)

    def _must_be_admitted(self) -> bool:
        """Return whether types were asked for the first time.

        A stream that has had its first sync waits for nobody, whatever else it asks for: its updates are not to be late
        because others arrive.
        """
        if len(self._protocol.ledger.types) == self._admitted_types:
            return False
        return self._admitted_at_s is None or asyncio.get_running_loop().time() <= self._admitted_at_s + FIRST_SYNC_S

    def _leave(self) -> None:
        self._tasks = self._writer = None  # the writer may have ended with an exception, which leads to what was to be written
        self._board.hub.leave(self)
        if self._seat is not None:
            self._board.rounds.leave(self._seat[1], self)
            self._board.source.release(self._seat[1])
        self._say("stream closed", reason=str(self._ending or "the client left"))
        self._seat = self._info = None
        del self._protocol  # exceptions that ended us keep us until the next full garbage collection
        if self._ending and self._ending.code in _CLIENTS_FAULT:
            self._board.counters.refused_streams += 1

    def _say(self, event: str, **more: object) -> None:
        """Log what happens to the stream. No logger is kept for it: that is done twice in most lives."""
        self._board.log.info(event, **self._called(), **more)

    def _called(self) -> dict[str, object]:
        """Return what the stream is called in the log."""
        called: dict[str, object] = {"stream": self.stream_id, "kind": self.kind.name, "peer": self.peer}
        if self._seat is not None:
            called["node"] = clipped(self._seat[0].id)
        return called
