"""A crowd that comes back at once is taken in, however long the event loop was busy when it came."""

from __future__ import annotations

import asyncio
import sys
import time
from pathlib import Path

import pytest
from xds_world import endpoints, eventually

STREAMS = 3_500
"""By default gRPC turns away all that wait beyond 3,000."""


@pytest.mark.timeout(120)
async def test_nobody_is_turned_away_because_the_loop_was_busy(world, server):
    world.put(endpoints("web"))
    client = Path(__file__).with_name("crowd_client.py")
    command = (sys.executable, str(client), server.bound, str(STREAMS))
    crowd = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    try:
        await eventually(lambda: server.open_streams)
        time.sleep(5)  # noqa: ASYNC251 - the crowd goes on arriving
        said, _ = await asyncio.wait_for(crowd.communicate(), 60)
    finally:
        if crowd.returncode is None:
            crowd.kill()
    assert int(said) == STREAMS
