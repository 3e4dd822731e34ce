"""Who is compared: each is started, given one changed endpoint after the other, and stopped."""

from __future__ import annotations

import sys
import time
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

import compared_world as world
from compared_programs import HERE, Process, programs

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


class Contestant(ABC):
    """One server.

    Args:
        name: in tables.
        services: how many it serves.
    """

    node = world.NODE
    """What clients say of themselves."""
    reads_api = False
    """Whether it reads its world from an API server."""
    reads_state = True
    """Whether it looks at what clients that reconnect say they have."""

    def __init__(self, name: str, services: int) -> None:
        self.name = name
        self.services = services
        self.address = ""
        self.pid = 0

    @abstractmethod
    async def start(self, log: Path) -> None:
        """Serve everything at `address`; returns when clients can be answered."""

    @abstractmethod
    async def change(self, number: int, address: str) -> float:
        """Give the first endpoint of a service another address; return when that was begun (CLOCK_MONOTONIC)."""

    @abstractmethod
    async def stop(self) -> None:
        """End."""


class InProcess(Contestant):
    """A server that is told of changes directly, by a line on its stdin.

    Args:
        name: in tables.
        services: how many it serves.
        command: what starts it.
    """

    def __init__(self, name: str, services: int, command: Callable[[], tuple[object, ...]]) -> None:
        super().__init__(name, services)
        self._command = command
        self._process: Process | None = None

    async def start(self, log: Path) -> None:
        self._process = await Process.start(self._command(), log)
        self.pid = self._process.pid
        self.address = (await self._process.hear())["address"]

    async def change(self, number: int, address: str) -> float:
        assert self._process
        began_s = time.monotonic()
        self._process.tell(service=number, cluster=world.cluster_name(number), address=address)
        return began_s

    async def stop(self) -> None:
        assert self._process
        await self._process.stop()


def in_process(services: int, directory: Path) -> list[Contestant]:
    """Return those that need no API server: ours, and those that serve the very bytes that ours does."""
    file = directory / "resources.bin"
    file.write_bytes(world.resources(services))

    def go(name: str, *arguments: object) -> Contestant:
        return InProcess(name, services, lambda: (programs() / "gcp", "-resources", file, *arguments))

    return [
        InProcess("ours", services, lambda: (sys.executable, HERE / "serve_ours.py", services)),
        go("gcp"),
        InProcess("floor", services, lambda: (sys.executable, HERE / "serve_floor.py", file)),
        go("gcp-linear", "-cache", "linear"),
    ]
