"""What one change costs against the number of services: it should not matter how many there are.

    make bench-flat
    PYTHONPATH=e2e:tests/interop .venv/bin/python bench/flat.py [--services N ...] [--streams N] [--only NAME]

A server for each number of services runs all the time, with streams that subscribe to everything, as Envoys do; one after the
other is given a change, again and again, while the rest idle: whatever the machine does meanwhile, it does to all of them. Writes
a table to `bench/results`.
"""

from __future__ import annotations

import asyncio
import math
import tempfile
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import compared_table
from compared_options import options, prepare
from contestants import in_process
from rounds import ROWS, Measured, Round, Work

if TYPE_CHECKING:
    from collections.abc import Mapping


SIZES = [100, 1000, 5000, 10_000]
PAIRS = ((100, 10_000), (1000, 5000))
"""Numbers of services whose costs are compared."""
COSTS = {"time to the last stream": "update_s", "server CPU": "update_cpu_s", "server CPU on average": "mean_cpu_s"}


@dataclass
class FlatWork:
    """What is done."""

    who: str
    streams: int
    services: list[int]
    updates: int
    """For each number of services."""
    delta: bool


async def flat(work: FlatWork) -> dict[str, Measured]:
    measured = {column(services): Measured() for services in work.services}
    async with AsyncExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="isthmus-bench-")))
        rounds = []
        for services in work.services:
            (one,) = (one for one in in_process(services, directory) if one.name == work.who)
            part = Work(work.streams, services, work.updates, work.delta)
            found = Round(one, part, measured[column(services)], directory / f"{services}.log")
            rounds.append((found, await stack.enter_async_context(found.at_work())))
            print(f"{column(services)}: {compared_table.line(measured[column(services)], ROWS)}", flush=True)
        for _ in range(work.updates):
            for found, client in rounds:
                await found.update(client)
    for one in measured.values():
        one.average(work.updates)
    return measured


def column(services: int) -> str:
    return f"{services:,} services"


def ratios(measured: Mapping[str, Measured]) -> str:
    """Return a list of what many services cost as a multiple of what few do."""
    lines = []
    for few, many in PAIRS:
        if column(few) in measured and column(many) in measured:
            shares = (f"{name} {share(measured, column(few), column(many), field):.2f}" for name, field in COSTS.items())
            lines.append(f"- a change with {column(many)} as a multiple of one with {column(few)}: {', '.join(shares)}")
    return "\n".join(lines)


def share(measured: Mapping[str, Measured], few: str, many: str, field: str) -> float:
    return compared_table.median(measured[many], field) / compared_table.median(measured[few], field)


def report(work: FlatWork, measured: Mapping[str, Measured]) -> compared_table.Report:
    first = column(work.services[0])

    def of_first(who: str, medians: Mapping[str, float]) -> float:
        return math.nan if who == first or not medians[first] else medians[who] / medians[first]

    variant = "delta" if work.delta else "sotw"
    return compared_table.Report(
        name=f"flat-{work.who}-{variant}-{work.streams}-streams",
        title=f"One change against the number of services: {work.who}, {work.streams} {variant} streams that subscribe to all",
        how=(
            f"Medians of {work.updates} changes for each number of services, in turn, the other servers idle. In brackets: as a "
            f"multiple of {first}."
        ),
        rows=ROWS,
        work=work,
        bracket=of_first,
        remarks=tuple(filter(None, [ratios(measured)])),
    )


def main() -> None:
    parser = options(__doc__, updates=40, streams=200, services=SIZES)
    parser.add_argument("--only", default="ours", help="one of ours, gcp, gcp-linear, floor")
    given = parser.parse_args()
    work = FlatWork(given.only, given.streams, given.services, given.updates, delta=not given.sotw)
    if prepare({work.who}):
        measured = asyncio.run(flat(work))
        print(compared_table.write(report(work, measured), measured))


if __name__ == "__main__":
    main()
