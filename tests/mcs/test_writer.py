"""One replica writes in a cluster, another takes over when it goes, and what fails is tried again and told."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager

import msgspec
import pytest
from api_servers import ApiServers
from fleet_world import endpoint, endpoint_slice, export, make, service

from xds.errors import XdsError
from xds.mcs.lease import DURATION_S, RENEW_S
from xds.mcs.plan import Drop, Put
from xds.mcs.world import World
from xds.mcs.writer import Writer, touched_by
from xds.model.events import Delete, ObjectKey, Upsert
from xds.ranges import parsed

pytestmark = pytest.mark.looptime


class Client:
    """Writes to one of the servers; `broken` makes every write fail."""

    def __init__(self, servers, cluster, on_write):
        self.servers, self.cluster, self.on_write = servers, cluster, on_write
        self.lease, self.version = None, 0
        self.broken = ""
        self.lag_s = 0
        """After how long what is written is heard of."""
        self.writes = []

    async def apply(self, key, body, *, is_status):
        await self.write(Put(key, body, is_status))

    async def delete(self, key):
        await self.write(Drop(key))

    async def write(self, write):
        await asyncio.sleep(0.01)
        if self.broken:
            raise XdsError(self.broken)
        self.writes.append(write)
        if self.lag_s:
            asyncio.get_running_loop().call_later(self.lag_s, self.hear, write)
        else:
            self.hear(write)

    def hear(self, write):
        self.servers.write(self.cluster, write)
        item = self.servers.clusters[self.cluster].items.get(write.key)
        self.on_write(Upsert(self.cluster, item) if item else Delete(self.cluster, write.key))

    async def read_lease(self, namespace, name):
        assert (namespace, name) == ("isthmus-system", "isthmus-mcs")
        return self.lease

    async def write_lease(self, namespace, name, body, *, is_new):
        del namespace, name
        wanted = msgspec.json.decode(body)
        current = msgspec.json.decode(self.lease)["metadata"]["resourceVersion"] if self.lease else ""
        if wanted["metadata"].get("resourceVersion", "") != current or is_new != (self.lease is None):
            return False
        self.version += 1
        wanted["metadata"]["resourceVersion"] = str(self.version)
        self.lease = msgspec.json.encode(wanted)
        return True


class Lab:
    def __init__(self):
        web = [service("web"), export("web"), endpoint_slice("web", [endpoint("10.1.0.1")])]
        self.servers = ApiServers({"east": [make("Namespace", "shop"), *web], "west": [make("Namespace", "shop")]})
        self.writers = []
        self.client = Client(self.servers, "west", self.tell)

    def tell(self, event):
        for writer in self.writers:
            writer.touch(event)

    def change(self, cluster, item):
        self.servers.put(cluster, item)
        self.tell(Upsert(cluster, item))

    @asynccontextmanager
    async def replica(self, identity, ranges=()):
        world = lambda: World(self.servers.clusters, self.servers.members)  # noqa: E731 - short
        writer = Writer("west", self.client, world, identity=identity, on_problems=lambda: None, ranges=ranges)
        self.writers.append(writer)
        task = asyncio.create_task(writer.run())
        try:
            yield writer
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            self.writers.remove(writer)


async def test_what_is_exported_is_imported_and_followed():
    lab = Lab()
    async with lab.replica("one") as writer:
        await asyncio.sleep(1)
        assert writer.leads
        assert lab.servers.copies("west") == {("east", "10.1.0.1")}
        assert lab.servers.item("west", "ServiceImport").spec.ips
        written = writer.written
        await asyncio.sleep(3)
        assert writer.written == written
        lab.change("east", endpoint_slice("web", [endpoint("10.1.0.2")]))
        await asyncio.sleep(0.5)
        assert lab.servers.copies("west") == {("east", "10.1.0.2")}
        assert writer.written == written + 1


async def test_one_replica_writes_and_another_takes_over():
    lab = Lab()
    async with lab.replica("one") as one:
        await asyncio.sleep(0.1)
        async with lab.replica("two") as two:
            await asyncio.sleep(1)
            assert (one.leads, two.leads, two.written) == (True, False, 0)
    # It gave the lease up as it stopped.
    async with lab.replica("three") as three:
        await asyncio.sleep(0.2)
        assert three.leads


async def test_a_replica_that_dies_is_followed_when_its_lease_is_over():
    lab = Lab()
    async with lab.replica("one"):
        await asyncio.sleep(1)
        kept = lab.client.lease
    lab.client.lease = kept  # as if it had not been given up
    async with lab.replica("two") as two:
        await asyncio.sleep(DURATION_S - RENEW_S)
        assert not two.leads
        await asyncio.sleep(2 * RENEW_S)
        assert two.leads


async def test_a_write_that_fails_is_tried_again_and_told():
    lab = Lab()
    lab.client.broken = "403: services is forbidden"
    async with lab.replica("one") as writer:
        await asyncio.sleep(1)
        (problem,) = writer.problems()
        assert (problem.code, problem.message) == (
            "XDS0305",
            "what shop/web needs in cluster 'west' cannot be written: 403: services is forbidden",
        )
        lab.client.broken = ""
        await asyncio.sleep(5)
        assert list(writer.problems()) == []
        assert lab.servers.copies("west") == {("east", "10.1.0.1")}


async def test_a_server_whose_place_somebody_else_takes_is_told():
    lab = Lab()
    lab.client.lease = b"<html>Login</html>"
    async with lab.replica("one") as writer:
        await asyncio.sleep(1)
        (problem,) = writer.problems()
        assert "what the server answers is no Lease" in problem.message
        lab.client.lease = None
        await asyncio.sleep(2 * RENEW_S)
        assert (writer.leads, [*writer.problems()]) == (True, [])


async def test_whoever_deletes_what_we_wrote_gets_it_back():
    lab = Lab()
    async with lab.replica("one"):
        await asyncio.sleep(1)
        before = dict(lab.servers.clusters["west"].items)
        for key in before:
            if key.kind == "EndpointSlice":
                lab.servers.drop("west", key.kind, key.name)
                lab.tell(Delete("west", key))
        await asyncio.sleep(1)
        assert lab.servers.clusters["west"].items == before


async def test_addresses_of_a_range_are_kept_by_whoever_leads():
    lab, ranges = Lab(), parsed(["10.9.0.0/29"])
    async with lab.replica("one", ranges) as one:
        await asyncio.sleep(1)
        (address,) = lab.servers.item("west", "ServiceImport").spec.ips
        assert address.startswith("10.9.0.")
        written = one.written
        await asyncio.sleep(3)
        assert (one.written, [*one.problems()]) == (written, [])
    async with lab.replica("two", ranges) as two:
        await asyncio.sleep(1)
        assert (two.leads, two.written) == (True, 0)
        # A Service takes it: it is told, and the import moves.
        lab.change("west", service("mine", clusterIP=address))
        await asyncio.sleep(1)
        assert lab.servers.item("west", "ServiceImport").spec.ips != [address]
        assert [problem.code for problem in two.problems()] == ["XDS0311"]
        # Six addresses, of which five are left: the youngest of six names has none until another goes.
        for number in range(5):
            lab.change("east", service(f"s{number}", clusterIP="10.96.0.9"))
            lab.change("east", export(f"s{number}", created=f"2026-01-01T00:00:0{number}Z"))
        await asyncio.sleep(1)
        assert [problem.code for problem in two.problems()] == ["XDS0310", "XDS0311"]
        assert lab.servers.item("west", "ServiceImport", "s4").spec.ips == []
        lab.servers.drop("east", "ServiceExport", "s0")
        lab.tell(Delete("east", ObjectKey("ServiceExport", "shop", "s0")))
        await asyncio.sleep(1)
        assert lab.servers.item("west", "ServiceImport", "s4").spec.ips
        assert [problem.code for problem in two.problems()] == ["XDS0311"]
    async with lab.replica("three") as three:
        await asyncio.sleep(1)
        assert (
            lab.servers.item("west", "ServiceImport").spec.ips
            == lab.servers.item("west", "Service", "clusterset-web").spec.cluster_ips
        )
        assert [*three.problems()] == []


async def test_addresses_are_given_once_while_much_is_exported():
    lab, ranges = Lab(), parsed(["10.9.0.0/26"])
    async with lab.replica("one", ranges) as one:
        for number in range(50):  # the youngest first, while those before are being written
            lab.change("east", service(f"s{number}", clusterIP="10.96.0.9"))
            lab.change("east", export(f"s{number}", created=f"2026-01-01T00:00:{59 - number}Z"))
            await asyncio.sleep(0.03)
        await asyncio.sleep(5)
        found = [item.spec.ips for key, item in lab.servers.clusters["west"].items.items() if key.kind == "ServiceImport"]
        assert len({address for (address,) in found}) == len(found) == 51
        # An address was never written over: a ServiceImport and its status each.
        imports = [write for write in lab.client.writes if isinstance(write, Put) and write.key.kind == "ServiceImport"]
        assert len(imports) == 2 * 51
        assert [*one.problems()] == []


async def test_an_address_that_was_given_is_not_given_again_before_its_import_is_heard_of():
    lab, ranges = Lab(), parsed(["10.9.0.0/29"])
    lab.client.lag_s = 2
    async with lab.replica("one", ranges):
        for number in range(5):  # each older than those before: it would come first
            await asyncio.sleep(0.3)
            lab.change("east", service(f"s{number}", clusterIP="10.96.0.9"))
            lab.change("east", export(f"s{number}", created=f"2026-01-01T00:00:{9 - number:02}Z"))
        await asyncio.sleep(9)
        written = {
            (write.key.name, *write.body["spec"]["ips"])
            for write in lab.client.writes
            if isinstance(write, Put) and write.key.kind == "ServiceImport" and not write.is_status
        }
        assert len(written) == len({address for _, address in written}) == 6


def test_what_an_object_is_about():
    assert touched_by(Upsert("east", make("Node", "n1"))) == set()
    assert touched_by(Upsert("east", make("Namespace", "shop"))) is None
    assert ("shop", "web") in touched_by(Upsert("east", endpoint_slice("web", [])))
    assert touched_by(Delete("east", ObjectKey("EndpointSlice", "shop", "web-1"))) is None
    assert ("shop", "web") in touched_by(Delete("west", ObjectKey("Service", "shop", "clusterset-web")))
