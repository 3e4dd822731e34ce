"""Our control plane, whole, told of changes directly: what discovery would tell it of manifests or of an API server.

    python bench/serve_ours.py SERVICES

Prints its address as {"address": "HOST:PORT"}, and obeys lines on stdin: {"service": NUMBER, "address": IP} gives the first
endpoint of a service another address. It ends with stdin.
"""

from __future__ import annotations

import asyncio
import json
import sys

import compared_world

from xds.app import ControlPlane
from xds.cli.log import configure_log
from xds.config import Config
from xds.garbage import tend


async def serve(services: int) -> None:
    config = Config(xds_address="127.0.0.1:0", admin_address="127.0.0.1:0", log_format="json")
    configure_log(config, is_console=False)
    plane = ControlPlane(config)
    tending = asyncio.create_task(tend())  # as `xdsctl serve` does
    serving = asyncio.create_task(plane.run(lambda plane: print(json.dumps({"address": plane.xds_address}), flush=True)))
    while plane.xds_address.endswith(":0"):  # noqa: ASYNC110 - it says nothing when it listens, and is ready later
        await asyncio.sleep(0.01)
    plane.on_events(list(compared_world.events(services)))
    async for line in await lines():
        told = json.loads(line)
        plane.on_events([compared_world.change(told["service"], told["address"])])
    serving.cancel()
    tending.cancel()


async def lines() -> asyncio.StreamReader:
    """Return what comes from stdin."""
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    return reader


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1])))
