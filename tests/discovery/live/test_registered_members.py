"""Members that a hub registers: what becomes of them when their registration, or what it refers to, changes."""

from __future__ import annotations

import asyncio
import base64

import pytest
from fake_objects import serve_further
from fake_store import Resource

from xds.discovery.live.access import FileAccess
from xds.discovery.live.kubeconfig import Context
from xds.discovery.live.source import LiveSource
from xds.model.events import FLEET, MemberState

pytestmark = pytest.mark.looptime(noop_cycles=100)  # as in test_member
KUBEFED = Resource("KubeFedCluster", "core.kubefed.io", "v1beta1", "kubefedclusters")


@pytest.fixture
async def hub(servers):
    """An API server that knows a registry."""
    server = await servers()
    serve_further(server, KUBEFED)
    return server


@pytest.fixture
def following(hub, tmp_path, follow):
    """Return a context manager: a source that follows what the hub registers."""

    def start():
        file = hub.kubeconfig(tmp_path / "hub", "hub")
        return follow(LiveSource([], hub=FileAccess(Context("", file, "hub"))))

    return start


def register(hub, member):
    hub.store.put("KubeFedCluster", "east", "kubefed", spec={"apiEndpoint": member.url, "secretRef": {"name": "east"}})
    hub.wake()


def credentials(hub, token):
    hub.store.put("Secret", "east", "kubefed", data={"token": base64.b64encode(token.encode()).decode()})


async def test_a_secret_that_may_not_be_read_is_told(hub, server, following):
    register(hub, server)
    credentials(hub, server.token)
    hub.fault = lambda path, _: forbidden(hub) if path.endswith("/secrets/east") else None
    async with following() as live:
        await live.until(lambda: "XDS0302" in live.found())
        assert live.found()["XDS0302"].message == "the hub does not let us read Secret kubefed/east: no, not you"
        hub.fault = None
        await live.until_synced("east")
        await live.until(lambda: "XDS0302" not in live.found())


async def test_a_hub_that_is_down_is_told_once_though_each_registry_misses_it(hub, server, following):
    credentials(hub, server.token)
    register(hub, server)
    async with following() as follower:
        await follower.until_synced("east")
        await hub.stop()
        await asyncio.sleep(10)
        told = [problem for problem in follower.problems if problem.code == "XDS0301"]
        assert len(told) == 1
        assert "'the hub' cannot be kept up with since" in told[0].message


async def test_why_the_hub_is_not_reached_is_known_as_long_as_it_is_not(hub, server, following):
    credentials(hub, server.token)
    register(hub, server)
    started = following()
    hub.token, mine = "other", hub.token
    async with started as follower:
        await follower.until(lambda: follower.source.hub_failure)
        assert follower.source.hub_failure.startswith("401")
        await follower.until_synced(FLEET)
        hub.token = mine
        await follower.until_synced("east")
        await follower.until(lambda: not follower.source.hub_failure)
        await hub.stop()
        await follower.until(lambda: follower.source.hub_failure)
        assert hub.url in follower.source.hub_failure


async def test_a_member_whose_credentials_are_gone_or_broken_stays_as_it_was(hub, server, following):
    register(hub, server)
    credentials(hub, server.token)
    async with following() as live:
        await live.until_synced("east")
        hub.store.delete("Secret", "east", "kubefed")
        await live.until(lambda: "XDS0306" in live.found())
        credentials(hub, server.token)
        hub.store.put("Service", "more")
        assert (live.state(), live.names()) == (MemberState.CONNECTED, {"web"})
        hub.store.delete("KubeFedCluster", "east", "kubefed")
        hub.wake()
        await live.until(lambda: live.state() is MemberState.LOST)
        assert live.names() == set()


async def test_a_member_stays_as_it_was_while_its_new_secret_may_not_be_read(hub, server, following):
    register(hub, server)
    credentials(hub, server.token)
    async with following() as live:
        await live.until_synced("east")
        hub.fault = lambda path, _: forbidden(hub) if path.endswith("/secrets/other") else None
        hub.store.put("KubeFedCluster", "east", "kubefed", spec={"apiEndpoint": server.url, "secretRef": {"name": "other"}})
        hub.wake()
        await live.until(lambda: "XDS0302" in live.found())
        assert live.state() is MemberState.CONNECTED
        register(hub, server)
        await live.until(lambda: "XDS0302" not in live.found())
        assert live.state() is MemberState.CONNECTED


async def test_a_member_goes_with_its_own_registration_though_another_one_has_its_name(hub, server, following, tmp_path):
    text = server.kubeconfig(tmp_path / "east", "east").read_bytes()
    labels = {"traffic.isthmus.dev/cluster": "east"}
    hub.store.put("Secret", "ours", "isthmus", labels=labels, data={"kubeconfig": base64.b64encode(text).decode()})
    register(hub, server)
    async with following() as live:
        await live.until_synced("east")
        hub.store.delete("Secret", "ours", "isthmus")
        await live.until(lambda: live.state() is MemberState.LOST)
        assert "there is no Secret kubefed/east" in live.found()["XDS0306"].message


def forbidden(hub):
    return hub.store.status(403, "Forbidden", "no, not you")
