"""Steady requests to what exists throughout, none of them ever tried again; each answer is judged."""

import asyncio
import socket
import time
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

from storm_world import host_of

TIMEOUT_S = 10.0
WORKERS = 2


@dataclass(frozen=True)
class Answer:
    """How one request ended."""

    began_s: float
    """`time.monotonic()`, as is the end."""
    ended_s: float
    status: int
    """0: none came."""
    place: str
    """`<service>/<group>` of the backend that answered, or ""."""
    detail: str
    """What Envoy, or the kernel, says of a failure."""


class Caller:
    """Who calls one service by way of one listener of one Envoy.

    Clients that do not keep their connections send at once on a new one, so that it is not still empty when its listener has
    become an old one.
    """

    def __init__(self, proxy, host, listener, service):
        self.name = f"{proxy} {listener.name} {service.name}"
        self.service = service
        self.answers: list[Answer] = []
        self._address = (host, listener.port)
        self._keeps = listener.keeps
        self._request = f"GET / HTTP/1.1\r\nhost: {host_of(service)}\r\n\r\n".encode()

    async def run(self, rate):
        """Send so many requests a second until cancelled."""
        async with asyncio.TaskGroup() as group:
            for number in range(WORKERS):
                group.create_task(self._work(WORKERS / rate, number / rate))

    async def _work(self, period_s, delay_s):
        streams = None
        at_s = time.monotonic() + delay_s
        try:
            while True:
                await asyncio.sleep(at_s - time.monotonic())
                at_s = max(at_s + period_s, time.monotonic())
                streams = await self._ask(streams)
        finally:
            await _close(streams)

    async def _ask(self, streams):
        """Send one request and return the connection if it can be used again."""
        began_s, status, place, detail, closing = time.monotonic(), 0, "", "", True
        used = streams is not None
        try:
            async with asyncio.timeout(TIMEOUT_S):
                if streams is None:
                    streams = await _connected(self._address, self._request)
                else:
                    streams[1].write(self._request)
                status, place, detail, closing = await _response(streams[0])
        except (OSError, EOFError, ValueError) as error:
            detail = f"{error!r} on a {'used' if used else 'new'} connection"
        self.answers.append(Answer(began_s, time.monotonic(), status, place, detail))
        if closing or not self._keeps:
            await _close(streams)
            return None
        return streams


async def _connected(address, request):
    """Connect, which takes a loopback address no time, and send before anything else happens in this process."""
    connection = socket.create_connection(address, TIMEOUT_S)
    connection.sendall(request)
    return await asyncio.open_connection(sock=connection)


async def _response(reader):
    status_line, *lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    body = await reader.readexactly(int(headers["content-length"]))
    status = int(status_line.split(" ")[1])
    detail = "" if status == 200 else body.decode().strip()
    return status, headers.get("x-place", ""), detail, headers.get("connection") == "close"


async def _close(streams):
    if streams:
        streams[1].close()
        with suppress(OSError):
            await streams[1].wait_closed()


@asynccontextmanager
async def calling(callers, *, rate):
    """Let every caller send so many requests a second while the context is open."""
    tasks = [asyncio.create_task(caller.run(rate)) for caller in callers]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        ended = await asyncio.gather(*tasks, return_exceptions=True)
    assert all(isinstance(error, asyncio.CancelledError) for error in ended), ended
