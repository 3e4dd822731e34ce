"""Our control plane, whole, told of changes directly: what discovery would tell it of manifests or of an API server.

    python bench/serve_ours.py SERVICES

Prints its address as {"address": "HOST:PORT"}, and obeys lines on stdin: {"service": NUMBER, "address": IP} gives the first
endpoint of a service another address; `told` has the rest. It ends with stdin.
"""

from __future__ import annotations

import asyncio
import json
import sys

import compared_world
from told import changes

from xds.app import ControlPlane
from xds.cli.log import logged
from xds.config import Config
from xds.garbage import tend


async def serve(config: Config, services: int) -> None:
    plane = ControlPlane(config)
    tending = asyncio.create_task(tend())  # as `xdsctl serve` does
    serving = asyncio.create_task(plane.run(lambda plane: print(json.dumps({"address": plane.xds_address}), flush=True)))
    while plane.xds_address.endswith(":0"):  # noqa: ASYNC110 - it says nothing when it listens, and is ready later
        await asyncio.sleep(0.01)
    plane.pipeline.take(list(compared_world.events(services)))
    async for told in changes():
        for one in told:  # each by itself, as API servers tell of them
            plane.pipeline.take([compared_world.change(one["service"], one["address"])])
    serving.cancel()
    tending.cancel()


def main() -> None:
    config = Config(xds_address="127.0.0.1:0", admin_address="127.0.0.1:0", log_format="json")
    with logged(config, is_console=False):
        asyncio.run(serve(config, int(sys.argv[1])))


if __name__ == "__main__":
    main()
