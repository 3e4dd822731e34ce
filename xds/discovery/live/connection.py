"""The connection to one API server: whenever the credentials have changed and work, a new one takes over.

The new credentials are tried first; what is read goes on where the old connection was, so that nothing is lost in between.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

from xds.discovery.live.api_server import ApiServer, UnreachableError
from xds.discovery.live.collection import Refusal
from xds.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from xds.discovery.live.access import Access, Credentials

LOOK_S: Final = 2.0
"""How often a kubeconfig file is looked at."""
RENEW_S: Final = 30.0
"""How often credentials that are refused are asked for again: a plugin may give others by now, a token file have others."""


class Reader(Protocol):
    """Reads over a connection."""

    @property
    def is_unauthorized(self) -> bool:
        """Whether the server does not accept the credentials."""
        ...

    async def run(self, server: ApiServer) -> None:
        """Read until cancelled."""
        ...

    def cannot_begin(self, error: ConfigurationError) -> None:
        """Take into account that there is no way to connect."""
        ...


class Watch(NamedTuple):
    """What the owner of a connection wants to know and to say."""

    failed: Callable[[Exception | None, bool], None]
    """Called with what is wrong with the credentials, if anything, and whether an earlier connection is still used."""
    connected: Callable[[ApiServer], Awaitable[None]] | None = None
    """Called before anything is read over a new connection."""
    looked: Callable[[ApiServer], Awaitable[None]] | None = None
    """Called over the connection in use whenever the credentials have been looked at."""
    is_wanted: Callable[[], bool] = lambda: True
    """Whether the server is still to be read."""


async def keep_connected(access: Access, reader: Reader, scratch: Path, watch: Watch) -> bytes:
    """Read one API server until that is no longer wanted, or this is cancelled.

    Returns: the digest of the credentials that led there, "" if none did.
    """
    loop = asyncio.get_running_loop()
    running: _Running | None = None
    renewed_at_s = -RENEW_S
    try:
        while True:
            failure: Exception | None = None
            try:
                found = await access.credentials()
                is_due = reader.is_unauthorized and loop.time() >= renewed_at_s + RENEW_S
                if running is None or found.digest != running.digest or is_due:
                    renewed_at_s = loop.time()
                    server = await _connect(found, scratch / found.digest.hex(), watch, is_tried=running is not None)
                    if not watch.is_wanted():
                        await server.close()
                        return found.digest
                    try:
                        await _end(running)
                    except BaseException:  # who is cancelled meanwhile leaves neither of the two open
                        await server.close()
                        raise
                    running = _Running(found.digest, server, asyncio.create_task(reader.run(server)))
            except (ConfigurationError, Refusal, UnreachableError) as error:
                failure = error
                if running is None and isinstance(error, ConfigurationError):
                    reader.cannot_begin(error)
            watch.failed(failure, running is not None)
            if watch.looked and running:
                await watch.looked(running.server)
            await asyncio.sleep(LOOK_S)
            if not watch.is_wanted():
                return running.digest if running else b""
            if running and running.task.done():
                running.task.result()  # it never ends by itself: what it raises is ours to tell
    finally:
        await _end(running)


class _Running(NamedTuple):
    """A connection in use."""

    digest: bytes
    """Of the kubeconfig."""
    server: ApiServer
    task: asyncio.Task[None]


async def _connect(found: Credentials, scratch: Path, watch: Watch, *, is_tried: bool) -> ApiServer:
    """Connect as a kubeconfig says.

    Raises:
        ConfigurationError: it cannot be used.
        Refusal: the server does not let its user list Services (only if this is tried).
        UnreachableError: the server cannot be reached (likewise).
    """
    await asyncio.to_thread(scratch.mkdir, parents=True, exist_ok=True)
    server = await ApiServer.connect(found.content, context=found.context, base_path=found.directory, scratch=scratch)
    try:
        if is_tried:
            await server.get("/api/v1/services", (("limit", "1"),))
        if watch.connected:
            await watch.connected(server)
    except BaseException:
        await server.close()
        raise
    return server


async def _end(running: _Running | None) -> None:
    if running is not None:
        running.task.cancel()
        try:
            await asyncio.gather(running.task, return_exceptions=True)
        finally:  # who is cancelled twice closes it, too
            await running.server.close()
