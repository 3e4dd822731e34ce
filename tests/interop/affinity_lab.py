"""Requests from many client addresses, each on a connection of its own."""

import asyncio
from collections import Counter

from shares_lab import NOBODY, SharesLab, is_refusal, who

AT_ONCE = 64


class AffinityLab(SharesLab):
    """The same stage, with clients that differ by their addresses."""

    async def measure(self, world, requests):
        """Return address -> how many of so many clients it has, and NOBODY's; each asks twice."""
        first, again = [await serving(self.ports[world.client], world.host, requests) for _ in range(2)]
        wandering = {client: (found, again[client]) for client, found in first.items() if found != again[client]}
        assert not wandering, f"{world.name}: {len(wandering)} of {requests} clients have two endpoints, {wandering}"
        return Counter(first.values())


def clients(number):
    """Return addresses of this machine."""
    return [f"127.{200 + index // 62_500}.{index // 250 % 250}.{index % 250 + 1}" for index in range(number)]


async def serving(port, host, number, *, vip="127.0.0.1", headers=""):
    """Return client -> who serves it, or NOBODY, for as many clients."""
    request = f"GET / HTTP/1.1\r\nhost: {host}\r\n{headers}connection: close\r\n\r\n".encode()
    turns = asyncio.Semaphore(AT_ONCE)

    async def ask(client):
        async with turns:
            reader, writer = await asyncio.open_connection(vip, port, local_addr=(client, 0))
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            writer.close()
        return client, NOBODY if is_refusal(head) else who(head)

    async with asyncio.timeout(120):
        return dict(await asyncio.gather(*map(ask, clients(number))))
