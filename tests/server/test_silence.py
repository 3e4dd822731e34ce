"""Who says nothing is ended when its own time is over; one timer does for all."""

import asyncio

import pytest
from xds_world import eventually

from xds.server.lifetimes import Silence

LIMIT_S = 0.05


def client(silence, name, ended, said=None):
    """Return a task that waits for what a client says first; `ended` gets the name of who has waited in vain."""

    async def read():
        return await (said or asyncio.get_running_loop().create_future())

    return asyncio.create_task(silence.first(read(), lambda end: ended.append((name, end.code.name))))


async def test_each_has_its_own_time():
    silence, ended, said = Silence(LIMIT_S), [], asyncio.get_running_loop().create_future()
    first, speaks = client(silence, "first", ended), client(silence, "speaks", ended, said)
    await asyncio.sleep(LIMIT_S / 2)
    second = client(silence, "second", ended)
    said.set_result("hello")
    assert await speaks == "hello"
    await eventually(lambda: len(ended) == 2)
    assert ended == [("first", "DEADLINE_EXCEEDED"), ("second", "DEADLINE_EXCEEDED")]
    assert silence._timer is None
    third = client(silence, "third", ended)  # the timer runs again
    await eventually(lambda: len(ended) == 3)
    for task in (first, second, third):
        task.cancel()


async def test_who_leaves_is_forgotten():
    silence, ended = Silence(LIMIT_S), []
    leaves = client(silence, "leaves", ended)
    await asyncio.sleep(0)
    leaves.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leaves
    assert not silence._until_s
    await eventually(lambda: silence._timer is None)
    assert not ended


async def test_an_end_that_fails_costs_the_others_nothing():
    silence, ended = Silence(LIMIT_S), []
    failed, loop = [], asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: failed.append(context["exception"]))

    def fails(_):
        raise ValueError("odd")

    tasks = [
        asyncio.create_task(silence.first(loop.create_future(), fails)),
        client(silence, "other", ended),
    ]
    await eventually(lambda: ended)
    assert [str(error) for error in failed] == ["odd"]
    for task in tasks:
        task.cancel()


async def test_an_end_may_end_another():
    silence, ended = Silence(LIMIT_S), []
    tasks = []

    def ends_others(_):
        ended.append("first")
        silence._until_s.clear()  # as if they had left
        tasks.append(client(silence, "newcomer", ended))

    tasks.append(asyncio.create_task(silence.first(asyncio.get_running_loop().create_future(), ends_others)))
    tasks.append(client(silence, "second", ended))
    await eventually(lambda: len(ended) == 2)
    assert ended == ["first", ("newcomer", "DEADLINE_EXCEEDED")]
    for task in tasks:
        task.cancel()
