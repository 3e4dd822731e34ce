"""The Go programs of the comparison, built once into `.cache/bench`, and processes that speak JSON lines."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from built_once import built_once, built_place

if TYPE_CHECKING:
    from collections.abc import Sequence

HERE = Path(__file__).parent
GO = HERE / "go"
CACHE = HERE.parent / ".cache" / "bench"
BUILD_S = 3600
ANSWER_S = 900
"""After which whoever has not answered never will."""


def programs() -> Path:
    """Return the directory of the load client and go-control-plane's server, built if they are not yet."""
    return _built("small", "./loadclient", "./gcp")


def istiod() -> Path:
    """Return istiod, built if it is not yet: that takes minutes."""
    return _built("istiod", "istio.io/istio/pilot/cmd/pilot-discovery", pattern="go.*") / "pilot-discovery"


def _built(name: str, *packages: str, pattern: str = "*") -> Path:
    """Return the directory of some of the module's programs, which depend on the files of this pattern."""

    def build(draft: Path) -> None:
        command = ("go", "build", "-buildvcs=false", "-ldflags", "-s -w", "-o", "bin/", *packages)
        subprocess.run(command, cwd=draft, check=True, timeout=BUILD_S)

    return built_once(CACHE, name, GO, build, pattern) / "bin"


def missing() -> str:
    """Return why there are no programs; "" if there are, or can be."""
    return "" if built_place(CACHE, "small", GO).exists() or shutil.which("go") else "needs Go"


class Process:
    """A process that is told things and answers, in JSON objects, one a line; it ends when its stdin does."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.pid = process.pid

    @classmethod
    async def start(cls, command: Sequence[object], log: Path) -> Self:
        pipe = asyncio.subprocess.PIPE
        with log.open("ab") as errors:
            return cls(await asyncio.create_subprocess_exec(*map(str, command), stdin=pipe, stdout=pipe, stderr=errors))

    def tell(self, **what: object) -> None:
        assert self._process.stdin
        self._process.stdin.write(json.dumps(what).encode() + b"\n")

    async def hear(self, event: str = "") -> dict[str, Any]:
        """Return what it says next, which must be this event.

        Raises:
            EOFError: it has ended.
            TimeoutError: it is silent.
        """
        assert self._process.stdout
        line = await asyncio.wait_for(self._process.stdout.readline(), ANSWER_S)
        if not line:
            raise EOFError(f"process {self.pid} has ended with status {await self._process.wait()}")
        told = json.loads(line)
        assert told.get("event", "") == event, told
        return told

    async def stop(self) -> None:
        assert self._process.stdin
        self._process.stdin.close()
        try:
            await asyncio.wait_for(self._process.wait(), 10)
        except TimeoutError:
            self._process.kill()
            await self._process.wait()


def cpu_s(pid: int) -> float:
    """Return the processor time that a process has taken, in user and kernel mode, in all its threads."""
    return time.clock_gettime((~pid << 3) | 2)  # what clock_getcpuclockid(3) gives: /proc tells hundredths of a second alone


def memory_mib(pid: int) -> tuple[float, float]:
    """Return (resident now, resident at most so far) of a process."""
    told = Path(f"/proc/{pid}/status").read_text()
    now, most = (re.search(rf"{name}:\s+(\d+) kB", told) for name in ("VmRSS", "VmHWM"))
    assert now
    assert most
    return int(now[1]) / 1024, int(most[1]) / 1024
