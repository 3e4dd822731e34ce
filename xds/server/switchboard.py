"""The switchboard: all streams of a server, and what they share."""

from __future__ import annotations

import asyncio
import itertools
import random
import time
from typing import TYPE_CHECKING, Any, Protocol

import structlog

from xds.problems import Problem
from xds.server.admission import Admission
from xds.server.bounds import parser
from xds.server.counters import Counters, label
from xds.server.ending import StreamEndError, aged, clipped
from xds.server.hub import Hub
from xds.server.lifetimes import Lifetimes, Silence
from xds.server.limits import Limits
from xds.server.nacks import NackLog
from xds.server.rounds import Rounds
from xds.server.services import SERVICES
from xds.server.stream import Stream
from xds.server.turns import Turns

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from xds.errors import NodeRejectedError
    from xds.model.node import Node
    from xds.protocol import Encoder, Nack, Response, StreamInfo
    from xds.server.services import StreamKind
    from xds.server.source import ViewSource
    from xds.server.stream import Context
    from xds.snapshot.snapshot import ChangeSet, Snapshot

REJECTIONS = 100
"""Rejected nodes remembered: the latest ones, so that clients cannot fill our memory."""
REJECTION_S = 150.0
"""How long the rejection of a node that stays away is told: clients that go on trying wait at most some 2 minutes in between."""

_log = structlog.get_logger()


class OnNack(Protocol):
    """Called for each NACK, on the event loop; must not block."""

    def __call__(self, node: Node, view: Any, nack: Nack) -> None:
        """Take note that a client of a view rejected a response."""


class OnAck(Protocol):
    """Called for each ACK, on the event loop, in the middle of taking it; must not block."""

    def __call__(self, view: Any, response: Response) -> None:
        """Take note that a client of a view accepted a response."""


class Switchboard:
    """Opens streams, tells them of changes, moves them between views, lists them.

    Args:
        source: gives nodes their views and views their snapshots.
        encoder: makes responses, so that streams of one view are written the same bytes.
        limits: what one client may take.
        on_nack: told of every NACK, in addition to the log.
        on_ack: told of every ACK.
        clock: seconds since the epoch.
    """

    def __init__(
        self,
        source: ViewSource[Any],
        encoder: Encoder,
        limits: Limits | None = None,
        on_nack: OnNack | None = None,
        *,
        on_ack: OnAck | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.source = source
        self.encoder = encoder
        self.limits = limits or Limits()
        self.clock = clock
        self.counters = Counters()
        self.admission = Admission(self.limits.first_syncs, self.limits.first_sync_s)
        self.hub: Hub[Stream] = Hub()
        self.turns = Turns()
        self.parsers = {kind: parser(kind, self.limits) for methods in SERVICES.values() for kind in methods.values()}
        """What decodes the requests of a kind of stream."""
        self.rounds: Rounds[Stream] = Rounds(self.hub, Stream.wake, self.turns)
        self.log = _log.bind()
        """What is said of streams is said to this: to begin at the module's takes five times as long."""
        self.on_ack = on_ack
        self._on_nack = on_nack
        self._nack_log = NackLog(clock)
        self.silence = Silence(self.limits.first_request_s)
        self._lifetimes = Lifetimes(self.limits.max_age_s)
        self._ids = itertools.count(1)
        self._streams: dict[int, Stream] = {}
        self._rejecting: dict[Stream, None] = {}
        """Those whose clients have ever rejected something: to look for what is rejected costs nothing where nothing is."""
        self._rejections: dict[str, tuple[float, Problem]] = {}
        """Node id -> when it was rejected, and the problem; the oldest first."""
        self._ending: StreamEndError | None = None
        self._empty = asyncio.Event()

    async def serve(self, kind: StreamKind, context: Context) -> None:
        """Be one stream, from its first request to its end."""
        stream = Stream(self, kind, next(self._ids), context)
        self._streams[stream.stream_id] = stream
        self._empty.clear()
        self.counters.streams_opened[kind.name] += 1
        if self._ending:
            stream.end(self._ending)
        timer = self._lifetimes.begin(stream.peer, lambda: self._aged(stream))
        try:
            await stream.run()
        finally:
            self._lifetimes.end(stream.peer, timer)
            del self._streams[stream.stream_id]
            self._rejecting.pop(stream, None)
            if not self._streams:
                self._empty.set()
            self.counters.streams_closed[kind.name] += 1

    def publish(self, change: ChangeSet) -> None:
        """Tell the streams that subscribe to something in the change set; the source already has its snapshot."""
        self.counters.publications += 1
        self.counters.wakes += self.rounds.publish(change)

    async def reassign(self) -> None:
        """Ask for every stream's view again and move those whose view is another one now."""
        for stream in tuple(self._streams.values()):
            await stream.reassign()

    def end(self, end: StreamEndError) -> None:
        """End every stream once it has written what is due, and those that come later too."""
        self._ending = end
        for stream in self._streams.values():
            stream.end(end)

    async def drain(self, window_s: float, end: StreamEndError) -> None:
        """End every stream at a time of its own within the window, and later ones at once; return when none is left."""
        self._ending = end
        streams = list(self._streams.values())
        random.shuffle(streams)
        loop = asyncio.get_running_loop()
        for place, stream in enumerate(streams):
            loop.call_later(window_s * (place + random.random()) / len(streams), stream.end, end)  # noqa: S311 - not a secret
        if streams:
            await self._empty.wait()

    @property
    def open_streams(self) -> int:
        """How many streams are open."""
        return len(self._streams)

    def streams(self) -> list[StreamInfo]:
        """Return what is known of each open stream whose client said who it is."""
        return [info for stream in self._streams.values() if (info := stream.info())]

    def rejecting(self) -> list[StreamInfo]:
        """Return the same of those whose clients have ever rejected something."""
        return [info for stream in self._rejecting if (info := stream.info())]

    def clients(self) -> list[tuple[Node, StreamInfo, Snapshot]]:
        """Return the same, each with its node and the newest snapshot of its view."""
        seated = ((stream.node, stream.info()) for stream in self._streams.values())
        return [(node, info, self.source.current(info.view)) for node, info in seated if node and info]

    def problems(self) -> tuple[Problem, ...]:
        """Return the latest rejection of each node that was not accepted since and has not gone, at most REJECTIONS."""
        limit_s = self.clock() - REJECTION_S
        if any(at_s < limit_s for at_s, _ in self._rejections.values()):
            present = {info.node_id for info in self.streams()}
            found = self._rejections.items()
            self._rejections = {node: kept for node, kept in found if kept[0] >= limit_s or node in present}
        return tuple(problem for _, problem in self._rejections.values())

    def _aged(self, stream: Stream) -> None:
        self.counters.aged_streams += 1
        stream.end(aged())

    def nacked(self, stream: Stream, node: Node, view: Hashable, nack: Nack, log: Any) -> None:
        """Record that the client of a stream rejected a response; `log` is the logger of the stream."""
        self._rejecting[stream] = None
        self.counters.nacks[label(nack.type_url)] += 1
        self._nack_log.tell(nack, log)
        if self._on_nack:
            self._on_nack(node, view, nack)

    def accepted(self, node: Node) -> None:
        """Forget that the node was rejected."""
        self._rejections.pop(node.id, None)

    def rejected(self, error: NodeRejectedError) -> None:
        """Record that a node cannot be given a view."""
        self.counters.rejected_nodes += 1
        self._rejections.pop(error.node_id, None)
        hint = "correct the node in the proxy's bootstrap, or the object that it names"
        problem = Problem("XDS0501", clipped(str(error)), field="node", hint=hint)
        self._rejections[error.node_id] = (self.clock(), problem)
        if len(self._rejections) > REJECTIONS:
            del self._rejections[next(iter(self._rejections))]
        _log.warning("node rejected", node=clipped(error.node_id), reason=clipped(error.reason))
