"""Guard against regressions: what ours costs as a ratio to the floor of the same run, against the ratios that are committed.

    make bench-check
    PYTHONPATH=e2e:tests/interop .venv/bin/python bench/check.py [--accept]

A small form of the comparison, of ours and the floor alone, one after the other in each of three rounds. It fails if, twice in a
row, the same ratio is over 1.5 times what `bench/expected.json` has; `--accept` writes what was measured there instead.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import sys
from pathlib import Path
from typing import Final

from compare import compare
from compared_options import prepare
from rounds import Work

EXPECTED: Final = Path(__file__).parent / "expected.json"
WORK: Final = Work(streams=200, services=200, updates=15, delta=True)
WHO: Final = {"ours", "floor"}
ROUNDS: Final = 3
WORSE: Final = 1.5
RATIOS: Final = {
    "first sync": "sync_s",
    "server CPU for it": "sync_cpu_s",
    "update to the last stream": "update_s",
    "server CPU for an update": "update_cpu_s",
    "server CPU for a reconnect": "reconnect_cpu_s",
    "resident memory": "resident_mib",
}
"""What is compared -> the field of `rounds.Measured`."""


def measure() -> dict[str, float]:
    """Return the ratios of ours to the floor: of medians."""
    found = asyncio.run(compare(WORK, ROUNDS, WHO))
    return {
        name: round(statistics.median(getattr(found["ours"], field)) / statistics.median(getattr(found["floor"], field)), 2)
        for name, field in RATIOS.items()
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--accept", action="store_true", help="commit to what is measured now")
    given = parser.parse_args()
    if not prepare(WHO):
        return 0
    if given.accept:
        EXPECTED.write_text(json.dumps(measure(), indent=2) + "\n")
        return 0
    expected: dict[str, float] = json.loads(EXPECTED.read_text())
    worse = set(expected)
    for attempt in (1, 2):
        found = measure()
        worse &= {name for name, ratio in expected.items() if found[name] > WORSE * ratio}
        for name, ratio in expected.items():
            print(f"{name}: {found[name]:.2f} of the floor; {ratio:.2f} is expected" + (", TOO MUCH" if name in worse else ""))
        if not worse:
            return 0
        print(f"run {attempt} of 2 is over {WORSE} times of what is expected")
    return 1


if __name__ == "__main__":
    sys.exit(main())
