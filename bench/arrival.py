"""What a crowd of clients that arrives at once costs: memory of the server, and when clients have their first sync.

    python bench/arrival.py [CLIENTS] [SERVICES] [SLOTS...]

The server runs in a process of its own and serves CLIENTS delta ADS streams, each over a connection of its own, with SERVICES
clusters and their endpoints, of a kilobyte each. A line for each number of SLOTS, i.e. first syncs written at once (as many as
clients is no admission at all), and each PAUSE, for which clients leave a response unread. MEMORY is what the server's peak adds
to what it had before; HALF and ALL say when half of the clients and all of them had everything.
"""

from __future__ import annotations

import asyncio
import json
import resource
import statistics
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import grpc
import structlog

from xds.protocol import Encoder
from xds.server import Limits, XdsServer
from xds.snapshot.resource import Resource
from xds.snapshot.store import SnapshotStore
from xds.wire import CLUSTER, ENDPOINT, envoy

if TYPE_CHECKING:
    from xds.model.node import Node

METHOD = "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources"
PROCESSES = 2
BODY_BYTES = 1_000
CLIENTS_PER_VIEW = 4
PAUSES_S = (0, 5)
"""How long clients leave each response unread: not at all, or as if they were far away or busy starting."""
MIB = 1 << 20


class Source:
    """A view for every so many clients, each with a cluster and endpoints that no other has."""

    def __init__(self, services: int) -> None:
        self.store = SnapshotStore()
        self._common = [(name, resources(name)) for name in names_of(services - 1)]

    def view_of(self, node: Node) -> str:
        return f"view-{int(node.id) // CLIENTS_PER_VIEW}"

    async def prepare(self, _view: str) -> bool:
        return False

    def acquire(self, view: str) -> object:
        if view not in self.store.views():
            world = [*self._common, (view, resources(view))]
            types = {url: {name: both[url] for name, both in world} for url in (CLUSTER, ENDPOINT)}
            self.store.publish(view, types, at_s=0, trigger="bench")
        return self.current(view)

    def current(self, view: str) -> object:
        return self.store.current(view)

    def history(self, view: str) -> object:
        return self.store.history(view)

    async def wait_ready(self) -> None: ...

    def release(self, view: str) -> None: ...


def names_of(services: int) -> list[str]:
    return [f"service-{number:06}" for number in range(services)]


def resources(name: str) -> dict[str, Resource]:
    body = b"\x0a" + BODY_BYTES.to_bytes(2, "big") + b"x" * BODY_BYTES  # what is in it is nobody's business here
    cluster = Resource.of(CLUSTER, name, body, refs={ENDPOINT: frozenset({name})})
    return {CLUSTER: cluster, ENDPOINT: Resource.of(ENDPOINT, name, body)}


async def serve(services: int, slots: int) -> None:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(40))
    server = XdsServer(Source(services), Encoder("bench"), ["127.0.0.1:0"], limits=Limits(first_syncs=slots))
    (address,) = await server.start()
    before = resident_bytes()
    tell({"address": address})
    await asyncio.to_thread(sys.stdin.readline)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    admission = server.admission
    cpu_s = time.process_time()
    tell({"before": before, "peak": peak, "cpu_s": cpu_s, "admitted": admission.admitted, "overdue": admission.overdue})
    await server.stop(0)


def resident_bytes() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize()


async def arrive(address: str, first: int, clients: int, services: int, pause_s: int) -> None:
    await asyncio.gather(*(sync(address, str(first + number), services, pause_s) for number in range(clients)))
    tell({"took_s": TOOK_S})
    await asyncio.to_thread(sys.stdin.readline)


TOOK_S: list[float] = []


async def sync(address: str, node: str, services: int, pause_s: int) -> None:
    began_s = time.monotonic()
    options = [("grpc.use_local_subchannel_pool", 1), ("grpc.http2.bdp_probe", 0), ("grpc.max_receive_message_length", 64 * MIB)]
    channel = grpc.aio.insecure_channel(address, options=options)
    call = channel.stream_stream(
        METHOD,
        request_serializer=envoy.DeltaDiscoveryRequest.SerializeToString,
        response_deserializer=envoy.DeltaDiscoveryResponse.FromString,
    )()
    await call.write(envoy.DeltaDiscoveryRequest(type_url=CLUSTER, node=envoy.Node(id=node)))
    held = Counter[str]()
    while held[ENDPOINT] < services:
        await asyncio.sleep(pause_s)
        response = await call.read()
        held[response.type_url] += len(response.resources)
        names = [resource.name for resource in response.resources]
        ack = envoy.DeltaDiscoveryRequest(type_url=response.type_url, response_nonce=response.nonce)
        await call.write(ack)
        if response.type_url == CLUSTER and held[CLUSTER] == services:
            await call.write(envoy.DeltaDiscoveryRequest(type_url=ENDPOINT, resource_names_subscribe=names))
    TOOK_S.append(time.monotonic() - began_s)
    CHANNELS.append(channel)


CHANNELS: list[grpc.aio.Channel] = []


def tell(value: object) -> None:
    print(json.dumps(value), flush=True)


def child(*arguments: object) -> subprocess.Popen[str]:
    command = [sys.executable, __file__, *map(str, arguments)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)


def answer(process: subprocess.Popen[str], line: str | None = None) -> dict[str, float]:
    if line is not None:
        process.stdin.write(line + "\n")
        process.stdin.flush()
    return json.loads(process.stdout.readline())


def measure(clients: int, services: int, slots: int, pause_s: int) -> None:
    server = child("--serve", services, slots)
    crowd: list[subprocess.Popen[str]] = []
    try:
        address = answer(server)["address"]
        part = clients // PROCESSES
        crowd += [child("--arrive", address, part * first, part, services, pause_s) for first in range(PROCESSES)]
        took_s = sorted(second for process in crowd for second in answer(process)["took_s"])
        seen = answer(server, "done")
    finally:
        for process in (*crowd, server):
            process.kill()
            process.communicate()
    more, half, last = (seen["peak"] - seen["before"]) / MIB, statistics.median(took_s), took_s[-1]
    print(f"{slots:>6}  {pause_s:>3} s  {more:>7.0f} MiB  {half:>7.1f} s  {last:>7.1f} s  {seen['cpu_s']:>7.1f} s", flush=True)


def main() -> None:
    numbers = [int(text) for text in sys.argv[1:]]
    clients, services = (numbers + [1_000, 1_000][len(numbers) :])[:2]
    print(f"{clients} clients, {services} services\n SLOTS  PAUSE       MEMORY       HALF        ALL        CPU")
    for slots in numbers[2:] or (clients, 256, 64, 16):
        for pause_s in PAUSES_S:
            measure(clients, services, slots, pause_s)


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["--serve", services, slots]:
            asyncio.run(serve(int(services), int(slots)))
        case ["--arrive", address, *numbers]:
            asyncio.run(arrive(address, *map(int, numbers)))
        case _:
            main()
