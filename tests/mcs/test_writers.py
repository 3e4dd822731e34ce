"""Nothing is written before it is known who the members are: what a cluster exports that nobody has named yet is not gone."""

from __future__ import annotations

import asyncio

import pytest
from fleet_world import fleet_of, make

from xds.mcs.world import World
from xds.mcs.writers import Writers
from xds.model.events import FLEET, Health, MemberState, Synced

pytestmark = pytest.mark.looptime
OURS = {"app.kubernetes.io/managed-by": "isthmus"}


class Client:
    """Takes every write."""

    def __init__(self):
        self.deleted = []

    async def apply(self, key, *_, **__):
        raise AssertionError(key)

    async def delete(self, key):
        self.deleted.append(key.name)

    async def read_lease(self, *_):
        return None

    async def write_lease(self, *_, **__):
        return True


async def test_what_is_imported_stays_until_the_members_are_known():
    written = make("ServiceImport", "web", metadata={"labels": OURS}, status={"clusters": [{"cluster": "east"}]})
    fleet = fleet_of({"west": [make("Namespace", "shop"), written]})
    client, known = Client(), []
    writers = Writers(
        lambda name: client if name == "west" else None,
        lambda: World(fleet.complete, fleet.members) if known else None,
        lambda: None,
    )
    task = asyncio.create_task(writers.run())
    writers.take([Synced("west"), Health("west", MemberState.CONNECTED)])
    await asyncio.sleep(60)
    assert client.deleted == []
    known.append(True)
    writers.take([Synced(FLEET)])
    await asyncio.sleep(1)
    assert client.deleted == ["web"]
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
