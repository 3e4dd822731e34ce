"""A crowd in a process of its own: opens many streams at once, asks on each, and prints how many were answered.

python crowd_client.py ADDRESS STREAMS
"""

from __future__ import annotations

import asyncio
import sys

import grpc

from xds.wire import ENDPOINT, envoy

METHOD = "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources"


async def main(address: str, streams: int) -> None:
    request = envoy.DeltaDiscoveryRequest(type_url=ENDPOINT, resource_names_subscribe=["web"], node=envoy.Node(id="web-1"))
    body = request.SerializeToString()
    async with grpc.aio.insecure_channel(address) as channel:
        opened = [channel.stream_stream(METHOD)() for _ in range(streams)]

        async def is_answered(stream: grpc.aio.StreamStreamCall) -> bool:
            try:
                await stream.write(body)
                return isinstance(await stream.read(), bytes)
            except grpc.aio.AioRpcError:
                return False

        print(sum(await asyncio.gather(*map(is_answered, opened))))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2])))
