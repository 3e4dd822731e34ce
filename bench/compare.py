"""Compare our control plane with its peers, and with the floor, on the same work in one run, one after the other in each round.

    make bench
    PYTHONPATH=e2e:tests/interop .venv/bin/python bench/compare.py [--streams N] [--services N] [--sotw] [--small] [--only NAMES]

Writes a table to `bench/results`. What is measured, for each server: the time until all streams have everything, and its
processor time and resident memory for it; the time from a change of one endpoint until the last stream has it, and the processor
time; the time that all streams need to connect anew with what they have, once with a change right behind and once with nothing
new, and what they are sent then. Nobody is pinned to a processor.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from typing import TYPE_CHECKING

import compared_table
from compared_options import add_rounds, options, prepare, work_of
from live_contestants import LIVE
from rounds import ROWS, Measured, Round, Work, in_turn

if TYPE_CHECKING:
    from pathlib import Path

    from contestants import Contestant


async def compare(work: Work, rounds: int, only: set[str]) -> dict[str, Measured]:
    measured: dict[str, Measured] = defaultdict(Measured)

    async def run(one: Contestant, log: Path) -> str:
        await Round(one, work, measured[one.name], log).run()
        return compared_table.line(measured[one.name], ROWS)

    await in_turn(work.services, rounds, only, run)
    return measured


def report(work: Work, rounds: int, who: set[str]) -> compared_table.Report:
    return compared_table.Report(
        name=f"{'live-' if who <= LIVE else ''}{work.name}-{work.streams}-streams-{work.services}-services",
        title=f"{work.streams} {work.variant} streams, {work.services} services with 10 endpoints",
        how=(
            f"Medians over {rounds} rounds, in each of which every server ran, one after the other; {work.updates * rounds} "
            "updates. In brackets: ours as a multiple of that server's."
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
