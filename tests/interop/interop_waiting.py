"""Waiting for what real programs do in their own time."""

import asyncio
import time


async def eventually(condition, *, timeout_s=10.0, every_s=0.02):
    """Wait until the condition, plain or async, gives something true; return it."""
    deadline_s = time.monotonic() + timeout_s
    while True:
        found = condition()
        if asyncio.iscoroutine(found):
            found = await found
        if found:
            return found
        assert time.monotonic() < deadline_s, f"not within {timeout_s} s: {condition}"
        await asyncio.sleep(every_s)


def health_of(hosts):
    """Return `EnvoyProcess.hosts` as address -> EDS health; Envoy leaves the default, HEALTHY, out in some versions."""
    return {address: host["health_status"].get("eds_health_status", "HEALTHY") for address, host in hosts.items()}
