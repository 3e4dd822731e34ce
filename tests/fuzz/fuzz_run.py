"""Fuzzes one target with atheris, guided by coverage: `fuzz_run.py TARGET SECONDS [FILE…]`; `make fuzz` runs them all.

With files, runs those alone. What is found new goes to `.cache/fuzz/TARGET`, an input that fails to
`.cache/fuzz/TARGET-crash-…`; what is worth keeping is copied to `tests/fuzz/corpus/TARGET` by hand.
"""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import atheris

HERE = Path(__file__).parent
FOUND = HERE.parents[1] / ".cache" / "fuzz"


def main() -> None:
    target, seconds, *files = sys.argv[1:]
    sys.path[:0] = [str(HERE), str(HERE.parent / "protocol")]
    with atheris.instrument_imports(include=["xds"]):
        module = importlib.import_module(f"fuzz_{target}")
    found = FOUND / target
    found.mkdir(parents=True, exist_ok=True)
    inputs = files or [str(found), str(HERE / "corpus" / target)]
    limits = [f"-max_total_time={seconds}", "-max_len=4096", "-timeout=20", "-rss_limit_mb=2048", "-print_final_stats=1"]
    atheris.Setup([sys.argv[0], *limits, f"-artifact_prefix={FOUND}/{target}-", *inputs], module.run)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
