"""What is fleet-wide does not go with a hub that has lost its data, or is down when we start. Times are virtual."""

from __future__ import annotations

import asyncio

import pytest
from fake_objects import serve_further
from fake_store import Resource
from fleet_world import make, member

from xds.discovery.live.access import FileAccess
from xds.discovery.live.fleet_wide import FleetWide
from xds.discovery.live.kubeconfig import Context
from xds.discovery.live.source import Care, LiveSource
from xds.discovery.live.standing import Patience
from xds.model.events import FLEET, Delete, Health, MemberState, ObjectKey, Standing, Upsert

pytestmark = pytest.mark.looptime(noop_cycles=100)  # as in test_member
OURS = Resource("MemberCluster", "traffic.isthmus.dev", "v1alpha1", "memberclusters", namespaced=False)
KARMADA = Resource("Cluster", "cluster.karmada.io", "v1alpha1", "clusters", namespaced=False)
SHARING = Resource("MultiClusterService", "networking.karmada.io", "v1alpha1", "multiclusterservices")


def key(name, kind="MemberCluster", namespace=""):
    return ObjectKey(kind, namespace, name)


class Told:
    """The objects that the model knows."""

    def __init__(self, *names, share=0.5, delay_s=600):
        self.objects = {}
        self.fleet_wide = FleetWide(self.take, share, delay_s)
        self.fleet_wide.take([self.there(name) for name in names])

    def take(self, events):
        for event in events:
            if isinstance(event, Upsert):
                self.objects[event.key] = event.object
            else:
                del self.objects[event.key]

    @staticmethod
    def there(name, region="eu"):
        return Upsert(FLEET, member(name, region))

    def lose(self, *names):
        self.fleet_wide.take([Delete(FLEET, key(name)) for name in names])

    @property
    def names(self):
        return {found.name for found in self.objects}


async def test_one_of_several_goes_at_once():
    told = Told("a", "b", "c")
    told.lose("a")
    assert told.names == {"b", "c"}
    assert list(told.fleet_wide.problems()) == []


async def test_most_of_them_are_held_until_they_are_there_again_or_it_is_late():
    told = Told("a", "b", "c")
    told.lose("a", "b", "c")
    assert told.names == {"a", "b", "c"}
    (problem,) = told.fleet_wide.problems()
    assert problem.code == "XDS0308"
    assert "MemberCluster went from the hub all at once (a, b, c)" in problem.message
    told.fleet_wide.take([told.there("b", "us")])
    assert told.objects[key("b")].spec.region == "us"
    await asyncio.sleep(601)
    told.fleet_wide.tick()
    assert told.names == {"b"}
    assert list(told.fleet_wide.problems()) == []


async def test_one_after_another_is_at_once_if_it_is_within_a_minute():
    told = Told(*"abcdef")
    for name in "abcdef":
        told.lose(name)
        await asyncio.sleep(1)
    assert told.names == set("def"), "half of them may go"


async def test_what_is_deleted_and_made_again_at_once_is_not_lost():
    told = Told("a", "b", "c")
    told.fleet_wide.take([Delete(FLEET, key("a")), told.there("a", "us"), Delete(FLEET, key("b"))])
    assert told.names == {"a", "c"}
    assert told.objects[key("a")].spec.region == "us"
    told.fleet_wide.take([told.there("d"), Delete(FLEET, key("d"))])
    assert told.names == {"a", "c"}


class Overridden(Told):
    """A hub with two members, and some gates that are open."""

    def __init__(self, *gates):
        super().__init__("a", "b")
        spec = {"open": {"namespace": "shop", "policy": "web", "tier": "remote"}}
        self.fleet_wide.take([Upsert(FLEET, make("TrafficOverride", gate, namespace="", spec=spec)) for gate in gates])

    def close(self, *gates):
        self.fleet_wide.take([Delete(FLEET, key(gate, "TrafficOverride")) for gate in gates])

    @property
    def gates(self):
        return {found.name for found in self.objects if found.kind == "TrafficOverride"}


async def test_gates_are_closed_however_many_at_once():
    told = Overridden("e", "f", "g", "h")
    for gate in ("e", "f", "g", "h"):
        told.close(gate)
        assert list(told.fleet_wide.problems()) == []
    assert told.gates == {"g", "h"}, "the third is most of them, and may be a mistake"
    await asyncio.sleep(4)
    assert told.gates == set()
    assert not told.fleet_wide.is_losing
    told.lose("a")
    assert "a" not in told.names


@pytest.mark.parametrize("members_first", [False, True])
async def test_a_hub_that_loses_its_data_closes_no_gate(members_first):
    told = Overridden("e", "f", "g")
    for loses in (told.lose, told.close) if members_first else (told.close, told.lose):
        loses(*(("a", "b") if loses == told.lose else ("e", "f", "g")))
        await asyncio.sleep(1)
    await asyncio.sleep(4)
    assert told.gates == {"e", "f", "g"}
    assert len(list(told.fleet_wide.problems())) == 2
    await asyncio.sleep(601)
    told.fleet_wide.tick()
    assert told.names == set()


async def test_registrations_that_a_hub_loses_tell_of_its_data_too():
    told = Overridden("e", "f", "g")
    told.fleet_wide.is_losing_members = lambda: True
    told.close("e", "f", "g")
    await asyncio.sleep(4)
    assert told.gates == {"e", "f", "g"}


async def test_a_gate_that_is_opened_again_meanwhile_stays_open():
    told = Overridden("e", "f", "g")
    told.close("e", "f", "g")
    told.fleet_wide.take([Upsert(FLEET, make("TrafficOverride", "f", namespace="", spec={"drain": {"cluster": "a"}}))])
    await asyncio.sleep(4)
    assert told.gates == {"f"}


async def test_both_of_two_members_are_held():
    told = Told("a", "b")
    told.lose("a", "b")
    assert told.names == {"a", "b"}


async def test_another_registry_stands_in_where_there_is_no_member_cluster():
    told = Told("a")
    told.fleet_wide.stand_in({"a": member("a", "karmada"), "b": member("b", "karmada")})
    assert {found.name: item.spec.region for found, item in told.objects.items()} == {"a": "eu", "b": "karmada"}
    told.lose("a")
    assert told.objects[key("a")].spec.region == "karmada"
    told.fleet_wide.stand_in({"a": member("a", "other")})
    assert {found.name: item.spec.region for found, item in told.objects.items()} == {"a": "other"}
    told.fleet_wide.take([told.there("a")])
    told.fleet_wide.stand_in({})
    assert {found.name: item.spec.region for found, item in told.objects.items()} == {"a": "eu"}


async def test_what_is_saved_is_what_is_restored():
    told = Told("a")
    told.fleet_wide.take([Upsert(FLEET, with_uid(member("b", "us")))])
    told.fleet_wide.take([Upsert(FLEET, with_uid(make("MultiClusterService", "pay", spec={"types": ["CrossCluster"]})))])
    told.lose("a")
    told.fleet_wide.stand_in({"c": member("c", "karmada")})
    again = Told()
    again.fleet_wide.restore(told.fleet_wide.saved)
    assert again.objects == told.objects
    assert [*again.fleet_wide.stand_ins] == ["c"]


def with_uid(item):
    import msgspec  # noqa: PLC0415 - beside its only use

    return msgspec.structs.replace(item, metadata=msgspec.structs.replace(item.metadata, uid="1"))


@pytest.fixture
async def hub(servers):
    """An API server that knows two registries, and shared services."""
    server = await servers()
    serve_further(server, OURS, KARMADA, SHARING)
    return server


@pytest.fixture
def following(hub, tmp_path, follow):
    """Return a context manager: a source that follows what the hub registers, and saves what it reads."""

    def start(**care):
        file = hub.kubeconfig(tmp_path / "hub", "hub")
        return follow(LiveSource([], (), Care(directory=tmp_path / "state", **care), FileAccess(Context("", file, "hub"))))

    return start


def standing(live, name):
    return next(event.standing for event in reversed(live.events) if isinstance(event, Health) and event.cluster == name)


def register(hub, tmp_path, **servers):
    """Register clusters: those whose names begin with k by Karmada, the others by MemberClusters."""
    import base64  # noqa: PLC0415 - beside its only use

    for name, server in servers.items():
        if name.startswith("k"):
            hub.store.put("Secret", name, "karmada", data={"token": base64.b64encode(server.token.encode()).decode()})
            ref = {"namespace": "karmada", "name": name}
            spec = {"syncMode": "Push", "apiEndpoint": server.url, "secretRef": ref, "region": "r-karmada"}
            hub.store.put("Cluster", name, spec=spec)
        else:
            text = server.kubeconfig(tmp_path / f"{name}.yaml", name).read_bytes()
            hub.store.put("Secret", name, "isthmus", data={"kubeconfig": base64.b64encode(text).decode()})
            ref = {"namespace": "isthmus", "name": name}
            hub.store.put("MemberCluster", name, spec={"region": "r-ours", "kubeconfigSecret": ref})
    hub.store.put("MultiClusterService", "web", spec={"types": ["CrossCluster"]})
    hub.wake()


def regions(live):
    return {found.name: item.spec.region for (_, found), item in live.objects.items() if found.kind == "MemberCluster"}


WHERE = {"east": "r-ours", "west": "r-ours", "k1": "r-karmada"}


async def test_a_hub_that_has_lost_its_data_takes_no_place_along(hub, servers, following, tmp_path):
    east, west, third = await servers(), await servers(), await servers()
    register(hub, tmp_path, east=east, west=west, k1=third)
    async with following() as live:
        await live.until_synced(*WHERE)
        assert regions(live) == WHERE
        hub.store.empty()
        hub.wake()
        await live.until(lambda: "XDS0308" in live.found())
        await asyncio.sleep(30)
        assert regions(live) == WHERE
        assert all(live.state(name) is MemberState.CONNECTED for name in WHERE)
        await live.until(lambda: live.state("east") is MemberState.LOST, within_s=700)
        await asyncio.sleep(60)
        assert regions(live) == {}


async def test_a_start_while_the_hub_is_down_goes_on_with_what_was_saved(hub, servers, following, tmp_path):
    east, west, third = await servers(), await servers(), await servers()
    register(hub, tmp_path, east=east, west=west, k1=third)
    async with following() as live:
        await live.until_synced("", *WHERE)
        await asyncio.sleep(20)
    before = live.objects
    hub.silent = True
    async with following() as live:
        await live.until_synced("")
        assert live.objects == before
        assert {name: live.state(name) for name in WHERE} == dict.fromkeys(WHERE, MemberState.STALE)
        assert live.source.names == set(WHERE)
        await asyncio.sleep(100)
        # The hub is back, and one of them was taken out of it meanwhile.
        hub.store.delete("Cluster", "k1")
        hub.resume()
        await live.until_synced("east", "west")
        await live.until(lambda: live.state("k1") is MemberState.LOST)
        await asyncio.sleep(1)
        assert regions(live) == {"east": "r-ours", "west": "r-ours"}
        assert live.names(member="k1") == set()
        assert live.names(member="east") == {"web"}
        assert [event for event in live.events if isinstance(event, Delete) and event.cluster in {"east", "west"}] == []
    async with following() as live:
        await live.until_synced("")
        assert live.source.names == {"east", "west"}


async def test_members_that_a_hub_has_lost_while_we_were_away_are_held(hub, servers, following, tmp_path):
    east, west = await servers(), await servers()
    register(hub, tmp_path, east=east, west=west)
    async with following() as live:
        await live.until_synced("east", "west")
        await asyncio.sleep(20)
    hub.store.empty()
    async with following() as live:
        await live.until_synced("")
        await live.until(lambda: "XDS0308" in live.found())
        assert regions(live) == {"east": "r-ours", "west": "r-ours"}
        assert live.names(member="east") == {"web"}
        register(hub, tmp_path, east=east, west=west)
        await live.until_synced("east", "west")
        assert "XDS0308" not in live.found()


async def test_a_member_that_is_registered_again_without_credentials_is_missing_no_longer(hub, servers, following, tmp_path):
    servers_of = {"k1": await servers(), "k2": await servers()}
    register(hub, tmp_path, **servers_of)
    async with following() as live:
        await live.until_synced(*servers_of)
        await asyncio.sleep(20)
    hub.store.empty()
    async with following() as live:
        await live.until(lambda: "XDS0308" in live.found())
        for name, server in servers_of.items():
            ref = {"namespace": "karmada", "name": name}
            hub.store.put("Cluster", name, spec={"syncMode": "Push", "apiEndpoint": server.url, "secretRef": ref})
        hub.wake()
        await asyncio.sleep(700)
        assert {name: live.state(name) for name in servers_of} == dict.fromkeys(servers_of, MemberState.STALE)
        assert live.names(member="k1") == live.names(member="k2") == {"web"}
        assert live.found().keys() >= {"XDS0306"}
        assert "they stay members for now" not in str(live.problems)


async def test_a_cluster_that_workloads_leave_is_the_last_resort_after_a_restart_too(hub, servers, following, tmp_path):
    register(hub, tmp_path, k1=await servers())
    spec = hub.store.objects("Cluster")["", "k1"]["spec"]
    hub.store.put("Cluster", "k1", spec={**spec, "taints": [{"key": "broken", "effect": "NoExecute"}]})
    for _ in range(2):
        async with following() as live:
            await live.until_synced("k1")
            await asyncio.sleep(20)
            assert (live.state("k1"), standing(live, "k1")) == (MemberState.CONNECTED, Standing.DEMOTED)


async def test_silence_counts_also_while_the_hub_has_not_said_how_to_reach_a_cluster(hub, servers, following, tmp_path):
    register(hub, tmp_path, east=await servers())
    async with following() as live:
        await live.until_synced("east")
        await asyncio.sleep(20)
    hub.silent = True
    async with following(patience=Patience(60, 600)) as live:
        await live.until_synced("")
        assert standing(live, "east") is Standing.FULL
        await asyncio.sleep(100)
        assert standing(live, "east") is Standing.DEMOTED
        hub.resume()
        await live.until_synced("east")
        assert (live.state("east"), standing(live, "east")) == (MemberState.CONNECTED, Standing.FULL)
