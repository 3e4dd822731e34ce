"""Steady requests to what exists throughout, none of them ever tried again; each answer is judged."""

import asyncio
import socket
import time
from contextlib import asynccontextmanager
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
        connection = _Connection(self._address, self._request)
        at_s = time.monotonic() + delay_s
        try:
            while True:
                await asyncio.sleep(at_s - time.monotonic())
                at_s = max(at_s + period_s, time.monotonic())
                self.answers.append(await connection.ask())
                if not self._keeps:
                    connection.close()
        finally:
            connection.close()


class _Connection:
    """A connection that is opened when needed."""

    def __init__(self, address, request):
        self._address, self._request = address, request
        self._streams = None

    async def ask(self):
        began_s, used = time.monotonic(), self._streams is not None
        status, place, detail, closing = 0, "", "", True
        try:
            async with asyncio.timeout(TIMEOUT_S):
                if used:
                    self._streams[1].write(self._request)
                else:
                    self._streams = await _connected(self._address, self._request)
                status, place, detail, closing = await _response(self._streams[0])
        except (OSError, EOFError, ValueError) as error:
            detail = f"{error!r} on a {'used' if used else 'new'} connection"
        if closing:
            self.close()
        return Answer(began_s, time.monotonic(), status, place, detail)

    def close(self):
        if self._streams:
            self._streams[1].close()
            self._streams = None


async def _connected(address, request):
    """Connect, which takes a loopback address no time, and send before anything else happens in this process."""
    connection = socket.create_connection(address, TIMEOUT_S)
    try:
        connection.sendall(request)
        connection.settimeout(0)
        return await asyncio.open_connection(sock=connection)
    except BaseException:  # cancelled, perhaps
        connection.close()
        raise


async def _response(reader):
    status_line, *lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    body = await reader.readexactly(int(headers["content-length"]))
    status = int(status_line.split(" ")[1])
    detail = "" if status == 200 else body.decode().strip()
    return status, headers.get("x-place", ""), detail, headers.get("connection") == "close"


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
