"""We are an MCS implementation: what clusters export is imported in both, by objects that Kubernetes itself serves."""

from ipaddress import ip_address, ip_network
from pathlib import Path

import pytest
import pytest_asyncio
import yaml
from interop_waiting import eventually
from live_lab import run, serving
from reader_access import NAME, NAMESPACE
from workload import named

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="session")]
ROLES = Path(__file__).parents[1] / "deploy" / "remote"
MCS = "/apis/multicluster.x-k8s.io/v1alpha1/namespaces/{}/{}"


def writer_access():
    """Return the roles of deploy/, and their bindings to the control plane's user."""
    objects = [item for item in yaml.safe_load_all((ROLES / "mcs-writer.yaml").read_text()) if item]
    subjects = [{"kind": "ServiceAccount", "name": NAME, "namespace": NAMESPACE}]
    for role in [item for item in objects if item["kind"] in {"ClusterRole", "Role"}]:
        ref = {"apiGroup": "rbac.authorization.k8s.io", "kind": role["kind"], "name": role["metadata"]["name"]}
        binding = named(
            role["apiVersion"],
            f"{role['kind']}Binding",
            role["metadata"]["name"],
            role["metadata"].get("namespace", ""),
            roleRef=ref,
            subjects=subjects,
        )
        objects.append(binding)
    return objects


@pytest_asyncio.fixture(loop_scope="session")
async def writable(clusters):
    """Both clusters, in which the control plane may write."""
    for cluster in clusters.values():
        await cluster.api.apply(*writer_access())
    return clusters


@pytest_asyncio.fixture(loop_scope="session")
async def writing(writable, kubeconfigs, tmp_path):
    """`xdsctl serve` that writes in both clusters."""
    with serving(tmp_path, kubeconfigs.values(), arguments=("--mcs", "*")) as process:
        await process.wait_ready()
        yield process
        process.check()
        print(process.log.read_text()[-2000:])


async def get(cluster, path):
    """Return what is at a path; None if there is nothing."""
    try:
        return await cluster.api.ask("GET", path)
    except Exception as error:
        if "404" in str(error):
            return None
        raise


async def imported(cluster, shop):
    return await get(cluster, f"{MCS.format(shop.namespace, 'serviceimports')}/web")


async def copies(cluster, shop):
    """Return (source cluster, address) of the slices that we wrote."""
    found = await cluster.api.ask("GET", f"/apis/discovery.k8s.io/v1/namespaces/{shop.namespace}/endpointslices")
    return {
        (item["metadata"]["labels"]["multicluster.kubernetes.io/source-cluster"], address)
        for item in found["items"]
        if item["metadata"]["labels"].get("endpointslice.kubernetes.io/managed-by") == "mcs.isthmus.dev"
        for endpoint in item["endpoints"] or ()
        for address in endpoint["addresses"]
    }


def pods_of(shop):
    return {(pod.place.cluster, pod.address) for pod in shop.pods.values()}


async def test_exports_become_imports_in_both_clusters(writing, clusters, shop):
    for cluster in clusters.values():
        await eventually(lambda cluster=cluster: has_all(cluster, shop))
        found = await imported(cluster, shop)
        derived = await get(cluster, f"/api/v1/namespaces/{shop.namespace}/services/clusterset-web")
        assert found["spec"]["ips"] == derived["spec"]["clusterIPs"]
        assert "selector" not in derived["spec"]
        assert [one["cluster"] for one in found["status"]["clusters"]] == ["east", "west"]
        assert [(one["type"], one["status"]) for one in found["status"]["conditions"]] == [("Ready", "True")]
        export = await get(cluster, f"{MCS.format(shop.namespace, 'serviceexports')}/web")
        conditions = {one["type"]: (one["status"], one["reason"]) for one in export["status"]["conditions"]}
        assert conditions == {
            "Valid": ("True", "Valid"),
            "Ready": ("True", "Exported"),
            "Conflict": ("False", "NoConflicts"),
        }
    # One more pod, and one less.
    pod = next(iter(shop.pods.values()))
    await shop.remove(pod)
    for cluster in clusters.values():
        await eventually(lambda cluster=cluster: has_all(cluster, shop))
    # When nobody exports it any more, everything of ours goes.
    for cluster in clusters.values():
        await cluster.api.delete(shop.export())
    for cluster in clusters.values():
        await eventually(lambda cluster=cluster: has_nothing(cluster, shop))


async def has_all(cluster, shop):
    return await imported(cluster, shop) is not None and await copies(cluster, shop) == pods_of(shop)


async def has_nothing(cluster, shop):
    derived = await get(cluster, f"/api/v1/namespaces/{shop.namespace}/services/clusterset-web")
    return await imported(cluster, shop) is None and derived is None and not await copies(cluster, shop)


async def test_of_two_control_planes_one_writes(writing, clusters, kubeconfigs, shop, tmp_path):
    await eventually(lambda: has_all(clusters["east"], shop))
    lease = "/apis/coordination.k8s.io/v1/namespaces/isthmus-system/leases/isthmus-mcs"
    first = (await get(clusters["east"], lease))["spec"]["holderIdentity"]
    with serving(tmp_path / "second", kubeconfigs.values(), arguments=("--mcs", "*")) as second:
        await second.wait_ready()
        assert (await get(clusters["east"], lease))["spec"]["holderIdentity"] == first
        writing.stop()
        await eventually(lambda: is_held_by_another(clusters["east"], lease, first))
        await shop.remove(next(iter(shop.pods.values())))
        await eventually(lambda: has_all(clusters["east"], shop))
    writing.start()


async def is_held_by_another(cluster, lease, first):
    return (await get(cluster, lease))["spec"].get("holderIdentity") not in {None, "", first}


async def test_addresses_of_a_range(writable, kubeconfigs, shop, tmp_path):
    east, west = writable["east"], writable["west"]

    def ranged(name, *ranges):
        arguments = ("--mcs", "*", *(text for cidr in ranges for text in ("--mcs-range", cidr)))
        return serving(tmp_path / name, kubeconfigs.values(), arguments=arguments)

    # From derived Services to a range.
    with ranged("without") as plane:
        await plane.wait_ready()
        for cluster in (east, west):
            await eventually(lambda cluster=cluster: has_all(cluster, shop))
            await eventually(lambda cluster=cluster: is_of_service(cluster, shop))
    with ranged("with", "10.240.0.0/24") as plane:
        await plane.wait_ready()
        for cluster in (east, west):
            await eventually(lambda cluster=cluster: is_of_range(cluster, shop, "10.240.0.0/24"))
        assert await ips(east, shop) == await ips(west, shop)
        problems = (await plane.admin("/v1/problems"))["items"]
        assert [item["message"] for item in problems if item["code"] in {"XDS0305", "XDS0310", "XDS0311"}] == []
        # Proxies have the addresses, too.
        told = {item["name"]: item for item in (await plane.admin("/v1/services"))["items"]}
        expected = [{"cluster": name, "addresses": await ips(cluster, shop)} for name, cluster in writable.items()]
        assert told[shop.name]["vips"] == expected
        # A restart writes nothing, except what changes then: copies of a pod that goes, which shows that all was looked at.
        before = [(await imported(cluster, shop))["metadata"] for cluster in (east, west)]
        plane.stop()
        plane.start()
        await plane.wait_ready()
        await shop.remove(next(iter(shop.pods.values())))
        for cluster in (east, west):
            await eventually(lambda cluster=cluster: is_of_range(cluster, shop, "10.240.0.0/24"))
        assert [(await imported(cluster, shop))["metadata"] for cluster in (east, west)] == before
    # A range that is that of east's own Services: what Services have is not given, and the rest is served.
    await run("check", "--kubeconfig", east.kubeconfig, "--mcs-range", "10.240.0.0/24")
    out, _ = await run("check", "--kubeconfig", east.kubeconfig, "--mcs-range", "10.96.0.0/16", exits=1)
    assert "10.96.0.0/16 overlaps ServiceCIDR kubernetes (10.96.0.0/16), and" in out
    with ranged("overlapping", "10.96.0.0/16") as plane:
        await plane.wait_ready()
        for cluster in (east, west):
            await eventually(lambda cluster=cluster: is_of_range(cluster, shop, "10.96.0.0/16"))
        (address,) = await ips(east, shop)
        assert await ips(west, shop) == [address]
        mine = named("v1", "Service", "mine", shop.namespace, spec={"clusterIP": address, "ports": [{"port": 80}]})
        await east.api.apply(mine)
        await eventually(lambda: is_elsewhere(east, shop, address))
        await eventually(lambda: is_of_range(east, shop, "10.96.0.0/16"))
        assert await ips(west, shop) == [address]
        (problem,) = [item for item in (await plane.admin("/v1/problems"))["items"] if item["code"] == "XDS0311"]
        assert "in cluster 'east' the clusterset range 10.96.0.0/16 holds the address of" in problem["message"]
    # And back.
    with ranged("again") as plane:
        await plane.wait_ready()
        for cluster in (east, west):
            await eventually(lambda cluster=cluster: is_of_service(cluster, shop))
            assert await copies(cluster, shop) == pods_of(shop)


async def ips(cluster, shop):
    return (await imported(cluster, shop))["spec"].get("ips")


async def is_of_service(cluster, shop):
    """Return whether the import has the addresses of a Service of ours."""
    derived = await get(cluster, f"/api/v1/namespaces/{shop.namespace}/services/clusterset-web")
    return derived is not None and await ips(cluster, shop) == derived["spec"]["clusterIPs"]


async def is_of_range(cluster, shop, cidr):
    """Return whether everything is as it is with a range."""
    derived = await get(cluster, f"/api/v1/namespaces/{shop.namespace}/services/clusterset-web")
    found = await ips(cluster, shop)
    has_address = bool(found) and all(ip_address(text) in ip_network(cidr) for text in found)
    return has_address and derived is None and await copies(cluster, shop) == pods_of(shop)


async def is_elsewhere(cluster, shop, address):
    return await ips(cluster, shop) != [address]
