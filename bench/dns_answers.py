"""What DNS answers cost: rate and latency over loopback, and for how long one of them, or a change, holds the event loop.

    python bench/dns_answers.py [SERVICES] [ENDPOINTS] [SECONDS]

The server runs in a process of its own, with SERVICES services that have a ClusterSetIP and one headless service of ENDPOINTS
endpoints. This process asks, with 16 queries under way. HELD is the longest time in which the server's loop did nothing else; the
rows of `crowd` begin with a change of the headless service, so that everything of it is made anew.
"""

from __future__ import annotations

import asyncio
import itertools
import multiprocessing
import sys
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import dns.asyncquery
import dns.message

from xds.dns import DnsServer, Zone
from xds.model.fleet import FleetChange
from xds.model.members import Member
from xds.model.service import Endpoint, Health, Locality, Port, Protocol, Service, ServiceKey

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

UNDER_WAY = 16
HTTP = Port(80, "http", Protocol.HTTP)
CROWD = ServiceKey("shop", "crowd")


@dataclass
class World:
    services: dict[ServiceKey, Service]
    members: dict[str, Member] = field(default_factory=lambda: {"east": Member("east")})


def crowd(count: int, first: int = 0) -> Service:
    place = Locality("r-east", "a", "east")
    numbers = range(first, first + count)
    made = tuple(
        Endpoint(place, (f"10.{i >> 16}.{i >> 8 & 255}.{i & 255}",), 8080, Health.HEALTHY, hostname=f"crowd-{i}") for i in numbers
    )
    return Service(CROWD, (HTTP,), {80: made}, {}, frozenset({"east"}), headless=True)


def web(index: int) -> Service:
    key = ServiceKey("shop", f"web-{index}")
    return Service(key, (HTTP,), {80: ()}, {"east": (f"10.96.{index >> 8}.{index & 255}",)}, frozenset({"east"}))


async def serve(pipe: Connection, services: int, endpoints: int) -> None:
    world = World({made.key: made for made in (crowd(endpoints), *map(web, range(services)))})
    zone = Zone(world)
    zone.open(None)
    server = DnsServer(zone, "127.0.0.1:0")
    await server.start()
    pipe.send(server.address)
    held_s, last_s, first = 0.0, time.perf_counter(), 0
    while True:
        await asyncio.sleep(0)
        now_s = time.perf_counter()
        held_s, last_s = max(held_s, now_s - last_s), now_s
        if not pipe.poll():
            continue
        if pipe.recv() == "change":
            first = endpoints - first
            world.services[CROWD] = crowd(endpoints, first)
            zone.changed(FleetChange(endpoints=frozenset({CROWD})))
        pipe.send(held_s)
        held_s, last_s = 0.0, time.perf_counter()


def run_server(*arguments: object) -> None:
    asyncio.run(serve(*arguments))  # type: ignore[arg-type]


async def ask(name: str, kind: str, port: int, *, over_tcp: bool, seconds: float) -> tuple[int, list[float]]:
    took_s: list[float] = []
    until_s = time.perf_counter() + seconds
    query = dns.message.make_query(name, kind, use_edns=0, payload=1_232).to_wire()
    framed = len(query).to_bytes(2, "big") + query

    async def tcp() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 20)
        while (start_s := time.perf_counter()) < until_s:
            writer.write(framed)
            await reader.readexactly(int.from_bytes(await reader.readexactly(2), "big"))
            took_s.append(time.perf_counter() - start_s)
        writer.close()

    async def udp() -> None:
        answers: asyncio.Queue[bytes] = asyncio.Queue()

        class Client(asyncio.DatagramProtocol):
            def datagram_received(self, data: bytes, _: object) -> None:
                answers.put_nowait(data)

        transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(Client, remote_addr=("127.0.0.1", port))
        while (start_s := time.perf_counter()) < until_s:
            transport.sendto(query)
            await asyncio.wait_for(answers.get(), 10)
            took_s.append(time.perf_counter() - start_s)
        transport.close()

    await asyncio.gather(*(tcp() if over_tcp else udp() for _ in range(UNDER_WAY)))
    return len(took_s), sorted(took_s)


def main() -> None:
    given = [float(text) for text in sys.argv[1:]]
    services, endpoints, seconds = (*given, *(10_000, 1_000, 3)[len(given) :])
    ours, theirs = multiprocessing.Pipe()
    server = multiprocessing.get_context("spawn").Process(
        target=run_server, args=(theirs, int(services), int(endpoints)), daemon=True
    )
    server.start()
    port = int(ours.recv().rpartition(":")[2])
    base = "shop.svc.clusterset.local"
    print(f"{'QUESTION':<28}{'OVER':<6}{'A SECOND':>10}{'MEDIAN ms':>12}{'P99 ms':>10}{'HELD ms':>10}")
    rows = [(f"web-7.{base}", "A"), (f"web-x.{base}", "A"), (f"_http._tcp.web-7.{base}", "SRV")]
    rows += [(f"crowd.{base}", "A"), (f"_http._tcp.crowd.{base}", "SRV"), (f"crowd-7.east.crowd.{base}", "A")]
    for (name, kind), over_tcp in itertools.product(rows, (False, True)):
        changed = "crowd" in name and not name.startswith("crowd-7")
        ours.send("change" if changed else "")
        ours.recv()
        count, took_s = asyncio.run(ask(name, kind, port, over_tcp=over_tcp, seconds=seconds))
        ours.send("")
        held_s = ours.recv()
        figures = (took_s[len(took_s) // 2], took_s[len(took_s) * 99 // 100], held_s)
        print(
            f"{name.partition('.shop')[0] + ' ' + kind:<28}{'tcp' if over_tcp else 'udp':<6}{count / seconds:>10,.0f}"
            + "".join(f"{figure * 1e3:>{width}.2f}" for figure, width in zip(figures, (12, 10, 10), strict=True))
        )
    server.kill()


if __name__ == "__main__":
    main()
