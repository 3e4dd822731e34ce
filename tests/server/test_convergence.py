"""Whatever comes and goes, every client ends up holding exactly what its view holds."""

from __future__ import annotations

import asyncio
import random

import pytest
from xds_world import Client, channel_to, cluster, endpoints, eventually

from xds.wire import CLUSTER, ENDPOINT, envoy, type_url_of

NAMES = [f"s{number}" for number in range(30)]


class Proxy:
    """A model of an Envoy: wildcard CDS, EDS for every cluster that it holds; it may leave and come back with its versions."""

    def __init__(self, address, number, chance):
        self.address, self.chance = address, chance
        self.kind = "ads delta" if number % 2 else "ads sotw"
        self.identity = {"node_id": f"proxy-{number}", "region": ("eu", "us")[number // 2 % 2]}
        self.region = self.identity["region"]
        self.held = {CLUSTER: {}, ENDPOINT: {}}
        """Type URL -> name -> body."""
        self.versions = {CLUSTER: {}, ENDPOINT: {}}

    async def live(self):
        while True:
            async with channel_to(self.address) as channel:
                self.client = Client(channel, self.kind, **self.identity)
                await self.connection(self.chance.randrange(5, 60))

    async def connection(self, responses):
        if self.client.delta:
            names = list(self.held[CLUSTER])
            await self.client.send(CLUSTER, initial_resource_versions=self.versions[CLUSTER])
            if names:
                await self.client.send(ENDPOINT, names, initial_resource_versions=self.versions[ENDPOINT])
        else:
            self.acked = {}
            await self.client.send(CLUSTER)
        for _ in range(responses):
            response = await self.client.call.read()
            if self.client.delta:
                await self.take_delta(response)
            else:
                await self.take_sotw(response)

    async def take_delta(self, response):
        held, versions = self.held[response.type_url], self.versions[response.type_url]
        for resource in response.resources:
            # What was on its way when it was unsubscribed is nothing to the client, as for Envoy.
            if response.type_url == CLUSTER or resource.name in self.held[CLUSTER]:
                held[resource.name], versions[resource.name] = resource.resource.value, resource.version
        for name in response.removed_resources:
            held.pop(name, None)
            versions.pop(name, None)
        await self.client.ack(response)
        if response.type_url == CLUSTER:
            new = [resource.name for resource in response.resources if resource.name not in self.held[ENDPOINT]]
            gone = [name for name in response.removed_resources if self.held[ENDPOINT].pop(name, None) is not None]
            for name in gone:
                self.versions[ENDPOINT].pop(name, None)
            if new or gone:
                await self.client.send(ENDPOINT, new, resource_names_unsubscribe=gone)

    async def take_sotw(self, response):
        bodies = {self.name_of(resource): resource.value for resource in response.resources}
        if response.type_url == CLUSTER:
            self.held[CLUSTER] = bodies
            self.held[ENDPOINT] = {name: body for name, body in self.held[ENDPOINT].items() if name in bodies}
            await self.client.ack(response)
            if ENDPOINT in self.acked:
                await self.client.ack(self.acked[ENDPOINT], list(bodies) or [""])
            else:
                await self.client.send(ENDPOINT, list(bodies) or [""])
        else:
            self.held[ENDPOINT].update({name: body for name, body in bodies.items() if name in self.held[CLUSTER]})
            self.acked[ENDPOINT] = response
            await self.client.ack(response, list(self.held[CLUSTER]) or [""])

    @staticmethod
    def name_of(resource):
        if resource.type_url == type_url_of(envoy.Cluster):
            return envoy.Cluster.FromString(resource.value).name
        return envoy.ClusterLoadAssignment.FromString(resource.value).cluster_name


@pytest.mark.parametrize("seed", range(3))
async def test_every_client_ends_with_what_its_view_holds(world, server, seed):
    chance = random.Random(seed)
    proxies = [Proxy(server.bound, number, chance) for number in range(12)]
    tasks = [asyncio.ensure_future(proxy.live()) for proxy in proxies]
    try:
        for step in range(200):
            await disturb(world, server, chance, step)
            await asyncio.sleep(chance.choice((0, 0, 0.001, 0.01)))
        await eventually(
            lambda: any(task.done() for task in tasks) or all(proxy.held == wanted(world, proxy) for proxy in proxies),
            within_s=30,  # a removal waits 5 s for the listeners of a client that reconnects, and some do so twice
        )
        assert not any(task.done() for task in tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


async def disturb(world, server, chance, step):
    view = chance.choice(("eu", "us"))
    some = chance.sample(NAMES, chance.randrange(1, 6))
    there = [name for name in some if view in world.store.views() and name in world.store.current(view).resources(CLUSTER)]
    match chance.randrange(20):
        case 0:
            world.view_names = {} if world.view_names else {"eu": "us", "us": "eu"}
            await server.reassign()
        case 1 | 2 | 3 | 4 | 5 | 6:
            world.put(view=view, gone=[(url, name) for name in there for url in (CLUSTER, ENDPOINT)])
        case 7 | 8 | 9 | 10 | 11 | 12:
            world.put(*(endpoints(name, step + 1) for name in there), view=view)
        case _:
            world.put(*(make(name, step + 1) for name in some for make in (cluster, endpoints)), view=view)


def wanted(world, proxy):
    view = world.view_names.get(proxy.region, proxy.region)
    snapshot = world.store.current(view)
    return {url: {name: found.body for name, found in snapshot.resources(url).items()} for url in (CLUSTER, ENDPOINT)}
