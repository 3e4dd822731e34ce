"""Where our control plane spends its time: in the first sync of a crowd, in changes of one endpoint, and in a reconnect.

    make profile

Prints, for each, the functions with the largest shares of the samples, by what they do themselves and with what they call; the
whole goes to `bench/results/profile-*.txt`, a line for each stack, as flame graph programs read it.
"""

from __future__ import annotations

import asyncio
import signal
import sys
import tempfile
from collections import Counter
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from compared_options import options, prepare, work_of
from compared_table import RESULTS, line
from contestants import in_process
from rounds import ROWS, Measured, Round, Work

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from compared_programs import Process

SHOWN = 25
SAMPLES_A_S = 200


class Profiled(Round):
    """Our control plane at work, sampled by py-spy."""

    async def run(self) -> None:
        await self._contestant.start(self._log)
        try:
            client = await self._client()
            for name, step in {"first-sync": self._first_sync, "updates": self._updates, "reconnect": self.reconnect}.items():
                async with sampled(name, self._contestant.pid):
                    await step(client)
            await client.stop()
        finally:
            await self._contestant.stop()

    async def _updates(self, client: Process) -> None:
        for _ in range(self._work.updates):
            await self.update(client)


@asynccontextmanager
async def sampled(name: str, pid: int) -> AsyncIterator[None]:
    file = RESULTS / f"profile-{name}.txt"
    spy = Path(sys.executable).with_name("py-spy")
    flags = ("--pid", pid, "--format", "raw", "--output", file, "--rate", SAMPLES_A_S, "--duration", 3600)
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        str(spy), "record", *map(str, flags), stdout=pipe, stderr=asyncio.subprocess.STDOUT
    )
    assert process.stdout
    await process.stdout.readline()  # that it samples
    yield
    process.send_signal(signal.SIGINT)
    told = (await process.communicate())[0]
    if not file.exists():
        raise RuntimeError(told.decode())
    print(f"\n{name}\n", *shares(file.read_text()), sep="\n")


def shares(stacks: str) -> list[str]:
    """Return lines on the functions with the largest shares."""
    own, whole = Counter[str](), Counter[str]()
    for text in stacks.splitlines():
        stack, _, count = text.rpartition(" ")
        functions = [frame.rpartition(":")[0] or frame for frame in stack.split(";")]
        own[functions[-1]] += int(count)
        whole.update(dict.fromkeys(functions, int(count)))
    total = own.total()
    columns = zip(own.most_common(SHOWN), whole.most_common(SHOWN), strict=False)
    return [f"{left[1] / total:6.1%}  {left[0]:60}  {right[1] / total:6.1%}  {right[0]}" for left, right in columns]


async def profile(work: Work) -> None:
    RESULTS.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="isthmus-profile-") as text:
        directory = Path(text)
        (ours,) = (one for one in in_process(work.services, directory) if one.name == "ours")
        measured = Measured()
        await Profiled(ours, work, measured, directory / "ours.log").run()
        print(f"\n{line(measured, ROWS)}, all of it slower than without a profiler")


def main() -> None:
    given = options(__doc__, updates=50).parse_args()
    if prepare({"ours"}):
        asyncio.run(profile(work_of(given)))


if __name__ == "__main__":
    main()
