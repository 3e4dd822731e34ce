"""The hold-off's window: short when little happens, longer the longer the work takes. The clock is the loop's, set by hand."""

from __future__ import annotations

import asyncio

import pytest

from xds.holdoff import Holdoff


class Timers:
    """A loop's timers, by a clock that is set by hand."""

    def __init__(self, monkeypatch):
        self.now_s, self.due = 0.0, []
        loop = asyncio.get_running_loop()
        monkeypatch.setattr(loop, "time", lambda: self.now_s)
        monkeypatch.setattr(loop, "call_at", self.call_at)

    def call_at(self, at_s, work):
        timer = Timer(at_s, work, self.due.remove)
        self.due.append(timer)
        return timer

    def go_on(self, until_s):
        """Let time pass."""
        while self.due and (timer := min(self.due, key=Timer.when)).when() <= until_s:
            self.due.remove(timer)
            self.now_s = timer.when()
            timer.work()
        self.now_s = until_s


class Timer:
    def __init__(self, at_s, work, cancel):
        self.at_s, self.work, self._cancel = at_s, work, cancel

    def when(self):
        return self.at_s

    def cancel(self):
        self._cancel(self)


@pytest.fixture
def timers(monkeypatch):
    with monkeypatch.context() as patched:

        async def of_the_running_loop():
            return Timers(patched)

        yield of_the_running_loop


@pytest.mark.parametrize(
    ("took_s", "changes_at_s", "done_at_s"),
    [
        (0.0, [0.0], [0.05]),
        (0.0, [0.0, 0.03, 0.06], [0.11]),
        (0.0, [0.0, 0.4], [0.05, 0.45]),
        (0.0, [number * 0.04 for number in range(26)], [0.5, 1.02]),
        (0.2, [0.0, 0.15, 0.25], [0.45]),
        (0.2, [0.0, 0.15, 0.3, 0.45], [0.5]),
        (2.0, [0.0, 1.9], [2.0]),
    ],
)
async def test_the_window_grows_with_what_the_work_takes(timers, took_s, changes_at_s, done_at_s):
    clock, done = await timers(), []
    holdoff = Holdoff(lambda: done.append(round(clock.now_s, 3)), quiet_s=0.05, max_delay_s=0.5)
    holdoff.took(took_s)
    for at_s in changes_at_s:
        clock.go_on(at_s)
        holdoff.changed()
        assert len(clock.due) == 1
    clock.go_on(10.0)
    assert done == done_at_s
    assert not clock.due


async def test_work_that_takes_less_than_it_did_is_not_waited_for_as_long(timers):
    clock, done = await timers(), []
    holdoff = Holdoff(lambda: done.append(round(clock.now_s, 3)), quiet_s=0.05, max_delay_s=0.5)
    holdoff.took(5.0)
    holdoff.changed()
    clock.go_on(0.1)
    holdoff.took(0.0)
    holdoff.changed()
    clock.go_on(10.0)
    assert done == [0.15]


async def test_what_was_noted_can_be_forgotten(timers):
    clock, done = await timers(), []
    holdoff = Holdoff(lambda: done.append(clock.now_s), quiet_s=0.05, max_delay_s=0.5)
    holdoff.changed()
    holdoff.cancel()
    clock.go_on(10.0)
    assert not done
    holdoff.changed()
    clock.go_on(20.0)
    assert done == [10.05]
