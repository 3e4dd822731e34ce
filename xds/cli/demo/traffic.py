"""Requests at a bounded rate over keep-alive connections, each recorded with who answered it. Nothing is ever retried here."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from xds.cli.demo.backends import PLACE_HEADER

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable

TIMEOUT_S = 10.0
"""A request that takes longer has failed."""


@dataclass(frozen=True, slots=True)
class Answer:
    """How one request ended."""

    at_s: float
    """`time.monotonic()` when it ended."""
    took_s: float
    status: int
    """The HTTP status; 0 if there was no answer."""
    place: str
    """`<cluster>/<zone>` of the backend that answered, or ""."""
    detail: str = ""
    """What went wrong, for people."""

    @property
    def ok(self) -> bool:
        """True for status 200 from a backend that says who it is."""
        return self.status == 200 and bool(self.place)


class Client:
    """One client of one proxy; requests have no body.

    Args:
        name: what people call it.
        port: the proxy's port.
        authority: the Host header.
        method: of every request.
        host: the address to connect to.
    """

    def __init__(self, name: str, port: int, authority: str, *, method: str = "GET", host: str = "127.0.0.1") -> None:
        self.name = name
        self.port = port
        self.host = host
        self.authority = authority
        self.answers: list[Answer] = []
        length = "" if method in {"GET", "HEAD"} else "content-length: 0\r\n"
        self._request = f"{method} / HTTP/1.1\r\nhost: {authority}\r\n{length}\r\n".encode()

    async def run(self, *, rate: float, workers: int = 8) -> None:
        """Send that many requests a second until cancelled; slow answers lower the rate, never raise it later."""
        async with asyncio.TaskGroup() as group:
            for number in range(workers):
                group.create_task(self._paced(workers / rate, number / rate))

    async def burst(self, requests: int, *, workers: int = 16) -> list[Answer]:
        """Send that many requests as fast as the workers can and return how they ended."""
        first = len(self.answers)
        async with asyncio.TaskGroup() as group:
            for number in range(workers):
                group.create_task(self._send(requests // workers + (number < requests % workers)))
        return self.answers[first:]

    async def _paced(self, period_s: float, delay_s: float) -> None:
        connection = _Connection(self.host, self.port)
        at_s = time.monotonic() + delay_s
        try:
            while True:
                await asyncio.sleep(max(0.0, at_s - time.monotonic()))
                at_s = max(at_s + period_s, time.monotonic() - period_s)
                self.answers.append(await connection.ask(self._request))
        finally:
            connection.close()

    async def _send(self, requests: int) -> None:
        connection = _Connection(self.host, self.port)
        try:
            for _ in range(requests):
                self.answers.append(await connection.ask(self._request))
        finally:
            connection.close()


@asynccontextmanager
async def traffic(clients: Iterable[Client], *, rate: float) -> AsyncIterator[None]:
    """Let every client send that many requests a second while the context is open."""
    tasks = [asyncio.create_task(client.run(rate=rate)) for client in clients]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def shares_of(answers: Iterable[Answer]) -> dict[str, float]:
    """Return the fraction of the successful answers that each place gave."""
    counts = Counter(answer.place for answer in answers if answer.ok)
    return {place: count / counts.total() for place, count in sorted(counts.items())}


async def measure_shares(client: Client, requests: int, *, workers: int = 16) -> tuple[dict[str, float], list[Answer]]:
    """Send a burst; return the share of each place, and the answers that were failures."""
    answers = await client.burst(requests, workers=workers)
    return shares_of(answers), [answer for answer in answers if not answer.ok]


class _Connection:
    """A keep-alive connection that is opened when needed."""

    def __init__(self, host: str, port: int) -> None:
        self._address = (host, port)
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self, request: bytes) -> Answer:
        began_s = time.monotonic()
        try:
            async with asyncio.timeout(TIMEOUT_S):
                status, place, detail = await self._exchange(request)
        except (OSError, EOFError, ValueError) as error:  # TimeoutError is an OSError, IncompleteReadError an EOFError
            self.close()
            status, place, detail = 0, "", f"{type(error).__name__}: {error}"
        now_s = time.monotonic()
        return Answer(now_s, now_s - began_s, status, place, detail)

    async def _exchange(self, request: bytes) -> tuple[int, str, str]:
        if self._streams is None:
            self._streams = await asyncio.open_connection(*self._address)
        reader, writer = self._streams
        writer.write(request)
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        status_line, *lines = head.split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        body = await reader.readexactly(int(headers["content-length"])) if "content-length" in headers else b""
        if headers.get("connection") == "close" or "content-length" not in headers:
            self.close()
        status = int(status_line.split(" ")[1])
        return status, headers.get(PLACE_HEADER, ""), "" if status == 200 else body.decode("utf-8", "replace")[:200]

    def close(self) -> None:
        if self._streams:
            self._streams[1].close()
            self._streams = None
