"""Names of the cluster set, from files to a DNS client."""

import asyncio

import dns.asyncquery
import dns.message
import dns.rcode
import pytest

from xds.dns.address import DnsAddressError
from xds.errors import ConfigurationError

WEB = "web.shop.svc.clusterset.local"


@pytest.fixture
def ask():
    async def ask(plane, name, kind="A"):
        host, port = plane.dns_address.split(":")
        found = await dns.asyncquery.udp(dns.message.make_query(name, kind), host, port=int(port), timeout=20)
        return dns.rcode.to_text(found.rcode()), sorted(str(rdata) for rrset in found.answer for rdata in rrset)

    return ask


def import_of(*ips):
    meta = {"name": "web", "namespace": "shop"}
    spec = {"type": "ClusterSetIP", "ips": list(ips), "ports": [{"port": 80}]}
    return {"apiVersion": "multicluster.x-k8s.io/v1beta1", "kind": "ServiceImport", "metadata": meta, "spec": spec}


def headless(fleet, cluster, *pods, ready=True):
    """Make web of a cluster headless, with pods by their hostnames."""
    meta = {"name": "web", "namespace": "shop"}
    spec = {"clusterIP": "None", "ports": [{"name": "http-80", "port": 80}]}
    fleet.write(f"{cluster}/web.yaml", {"apiVersion": "v1", "kind": "Service", "metadata": meta, "spec": spec})
    slice_ = {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {"name": "web-1", "namespace": "shop", "labels": {"kubernetes.io/service-name": "web"}},
        "addressType": "IPv4",
        "ports": [{"name": "http-80", "port": 8080}],
        "endpoints": [
            {"addresses": [address], "hostname": hostname, "conditions": {"ready": ready}} for hostname, address in pods
        ],
    }
    fleet.write(f"{cluster}/web-endpoints.yaml", slice_)


async def changes_to(ask, plane, name, wanted):
    async with asyncio.timeout(10):
        while await ask(plane, name) != wanted:  # noqa: ASYNC110 - files are read by a thread
            await asyncio.sleep(0.005)


async def test_the_address_of_an_import_is_the_one_of_the_asking_cluster(fleet, running, ask):
    fleet.write("east/web-import.yaml", import_of("10.96.0.7"))
    fleet.write("west/web-import.yaml", import_of("10.97.0.7"))
    async with running(dns_address="127.0.0.1:0", dns_cluster="west") as plane:
        assert plane.dns_cluster == "west"
        assert await ask(plane, WEB) == ("NOERROR", ["10.97.0.7"])
        assert await ask(plane, f"_http-80._tcp.{WEB}", "SRV") == ("NOERROR", [f"0 1 80 {WEB}."])
        assert await ask(plane, f"west.{WEB}") == ("NXDOMAIN", [])
        fleet.write("west/web-import.yaml", import_of("10.97.0.8"))
        await changes_to(ask, plane, WEB, ("NOERROR", ["10.97.0.8"]))
        (fleet.path / "west/web-import.yaml").unlink()
        await changes_to(ask, plane, WEB, ("NXDOMAIN", []))
        assert plane.dns_queries["A", "NOERROR"] >= 2


async def test_pods_of_a_headless_service(fleet, running, ask):
    headless(fleet, "east", ("web-0", "10.1.0.1"))
    headless(fleet, "west", ("web-0", "10.2.0.1"), ("web-1", "10.2.0.2"))
    async with running(dns_address="127.0.0.1:0", dns_cluster="east") as plane:
        assert await ask(plane, WEB) == ("NOERROR", ["10.1.0.1", "10.2.0.1", "10.2.0.2"])
        assert await ask(plane, f"web-0.west.{WEB}") == ("NOERROR", ["10.2.0.1"])
        regions = {"east": "r-east", "west": "r-west"}
        fleet.write("fleet.yaml", *(fleet.member(name, region=region, network=name) for name, region in regions.items()))
        await changes_to(ask, plane, WEB, ("NOERROR", ["10.1.0.1"]))
        fleet.write("fleet.yaml", *(fleet.member(name, region=region) for name, region in regions.items()))
        await changes_to(ask, plane, WEB, ("NOERROR", ["10.1.0.1", "10.2.0.1", "10.2.0.2"]))
        headless(fleet, "west", ("web-0", "10.2.0.1"), ("web-1", "10.2.0.2"), ready=False)
        await changes_to(ask, plane, WEB, ("NOERROR", ["10.1.0.1"]))
        assert await ask(plane, f"web-0.west.{WEB}") == ("NXDOMAIN", [])
        headless(fleet, "east")
        await changes_to(ask, plane, WEB, ("NXDOMAIN", []))


async def test_for_a_cluster_that_is_gone_nobody_can_say(fleet, running, ask):
    fleet.write("east/web-import.yaml", import_of("10.96.0.7"))
    async with running(dns_address="127.0.0.1:0", dns_cluster="east") as plane:
        assert await ask(plane, WEB) == ("NOERROR", ["10.96.0.7"])
        fleet.write("fleet.yaml", fleet.member("west", region="r-west"))
        (fleet.path / "east").rename(fleet.path / ".east")
        await changes_to(ask, plane, WEB, ("SERVFAIL", []))
        (fleet.path / ".east").rename(fleet.path / "east")
        await changes_to(ask, plane, WEB, ("NOERROR", ["10.96.0.7"]))


async def test_without_an_address_nothing_is_served(running):
    async with running() as plane:
        assert (plane.dns_address, plane.dns_cluster, plane.dns_queries) == ("", "", {})


@pytest.mark.parametrize(("cluster", "said"), [(None, "with --dns-cluster NAME; known are east, west"), ("north", "'north'")])
async def test_for_whom_to_answer_must_be_clear(running, cluster, said):
    with pytest.raises(ConfigurationError, match=said):
        async with running(dns_address="127.0.0.1:0", dns_cluster=cluster):
            pass


async def test_an_address_that_cannot_be_had(running):
    with pytest.raises(DnsAddressError, match=r"cannot serve DNS on '192.0.2.1:0'"):
        async with running(dns_address="192.0.2.1:0", dns_cluster="east"):
            pass


def never(*clusters):
    """Return a policy of all services of the namespace by which nobody uses some clusters."""
    spec = {"defaultFor": "Namespace", "sovereignty": [{"clusters": [name]} for name in clusters]}
    meta = {"name": "never", "namespace": "shop"}
    return {"apiVersion": "traffic.isthmus.dev/v1alpha1", "kind": "TrafficPolicy", "metadata": meta, "spec": spec}


async def test_pods_at_a_forbidden_place_have_no_names(fleet, running, ask):
    headless(fleet, "east", ("web-0", "10.1.0.1"))
    headless(fleet, "west", ("web-0", "10.2.0.1"))
    async with running(dns_address="127.0.0.1:0", dns_cluster="east") as plane:
        assert await ask(plane, WEB) == ("NOERROR", ["10.1.0.1", "10.2.0.1"])
        fleet.write("policies.yaml", never("west"))
        await changes_to(ask, plane, WEB, ("NOERROR", ["10.1.0.1"]))
        assert await ask(plane, f"web-0.west.{WEB}") == ("NXDOMAIN", [])
        assert await ask(plane, f"_http-80._tcp.{WEB}", "SRV") == ("NOERROR", [f"0 1 8080 web-0.east.{WEB}."])
        fleet.write("policies.yaml", never("east", "west"))
        await changes_to(ask, plane, WEB, ("NXDOMAIN", []))
        (fleet.path / "policies.yaml").unlink()
        await changes_to(ask, plane, WEB, ("NOERROR", ["10.1.0.1", "10.2.0.1"]))
