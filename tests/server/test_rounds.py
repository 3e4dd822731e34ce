"""How streams hear of changes: the first at once, what comes meanwhile merged, nobody twice, and nobody too late."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from types import SimpleNamespace

import pytest

from xds.server.hub import Hub
from xds.server.rounds import SLICE, Rounds
from xds.server.turns import Turns
from xds.snapshot.snapshot import ChangeSet

VIEW = "v"


class Listener:
    """A stream that writes down what it is told."""

    def __init__(self):
        self.told = []
        self.wakes = 0

    def on_change(self, change):
        self.told.append(set(change.names["eds"]))

    def wake(self):
        self.wakes += 1


@pytest.fixture
def hub():
    return Hub()


@pytest.fixture
def rounds(hub):
    return Rounds(hub, Listener.wake, Turns())


def streams(hub, number):
    listeners = [Listener() for _ in range(number)]
    for listener in listeners:
        hub.join(VIEW, listener)
        hub.subscribe(listener, "eds", None)
    return listeners


def change(names):
    return ChangeSet(VIEW, {"eds": frozenset(names)})


async def all_over(rounds):
    async with asyncio.timeout(5):
        while rounds._views:  # noqa: ASYNC110 - nothing says so
            await asyncio.sleep(0.001)


async def test_a_few_streams_are_told_at_once(hub, rounds):
    listeners = streams(hub, SLICE)
    assert rounds.publish(change("a")) == SLICE
    assert all((one.told, one.wakes) == ([{"a"}], 1) for one in listeners)
    await all_over(rounds)
    rounds.publish(change("b"))
    assert all((one.told, one.wakes) == ([{"a"}, {"b"}], 2) for one in listeners)
    await all_over(rounds)


async def test_many_are_told_in_turns_of_the_event_loop(hub, rounds):
    listeners = streams(hub, 3 * SLICE + 1)
    assert rounds.publish(change("a")) == 3 * SLICE + 1
    told = [sum(one.wakes for one in listeners)]
    while told[-1] < len(listeners):
        await asyncio.sleep(0)
        told.append(sum(one.wakes for one in listeners))
    assert told == [SLICE, 2 * SLICE, 3 * SLICE, 3 * SLICE + 1]
    assert all(one.told == [{"a"}] for one in listeners)
    await all_over(rounds)


async def test_a_turn_in_which_enough_was_written_is_left_to_others(hub):
    answers = iter([True, True, False, True, False])
    rounds = Rounds(hub, Listener.wake, SimpleNamespace(is_over=lambda: next(answers)))
    listeners = streams(hub, 3 * SLICE)
    rounds.publish(change("a"))
    told = [sum(one.wakes for one in listeners)]
    while told[-1] < len(listeners):
        await asyncio.sleep(0)
        told.append(sum(one.wakes for one in listeners))
    assert told == [SLICE, SLICE, SLICE, 2 * SLICE, 2 * SLICE, 3 * SLICE]
    await all_over(rounds)


async def test_what_changes_meanwhile_is_told_merged(hub, rounds):
    listeners = streams(hub, 2 * SLICE)
    for name in "abc":
        rounds.publish(change(name))
    await all_over(rounds)
    assert all((one.told, one.wakes) == ([{"a"}, {"b", "c"}], 2) for one in listeners)


async def test_whoever_looks_at_the_snapshot_has_heard_of_all_that_is_in_it(hub, rounds):
    listeners = streams(hub, 2 * SLICE)
    rounds.publish(change("a"))
    rounds.publish(change("b"))
    (late, *_) = [one for one in listeners if not one.told]
    rounds.catch_up(VIEW, late)
    assert late.told == [{"a"}, {"b"}]
    rounds.catch_up(VIEW, late)
    await all_over(rounds)
    assert late.told == [{"a"}, {"b"}]
    assert late.wakes == 0


async def test_who_has_left_is_not_told(hub, rounds):
    listeners = streams(hub, 2 * SLICE)
    rounds.publish(change("a"))
    gone = [one for one in listeners if not one.told][:3]
    for one in gone:
        hub.leave(one)
        rounds.leave(VIEW, one)
    rounds.publish(change("b"))
    await all_over(rounds)
    assert [one.told for one in gone] == [[], [], []]


async def test_a_change_that_concerns_nobody(rounds):
    assert rounds.publish(change("a")) == 0
    assert not rounds._views


async def test_a_stream_that_fails_costs_the_others_nothing(hub, rounds, monkeypatch):
    listeners = streams(hub, 3 * SLICE)
    monkeypatch.setattr(listeners[0], "on_change", lambda _: 1 / 0)
    errors = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: errors.append(context["exception"]))
    with suppress(ZeroDivisionError):
        rounds.publish(change("a"))
    await all_over(rounds)
    assert len(errors) <= 1
    assert all(one.told == [{"a"}] for one in listeners[1:])
