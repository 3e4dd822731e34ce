"""HTTP/1.1 backends that say who they are: one loopback address a pod, all on one port, in our own process."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from xds.cli.demo.places import Pod

PLACE_HEADER = "x-place"
"""Header of every answer: `<cluster>/<zone>`."""
_END = b"\r\n\r\n"


class Backends:
    """The running backends.

    Args:
        port: the port of every pod.
        delay_s: how long a request takes; more than 0 puts requests in flight when a backend is killed.
    """

    def __init__(self, port: int, *, delay_s: float = 0.0) -> None:
        self.port = port
        self.delay_s = delay_s
        self._servers: dict[str, asyncio.Server] = {}
        self._connections: dict[str, set[_Connection]] = {}

    async def start(self, pods: Iterable[Pod]) -> None:
        """Start to listen for these pods; returns when all accept connections."""
        loop = asyncio.get_running_loop()
        for pod in pods:
            connections = self._connections.setdefault(pod.address, set())
            self._servers[pod.address] = await loop.create_server(
                lambda pod=pod, connections=connections: _Connection(pod, connections, self.delay_s),  # type: ignore[misc]
                pod.address,
                self.port,
            )

    def running(self, pod: Pod) -> bool:
        """Return whether the pod accepts connections."""
        return pod.address in self._servers

    def stop(self, pods: Iterable[Pod]) -> None:
        """Stop as a well-behaved pod does: accept nothing more, answer what was asked, close."""
        for pod in pods:
            if server := self._servers.pop(pod.address, None):
                server.close()
            for connection in self._connections.pop(pod.address, set()):
                connection.finish()

    def kill(self, pods: Iterable[Pod]) -> None:
        """End as a crashed process does: connections drop at once, new ones are refused."""
        for pod in pods:
            if server := self._servers.pop(pod.address, None):
                server.close()
            for connection in tuple(self._connections.pop(pod.address, set())):
                connection.abort()

    def close(self) -> None:
        """Kill whatever still runs."""
        for server in self._servers.values():
            server.close()
        for connections in self._connections.values():
            for connection in tuple(connections):
                connection.abort()
        self._servers.clear()
        self._connections.clear()


class _Connection(asyncio.Protocol):
    """One keep-alive connection; bodies of requests are not expected, requests may be pipelined."""

    def __init__(self, pod: Pod, siblings: set[_Connection], delay_s: float) -> None:
        body = json.dumps({"cluster": pod.place.cluster, "zone": pod.place.zone, "pod": pod.name}).encode() + b"\n"
        head = f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n{PLACE_HEADER}: {pod.place}\r\nx-pod: {pod.name}\r\n"
        self._answer = head.encode() + f"content-length: {len(body)}\r\n\r\n".encode() + body
        self._siblings = siblings
        self._delay_s = delay_s
        self._received = b""
        self._owed = 0
        self._finishing = False
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._siblings.add(self)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio.Protocol's signature
        self._transport = None
        self._siblings.discard(self)

    def data_received(self, data: bytes) -> None:
        *requests, self._received = (self._received + data).split(_END)
        for _ in requests:
            self._owed += 1
            if self._delay_s:
                asyncio.get_running_loop().call_later(self._delay_s, self._reply)
            else:
                self._reply()

    def finish(self) -> None:
        """Close once everything asked is answered."""
        self._finishing = True
        if not self._owed and self._transport:
            self._transport.close()

    def abort(self) -> None:
        """Drop the connection and whatever is in flight."""
        if self._transport:
            self._transport.abort()

    def _reply(self) -> None:
        self._owed -= 1
        if self._transport:
            self._transport.write(self._answer)
            if self._finishing and not self._owed:
                self._transport.close()
