"""What imports make is not looked through for garbage: it stays."""

from __future__ import annotations

import gc

import pytest

from xds.garbage import postponed


class Node:
    pass


@pytest.fixture(autouse=True)
def nothing_set_aside():
    gc.collect()
    yield
    gc.unfreeze()


def test_what_is_made_meanwhile_is_set_aside():
    looked_at = []

    def note(phase, info):
        looked_at.append((phase, info["generation"]))

    gc.callbacks.append(note)
    try:
        with postponed():
            kept = [Node() for _ in range(10_000)]
        assert looked_at == []
        found = gc.get_objects()
    finally:
        gc.callbacks.remove(note)
    assert not {*map(id, kept)} & {*map(id, found)}
