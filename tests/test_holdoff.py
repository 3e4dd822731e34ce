"""The hold-off's window: short when little happens, longer the longer the work takes. The clock is the loop's, set by hand."""

from __future__ import annotations

import asyncio

import pytest

from xds.holdoff import Holdoff


class Timers:
    """A loop's timers, by a clock that stands still."""

    def __init__(self, monkeypatch):
        self.now_s, self.due = 100.0, []
        loop = asyncio.get_running_loop()
        monkeypatch.setattr(loop, "time", lambda: self.now_s)
        monkeypatch.setattr(loop, "call_at", self.call_at)

    def call_at(self, at_s, _work):
        self.due.append(round(at_s - 100, 3))
        return asyncio.Handle(lambda: None, (), asyncio.get_running_loop())


@pytest.mark.parametrize(
    ("took_s", "due"),
    [(0.0, [0.05, 0.45, 0.5]), (0.2, [0.2, 0.5, 0.5]), (2.0, [2.0, 2.0, 2.0])],
)
async def test_the_window_grows_with_what_the_work_takes(monkeypatch, took_s, due):
    with monkeypatch.context() as patched:
        timers = Timers(patched)
        holdoff = Holdoff(lambda: None, quiet_s=0.05, max_delay_s=0.5)
        holdoff.took(took_s)
        for at_s in (100.0, 100.4, 100.49):
            timers.now_s = at_s
            holdoff.changed()
    assert timers.due == due
