"""Fake API servers, and who follows them."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager

import pytest
from fake_api_server import FakeApiServer
from live_follower import LiveFollower

from xds.discovery.live.api_server import ApiServer
from xds.discovery.live.intake import MEMBER_KINDS
from xds.discovery.live.member import MemberSource
from xds.discovery.live.source import LiveSource


@pytest.fixture
async def servers():
    """Return a function that starts an API server with a service of two endpoints."""
    started = []

    async def start(**options):
        server = await FakeApiServer(**options).start()
        started.append(server)
        store = server.store
        store.put("Node", "n1", labels={"topology.kubernetes.io/region": "r-east"})
        store.put("Namespace", "shop")
        service(store, "web", "10.1.0.1", "10.1.0.2")
        return server

    yield start
    for server in started:
        server.resume()
        await server.stop()


@pytest.fixture
async def server(servers):
    """An API server with a service of two endpoints."""
    return await servers()


def service(store, name, *addresses):
    store.put("Service", name, spec={"ports": [{"name": "http", "port": 80}]})
    endpoints(store, name, *addresses)


def endpoints(store, name, *addresses):
    found = [{"addresses": [address], "conditions": {"ready": True}, "nodeName": "n1"} for address in addresses]
    labels = {"kubernetes.io/service-name": name}
    ports = [{"name": "http", "port": 8080}]
    store.put("EndpointSlice", f"{name}-1", labels=labels, addressType="IPv4", ports=ports, endpoints=found)


@pytest.fixture
def put_service():
    """Return a function that puts a Service and its endpoints into a store."""
    return service


@pytest.fixture
def put_endpoints():
    """Return a function that replaces the endpoints of a service."""
    return endpoints


@pytest.fixture
def member_of(tmp_path):
    """Return a context manager: a member that keeps up with a server."""

    @asynccontextmanager
    async def follow(server, member=None, follower=None):
        follower = follower or LiveFollower()
        member = member or MemberSource("east", MEMBER_KINDS, follower.take, follower.changed.set)
        follower.member = member
        file = server.kubeconfig(tmp_path / "kubeconfig", "east")
        api = await ApiServer.connect(kubeconfig_of(file), context="east", scratch=tmp_path / "scratch")
        task = asyncio.create_task(member.run(api))
        follower.watch_over(task)
        try:
            yield follower
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await api.close()

    return follow


def kubeconfig_of(file):
    from xds.discovery.live.kubeconfig import read_kubeconfig  # noqa: PLC0415 - beside its only use

    return read_kubeconfig(file).content


@asynccontextmanager
async def running(source, *, is_alone=True):
    """Run a live source, and give who follows it."""
    follower = LiveFollower()
    follower.source = source
    task = asyncio.create_task(source.run(follower.take, follower.report, is_alone=is_alone))
    follower.watch_over(task)
    try:
        yield follower
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@pytest.fixture
def follow():
    """Return a context manager: a live source that runs, and who follows it."""
    return running


@pytest.fixture
def live():
    """Return a context manager: a source that follows the clusters of kubeconfigs."""

    def follow(*files, contexts=(), is_alone=True):
        return running(LiveSource(files, contexts), is_alone=is_alone)

    return follow
