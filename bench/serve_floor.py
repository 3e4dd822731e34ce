"""The floor: a grpc.aio server that writes the same bytes as everybody else to the same streams, and is no control plane.

    python bench/serve_floor.py FILE

FILE is a DeltaDiscoveryResponse with everything to serve. The first request of each type is answered with all resources of the
type, whatever it asks for; every later one is read and forgotten. A line on stdin, {"cluster": NAME, "address": IP}, gives the
first endpoint of an assignment another address, and writes that assignment, encoded once, to every stream; assignments that are
changed while the ones before were written are written together. `told` has the rest. It ends with stdin.
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

    def handler(self, *, delta: bool) -> Any:
        async def serve(_: Any, context: Any) -> None:
            answered = set()
            self.contexts[context] = delta
            try:
                while (request := await context.read()) is not grpc.aio.EOF:
                    url = next(url for text, url in URLS.items() if text in request)
                    if url not in answered:
                        answered.add(url)
                        await context.write(self.responses[delta][url])
            finally:
                del self.contexts[context]

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
        bodies = {delta: response(ENDPOINT, changed, delta=delta) for delta in (True, False)}
        await asyncio.gather(*(context.write(bodies[delta]) for context, delta in self.contexts.items()))


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
    async for told in changes():
        await floor.change(told)
    await server.stop(0)


if __name__ == "__main__":
    asyncio.run(serve(Floor(Path(sys.argv[1]).read_bytes())))
