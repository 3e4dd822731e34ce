"""What the keeper makes of a member that stays silent. Times are virtual."""

from __future__ import annotations

import asyncio

import pytest

from xds.discovery.live.keeper import Keeper
from xds.discovery.live.standing import FOREVER, Patience
from xds.model.events import Health, MemberState, Standing

pytestmark = pytest.mark.looptime
STALE, LOST, CONNECTED = MemberState.STALE, MemberState.LOST, MemberState.CONNECTED


class Member:
    """A member called east, and everything that is told of it."""

    def __init__(self, patience):
        self.told = []
        self.keeper = Keeper("east", self.take, lambda: None, share=0.5, delay_s=600)
        self.keeper.judge.patience = patience

    def take(self, events):
        now_s = asyncio.get_running_loop().time()
        self.told += [(round(now_s - self.began_s, 3), event.state, event.standing) for event in events]

    def say(self, state):
        self.began_s = getattr(self, "began_s", asyncio.get_running_loop().time())
        self.keeper.take([Health("east", state, "no answer" if state is STALE else "")])


async def test_it_is_demoted_and_then_lost_and_back_at_once():
    member = Member(Patience(10, 30))
    member.say(STALE)
    await asyncio.sleep(100)
    member.say(CONNECTED)
    await asyncio.sleep(100)
    assert member.told == [
        (0, STALE, Standing.FULL),
        (10, STALE, Standing.DEMOTED),
        (30, LOST, Standing.REMOVED),
        (100, CONNECTED, Standing.FULL),
    ]


async def test_never_by_default():
    member = Member(FOREVER)
    member.say(STALE)
    await asyncio.sleep(100_000)
    assert member.told == [(0, STALE, Standing.FULL)]


async def test_another_reason_for_silence_does_not_begin_it_anew():
    member = Member(Patience(10))
    member.say(STALE)
    await asyncio.sleep(6)
    member.say(STALE)
    await asyncio.sleep(100)
    assert member.told == [(0, STALE, Standing.FULL), (6, STALE, Standing.FULL), (10, STALE, Standing.DEMOTED)]


async def test_a_patience_that_changes_counts_at_once():
    member = Member(FOREVER)
    member.say(STALE)
    await asyncio.sleep(60)
    member.keeper.judge.patience = Patience(20)
    await asyncio.sleep(10)
    member.keeper.judge.patience = Patience(80)
    await asyncio.sleep(100)
    assert member.told == [
        (0, STALE, Standing.FULL),
        (60, STALE, Standing.DEMOTED),
        (70, STALE, Standing.FULL),
        (80, STALE, Standing.DEMOTED),
    ]


async def test_who_has_left_says_nothing_more():
    member = Member(Patience(10))
    member.say(STALE)
    member.keeper.close()
    await asyncio.sleep(100)
    assert member.told == [(0, STALE, Standing.FULL)]


async def test_a_member_that_its_registry_evicts_from_is_the_last_resort():
    member = Member(Patience(10))
    member.say(CONNECTED)
    await asyncio.sleep(5)
    member.keeper.judge.evicted = "Karmada evicts what runs there"
    member.keeper.judge.evicted = "Karmada evicts what runs there"
    await asyncio.sleep(5)
    member.say(STALE)
    await asyncio.sleep(20)
    member.keeper.judge.evicted = ""
    member.say(CONNECTED)
    assert member.told == [
        (0, CONNECTED, Standing.FULL),
        (5, CONNECTED, Standing.DEMOTED),
        (10, STALE, Standing.DEMOTED),
        (30, STALE, Standing.DEMOTED),
        (30, CONNECTED, Standing.FULL),
    ]
