"""What is read of a member is what its MemberCluster wants: some namespaces, or nothing but exports."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager

import msgspec
import pytest
from fake_store import CUSTOM, FLEET_EXPORT

from xds.discovery.live import member as member_module
from xds.discovery.live.scope import MAX_SELECTOR_BYTES, NOTHING, Scope
from xds.discovery.live.source import Care, LiveSource
from xds.model.events import MemberState
from xds.model.kinds import KINDS
from xds.model.objects import MemberCluster

SLICES = KINDS["EndpointSlice"]
TEAM = {"namespaceSelector": {"matchLabels": {"team": "shop"}}}
EXPORTED = {"exportedOnly": True}


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(member_module, "LOOK_S", 0.05)


def declared(**scope):
    value = {
        "apiVersion": "traffic.isthmus.dev/v1alpha1",
        "kind": "MemberCluster",
        "metadata": {"name": "east"},
        "spec": {"scope": scope},
    }
    return msgspec.convert(value, MemberCluster)


@pytest.fixture
def following(server, tmp_path, follow):
    """Return a context manager: a live source of east with a scope, which has told everything."""

    @asynccontextmanager
    async def start(*, is_written=False, **scope):
        care = Care(share=0.5, delay_s=600, is_written=lambda _: is_written)
        source = LiveSource([server.kubeconfig(tmp_path / "config", "east")], (), care)
        source.declared("east", declared(**scope))
        async with follow(source) as follower:
            await follower.until_synced("east")
            yield follower

    return start


@pytest.fixture
def several(server):
    """A server with three namespaces, two of which are a team's."""
    store = server.store
    for kind in CUSTOM:
        store.add_kind(kind)
    for namespace in ("shop", "pay", "other"):
        store.put("Namespace", namespace, labels={"team": "else" if namespace == "other" else "shop"})
    for namespace in ("pay", "other"):
        store.put("Service", "web", namespace, spec={"ports": [{"name": "http", "port": 80}]})
        put_slice(store, "web", namespace)
    return server


def put_slice(store, name, namespace, address="10.7.0.1", more=""):
    found = [{"addresses": [address], "conditions": {"ready": True}}]
    labels = {"kubernetes.io/service-name": name}
    ports = [{"name": "http", "port": 8080}]
    store.put("EndpointSlice", f"{name}-1{more}", namespace, labels=labels, addressType="IPv4", ports=ports, endpoints=found)


def namespaces(follower, kind):
    return {key.namespace or key.name for _, key in follower.objects if key.kind == kind}


async def test_everything_is_read_by_default(several, following):
    async with following() as follower:
        assert namespaces(follower, "EndpointSlice") == namespaces(follower, "Namespace") == {"shop", "pay", "other"}


async def test_namespaces_are_chosen_by_their_labels(several, following):
    async with following(**TEAM) as follower:
        for kind in ("Namespace", "Service", "EndpointSlice"):
            assert namespaces(follower, kind) == {"shop", "pay"}
        several.store.put("Namespace", "other", labels={"team": "shop"})
        await follower.until(lambda: namespaces(follower, "EndpointSlice") == {"shop", "pay", "other"})
        several.store.put("Namespace", "pay", labels={})
        for kind in ("Namespace", "Service", "EndpointSlice"):  # each is listed for itself
            await follower.until(lambda kind=kind: namespaces(follower, kind) == {"shop", "other"})
        put_slice(several.store, "web", "pay", more="-more")
        put_slice(several.store, "web", "other", more="-more")
        await follower.until(lambda: "web-1-more" in follower.names("EndpointSlice"))
        assert namespaces(follower, "EndpointSlice") == {"shop", "other"}
        assert follower.states[-1] == ("east", MemberState.CONNECTED)
        assert follower.found() == {}


@pytest.mark.parametrize("kind", ["ServiceExport", FLEET_EXPORT])
async def test_what_is_exported_is_read_whichever_kind_says_so(several, following, kind):
    several.store.put(kind, "web", "pay")
    async with following(**EXPORTED) as follower:
        assert namespaces(follower, "Service") == namespaces(follower, "EndpointSlice") == {"pay"}
        several.store.put(kind, "web", "other")
        await follower.until(lambda: namespaces(follower, "Service") == {"pay", "other"})
        several.store.delete(kind, "web", "pay")
        await follower.until(lambda: namespaces(follower, "EndpointSlice") == {"other"})


async def test_a_namespace_that_is_new_is_read_if_it_is_chosen(several, following):
    async with following(**TEAM) as follower:
        several.store.put("Namespace", "late", labels={"team": "shop"})
        several.store.put("Service", "web", "late", spec={"ports": [{"port": 80}]})
        await follower.until(lambda: "late" in namespaces(follower, "Service"))
        several.store.delete("Namespace", "late")
        await follower.until(lambda: "late" not in namespaces(follower, "Service"))


async def test_a_selector_that_selects_nothing_is_told(several, following):
    async with following(namespaceSelector={"matchLabels": {"team": "shpo"}}) as follower:
        told = follower.found()["XDS0315"]
        assert str(told.ref) == "MemberCluster east in the fleet"
        assert told.message == "no namespace of cluster 'east' matches team=shpo, so nothing in namespaces is read of it"
        assert told.is_about("east")
        several.store.put("Namespace", "late", labels={"team": "shpo"})
        await follower.until(lambda: "XDS0315" not in follower.found())
        several.store.delete("Namespace", "late")
        await follower.until(lambda: "XDS0315" in follower.found())
        follower.source.declared("east", declared(**TEAM))
        await follower.until(lambda: "XDS0315" not in follower.found())


async def test_what_a_selector_selects_is_not_known_where_namespaces_may_not_be_read(server, following):
    server.forbidden.add("Namespace")
    async with following(**TEAM) as follower:
        await follower.until(lambda: "XDS0302" in follower.found())
        assert "XDS0315" not in follower.found()


async def test_only_what_is_exported_is_asked_for(several, following):
    several.store.put("ServiceExport", "web", "pay")
    async with following(**EXPORTED) as follower:
        assert namespaces(follower, "Service") == namespaces(follower, "EndpointSlice") == {"pay"}
        assert namespaces(follower, "Namespace") == {"shop", "pay", "other"}, "which clients may use what is known as before"
        lists = [one for one in several.requests if "endpointslices" in one]
        assert all("labelSelector=kubernetes.io/service-name" in one for one in lists), lists
        several.store.put("ServiceExport", "web", "other")
        for kind in ("Service", "EndpointSlice"):  # each comes over a connection of its own
            await follower.until(lambda kind=kind: namespaces(follower, kind) == {"pay", "other"})
        put_slice(several.store, "web", "other", "10.7.0.2")
        await follower.until(lambda: "10.7.0.2" in follower.addresses())
        several.store.delete("ServiceExport", "web", "pay")
        await follower.until(lambda: namespaces(follower, "EndpointSlice") == {"other"})
        assert namespaces(follower, "Service") == {"other"}


async def test_without_exports_nothing_is_read(server, following):
    async with following(**EXPORTED) as follower:
        assert namespaces(follower, "Service") == namespaces(follower, "EndpointSlice") == set()
        server.store.add_kind("ServiceExport")
        server.store.put("ServiceExport", "web")
        await follower.until(lambda: follower.addresses() != [])
        assert follower.told_deletes() == []


async def test_what_is_shared_needs_no_export(several, following):
    async with following(**EXPORTED) as follower:
        follower.source.shared([("pay", "web")])
        await follower.until(lambda: namespaces(follower, "EndpointSlice") == {"pay"})
        follower.source.shared([])
        await follower.until(lambda: namespaces(follower, "EndpointSlice") == set())


async def test_exports_that_are_held_are_read_on(several, following):
    for namespace in ("shop", "pay", "other"):
        several.store.put("ServiceExport", "web", namespace)
    async with following(**EXPORTED) as follower:
        several.store.remove_kind("ServiceExport")
        await follower.until(lambda: "XDS0308" in follower.found())
        assert namespaces(follower, "EndpointSlice") == {"shop", "pay", "other"}


async def test_a_cluster_that_we_write_to_is_read_whole(several, following):
    async with following(is_written=True, **EXPORTED) as follower:
        assert namespaces(follower, "EndpointSlice") == {"shop", "pay", "other"}


async def test_a_scope_that_changes_is_followed_at_once_and_held_by_nobody(several, following):
    async with following() as follower:
        follower.source.declared("east", declared(namespaceSelector={"matchLabels": {"team": "else"}}))
        await follower.until(lambda: namespaces(follower, "EndpointSlice") == {"other"})
        assert namespaces(follower, "Namespace") == namespaces(follower, "Service") == {"other"}
        assert "XDS0308" not in follower.found()
        follower.source.declared("east", None)
        await follower.until(lambda: namespaces(follower, "EndpointSlice") == {"shop", "pay", "other"})
        assert namespaces(follower, "Namespace") == {"shop", "pay", "other"}
        # That they went then makes nothing doubtful that goes later.
        several.store.delete("Service", "web", "pay")
        await follower.until(lambda: "pay" not in namespaces(follower, "Service"))
        assert "XDS0308" not in follower.found()


async def test_what_is_held_goes_with_its_namespace(several, following):
    for number in range(3):
        several.store.put("Service", f"s{number}", "pay", spec={"ports": [{"name": "http", "port": 80}]})
        put_slice(several.store, f"s{number}", "pay")
    async with following(**TEAM) as follower:
        for kind in ("Service", "EndpointSlice"):
            for namespace, name in several.store.objects(kind):
                several.store.delete(kind, name, namespace)
        await follower.until(lambda: "XDS0308" in follower.found())
        several.store.put("Namespace", "pay", labels={})
        await follower.until(lambda: "pay" not in namespaces(follower, "EndpointSlice"), within_s=5)
        several.store.put("Namespace", "shop", labels={})
        await follower.until(lambda: "XDS0308" not in follower.found(), within_s=5)
        assert namespaces(follower, "Service") == namespaces(follower, "EndpointSlice") == set()


@pytest.mark.parametrize("scope", [{}, EXPORTED, TEAM])
async def test_exports_that_go_one_after_another_are_held_whatever_is_read(several, following, scope):
    names = [f"n{number}" for number in range(6)]
    for name in names:
        several.store.put("Namespace", name, labels={"team": "shop"})
        several.store.put("Service", "web", name, spec={"ports": [{"name": "http", "port": 80}]})
        several.store.put("ServiceExport", "web", name)
    async with following(**scope) as follower:
        for name in names:
            several.store.delete("ServiceExport", "web", name)
            await asyncio.sleep(0.1)
        await follower.until(lambda: "XDS0308" in follower.found(), within_s=5)
        assert len(namespaces(follower, "ServiceExport")) == 3, "half of them may go"


async def test_what_is_wrong_where_nothing_is_wanted_is_told_no_more(several, following):
    several.store.put("Service", "wrong", "other", spec={"ports": [{"port": 0}]})
    async with following() as follower:
        await follower.until(lambda: "XDS0102" in follower.found(), within_s=5)
        follower.source.declared("east", declared(**TEAM))
        await follower.until(lambda: "XDS0102" not in follower.found(), within_s=5)


async def test_pages_of_what_was_wanted_before_do_not_count(servers, following, monkeypatch, server):
    server.store.streamed_lists = "refused"
    for number in range(30):
        server.store.put("Namespace", f"ns-{number}", labels={"team": "shop"} if number % 2 else {})
        server.store.put("Service", "web", f"ns-{number}", spec={"ports": [{"port": 80}]})
    monkeypatch.setattr("xds.discovery.live.collection.PAGE", 3)
    async with following(**TEAM) as follower:
        wanted = {f"ns-{number}" for number in range(30) if number % 2}
        assert namespaces(follower, "Service") == wanted
        follower.source.declared("east", None)
        follower.source.declared("east", declared(**TEAM))
        follower.source.declared("east", None)
        await follower.until(lambda: len(namespaces(follower, "Service")) == 31)


def test_a_selector_names_the_services_that_are_wanted():
    names = frozenset((("shop", "web"), ("pay", "web"), ("pay", "cart")))
    assert Scope(None, names).selector(SLICES) == "kubernetes.io/service-name in (cart,web)"
    assert Scope(frozenset(("shop",)), names).selector(SLICES) == "kubernetes.io/service-name in (web)"
    assert Scope(None, frozenset()).selector(SLICES) == NOTHING
    assert Scope().selector(SLICES) == ""
    assert Scope(None, names).selector(KINDS["Service"]) == ""
    many = frozenset(("shop", f"{'x' * 60}{number}") for number in range(MAX_SELECTOR_BYTES // 60))
    assert Scope(None, many).selector(SLICES) == "", "a request that long would be refused on its way"
