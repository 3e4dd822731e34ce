"""A server in a process of its own: prints its address, and for each line that it is given its resident memory
in MiB and how many blocks of memory Python objects have."""

from __future__ import annotations

import asyncio
import ctypes
import gc
import sys
from contextlib import suppress
from pathlib import Path

import structlog
from garbage_zoo import BULKY
from xds_world import World, bulky, cluster, eventually, serving


async def main() -> None:
    structlog.configure(logger_factory=structlog.ReturnLoggerFactory())
    world = World()
    world.put(cluster("web"), *(bulky(name, 1) for name in BULKY))
    async with serving(world) as server:
        print(server.bound, flush=True)
        while await asyncio.to_thread(sys.stdin.readline):
            await eventually(lambda: not server.open_streams)
            print(resident_mib(), sys.getallocatedblocks(), flush=True)


def resident_mib() -> int:
    """Return what is in use, without what only waits to be used again."""
    gc.collect()
    with suppress(AttributeError):  # another allocator than glibc's
        ctypes.CDLL(None).malloc_trim(0)
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096 >> 20


if __name__ == "__main__":
    asyncio.run(main())
