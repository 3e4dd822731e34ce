"""Rounds of the comparison: who is compared does the same work, in turns, and is measured."""

from __future__ import annotations

import asyncio
import itertools
import json
import math
import statistics
import tempfile
import time
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import compared_world as world
from compared_programs import ANSWER_S, Process, cpu_s, memory_mib, programs
from contestants import in_process
from live_contestants import LIVE, live

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from compared_table import Rows
    from contestants import Contestant

SETTLE_S = 1.0
"""After a first sync and after changes, until the server has read the last ACKs."""
QUIET_S = 0.5
"""After a change, in which ACKs are read and what is done now and then has its share; a server that is busy is waited for."""
LOOK_S = 0.03
"""How often we look whether a server is idle."""
IDLE = 0.3
"""The share of a processor that an idle server may take: there is always some housekeeping."""


@dataclass
class Work:
    """What every contestant has to do in each round."""

    streams: int
    services: int
    updates: int
    delta: bool

    @property
    def name(self) -> str:
        """Of the variant of the protocol, in names of files."""
        return "delta" if self.delta else "sotw"

    @property
    def variant(self) -> str:
        return "delta" if self.delta else "state-of-the-world"


@dataclass
class Measured:
    """What one contestant has shown, a value for each round, or for each update."""

    ready_s: list[float] = field(default_factory=list)
    """From the start of the process until it serves what it has read of its API servers."""
    ready_cpu_s: list[float] = field(default_factory=list)
    sync_s: list[float] = field(default_factory=list)
    sync_cpu_s: list[float] = field(default_factory=list)
    sync_bytes: list[float] = field(default_factory=list)
    endpoints: list[float] = field(default_factory=list)
    """Of the client that had the fewest then: so much for the same work."""
    lost: list[float] = field(default_factory=list)
    """How often a stream was refused or ended meanwhile; it tries again as an Envoy does."""
    resident_mib: list[float] = field(default_factory=list)
    resident_most_mib: list[float] = field(default_factory=list)
    """Since the start: what its memory must not be limited below."""
    update_s: list[float] = field(default_factory=list)
    update_median_s: list[float] = field(default_factory=list)
    """Until half of the streams have it."""
    update_cpu_s: list[float] = field(default_factory=list)
    mean_cpu_s: list[float] = field(default_factory=list)
    """The mean of each round: in contrast to the median, it has what happens now and then, as garbage collection does."""
    client_cpu_s: list[float] = field(default_factory=list)
    """Of the load client for an update."""
    reconnect_s: list[float] = field(default_factory=list)
    reconnect_cpu_s: list[float] = field(default_factory=list)
    reconnect_idle_s: list[float] = field(default_factory=list)
    """Until the server, which has nothing new to tell, has nothing to do any more."""
    resent: list[float] = field(default_factory=list)
    """Resources that were sent on reconnecting though nothing had changed."""

    def average(self, updates: int) -> None:
        """Take note that so many updates were a round."""
        self.mean_cpu_s.append(statistics.mean(self.update_cpu_s[-updates:]))


ROWS: Rows = {
    "start until ready": ("ready_s", 1, "s", 2),
    "server CPU until then": ("ready_cpu_s", 1, "s", 2),
    "first sync of all streams": ("sync_s", 1, "s", 2),
    "server CPU for it": ("sync_cpu_s", 1, "s", 2),
    "bytes of it": ("sync_bytes", 1 / (1 << 20), "MiB", 0),
    "endpoints that a client has then": ("endpoints", 1, "", 0),
    "streams refused or ended meanwhile": ("lost", 1, "", 0),
    "resident with all connected": ("resident_mib", 1, "MiB", 0),
    "resident at most until then": ("resident_most_mib", 1, "MiB", 0),
    "update to the last stream": ("update_s", 1000, "ms", 1),
    "update to half of the streams": ("update_median_s", 1000, "ms", 1),
    "server CPU for an update": ("update_cpu_s", 1000, "ms", 1),
    "server CPU for an update, on average": ("mean_cpu_s", 1000, "ms", 1),
    "client CPU for an update": ("client_cpu_s", 1000, "ms", 1),
    "reconnect of all streams": ("reconnect_s", 1, "s", 2),
    "server CPU for it ": ("reconnect_cpu_s", 1, "s", 2),
    "reconnect with nothing new, until idle": ("reconnect_idle_s", 1, "s", 2),
    "resources sent again for it": ("resent", 1, "", 0),
}

T = TypeVar("T")

_changes = itertools.count()
"""Of the whole run: an API server keeps what was changed for the contestant before."""


def next_changes(count: int, services: int) -> list[tuple[int, str]]:
    """Return the next changes: of which service, and the new address of its first endpoint."""
    return [(number * 7 % services, world.new_address(number)) for number in itertools.islice(_changes, count)]


class Round:
    """One contestant at work."""

    def __init__(self, contestant: Contestant, work: Work, measured: Measured, log: Path) -> None:
        self._contestant = contestant
        self._work = work
        self._measured = measured
        self._log = log

    @asynccontextmanager
    async def at_work(self) -> AsyncIterator[Process]:
        """Give the load client, every stream of which has everything."""
        try:
            await self._contestant.start(self._log)
            if not math.isnan(self._contestant.ready_s):
                self._measured.ready_s.append(self._contestant.ready_s)
                self._measured.ready_cpu_s.append(cpu_s(self._contestant.pid))
            client = await self._client()
            await self._first_sync(client)
            yield client
            await client.stop()
        except Exception:
            print(*self._log.read_text(errors="replace").splitlines()[-20:], sep="\n")
            raise
        finally:
            await self._contestant.stop()

    async def _client(self) -> Process:
        flags = {
            "address": self._contestant.address,
            "streams": self._work.streams,
            "clusters": self._work.services,
            "delta": str(self._work.delta).lower(),
            "node": json.dumps(self._contestant.node),
        }
        command = (programs() / "loadclient", *(f"-{name}={value}" for name, value in flags.items()))
        return await Process.start(command, self._log)

    async def _first_sync(self, client: Process) -> None:
        before_s = cpu_s(self._contestant.pid)
        client.tell(do="connect")
        synced = await client.hear("synced")
        await asyncio.sleep(SETTLE_S)
        self._measured.sync_s.append(synced["seconds"])
        self._measured.sync_cpu_s.append(cpu_s(self._contestant.pid) - before_s)
        self._measured.sync_bytes.append(synced["bytes"])
        self._measured.endpoints.append(synced["endpoints"])
        self._measured.lost.append(synced["lost"])
        now_mib, most_mib = memory_mib(self._contestant.pid)
        self._measured.resident_mib.append(now_mib)
        self._measured.resident_most_mib.append(most_mib)

    async def update(self, client: Process) -> None:
        """Make a change, and return once every stream has it and the server is idle again."""
        before_s, client_before_s = cpu_s(self._contestant.pid), cpu_s(client.pid)
        began_s = await self._change(client)
        held = await client.hear("held")
        await self._idle_since_s(QUIET_S)
        self._measured.update_s.append(held["last_at_s"] - began_s)
        self._measured.update_median_s.append(held["median_at_s"] - began_s)
        self._measured.update_cpu_s.append(cpu_s(self._contestant.pid) - before_s)
        self._measured.client_cpu_s.append(cpu_s(client.pid) - client_before_s)

    async def _change(self, client: Process) -> float:
        ((number, address),) = next_changes(1, self._work.services)
        client.tell(do="expect", address=address)
        await client.hear("armed")
        return await self._contestant.change(number, address)

    async def reconnect(self, client: Process) -> None:
        """Connect anew, with a change right behind: who was sent that has been answered."""
        before_s = cpu_s(self._contestant.pid)
        client.tell(do="reconnect")
        reopened = await client.hear("reopened")
        await self._change(client)
        held = await client.hear("held")
        await asyncio.sleep(SETTLE_S)
        self._measured.reconnect_s.append(held["last_at_s"] - reopened["began_at_s"])
        self._measured.reconnect_cpu_s.append(cpu_s(self._contestant.pid) - before_s)

    async def reconnect_unchanged(self, client: Process) -> None:
        """Connect anew, and do nothing: a server that has nothing to send shows by its idleness that it has read everything."""
        client.tell(do="reconnect")
        reopened = await client.hear("reopened")
        self._measured.reconnect_idle_s.append(await self._idle_since_s() - reopened["began_at_s"])
        client.tell(do="count")
        self._measured.resent.append((await client.hear("counted"))["resources"])

    async def _idle_since_s(self, quiet_s: float = SETTLE_S) -> float:
        """Return when the server has had something to do for the last time, once that is so long ago.

        Raises:
            TimeoutError: it is busy for ever.
        """
        since_s, used_s = time.monotonic(), cpu_s(self._contestant.pid)
        async with asyncio.timeout(ANSWER_S):
            while time.monotonic() < since_s + quiet_s:
                await asyncio.sleep(LOOK_S)
                before_s, used_s = used_s, cpu_s(self._contestant.pid)
                if used_s > before_s + IDLE * LOOK_S:
                    since_s = time.monotonic()
        return since_s


async def in_turn(
    services: int,
    rounds: int,
    only: set[str],
    run: Callable[[list[Contestant], Path], AsyncIterator[str]],
    *,
    together: bool = False,
) -> None:
    """Have contestants run, one after the other in each round; tell what each run tells.

    Args:
        services: how many they serve.
        rounds: how many.
        only: names of contestants.
        run: gets a contestant and the directory where it is to log.
        together: it gets all of them at once, another one first in each round, but for those that read API servers, which have
            the machine for themselves.
    """
    async with AsyncExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="isthmus-bench-")))
        contestants = in_process(services, directory)
        if LIVE & only:
            contestants += await live(services, directory, stack)
        found = [one for one in contestants if one.name in only]
        apart = [one for one in found if one.name in LIVE or not together]
        groups = [[one for one in found if one not in apart], *([one] for one in apart)]
        for number in range(rounds):
            for group in filter(None, groups):
                async for told in run(rotated(group, number), directory):
                    print(f"round {number + 1}: {told}", flush=True)


def rotated(items: list[T], places: int) -> list[T]:
    """Return the same with another one first."""
    first = places % len(items)
    return items[first:] + items[:first]
