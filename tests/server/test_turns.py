"""Whoever comes when a turn of the event loop has taken long enough waits for the next one."""

import asyncio
from types import SimpleNamespace

import pytest

from xds.server import turns as module
from xds.server.turns import LEAST, PATIENT, TURN_S, WOKEN, Turns


@pytest.fixture
def clock(monkeypatch):
    """A clock that stands until it is moved."""
    found = SimpleNamespace(now_s=100.0)
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: found.now_s))
    return found


def asked_often(turns):
    return [turns.is_over() for _ in range(LEAST)][-1]


async def test_a_turn_is_over_once_it_has_taken_long_enough(clock):
    turns = Turns()
    assert not asked_often(turns)
    assert not turns.is_over()
    clock.now_s += 2 * TURN_S
    assert turns.is_over()
    await asyncio.sleep(0)
    assert not turns.is_over()


async def test_what_is_done_before_anybody_asks_counts_and_yet_some_go_on(clock):
    turns = Turns()
    turns.is_over()
    await asyncio.sleep(0)
    clock.now_s += 2 * TURN_S  # others had much to do in this turn
    assert [turns.is_over() for _ in range(LEAST + 2)] == [False] * LEAST + [True] * 2
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    clock.now_s += 2 * TURN_S  # while nobody asked, nobody kept time
    assert not asked_often(turns)
    assert not turns.is_over()


async def test_who_waits_goes_on_in_later_turns(clock):
    turns, gone_on, turn, streams = Turns(), [], 0, 5 * LEAST

    async def write(number):
        if turns.is_over():
            await turns.wait()
        gone_on.append((turn, number))
        clock.now_s += TURN_S * 0.6

    async with asyncio.timeout(10), asyncio.TaskGroup() as tasks:
        for number in range(streams):
            tasks.create_task(write(number))
        while len(gone_on) < streams:
            await asyncio.sleep(0)
            turn += 1
    in_turns = [at for at, _ in gone_on]
    assert max(in_turns.count(at) for at in in_turns) <= LEAST + 1
    assert [number for _, number in gone_on] == list(range(streams)), "who has waited longest goes first"


async def test_those_who_give_up_keep_nobody_waiting(clock):
    turns, gone_on = Turns(), []

    async def spend():
        asked_often(turns)
        clock.now_s += 2 * TURN_S

    async def write(number):
        await turns.wait()
        gone_on.append(number)

    spending = asyncio.create_task(spend())
    first, second, rest = ([asyncio.create_task(write((wave, number))) for number in range(WOKEN)] for wave in range(3))
    await spending
    for wave in (first, second):  # each once it was woken, and before it has had its look
        for task in wave:
            task.cancel()
        await asyncio.sleep(0)
    async with asyncio.timeout(10):
        await asyncio.gather(*rest)
    assert gone_on == [(2, number) for number in range(WOKEN)]


async def test_the_patient_let_others_go_first_and_go_on_all_the_same(clock):
    turns, gone_on = Turns(), []

    async def write(number, *, patient):
        await turns.wait(patient=patient)
        gone_on.append(("patient" if patient else "other", number))
        clock.now_s += 2 * TURN_S

    async def spend():
        asked_often(turns)
        clock.now_s += 2 * TURN_S

    async with asyncio.timeout(10), asyncio.TaskGroup() as tasks:
        tasks.create_task(spend())
        for number in range(30):
            tasks.create_task(write(number, patient=True))
        for number in range(30):
            tasks.create_task(write(number, patient=False))
    assert [number for who, number in gone_on if who == "patient"] == list(range(30))
    assert [number for who, number in gone_on if who == "other"] == list(range(30))
    last_of_others = max(place for place, (who, _) in enumerate(gone_on) if who == "other")
    before = [who for who, _ in gone_on[:last_of_others]].count("patient")
    assert PATIENT <= before < 30 * PATIENT


async def test_who_comes_goes_behind_who_was_woken(clock):
    turns, gone_on, coming = Turns(), [], [0]
    loop = asyncio.get_running_loop()

    async def write(name):
        if turns.is_over():
            await turns.wait()
        gone_on.append(name)
        clock.now_s += TURN_S / 4

    def come():
        """Have more come in each turn than can go on in it."""
        coming[0] += 1
        tasks.extend(loop.create_task(write("newcomer")) for _ in range(2 * LEAST))
        if coming[0] < 50:
            loop.call_soon(come)

    tasks = []
    come()
    await asyncio.sleep(0)
    first = loop.create_task(write("first"))
    async with asyncio.timeout(10):
        await first
        assert coming[0] < 50, "while others go on coming"
        coming[0] = 50
        await asyncio.gather(*tasks)
