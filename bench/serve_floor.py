"""The floor: a grpc.aio server that writes the same bytes as everybody else to the same streams, and is no control plane.

    python bench/serve_floor.py FILE

FILE is a DeltaDiscoveryResponse with everything to serve. The first request of each type is answered with all resources of the
type, whatever it asks for, unless the client says that it has something already; every later one is read and forgotten. A line on
stdin, {"cluster": NAME, "address": IP}, gives the first endpoint of an assignment another address, and writes that assignment,
encoded once, to every stream; assignments that are changed while the ones before were written are written together. Who comes
back and does not have the last change is written that. `told` has the rest. It ends with stdin.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections import defaultdict
from hashlib import sha256
from pathlib import Path
from typing import Any

import grpc
from told import changes

from xds.wire import CLUSTER, ENDPOINT, LISTENER, ROUTE, envoy

FROM_SCRATCH_BYTES = 1000
"""A first delta request of clusters that is larger says what the client has."""
FIRST_VERSION = "as-it-was-at-first"
"""Of everything, in state of the world."""
SERVICE = "envoy.service.discovery.v3.AggregatedDiscoveryService"
Bodies = dict[bool, bytes]
"""A response, by whether it is for a delta stream."""
URLS = {url.encode(): url for url in (CLUSTER, ENDPOINT, LISTENER, ROUTE)}


class Floor:
    def __init__(self, everything: bytes) -> None:
        self.resources: dict[str, dict[str, Any]] = defaultdict(dict)
        for resource in envoy.DeltaDiscoveryResponse.FromString(everything).resources:
            self.resources[resource.resource.type_url][resource.name] = resource
        self.responses = {url: both(url, resources.values()) for url, resources in self.resources.items()}
        self.streams: dict[Any, Stream] = {}
        """By their contexts."""
        self.last_version = b""
        """What a client says that has the last change."""
        self.last: Bodies = {}
        """It."""

    def handler(self, *, delta: bool) -> Any:
        async def serve(_: Any, context: Any) -> None:
            answered: set[str] = set()
            returned = False
            stream = self.streams[context] = Stream(context, delta=delta)
            try:
                while (request := await context.read()) is not grpc.aio.EOF:
                    url = next(url for text, url in URLS.items() if text in request)
                    if not answered and has_something(request, delta=delta):
                        answered.update(URLS.values())
                        returned = True
                    if returned and url == ENDPOINT:
                        returned = False
                        if self.last_version not in request:
                            await stream.write(self.last)
                    if url not in answered:
                        answered.add(url)
                        await stream.write(self.responses[url])
            finally:
                del self.streams[context]

        return grpc.stream_stream_rpc_method_handler(serve)

    async def change(self, told: list[dict[str, Any]]) -> None:
        for one in told:
            resource = self.resources[ENDPOINT][one["cluster"]]
            assignment = envoy.ClusterLoadAssignment.FromString(resource.resource.value)
            locality = next(locality for locality in assignment.endpoints if locality.lb_endpoints)
            locality.lb_endpoints[0].endpoint.address.socket_address.address = one["address"]
            resource.resource.value = assignment.SerializeToString()
            resource.version = sha256(resource.resource.value).hexdigest()[: len(resource.version)]
        changed = [self.resources[ENDPOINT][name] for name in {one["cluster"]: None for one in told}]
        self.last, self.last_version = both(ENDPOINT, changed, changed[-1].version), changed[-1].version.encode()
        writing = (stream.write(self.last) for stream in self.streams.values())
        await asyncio.gather(*writing, return_exceptions=True)  # whoever has left needs nothing


class Stream:
    """A stream, on which there is one write at a time, as gRPC demands."""

    def __init__(self, context: Any, *, delta: bool) -> None:
        self._context = context
        self._delta = delta
        self._lock = asyncio.Lock()

    async def write(self, bodies: Bodies) -> None:
        async with self._lock:
            await self._context.write(bodies[self._delta])


def has_something(request: bytes, *, delta: bool) -> bool:
    """Return whether the first request of a stream says that the client has resources, as far as its bytes tell."""
    return len(request) > FROM_SCRATCH_BYTES if delta else FIRST_VERSION.encode() in request


def both(url: str, resources: Any, version: str = FIRST_VERSION) -> Bodies:
    return {delta: response(url, resources, version, delta=delta) for delta in (True, False)}


def response(url: str, resources: Any, version: str, *, delta: bool) -> bytes:
    if delta:
        made = envoy.DeltaDiscoveryResponse(type_url=url, nonce="1", resources=resources)
    else:
        made = envoy.DiscoveryResponse(
            type_url=url, version_info=version, nonce="1", resources=[item.resource for item in resources]
        )
    return made.SerializeToString()


async def serve(floor: Floor) -> None:
    server = grpc.aio.server()
    methods = {"DeltaAggregatedResources": floor.handler(delta=True), "StreamAggregatedResources": floor.handler(delta=False)}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, methods),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    print(json.dumps({"address": f"127.0.0.1:{port}"}), flush=True)
    async for told in changes():
        await floor.change(told)
    await server.stop(0)


if __name__ == "__main__":
    asyncio.run(serve(Floor(Path(sys.argv[1]).read_bytes())))
