"""Kinds of one name in three API groups, on one API server: none is taken for another."""

from __future__ import annotations

import pytest

from xds.discovery.live.collection import Collection
from xds.discovery.saved_world import SavedWorld
from xds.model.events import Delete, ObjectKey
from xds.model.kinds import KINDS

FSM, ERIE_CANAL = "multicluster.flomesh.io", "flomesh.io"
NAMES = ("ServiceExport", "ServiceImport", "GlobalTrafficPolicy")
ALL = ("ServiceExport", "ServiceImport", *(f"{kind}.{group}" for group in (FSM, ERIE_CANAL) for kind in NAMES))
RULES = [{"portNumber": 80, "path": "/pay", "pathType": "Prefix"}]


def put_all(server):
    for kind in ALL:
        server.store.add_kind(kind)
        server.store.put(kind, "pay", spec={})


def there(fleet):
    return {kind for kind in ALL if fleet.names(kind) == {"pay"}}


async def test_each_group_is_picked_up(server, member_of):
    put_all(server)
    async with member_of(server) as fleet:
        await fleet.until(lambda: there(fleet) == {*ALL})
        assert fleet.found() == {}
        key = ("east", ObjectKey(f"ServiceExport.{FSM}", "shop", "pay"))
        server.store.put(f"ServiceExport.{FSM}", "pay", spec={"rules": RULES})
        await fleet.until(lambda: [rule.path for rule in fleet.objects[key].spec.rules] == ["/pay"])
        server.store.delete("ServiceExport", "pay")
        server.store.delete(f"GlobalTrafficPolicy.{ERIE_CANAL}", "pay")
        await fleet.until(lambda: there(fleet) == {*ALL} - {"ServiceExport", f"GlobalTrafficPolicy.{ERIE_CANAL}"})


@pytest.mark.parametrize("group", [FSM, ERIE_CANAL])
async def test_an_object_that_does_not_validate(server, member_of, group):
    put_all(server)
    async with member_of(server) as fleet:
        await fleet.until(lambda: there(fleet) == {*ALL})
        server.store.put(f"GlobalTrafficPolicy.{group}", "pay", spec={"lbType": "Failover"})
        await fleet.until(lambda: "XDS0102" in fleet.found())
        problem = fleet.found()["XDS0102"]
        assert str(problem.ref) == f"GlobalTrafficPolicy.{group} shop/pay in east"
        assert (problem.field, problem.message) == (
            "spec.lbType",
            "is 'Failover'; expected one of Locality, FailOver, ActiveActive",
        )
        assert there(fleet) == {*ALL}
        server.store.put(f"GlobalTrafficPolicy.{group}", "pay", spec={"lbType": "FailOver"})
        await fleet.until(lambda: not fleet.found())


async def test_a_kind_whose_group_goes_takes_none_of_the_others_with_it(server, member_of):
    put_all(server)
    async with member_of(server) as fleet:
        await fleet.until(lambda: there(fleet) == {*ALL})
        for kind in NAMES:
            server.store.remove_kind(f"{kind}.{FSM}")
        await fleet.until(lambda: there(fleet) == {kind for kind in ALL if not kind.endswith(f".{FSM}")})


async def test_what_may_not_be_read_is_named_in_full(server, member_of):
    put_all(server)
    server.forbidden.add(f"ServiceImport.{ERIE_CANAL}")
    async with member_of(server) as fleet:
        await fleet.until_synced()
        assert f"does not let us read ServiceImport.{ERIE_CANAL}: " in fleet.found()["XDS0302"].message
        await fleet.until(lambda: there(fleet) == {*ALL} - {f"ServiceImport.{ERIE_CANAL}"})


async def test_what_is_saved_comes_back_under_its_name(server, member_of, tmp_path):
    put_all(server)
    saved = SavedWorld(tmp_path)
    async with member_of(server) as fleet:
        await fleet.until(lambda: there(fleet) == {*ALL})
        saved.save("east", fleet.objects.values(), {}, 1.0)
    assert saved.load("east").objects == [*fleet.objects.values()]
    assert saved.problems == {}


def test_a_watch_deletes_by_that_name():
    kind = KINDS[f"ServiceExport.{FSM}"]
    collection = Collection("east", kind, "v1alpha1", streams_lists=False)
    raw = b'{"kind":"ServiceExport","metadata":{"name":"pay","namespace":"shop"}}'
    collection.take_page(b'{"kind":"ServiceExportList","metadata":{"resourceVersion":"1"},"items":[' + raw + b"]}")
    events = collection.take_line(b'{"type":"DELETED","object":' + raw + b"}")
    assert events == [Delete("east", ObjectKey(f"ServiceExport.{FSM}", "shop", "pay"))]
