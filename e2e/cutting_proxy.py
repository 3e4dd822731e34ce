"""A way to an API server that is cut again and again: TCP connections in between, all of which end at once on demand."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Self
from urllib.parse import urlsplit

import yaml

if TYPE_CHECKING:
    from pathlib import Path


class CuttingProxy:
    """Listens on a port of its own, and leads to one server; open while its context is.

    Args:
        server: the URL of the API server.
    """

    def __init__(self, server: str) -> None:
        self.cuts = 0
        """Connections that were cut."""
        self._target = urlsplit(server)
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._lead, "127.0.0.1")
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server
        self._server.close()
        self.cut()

    def kubeconfig(self, original: Path, file: Path) -> Path:
        """Write a kubeconfig that leads through here, and return it."""
        assert self._server
        config = yaml.safe_load(original.read_text())
        port = self._server.sockets[0].getsockname()[1]
        config["clusters"][0]["cluster"]["server"] = f"https://127.0.0.1:{port}"
        file.write_text(yaml.safe_dump(config))
        return file

    def cut(self) -> None:
        """End every connection, without a goodbye."""
        for writer in self._open:
            writer.transport.abort()
            self.cuts += 1
        self._open.clear()

    async def _lead(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(writer)
        try:
            there_reader, there = await asyncio.open_connection(self._target.hostname, self._target.port)
            try:
                await asyncio.gather(_copy(reader, there), _copy(there_reader, writer))
            finally:
                there.transport.abort()
        except OSError:
            pass  # the API server does not listen
        except asyncio.CancelledError:
            pass  # the tests have ended
        finally:
            self._open.discard(writer)
            writer.transport.abort()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError):
        while data := await reader.read(1 << 16):
            writer.write(data)
            await writer.drain()
    writer.transport.abort()
