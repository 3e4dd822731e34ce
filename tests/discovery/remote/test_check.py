"""What a check finds in API servers that are not as they should be."""

import base64
import ssl
import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
import trustme
from fake_api_server import FakeApiServer
from fake_objects import MEMBER_CLUSTER, serve_further
from fake_store import Resource

from xds.discovery.live.access import FileAccess
from xds.discovery.live.kubeconfig import Context, chosen_contexts
from xds.discovery.remote.check import check, compared
from xds.discovery.remote.findings import Result
from xds.discovery.remote.probes import Identity
from xds.ranges import parsed

SERVICE_CIDR = Resource("ServiceCIDR", "networking.k8s.io", "v1", "servicecidrs", namespaced=False, built_in=True)
PROPERTY = Resource("ClusterProperty", "about.k8s.io", "v1beta1", "clusterproperties", namespaced=False)
ABSENT = "flomesh.io, multicluster.flomesh.io, networking.fleet.azure.com, networking.istio.io, traffic.isthmus.dev"


@pytest.fixture
async def start():
    """Return a function that starts a cluster."""
    started = []

    async def start(uid="u-1", **options):
        server = await FakeApiServer(**options).start()
        started.append(server)
        serve_further(server, PROPERTY)
        for kind in ("ServiceExport", "ServiceImport", "Gateway", "HTTPRoute"):
            server.store.add_kind(kind)
        server.store.put("Namespace", "kube-system")
        server.store.objects("Namespace")["", "kube-system"]["metadata"]["uid"] = uid
        return server

    yield start
    for server in started:
        server.resume()
        await server.stop()


async def checked(tmp_path, *, limit_s=5.0, mcs=False, hub=None, cluster=None, ranges=(), **servers):
    """Return (cluster, check) -> finding."""
    files = [server.kubeconfig(tmp_path / name, name, **(cluster or {})) for name, server in servers.items()]
    found = await check(chosen_contexts(files, ()) if files else [], hub, mcs=mcs, limit_s=limit_s, ranges=parsed(ranges))
    return {(one.cluster, one.check): one for one in found}


async def test_a_cluster_that_is_in_order(start, tmp_path):
    server = await start()
    server.store.put("ClusterProperty", "cluster.clusterset.k8s.io", spec={"value": "c1"})
    found = await checked(tmp_path, east=server, mcs=True)
    bad = {key for key, one in found.items() if one.result is not Result.OK}
    assert bad == {("east", "certificate")}  # plain text
    assert found["east", "identity"].found == "id c1, kube-system u-1"
    v1, beta = "Namespace, Node, Service, EndpointSlice, Gateway, HTTPRoute", "ServiceExport, ServiceImport, ClusterProperty"
    assert found["east", "apis"].found == f"v1.37.2; v1: {v1}; v1beta1: {beta}; not installed: {ABSENT}"
    assert found["east", "rights"].found == "all 51 that are needed"
    assert not found["east", "rights"].remedy


async def test_certificates(start, tmp_path):
    authority = trustme.CA()
    for days, result in ((400, Result.OK), (10, Result.WARNING)):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("127.0.0.1", not_after=datetime.now(UTC) + timedelta(days=days, hours=1)).configure_cert(context)
        server = await start(tls=context)
        trusted = {"certificate-authority-data": base64.b64encode(authority.cert_pem.bytes()).decode()}
        found = await checked(tmp_path, east=server, cluster=trusted)
        assert found["east", "certificate"].result is result
        assert f"{days} days left" in found["east", "certificate"].found
        found = await checked(tmp_path, east=server, cluster={"insecure-skip-tls-verify": True})
        assert found["east", "certificate"].result is Result.WARNING
        assert "not verified" in found["east", "certificate"].found
        found = await checked(tmp_path, east=server)
        assert found["east", "reachable"].result is Result.FAILED
        assert "is not accepted" in found["east", "reachable"].found


@pytest.mark.parametrize(("ahead_s", "result"), [(3, Result.OK), (9, Result.WARNING), (-3600, Result.WARNING)])
async def test_clocks(start, tmp_path, ahead_s, result):
    server = await start()

    original = server._answer

    async def answer(request):
        response = await original(request)
        response.headers["Date"] = format_datetime(datetime.now(UTC) + timedelta(seconds=ahead_s), usegmt=True)
        return response

    await server.stop()
    server._answer = answer
    await server.start()
    found = (await checked(tmp_path, east=server))["east", "clock"]
    assert found.result is result
    assert ("behind" if ahead_s < 0 else "ahead of") in found.found


async def test_rights_that_are_missing(start, tmp_path):
    server = await start()
    server.forbidden |= {"list services", "watch services", "patch serviceexports/status", "create leases"}
    found = (await checked(tmp_path, east=server))["east", "rights"]
    assert (found.result, found.found) == (Result.FAILED, "2 of 36 are missing: may not list, watch services")
    assert "deploy/remote/read-only.yaml and bind it" in found.remedy
    found = (await checked(tmp_path, east=server, mcs=True))["east", "rights"]
    assert found.found == (
        "4 of 51 are missing: may not list, watch services; patch serviceexports/status.multicluster.x-k8s.io; "
        "create leases.coordination.k8s.io in isthmus-system"
    )
    server.forbidden |= {"list nodes", "watch nodes", "list endpointslices"}
    found = (await checked(tmp_path, east=server))["east", "rights"]
    assert found.found == "5 of 36 are missing: may not list, watch services, nodes; list endpointslices.discovery.k8s.io"


async def test_rights_to_what_is_not_installed_are_a_warning(start, tmp_path):
    server = await start()
    server.store.remove_kind("Gateway")
    server.store.remove_kind("HTTPRoute")
    server.forbidden.add("list gateways")
    found = await checked(tmp_path, east=server)
    assert found["east", "rights"].result is Result.WARNING
    assert found["east", "apis"].result is Result.OK
    assert found["east", "apis"].found.endswith(
        f"; not installed: flomesh.io, gateway.networking.k8s.io, {ABSENT.partition(', ')[2]}"
    )


async def test_apis_that_are_missing(start, tmp_path):
    server = await start()
    server.store.remove_kind("ServiceExport")
    server.store.add_kind("Gateway", "v9")
    server.store.remove_kind("HTTPRoute")
    found = (await checked(tmp_path, east=server))["east", "apis"]
    assert found.result is Result.WARNING
    assert "(but Gateway in v9)" in found.found
    found = (await checked(tmp_path, east=server, mcs=True))["east", "apis"]
    assert (found.result, found.remedy) == (Result.FAILED, "install the CRDs of the MCS API")


async def test_two_names_of_one_cluster(start, tmp_path):
    first, second, other = await start(), await start(), await start(uid="u-2")
    found = await checked(tmp_path, east=first, west=second, north=other)
    for name, twin in (("east", "west"), ("west", "east")):
        assert found[name, "identity"].result is Result.FAILED
        assert found[name, "identity"].found == f"is the same cluster as {twin}"
    assert found["north", "identity"].result is Result.OK


async def test_a_range_that_something_has(start, tmp_path):
    server = await start()
    derived = {"multicluster.kubernetes.io/service-name": "web"}
    server.store.put("Service", "clusterset-web", labels=derived, spec={"clusterIP": "10.9.0.7"})
    server.store.put("Service", "headless", spec={"clusterIP": "None"})
    assert ("east", "range") not in await checked(tmp_path, east=server)
    found = await checked(tmp_path, east=server, ranges=["10.9.0.0/16", "fd00:9::/112"])
    assert found["east", "range"].result is Result.OK  # there is no ServiceCIDR in this server
    assert found["east", "range"].found == "nothing has addresses of 10.9.0.0/16 and fd00:9::/112"
    server.store.put("Node", "n1", "", spec={"podCIDR": "10.9.4.0/24", "podCIDRs": ["10.9.4.0/24", "fd00::/64"]})
    found = (await checked(tmp_path, east=server, ranges=["10.9.0.0/16"]))["east", "range"]
    assert (found.result, found.found) == (Result.FAILED, "10.9.0.0/16 overlaps pods on node n1 (10.9.4.0/24)")
    assert found.remedy == "choose a range that no cluster uses"
    server.store.put("Service", "web", spec={"clusterIP": "10.8.0.1", "clusterIPs": ["10.8.0.1", "fd00:9::1"]})
    found = (await checked(tmp_path, east=server, ranges=["10.9.0.0/16", "fd00:9::/112"]))["east", "range"]
    assert found.found == "10.9.0.0/16 and fd00:9::/112 overlaps Service shop/web (fd00:9::1), and 1 more"
    serve_further(server, SERVICE_CIDR)
    server.store.put("ServiceCIDR", "kubernetes", "", spec={"cidrs": ["10.8.0.0/15"]})
    found = (await checked(tmp_path, east=server, ranges=["10.9.0.0/16"]))["east", "range"]
    assert found.found == "10.9.0.0/16 overlaps ServiceCIDR kubernetes (10.8.0.0/15), and 1 more"
    server.forbidden |= {"ServiceCIDR", "Node"}
    found = (await checked(tmp_path, east=server, ranges=["10.9.0.0/16"]))["east", "range"]
    assert found.result is Result.WARNING
    assert found.found == "nothing else has addresses of 10.9.0.0/16, but ranges of Services were not compared"
    assert found.remedy == "let it list servicecidrs in networking.k8s.io"
    server.store.put("Service", "web", spec={"clusterIP": "10.9.0.1"})
    found = (await checked(tmp_path, east=server, ranges=["10.9.0.0/16"]))["east", "range"]
    assert (found.result, found.found) == (Result.FAILED, "10.9.0.0/16 overlaps Service shop/web (10.9.0.1)")
    server.forbidden.add("Service")
    found = (await checked(tmp_path, east=server, ranges=["10.9.0.0/16"]))["east", "range"]
    assert (found.result, found.remedy) == (Result.WARNING, "let it list services")


async def test_pods_that_have_the_same_addresses(start, tmp_path):
    east, west, hub = await start("u-east"), await start("u-west"), await start("u-hub")
    east.store.put("Node", "e1", "", spec={"podCIDRs": ["10.64.0.0/24", "fd00:1::/64"]})
    east.store.put("Node", "e2", "", spec={"podCIDR": "10.64.1.0/24"})
    west.store.put("Node", "w1", "", spec={"podCIDRs": ["10.64.0.0/16"]})
    found = await checked(tmp_path, east=east, west=west)
    assert found["east", "pods"].result is Result.WARNING
    assert (
        found["east", "pods"].found
        == "those on node e1 (10.64.0.0/24) may have addresses of those of west, on node w1 (10.64.0.0/16)"
    )
    assert (
        found["west", "pods"].found
        == "those on node w1 (10.64.0.0/16) may have addresses of those of east, on node e1 (10.64.0.0/24)"
    )
    # One cluster under two names is no other cluster, and one on another network may have what it likes.
    assert ("east", "pods") not in await checked(tmp_path, east=east, again=east)
    hub.store.resources["MemberCluster"] = MEMBER_CLUSTER
    hub.store.put("MemberCluster", "west", "", spec={"network": "blue"})
    place = FileAccess(Context("", hub.kubeconfig(tmp_path / "hub", "hub"), "hub"))
    found = await checked(tmp_path, hub=place, east=east, west=west)
    assert {check for _, check in found} >= {"identity", "registrations"}
    assert not {("east", "pods"), ("west", "pods")} & found.keys()


def test_ids_that_are_not_unique():
    found = compared({"east": Identity("1", "c1"), "west": Identity("2", "c1"), "c1": Identity("3")})
    assert found["east"][0].found == "its id c1 is also that of west, c1"
    assert "c1" not in found
    assert compared({"east": Identity("1", "east"), "west": Identity("", ""), "north": Identity("", "")}) == {}


async def test_servers_that_do_not_answer(start, tmp_path):
    silent, refusing, gone, well = [await start(uid=f"u-{number}") for number in range(4)]
    silent.silent, refusing.token = True, "other"
    files = {"silent": silent, "gone": gone, "well": well}
    refused = refusing.kubeconfig(tmp_path / "refusing", "refusing")
    refused.write_text(refused.read_text().replace("other", "mine"))
    await gone.stop()
    began_s = time.monotonic()
    found = await checked(tmp_path, limit_s=1.0, **files)
    assert time.monotonic() - began_s < 5
    assert found["silent", "reachable"].found == "no answer within 1 s"
    assert "cannot connect to http://127.0.0.1:" in found["gone", "reachable"].found
    assert found["well", "rights"].result is Result.OK
    (row,) = [
        one for one in await check(chosen_contexts([refused], ()), None, mcs=False, limit_s=5) if one.result is Result.FAILED
    ]
    assert (row.check, row.found) == ("credentials", "the server refuses: 401: Unauthorized")


async def test_a_hub_and_what_it_registers(start, tmp_path):
    hub, member = await start(uid="u-hub"), await start(uid="u-member")
    hub.store.resources["MemberCluster"] = MEMBER_CLUSTER
    text = base64.b64encode(member.kubeconfig(tmp_path / "east", "east").read_bytes()).decode()
    hub.store.put("Secret", "cluster-east", "mesh", labels={"traffic.isthmus.dev/cluster": "east"}, data={"kubeconfig": text})
    hub.store.put("MemberCluster", "east", spec={"kubeconfigSecret": {"name": "cluster-east", "namespace": "mesh"}})
    hub.store.put("Secret", "broken", "mesh", labels={"traffic.isthmus.dev/cluster": "west"}, data={})
    hub.store.resources["KubeFedCluster"] = Resource("KubeFedCluster", "core.kubefed.io", "v1beta1", "kubefedclusters")
    hub.forbidden |= {"watch secrets", "KubeFedCluster"}
    place = FileAccess(Context("", hub.kubeconfig(tmp_path / "hub", "hub"), "hub"))
    found = await checked(tmp_path, hub=place)
    assert found["the hub", "apis"].found.startswith("v1.37.2; v1alpha1: MemberCluster; v1: Secret; v1beta1: KubeFedCluster; not")
    assert found["the hub", "apis"].result is Result.OK
    assert found["east", "identity"].found == "kube-system u-member"
    assert found["the hub", "rights"].found == "1 of 5 is missing: may not watch secrets"
    assert found["the hub", "registrations"].result is Result.WARNING
    assert "registers east; Secret mesh/broken" in found["the hub", "registrations"].found
    assert 'cannot list resource "kubefedclusters"' in found["the hub", "registrations"].found
    assert ("the hub", "identity") not in found
