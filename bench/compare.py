"""Compare our control plane with its peers, and with the floor, on the same work in one run, one after the other in each round.

    make bench
    PYTHONPATH=e2e:tests/interop .venv/bin/python bench/compare.py [--streams N] [--services N] [--sotw] [--small] [--only NAMES]

Writes a table to `bench/results`. What is measured, for each server: the time until all streams have everything, and its
processor time and resident memory for it; the time from a change of one endpoint until the last stream has it, and the processor
time; the time that all streams need to connect anew with what they have, and what they are sent then. Nobody is pinned to a
processor.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import resource
import tempfile
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import compared_table
import compared_world as world
from compared_programs import Process, cpu_s, missing, programs, resident_mib
from contestants import in_process
from live_contestants import live
from live_contestants import missing as no_api_server

if TYPE_CHECKING:
    from contestants import Contestant

SETTLE_S = 1.0
"""After a first sync and after changes, until the server has read the last ACKs."""
PAUSE_S = 0.1
"""Between changes."""
LIVE = {"ours-live", "istiod"}
"""Those that need an API server."""


@dataclass
class Work:
    """What every contestant has to do in each round."""

    streams: int
    services: int
    updates: int
    delta: bool


@dataclass
class Measured:
    """What one contestant has shown, a value for each round, or for each update."""

    ready_s: list[float] = field(default_factory=list)
    """From the start of the process until it serves what it has read of an API server."""
    ready_cpu_s: list[float] = field(default_factory=list)
    sync_s: list[float] = field(default_factory=list)
    sync_cpu_s: list[float] = field(default_factory=list)
    sync_bytes: list[float] = field(default_factory=list)
    lost: list[float] = field(default_factory=list)
    """How often a stream was refused or ended meanwhile; it tries again as an Envoy does."""
    resident_mib: list[float] = field(default_factory=list)
    update_s: list[float] = field(default_factory=list)
    update_median_s: list[float] = field(default_factory=list)
    """Until half of the streams have it."""
    update_cpu_s: list[float] = field(default_factory=list)
    client_cpu_s: list[float] = field(default_factory=list)
    """Of the load client for an update."""
    reconnect_s: list[float] = field(default_factory=list)
    reconnect_cpu_s: list[float] = field(default_factory=list)
    resent: list[float] = field(default_factory=list)
    """Resources that were sent on reconnecting, but for the one that had changed."""


_changes = itertools.count()
"""Of the whole run: an API server keeps what was changed for the contestant before."""


class Round:
    """One contestant at work."""

    def __init__(self, contestant: Contestant, work: Work, measured: Measured, log: Path) -> None:
        self._contestant = contestant
        self._work = work
        self._measured = measured
        self._log = log

    async def run(self) -> None:
        began_s = time.monotonic()
        try:
            await self._contestant.start(self._log)
            if self._contestant.reads_api:
                self._measured.ready_s.append(time.monotonic() - began_s)
                self._measured.ready_cpu_s.append(cpu_s(self._contestant.pid))
            client = await self._client()
            await self._first_sync(client)
            await self._updates(client)
            if self._contestant.reads_state:
                await self._reconnect(client)
            await client.stop()
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
        self._measured.lost.append(synced["lost"])
        self._measured.resident_mib.append(resident_mib(self._contestant.pid))

    async def _updates(self, client: Process) -> None:
        before_s, client_before_s = cpu_s(self._contestant.pid), cpu_s(client.pid)
        for _ in range(self._work.updates):
            began_s = await self._change(client)
            held = await client.hear("held")
            self._measured.update_s.append(held["last_at_s"] - began_s)
            self._measured.update_median_s.append(held["median_at_s"] - began_s)
            await asyncio.sleep(PAUSE_S)
        await asyncio.sleep(SETTLE_S)
        self._measured.update_cpu_s.append((cpu_s(self._contestant.pid) - before_s) / self._work.updates)
        self._measured.client_cpu_s.append((cpu_s(client.pid) - client_before_s) / self._work.updates)

    async def _change(self, client: Process) -> float:
        count = next(_changes)
        number, address = count * 7 % self._work.services, world.new_address(count)
        client.tell(do="expect", address=address)
        await client.hear("armed")
        return await self._contestant.change(number, address)

    async def _reconnect(self, client: Process) -> None:
        """Connect anew, with a change right behind: who has been sent that has been answered."""
        before_s = cpu_s(self._contestant.pid)
        client.tell(do="reconnect")
        reopened = await client.hear("reopened")
        await self._change(client)
        held = await client.hear("held")
        await asyncio.sleep(SETTLE_S)
        client.tell(do="count")
        counted = await client.hear("counted")
        self._measured.reconnect_s.append(held["last_at_s"] - reopened["began_at_s"])
        self._measured.reconnect_cpu_s.append(cpu_s(self._contestant.pid) - before_s)
        self._measured.resent.append(counted["resources"] - self._work.streams)


async def compare(work: Work, rounds: int, only: set[str]) -> dict[str, Measured]:
    async with AsyncExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="isthmus-bench-")))
        contestants = in_process(work.services, directory)
        if LIVE & only:
            contestants += await live(work.services, directory, stack)
        contestants = [one for one in contestants if one.name in only]
        measured = {one.name: Measured() for one in contestants}
        for number in range(rounds):
            for one in contestants:
                log = directory / f"{one.name}.log"
                try:
                    await Round(one, work, measured[one.name], log).run()
                except Exception:
                    print(*log.read_text(errors="replace").splitlines()[-20:], sep="\n")
                    raise
                print(f"round {number + 1}: {one.name}: {compared_table.line(measured[one.name])}", flush=True)
        return measured


def raise_limits() -> None:
    """Allow ourselves and our children as many open files, i.e. connections, as we may."""
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def options(description: str | None, *, updates: int) -> argparse.ArgumentParser:
    """Return a parser of what work is to be done, with so many updates a round if nothing is said."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--streams", type=int, default=1000)
    parser.add_argument("--services", type=int, default=1000)
    parser.add_argument("--updates", type=int, default=updates, help="in each round")
    parser.add_argument("--sotw", action="store_true", help="state of the world instead of delta")
    return parser


def main() -> None:
    parser = options(__doc__, updates=10)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--small", action="store_true", help="100 streams and 100 services")
    parser.add_argument("--only", default="ours,gcp,floor,ours-live,istiod", help="names, with commas; there is gcp-linear, too")
    given = parser.parse_args()
    if why := missing():
        print(f"skipped: {why}")
        return
    raise_limits()
    streams, services = (100, 100) if given.small else (given.streams, given.services)
    work = Work(streams, services, given.updates, delta=not given.sotw)
    programs()
    only = set(given.only.split(","))
    if LIVE & only and (why := no_api_server()):
        print(f"without {' and '.join(sorted(LIVE & only))}: {why}")
        only -= LIVE
    measured = asyncio.run(compare(work, given.rounds, only))
    print(compared_table.write(work, given.rounds, measured))


if __name__ == "__main__":
    main()
