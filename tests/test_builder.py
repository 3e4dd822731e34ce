"""The builder: views in slices, one at a time, and what waits for them."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager

import pytest

from xds import builder as builder_module
from xds.builder import Builder


class Views:
    """Views whose builds take some steps; `LiveViews` as the builder sees it."""

    def __init__(self):
        self.behind, self.wanted, self.built = [], [], []
        self.broken = set()

    @property
    def is_behind(self):
        return bool(self.behind)

    def want(self, view):
        self.wanted.append(view)

    def next_build(self, *, first_alone=False):
        queue = self.wanted or ([] if first_alone else self.behind)
        return (queue[0], self.steps(queue, queue[0])) if queue else None

    def steps(self, queue, view):
        for _ in range(20):
            yield
        queue.remove(view)
        if view in self.broken:
            raise RuntimeError(view)
        self.built.append(view)


@pytest.fixture
def views(monkeypatch):
    monkeypatch.setattr(builder_module, "SLICE_S", 0)
    return Views()


@asynccontextmanager
async def building(views, begin=lambda: None):
    done = []
    made = Builder(views, begin, done.append)
    task = asyncio.create_task(made.run())
    yield made, done
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def turns():
    """Let others have their turns until nothing happens any more."""
    for _ in range(300):
        await asyncio.sleep(0)


async def test_others_have_their_turn_between_slices(views):
    async with building(views) as (builder, _):
        seen, waiting = 0, asyncio.create_task(builder.build("a"))
        while not waiting.done():
            seen += 1
            await asyncio.sleep(0)
        assert seen > 20


async def test_many_that_wait_for_one_view_have_it_built_once(views):
    async with building(views) as (builder, _):
        await asyncio.gather(*(builder.build("a") for _ in range(5)), builder.build("b"))
    assert views.built == ["a", "b"]


async def test_who_leaves_takes_nothing_from_who_waits(views):
    async with building(views) as (builder, _):
        first, second = (asyncio.create_task(builder.build("a")) for _ in range(2))
        await asyncio.sleep(0)
        first.cancel()
        await second
    assert views.built == ["a"]


async def test_a_view_that_fails_fails_for_who_waits_for_it_alone(views):
    views.broken = {"bad"}
    async with building(views) as (builder, _):
        bad, good = (asyncio.create_task(builder.build(name)) for name in ("bad", "good"))
        await good
        with pytest.raises(RuntimeError, match="bad"):
            await bad


async def test_a_batch_that_is_due_begins_between_views(views):
    def begin():
        begun.append(list(views.built))
        views.behind += ["live"]

    begun = []
    async with building(views, begin) as (builder, done):
        waiting = asyncio.create_task(builder.build("a"))
        for _ in range(5):
            await asyncio.sleep(0)
        builder.batch_due()
        await waiting
        await turns()
        assert begun == [["a"]]
        assert views.built == ["a", "live"]
        assert len(done) == 1


async def test_live_views_wait_while_clients_move_to_others(views):
    async with building(views) as (builder, done):
        builder.hold()
        views.behind += ["live"]
        builder.batch_begun()
        await builder.build("theirs")
        await turns()
        assert views.built == ["theirs"]
        builder.go_on()
        await turns()
        assert views.built == ["theirs", "live"]
        assert len(done) == 1
