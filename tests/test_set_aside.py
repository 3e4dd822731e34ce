"""What the garbage collector has looked at once is set aside, and everything is as before afterwards."""

import asyncio
import gc
import weakref

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
