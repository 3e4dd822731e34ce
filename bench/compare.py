"""Compare our control plane with its peers, and with the floor, on the same work in one run, in turns.

    make bench
    PYTHONPATH=e2e:tests/interop .venv/bin/python bench/compare.py [--streams N] [--services N] [--sotw] [--small] [--only NAMES]

Writes a table to `bench/results`. What is measured, for each server: the time until all streams have everything, and its
processor time and resident memory for it; the time from a change of one endpoint until the last stream has it, and the processor
time; the time that all streams need to connect anew with what they have, once with a change right behind and once with nothing
new, and what they are sent then. Nobody is pinned to a processor.

In each round all run at once, and one works while the others idle: each has its first sync, then one after the other is given a
change, again and again, then each reconnects. So what the machine does in the course of minutes, it does to all. Those that read
API servers would all hear of a change, so each of them has a round for itself.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

import compared_table
from compared_options import add_rounds, options, prepare, work_of
from live_contestants import LIVE
from rounds import ROWS, Measured, Round, Work, in_turn, rotated

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from contestants import Contestant

RECONNECTS = 3
"""Of each kind, in each round; one of those that read API servers, since istiod takes a minute."""


async def compare(work: Work, rounds: int, only: set[str]) -> dict[str, Measured]:
    measured: dict[str, Measured] = defaultdict(Measured)

    async def run(contestants: list[Contestant], directory: Path) -> AsyncIterator[str]:
        async with AsyncExitStack() as stack:
            found = [Round(one, work, measured[one.name], directory / f"{one.name}.log") for one in contestants]
            running = [(one, await stack.enter_async_context(one.at_work())) for one in found]
            for number in range(work.updates):
                for one, client in rotated(running, number):  # nobody always comes after the same
                    await one.update(client)
            for one in contestants:
                measured[one.name].average(work.updates)
            for one, client in running if {one.name for one in contestants} & LIVE else running * RECONNECTS:
                await one.reconnect(client)
                await one.reconnect_unchanged(client)
        for one in contestants:
            yield f"{one.name}: {compared_table.line(measured[one.name], ROWS)}"

    await in_turn(work.services, rounds, only, run, together=True)
    return measured


def report(work: Work, rounds: int, who: set[str]) -> compared_table.Report:
    turns = "each server had a round for itself" if who <= LIVE else "one server after the other was given one"
    return compared_table.Report(
        name=f"{'live-' if who <= LIVE else ''}{work.name}-{work.streams}-streams-{work.services}-services",
        title=f"{work.streams} {work.variant} streams, {work.services} services with 10 endpoints",
        how=(
            f"Medians over {rounds} rounds and {work.updates * rounds} updates; {turns}. "
            "In brackets: ours as a multiple of that server's."
        ),
        rows=ROWS,
        work=work,
    )


def main() -> None:
    parser = options(__doc__, updates=10)
    add_rounds(parser, rounds=3, only="ours,gcp,floor,ours-live,istiod")
    parser.add_argument("--small", action="store_true", help="100 streams and 100 services")
    given = parser.parse_args()
    if given.small:
        given.streams = given.services = 100
    work = work_of(given)
    if only := prepare(given.only):
        measured = asyncio.run(compare(work, given.rounds, only))
        print(compared_table.write(report(work, given.rounds, only), measured))


if __name__ == "__main__":
    main()
