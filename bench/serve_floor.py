"""The floor: a grpc.aio server that writes the same bytes as everybody else to the same streams, and is no control plane.

    python bench/serve_floor.py FILE

FILE is a DeltaDiscoveryResponse with everything to serve. The first request of each type is answered with all resources of the
type, whatever it asks for, unless the client says that it has something already: then it is given the latest change; every later
request is read and forgotten. A line on stdin, {"cluster": NAME, "address": IP}, gives the first endpoint of an assignment
another address, and writes that assignment, encoded once, to every stream. It ends with stdin.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

import grpc
from serve_ours import lines

from xds.wire import CLUSTER, ENDPOINT, LISTENER, ROUTE, envoy

FROM_SCRATCH_BYTES = 1000
"""A first delta request of clusters that is larger says what the client has."""
VERSION_INFO = b"\x0a"
"""What a DiscoveryRequest begins with that says which version the client has."""
SERVICE = "envoy.service.discovery.v3.AggregatedDiscoveryService"
URLS = {url.encode(): url for url in (CLUSTER, ENDPOINT, LISTENER, ROUTE)}


class Floor:
    def __init__(self, everything: bytes) -> None:
        self.resources: dict[str, dict[str, Any]] = defaultdict(dict)
        for resource in envoy.DeltaDiscoveryResponse.FromString(everything).resources:
            self.resources[resource.resource.type_url][resource.name] = resource
        self.responses = {
            delta: {url: response(url, resources.values(), delta=delta) for url, resources in self.resources.items()}
            for delta in (True, False)
        }
        self.contexts: dict[Any, bool] = {}
        """Of open streams, and whether each is a delta stream."""
        self.latest: dict[bool, bytes] = {}
        """The response of the latest change."""

    def handler(self, *, delta: bool) -> Any:
        async def serve(_: Any, context: Any) -> None:
            answered: set[str] = set()
            self.contexts[context] = delta
            try:
                while (request := await context.read()) is not grpc.aio.EOF:
                    url = next(url for text, url in URLS.items() if text in request)
                    if not answered and has_something(request, delta=delta):
                        answered.update(URLS.values())
                        await self.catch_up(context, delta=delta)
                    if url not in answered:
                        answered.add(url)
                        await context.write(self.responses[delta][url])
            finally:
                self.contexts.pop(context, None)

        return grpc.stream_stream_rpc_method_handler(serve)

    async def catch_up(self, context: Any, *, delta: bool) -> None:
        """Write the latest change, which the client may have missed; later ones it gets as everybody else."""
        del self.contexts[context]  # a stream is written one message at a time
        written = None
        while written is not self.latest:
            written = self.latest
            await context.write(written[delta])
        self.contexts[context] = delta

    async def change(self, cluster: str, address: str) -> None:
        resource = self.resources[ENDPOINT][cluster]
        assignment = envoy.ClusterLoadAssignment.FromString(resource.resource.value)
        locality = next(locality for locality in assignment.endpoints if locality.lb_endpoints)
        locality.lb_endpoints[0].endpoint.address.socket_address.address = address
        resource.resource.value = assignment.SerializeToString()
        bodies = self.latest = {delta: response(ENDPOINT, [resource], delta=delta) for delta in (True, False)}
        await asyncio.gather(*(context.write(bodies[delta]) for context, delta in self.contexts.items()))


def has_something(request: bytes, *, delta: bool) -> bool:
    """Return whether the first request of a stream says that the client has resources, as far as its bytes tell."""
    return len(request) > FROM_SCRATCH_BYTES if delta else request.startswith(VERSION_INFO)


def response(url: str, resources: Any, *, delta: bool) -> bytes:
    if delta:
        made = envoy.DeltaDiscoveryResponse(type_url=url, nonce="1", resources=resources)
    else:
        made = envoy.DiscoveryResponse(type_url=url, version_info="1", nonce="1", resources=[item.resource for item in resources])
    return made.SerializeToString()


async def serve(floor: Floor) -> None:
    server = grpc.aio.server()
    methods = {"DeltaAggregatedResources": floor.handler(delta=True), "StreamAggregatedResources": floor.handler(delta=False)}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, methods),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    print(json.dumps({"address": f"127.0.0.1:{port}"}), flush=True)
    async for line in await lines():
        told = json.loads(line)
        await floor.change(told["cluster"], told["address"])
    await server.stop(0)


if __name__ == "__main__":
    asyncio.run(serve(Floor(Path(sys.argv[1]).read_bytes())))
