"""Overrides of a hub, on a fake API server."""

import pytest
from fake_api_server import FakeApiServer
from fake_objects import serve_further
from fake_store import Resource

from xds.discovery.live.kubeconfig import Context
from xds.discovery.remote.objects import traffic_override
from xds.discovery.remote.overrides import apply_override, delete_override, read_overrides
from xds.discovery.remote.target import Place, RemoteError, Target
from xds.errors import ChangedError

OVERRIDE = Resource("TrafficOverride", "traffic.isthmus.dev", "v1alpha1", "trafficoverrides", namespaced=False)


@pytest.fixture
async def server():
    server = await FakeApiServer().start()
    serve_further(server, OVERRIDE)
    yield server
    await server.stop()


@pytest.fixture
def hub(server, tmp_path):
    return Place("the hub", Context("", server.kubeconfig(tmp_path / "hub.yaml", "hub"), "hub"))


def drained(step):
    return traffic_override("drain-cluster-east", "drain cluster=east", {"drain": {"cluster": "east", "steps": 4, "step": step}})


async def test_one_comes_changes_and_goes(hub):
    assert await read_overrides(hub) == []
    for step in (1, 2):
        await apply_override(hub, drained(step))
        (item,) = await read_overrides(hub)
        assert (item.metadata.name, item.spec.drain.step) == ("drain-cluster-east", step)
    await delete_override(hub, "drain-cluster-east")
    await delete_override(hub, "drain-cluster-east")
    assert await read_overrides(hub) == []


async def test_a_drain_is_taken_back_before_it_is_deleted(hub, server):
    await apply_override(hub, drained(2))
    seen = []
    server.store.listeners.append(lambda: seen.append([one["spec"] for one in server.store.objects("TrafficOverride").values()]))
    await delete_override(hub, "drain-cluster-east", drained(0))
    await delete_override(hub, "drain-cluster-east", drained(0))
    assert seen == [[drained(0)["spec"]], []]


async def test_one_that_has_changed_meanwhile_is_not_overwritten(hub, server):
    first = await apply_override(hub, drained(1), "")
    (item,) = await read_overrides(hub)
    assert item.metadata.resource_version == first
    with pytest.raises(ChangedError, match="somebody else has changed TrafficOverride drain-cluster-east"):
        await apply_override(hub, drained(4), "")
    second = await apply_override(hub, drained(2), first)
    for write in (apply_override(hub, drained(3), first), delete_override(hub, "drain-cluster-east", drained(0), first)):
        with pytest.raises(ChangedError):
            await write
    assert server.store.objects("TrafficOverride")["", "drain-cluster-east"]["spec"] == drained(2)["spec"]
    await delete_override(hub, "drain-cluster-east", drained(0), second)
    with pytest.raises(ChangedError):
        await apply_override(hub, drained(3), second)
    await delete_override(hub, "drain-cluster-east", drained(0), second)
    assert await read_overrides(hub) == []


async def test_one_that_changes_between_a_look_and_a_write_is_not_overwritten(hub, server, monkeypatch):
    version = await apply_override(hub, drained(1), "")
    ask = Target._ask

    async def meanwhile(self, method, *arguments, **options):
        if method in {"PATCH", "DELETE"}:
            monkeypatch.setattr(Target, "_ask", ask)
            await apply_override(hub, drained(4))
        return await ask(self, method, *arguments, **options)

    for write in (apply_override, lambda *about: delete_override(hub, "drain-cluster-east", *about[1:])):
        monkeypatch.setattr(Target, "_ask", meanwhile)
        with pytest.raises(ChangedError):
            await write(hub, drained(0), version)
        assert server.store.objects("TrafficOverride")["", "drain-cluster-east"]["spec"] == drained(4)["spec"]


async def test_one_that_somebody_else_has_made_stays(hub, server):
    server.store.put("TrafficOverride", "mine", spec={"drain": {"cluster": "east"}})
    server.store.put("TrafficOverride", "odd", spec={"drain": {"cluster": 5}})
    assert [item.metadata.name for item in await read_overrides(hub)] == ["mine"]
    with pytest.raises(RemoteError, match=r"xdsctl did not make TrafficOverride mine; .* kubectl delete trafficoverride mine"):
        await delete_override(hub, "mine", drained(0))
    assert server.store.objects("TrafficOverride")["", "mine"]["spec"] == {"drain": {"cluster": "east"}}


async def test_a_hub_without_the_kind(hub, server):
    del server.store.resources["TrafficOverride"]
    with pytest.raises(RemoteError, match=r"the hub knows no trafficoverrides; apply deploy/crds/trafficoverrides\.yaml"):
        await read_overrides(hub)
    with pytest.raises(RemoteError, match=r"apply deploy/crds/trafficoverrides\.yaml"):
        await apply_override(hub, drained(1))


async def test_a_hub_that_is_down(hub, server):
    await server.stop()
    with pytest.raises(RemoteError, match="the hub: cannot connect to"):
        await read_overrides(hub)
