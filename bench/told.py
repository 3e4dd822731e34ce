"""What a process that is measured is told on stdin, a JSON object a line: changes, and when to look at its event loop."""

from __future__ import annotations

import asyncio
import json
import sys
from typing import TYPE_CHECKING, Any

from loop_probe import LoopProbe

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

AT_ONCE_BYTES = 1 << 20


async def changes() -> AsyncIterator[list[dict[str, Any]]]:
    """Yield the changes that have come since the last ones were taken, until stdin ends.

    {"probe": "begin"} and {"probe": "end"} are seen to: the loop is measured (`loop_probe`), and what was found is printed.
    """
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    probe, rest = LoopProbe(), b""
    while some := await reader.read(AT_ONCE_BYTES):
        *lines, rest = (rest + some).split(b"\n")
        told = list(map(json.loads, lines))
        for one in told:
            match one.get("probe"):
                case "begin":
                    probe.begin()
                case "end":
                    print(json.dumps({"event": "probed", **probe.end()}), flush=True)
        if found := [one for one in told if "probe" not in one]:
            yield found
