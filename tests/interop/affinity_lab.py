"""Requests from many client addresses, each on a connection of its own."""

import asyncio
from collections import Counter

from shares_lab import Pipe, SharesLab, who

AT_ONCE = 64
TWICE = 200
"""How many clients of each world ask again."""


class AffinityLab(SharesLab):
    """The same stage, with clients that differ by their addresses."""

    async def measure(self, world, requests):
        """Return address -> how many of so many clients it has, and NOBODY's."""
        found = await serving(self.ports[world.client], world.host, requests)
        again = await serving(self.ports[world.client], world.host, TWICE)
        wandering = {client: (found[client], one) for client, one in again.items() if one != found[client]}
        assert not wandering, f"{world.name}: {len(wandering)} of {TWICE} clients have two endpoints, {wandering}"
        return Counter(found.values())


def clients(number):
    """Return addresses of this machine."""
    return [f"127.{200 + index // 62_500}.{index // 250 % 250}.{index % 250 + 1}" for index in range(number)]


async def serving(port, host, number, *, vip="127.0.0.1", headers=""):
    """Return client -> who serves it, or NOBODY, for as many clients."""
    loop, request = asyncio.get_running_loop(), f"GET / HTTP/1.1\r\nhost: {host}\r\n{headers}\r\n".encode()
    left, found = iter(clients(number)), {}

    async def ask():
        for client in left:
            pipe = Pipe(request, 1)
            await loop.create_connection(lambda pipe=pipe: pipe, vip, port, local_addr=(client, 0))
            (answer,) = await pipe.done
            found[client] = who(answer)

    async with asyncio.timeout(60 + number / 50):
        await asyncio.gather(*(ask() for _ in range(AT_ONCE)))
    return found
