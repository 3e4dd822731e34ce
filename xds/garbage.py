"""The garbage collector of a process that holds much for long.

The model, the snapshots, and what is known of each stream live for long, and reference counts free them. To look through all
of it for cycles finds next to nothing and stops the event loop meanwhile; left to itself, the collector does so again and again
while streams are written, since each leaves some objects behind: with 1,000 streams that took a third of the processor time of a
change. So what was looked at once is set aside, where collections do not look, and everything is looked through now and then.

What is freed is not given back by itself: a C library keeps it for later. A crowd of 1,000 that comes back, each saying what it
holds, left behind half as much again as was in use.
"""

from __future__ import annotations

import asyncio
import ctypes
import gc
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

YOUNG: Final = 20_000
"""Objects made, less those that are gone, after which the new ones are looked through."""
YOUNG_S: Final = 0.5
"""How often the new ones are looked through anyway: where as many old ones go as new ones come, the number above is not reached
for long, and then there are many."""
FULL_S: Final = 600.0
"""How often everything is looked through: for what exceptions keep alive of streams that have ended."""
TRIM_S: Final = 10.0
"""How often what is free goes back to the system."""
_LIBC: Final = ctypes.CDLL(None)


@contextmanager
def postponed() -> Iterator[None]:
    """Look for none meanwhile, nor afterwards in what was made: what imports make, stays."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


async def tend() -> None:
    """Tend the garbage of this process until cancelled; then the collector is as it was."""
    before = gc.get_threshold()
    gc.set_threshold(YOUNG, *before[1:])
    gc.callbacks.append(_set_aside)
    gc.freeze()
    try:
        looked_at_all_s = given_back_s = time.monotonic()
        while True:
            await asyncio.sleep(min(YOUNG_S, FULL_S))
            if time.monotonic() >= given_back_s + TRIM_S:
                give_back()
                given_back_s = time.monotonic()
            if time.monotonic() < looked_at_all_s + FULL_S:
                gc.collect(0)
            else:
                gc.unfreeze()
                gc.collect()
                looked_at_all_s = time.monotonic()
    finally:
        gc.callbacks.remove(_set_aside)
        gc.set_threshold(*before)
        gc.unfreeze()


def give_back() -> None:
    """Give memory that is free back to the system, where the C library can (glibc).

    Takes 0.04 ms for each MiB that goes back, and 0.7 ms if that is next to nothing. In a thread it would take no less: whoever
    needs memory meanwhile waits for the library.
    """
    if hasattr(_LIBC, "malloc_trim"):
        _LIBC.malloc_trim(0)


def _set_aside(phase: str, _: dict[str, Any]) -> None:
    if phase == "stop":
        gc.freeze()
