"""The xDS server: gRPC around the switchboard."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import grpc
import structlog
from grpc_channelz.v1 import channelz, channelz_pb2
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection, reflection_pb2

from xds.server import csds, lrs
from xds.server.address import UNIX, ListenError, check_listenable, is_local
from xds.server.ending import shutting_down
from xds.server.limits import Limits
from xds.server.services import SERVICES
from xds.server.switchboard import Switchboard
from xds.server.tls import Certificates, TlsFiles
from xds.wire import POOL

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from xds.problems import Problem
    from xds.protocol import Encoder, StreamInfo
    from xds.server.admission import Admission
    from xds.server.counters import Counters
    from xds.server.loads import Loads
    from xds.server.services import StreamKind
    from xds.server.source import ViewSource
    from xds.server.stream import Context
    from xds.server.switchboard import OnAck, OnNack
    from xds.snapshot.snapshot import ChangeSet

_log = structlog.get_logger()


DRAINED_S = 5.0
"""How long after the window of a drain a stream may still take to write what is due."""


@dataclass(frozen=True, slots=True)
class Security:
    """Who can read what we send."""

    tls: TlsFiles | None = None
    """Certificates; None: plain text."""
    insecure: bool = False
    """Whether plain text may leave this machine."""


class XdsServer:
    """Serves ADS and the per-type services, load reporting, client status, health, reflection and channelz.

    Args:
        source: gives nodes their views and views their snapshots.
        encoder: makes responses; one a server.
        addresses: where to listen, each `HOST:PORT` (0: any free port), `[IPV6]:PORT` or `unix:/PATH`.
        limits: what one client may take.
        security: TLS, or plain text (the default: to this machine alone).
        on_nack: told of every NACK, in addition to the log.
        on_ack: told of every ACK.
        load_interval_s: how often clients are to report their loads.
    """

    def __init__(  # noqa: PLR0913 - each has its own default
        self,
        source: ViewSource[Any],
        encoder: Encoder,
        addresses: Sequence[str],
        *,
        limits: Limits | None = None,
        security: Security | None = None,
        on_nack: OnNack | None = None,
        on_ack: OnAck | None = None,
        load_interval_s: float = lrs.INTERVAL_S,
    ) -> None:
        self._source = source
        self._addresses = tuple(addresses)
        self._limits = limits or Limits()
        self._security = security or Security()
        self._certificates: Certificates | None = None
        self._board = Switchboard(source, encoder, self._limits, on_nack, on_ack=on_ack)
        self._load_reporting = lrs.LoadReporting(source, self._board.clock, self._limits, interval_s=load_interval_s)
        self._client_status = csds.ClientStatus(self._board.clients, self._limits)
        self._health = health.aio.HealthServicer()
        self._server: grpc.aio.Server | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._closing: asyncio.Task[None] | None = None

    async def start(self) -> tuple[str, ...]:
        """Listen, and return the addresses with the ports that were bound.

        Clients may connect at once; they are answered, and health says SERVING, when the source is ready.

        Raises:
            ListenError: an address is malformed, taken or not ours, or plain text would leave this machine.
            CertificateError: the certificates cannot be used.
        """
        for address in self._addresses:
            check_listenable(address)
            self._check_private(address)
        if self._security.tls:
            self._certificates = await asyncio.to_thread(Certificates, self._security.tls)
        await self._set_health(health_pb2.HealthCheckResponse.NOT_SERVING)
        self._server = server = grpc.aio.server(options=self._limits.options())
        server.add_generic_rpc_handlers((*self._handlers(), self._load_reporting.handler(), self._client_status.handler()))
        health_pb2_grpc.add_HealthServicer_to_server(self._health, server)
        channelz.add_channelz_servicer(server)
        _enable_reflection(server)
        try:
            bound = tuple(_bind(server, address, self._certificates) for address in self._addresses)
        except ListenError:
            await server.stop(None)
            raise
        await server.start()
        self._tasks = [asyncio.create_task(self._report_ready())]
        if self._certificates:
            self._tasks.append(asyncio.create_task(self._certificates.follow()))
        _log.info("serving xDS", addresses=bound)
        return bound

    async def stop(self, grace_s: float) -> None:
        """End every stream as soon as it has written what is due, and after the grace period whatever is left."""
        if self._server is None:
            return
        for task in self._tasks:
            task.cancel()
        end = shutting_down()
        self._board.end(end)
        self._load_reporting.end(end)
        await self._health.enter_graceful_shutdown()
        await self._server.stop(grace_s)
        if self._closing:
            await self._closing

    async def drain(self, window_s: float) -> None:
        """Send the clients to other servers, one after the other, and return when none is left; `stop` ends it early.

        Health says NOT_SERVING, no connection is accepted any more, and those that are open are told to go (GOAWAY), so
        that a client whose stream ends connects elsewhere. Until then it is served as ever.
        """
        if self._server is None:
            return
        await self._health.enter_graceful_shutdown()
        self._closing = asyncio.create_task(self._server.stop(window_s + DRAINED_S))  # cuts off what has not ended by then
        await self._board.drain(window_s, shutting_down())
        self._load_reporting.end(shutting_down())

    def publish(self, change: ChangeSet) -> None:
        """Tell the streams that subscribe to something in the change set; the source already has its snapshot."""
        self._board.publish(change)

    async def reassign(self) -> None:
        """Ask the source for every stream's view again; streams whose view is another one now move there."""
        await self._board.reassign()
        await self._load_reporting.reassign()

    def streams(self) -> list[StreamInfo]:
        """Return what is known of each open stream whose client said who it is."""
        return self._board.streams()

    def rejecting(self) -> list[StreamInfo]:
        """Return those among them whose clients have ever rejected something."""
        return self._board.rejecting()

    def problems(self) -> tuple[Problem, ...]:
        """Return the latest rejection of each node that was not accepted since, and what is wrong with our certificates."""
        return self._board.problems() + (self._certificates.problems() if self._certificates else ())

    @property
    def open_streams(self) -> int:
        """How many streams are open, those whose clients did not say yet who they are included."""
        return self._board.open_streams

    @property
    def admission(self) -> Admission:
        """Who waits for a first sync."""
        return self._board.admission

    @property
    def counters(self) -> Counters:
        """Totals since the start, for metrics."""
        return self._board.counters

    @property
    def loads(self) -> Loads:
        """What clients reported of their requests since the start."""
        return self._load_reporting.loads

    def _check_private(self, address: str) -> None:
        if not (self._security.tls or self._security.insecure or is_local(address)):
            remedies = "give --xds-tls-cert and --xds-tls-key, or --insecure if the network may read and change it"
            raise ListenError(address, f"plain text would leave this machine; {remedies}")

    def _handlers(self) -> list[grpc.GenericRpcHandler]:
        return [
            grpc.method_handlers_generic_handler(
                service,
                {
                    method: grpc.stream_stream_rpc_method_handler(self._handler(kind))  # streams read and write bytes
                    for method, kind in methods.items()
                },
            )
            for service, methods in SERVICES.items()
        ]

    def _handler(self, kind: StreamKind) -> Callable[[Any, Context], Awaitable[None]]:
        async def serve(_: Any, context: Context) -> None:
            await self._board.serve(kind, context)

        return serve

    async def _report_ready(self) -> None:
        await self._source.wait_ready()
        await self._set_health(health_pb2.HealthCheckResponse.SERVING)

    async def _set_health(self, status: Any) -> None:
        for service in ("", *SERVICES, lrs.SERVICE, csds.SERVICE):
            await self._health.set(service, status)


def _bind(server: grpc.aio.Server, address: str, certificates: Certificates | None) -> str:
    try:
        secrets = certificates.credentials() if certificates else None
        port = server.add_secure_port(address, secrets) if secrets else server.add_insecure_port(address)
    except RuntimeError as error:
        raise ListenError(address, str(error)) from error
    return address if address.startswith(UNIX) else f"{address.rpartition(':')[0]}:{port}"


def _enable_reflection(server: grpc.aio.Server) -> None:
    names = [*SERVICES, lrs.SERVICE, csds.SERVICE]
    for module in (health_pb2, channelz_pb2, reflection_pb2):
        # Reflection looks up every service in one pool; ours has only our own files.
        POOL.AddSerializedFile(module.DESCRIPTOR.serialized_pb)
        names += [service.full_name for service in module.DESCRIPTOR.services_by_name.values()]
    reflection.enable_server_reflection(names, server, pool=POOL)
