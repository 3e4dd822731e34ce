"""Endpoints that change all the time: how stale streams are meanwhile, and what stops the server's event loop.

    make bench-churn
    PYTHONPATH=e2e:tests/interop .venv/bin/python bench/churn.py [--rate N] [--seconds N] [--streams N] [--only NAMES] ...

Changes are made at a fixed rate, however slow the server is, of one service after the other: each gives an endpoint an address
that nothing had before, and a stream has a change once it was sent that address, or a later one of the same service. Staleness is
the time from a change until a stream has it, one value for each stream and change; it counts until the end of the wait where a
stream still lacks one. What is told of the event loop is explained in `loop_probe`; it is told where the server has one. Every
server is given the changes one by one; all merge what comes while they are busy. Writes a table to `bench/results`.
"""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING

import compared_table
from compared_options import add_rounds, options, prepare
from compared_programs import cpu_s
from contestants import Probed
from rounds import SETTLE_S, Measured, Round, Work, in_turn, next_changes

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from compared_programs import Process
    from compared_table import Rows
    from contestants import Contestant

WAIT_S = 20.0
"""After the last change, for streams that still lack something."""


@dataclass
class ChurnWork(Work):
    """What every contestant has to do in each round."""

    rate: float
    """Changes a second."""


@dataclass
class Churned:
    """What one contestant has shown, a value for each round."""

    made_a_s: list[float] = field(default_factory=list)
    """How fast changes were made."""
    median_s: list[float] = field(default_factory=list)
    p99_s: list[float] = field(default_factory=list)
    longest_s: list[float] = field(default_factory=list)
    worst_stream_p99_s: list[float] = field(default_factory=list)
    """Of the stream whose 99th percentile is the highest."""
    lacking: list[float] = field(default_factory=list)
    """How often, at the end of the wait, a stream lacked a change."""
    everywhere_a_s: list[float] = field(default_factory=list)
    """Changes that every stream had in the end, for each second from the first until something arrived for the last time."""
    catch_up_s: list[float] = field(default_factory=list)
    """From the last change until something arrived for the last time."""
    server_cpu_s: list[float] = field(default_factory=list)
    """For a change."""
    client_cpu_s: list[float] = field(default_factory=list)
    sent: list[float] = field(default_factory=list)
    """Resources, for a change and a stream: 1 if nothing was merged in one service."""
    callback_s: list[float] = field(default_factory=list)
    callback_cpu_s: list[float] = field(default_factory=list)
    turn_s: list[float] = field(default_factory=list)
    turn_cpu_s: list[float] = field(default_factory=list)
    late_median_s: list[float] = field(default_factory=list)
    late_p99_s: list[float] = field(default_factory=list)
    late_s: list[float] = field(default_factory=list)
    waited_s: list[float] = field(default_factory=list)
    """For how long, in all, the thread of the loop could have run and was not let."""
    longest: list[list[str]] = field(default_factory=list)
    """What took longest."""

    def take(self, found: dict[str, float]) -> None:
        for one in fields(self):
            if one.name in found:
                getattr(self, one.name).append(found[one.name])


ROWS: Rows = {
    "changes made": ("made_a_s", 1, "/s", 1),
    "changes that every stream had": ("everywhere_a_s", 1, "/s", 1),
    "staleness: median": ("median_s", 1000, "ms", 0),
    "staleness: 99th percentile": ("p99_s", 1000, "ms", 0),
    "staleness: 99th percentile of the worst stream": ("worst_stream_p99_s", 1000, "ms", 0),
    "staleness: longest": ("longest_s", 1000, "ms", 0),
    "last change until nothing arrives any more": ("catch_up_s", 1000, "ms", 0),
    "(stream, change) still missing then": ("lacking", 1, "", 0),
    "resources sent, for a change and stream": ("sent", 1, "", 2),
    "server CPU for a change": ("server_cpu_s", 1000, "ms", 2),
    "client CPU for a change": ("client_cpu_s", 1000, "ms", 2),
    "event loop: longest callback": ("callback_s", 1000, "ms", 1),
    "event loop: longest callback, processor time": ("callback_cpu_s", 1000, "ms", 1),
    "event loop: longest turn": ("turn_s", 1000, "ms", 1),
    "event loop: longest turn, processor time": ("turn_cpu_s", 1000, "ms", 1),
    "timer of 1 ms late: median": ("late_median_s", 1000, "ms", 1),
    "timer of 1 ms late: 99th percentile": ("late_p99_s", 1000, "ms", 1),
    "timer of 1 ms late: most": ("late_s", 1000, "ms", 1),
    "thread of the loop was not let run, in all": ("waited_s", 1, "s", 2),
}


class Churn(Round):
    """One contestant, and changes that do not wait for it."""

    def __init__(self, contestant: Contestant, work: ChurnWork, churned: Churned, log: Path) -> None:
        super().__init__(contestant, work, Measured(), log)
        self._rate = work.rate
        self._churned = churned

    async def run(self) -> None:
        async with self.at_work() as client:
            changes = next_changes(self._work.updates, self._work.services)
            numbers, addresses = zip(*changes, strict=True)
            client.tell(do="follow", services=numbers, addresses=addresses)
            await client.hear("following")
            client.tell(do="count")
            before = await client.hear("counted")
            before_s = cpu_s(self._contestant.pid)
            if isinstance(self._contestant, Probed):
                self._contestant.begin_probe()
            made_at_s = await self._make(changes)
            self._churned.take(await self._staleness(client, made_at_s))
            if isinstance(self._contestant, Probed):
                self._churned.take(await self._contestant.end_probe())
            await asyncio.sleep(SETTLE_S)
            count = self._work.updates
            client.tell(do="count")
            after = await client.hear("counted")
            self._churned.take(
                {
                    "made_a_s": (count - 1) / (made_at_s[-1] - made_at_s[0]),
                    "server_cpu_s": (cpu_s(self._contestant.pid) - before_s) / count,
                    "client_cpu_s": (after["cpu_s"] - before["cpu_s"]) / count,
                    "sent": (after["resources"] - before["resources"]) / count / self._work.streams,
                }
            )

    async def _make(self, changes: list[tuple[int, str]]) -> list[float]:
        """Make the changes; return when each was made."""
        began_s = time.monotonic()
        making = []
        for count, (number, address) in enumerate(changes):
            await asyncio.sleep(max(0.0, began_s + count / self._rate - time.monotonic()))
            making.append(asyncio.create_task(self._contestant.change(number, address)))
        return await asyncio.gather(*making)

    async def _staleness(self, client: Process, made_at_s: list[float]) -> dict[str, float]:
        client.tell(do="staleness", made_at_s=made_at_s, wait_s=WAIT_S)
        found = await client.hear("staleness")
        if found["last_at_s"]:
            found["catch_up_s"] = found["last_at_s"] - made_at_s[-1]
            found["everywhere_a_s"] = found["everywhere"] / (found["last_at_s"] - made_at_s[0])
        return found


async def churn(work: ChurnWork, rounds: int, only: set[str]) -> dict[str, Churned]:
    churned: dict[str, Churned] = defaultdict(Churned)

    async def run(contestants: list[Contestant], directory: Path) -> AsyncIterator[str]:
        for one in contestants:
            await Churn(one, work, churned[one.name], directory / f"{one.name}.log").run()
            took_longest = [f"  {text}" for text in churned[one.name].longest[-1:] for text in text]
            yield "\n".join([f"{one.name}: {compared_table.line(churned[one.name], ROWS)}", *took_longest])

    await in_turn(work.services, rounds, only, run)
    return churned


def report(work: ChurnWork, rounds: int) -> compared_table.Report:
    return compared_table.Report(
        name=f"churn-{work.name}-{work.streams}-streams-{work.services}-services",
        title=f"{work.rate:g} endpoint changes a second, {work.streams} {work.variant} streams, {work.services} services",
        how=(
            f"Medians over {rounds} rounds of {work.updates} changes each, of one service after the other, and a wait of at most "
            f"{WAIT_S:g} s. In brackets: ours as a multiple of that server's. `bench/churn.py` says what is measured."
        ),
        rows=ROWS,
        work=work,
    )


def main() -> None:
    parser = options(__doc__, updates=0)
    add_rounds(parser, rounds=1, only="ours,gcp,floor")
    parser.add_argument("--rate", type=float, default=100.0, help="changes a second")
    parser.add_argument("--seconds", type=float, default=20.0, help="how long they go on, if --updates says nothing else")
    given = parser.parse_args()
    updates = given.updates or int(given.seconds * given.rate)
    work = ChurnWork(given.streams, given.services, updates, delta=not given.sotw, rate=given.rate)
    if only := prepare(given.only):
        churned = asyncio.run(churn(work, given.rounds, only))
        print(compared_table.write(report(work, given.rounds), churned))


if __name__ == "__main__":
    main()
