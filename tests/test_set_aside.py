"""What the garbage collector has looked at once is set aside, and everything is as before afterwards."""

import asyncio
import gc
import os
import platform
import weakref
from pathlib import Path

import pytest

from xds import garbage


class Node:
    """Something that refers to itself."""

    def __init__(self):
        self.me = self


@pytest.mark.parametrize("full_s", [0.05, 3600])
async def test_what_was_looked_at_once_is_looked_through_seldom(monkeypatch, full_s):
    monkeypatch.setattr(garbage, "FULL_S", full_s)
    before, old = gc.get_threshold(), Node()
    tending = asyncio.create_task(garbage.tend())
    await asyncio.sleep(0)
    young = Node()
    known_old, known_young = weakref.ref(old), weakref.ref(young)
    del old, young
    gc.collect(0)
    assert known_young() is None
    await asyncio.sleep(0.2)
    assert (known_old() is None) is (full_s < 1)
    assert gc.get_freeze_count()
    tending.cancel()
    await asyncio.gather(tending, return_exceptions=True)
    assert (gc.get_threshold(), gc.get_freeze_count()) == (before, 0)
    gc.collect()
    assert known_old() is None


BLOCK, BLOCKS = 64 << 10, 2000
"""Small enough to be taken of the heap, and together enough to be seen."""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries cannot be told to give memory back")
async def test_what_is_free_goes_back_to_the_system(monkeypatch):
    monkeypatch.setattr(garbage, "YOUNG_S", 0.02)
    monkeypatch.setattr(garbage, "TRIM_S", 0.02)
    blocks = [bytes([number % 256]) * BLOCK for number in range(BLOCKS)]
    held = blocks[-1]  # above the others, which by itself keeps them from going back
    with_blocks = resident_bytes()
    del blocks
    tending = asyncio.create_task(garbage.tend())
    async with asyncio.timeout(10):
        while resident_bytes() > with_blocks - BLOCK * BLOCKS // 2:  # noqa: ASYNC110 - nothing says so
            await asyncio.sleep(0.01)
    tending.cancel()
    await asyncio.gather(tending, return_exceptions=True)
    assert len(held) == BLOCK


def resident_bytes():
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
