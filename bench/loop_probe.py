"""What stops an event loop: a probe inside a process that is measured.

Three things are measured, from `begin` to `end`:

- callbacks: how long each took (a step of a task, or what gRPC or a timer has called), in wall time and in processor time of the
  thread. Wall time contains what the kernel gave to others meanwhile, and waiting for the interpreter lock; processor time does
  not.
- turns: how long the loop took from one look at its sockets and timers to the next, i.e. all callbacks of a turn together.
- a timer of 1 ms: how late it ran. That is what whoever waits feels, and contains all of the above and the kernel's own delay.

The probe itself takes about 2 µs a callback and 3 µs a turn.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
from pathlib import Path
from typing import Any

TIMER_S = 0.001
NOTED_S = 0.005
"""Callbacks that took longer are told of by name."""
TOLD = 5
"""How many of them."""


class LoopProbe:
    """Measures the running event loop."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._selector: Any = self._loop._selector  # type: ignore[attr-defined] # noqa: SLF001
        self._callbacks: list[tuple[float, float, str]] = []
        """(wall, processor time, what) of those that are noted."""
        self._longest = [0.0, 0.0]
        """Of all callbacks: wall, processor time."""
        self._turns = [0.0, 0.0]
        self._late_s: list[float] = []
        self._waited_s = 0.0
        self._undo = contextlib.ExitStack()

    def begin(self) -> None:
        self._undo.callback(setattr, asyncio.Handle, "_run", asyncio.Handle._run)  # noqa: SLF001
        self._undo.callback(delattr, self._selector, "select")
        asyncio.Handle._run = self._timed(asyncio.Handle._run)  # type: ignore[method-assign] # noqa: SLF001
        self._selector.select = self._turning(self._selector.select)
        timer = self._loop.create_task(self._look_at_timer())
        self._undo.callback(timer.cancel)
        self._waited_s = waited_s()

    def end(self) -> dict[str, Any]:
        """Return what was found, in seconds, and stop."""
        self._undo.close()
        late_s = sorted(self._late_s)
        return {
            "callback_s": self._longest[0],
            "callback_cpu_s": self._longest[1],
            "turn_s": self._turns[0],
            "turn_cpu_s": self._turns[1],
            "late_median_s": late_s[len(late_s) // 2] if late_s else math.nan,
            "late_p99_s": late_s[int(0.99 * (len(late_s) - 1))] if late_s else math.nan,
            "late_s": late_s[-1] if late_s else math.nan,
            "waited_s": waited_s() - self._waited_s,
            "longest": [f"{wall * 1e3:.1f} ms ({cpu * 1e3:.1f} ms CPU): {what}" for wall, cpu, what in self._noted()],
        }

    def _noted(self) -> list[tuple[float, float, str]]:
        return sorted(self._callbacks, reverse=True)[:TOLD]

    def _timed(self, run: Any) -> Any:
        def timed(handle: asyncio.Handle) -> None:
            began_s, began_cpu_s = time.perf_counter(), time.thread_time()
            run(handle)
            took_s, took_cpu_s = time.perf_counter() - began_s, time.thread_time() - began_cpu_s
            keep_longer(self._longest, took_s, took_cpu_s)
            if took_s > NOTED_S:
                self._callbacks.append((took_s, took_cpu_s, described(handle)))

        return timed

    def _turning(self, select: Any) -> Any:
        began: list[float] = []

        def turning(timeout: float | None) -> Any:
            if began:
                keep_longer(self._turns, time.perf_counter() - began[0], time.thread_time() - began[1])
            found = select(timeout)
            began[:] = time.perf_counter(), time.thread_time()
            return found

        return turning

    async def _look_at_timer(self) -> None:
        while True:
            due_s = self._loop.time() + TIMER_S
            await asyncio.sleep(TIMER_S)
            self._late_s.append(self._loop.time() - due_s)


def described(handle: asyncio.Handle) -> str:
    """Return what a callback is: of the step of a task, the coroutine of the task."""
    callback: Any = handle._callback  # type: ignore[attr-defined] # noqa: SLF001
    task = getattr(callback, "__self__", None)
    called = task.get_coro() if isinstance(task, asyncio.Task) else getattr(callback, "func", callback)
    return str(getattr(called, "__qualname__", type(called).__qualname__))


def keep_longer(longest: list[float], *took_s: float) -> None:
    longest[:] = map(max, longest, took_s)


def waited_s() -> float:
    """Return for how long this thread could have run and was not let, ever."""
    return int(Path("/proc/thread-self/schedstat").read_text().split()[1]) / 1e9
