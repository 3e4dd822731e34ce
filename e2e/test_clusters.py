"""The clusters themselves: real API servers and controllers, and the kinds that we read."""

from pathlib import Path

import kubernetes_build
import pytest
from crds import install
from interop_waiting import eventually
from kubernetes_api import collection
from shop import SERVICE

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_every_cluster_is_ready(clusters):
    for cluster in clusters.values():
        assert await cluster.api.get("/readyz") == "ok"
        assert (await cluster.api.get("/version"))["gitVersion"].startswith("v1.")


async def test_pods_become_endpoint_slices_with_the_zones_of_their_nodes(clusters, shop):
    for name, cluster in clusters.items():
        wanted = {pod.address: pod.place.zone for pod in shop.pods.values() if pod.place.cluster == name}
        assert await eventually(lambda cluster=cluster, wanted=wanted: has_endpoints(cluster, shop, wanted))


async def has_endpoints(cluster, shop, wanted):
    path = collection("discovery.k8s.io/v1", "EndpointSlice", shop.namespace)
    slices = (await cluster.api.get(path, labelSelector=f"kubernetes.io/service-name={SERVICE}"))["items"]
    assert all(port["port"] == shop.port for item in slices for port in item["ports"] or ())
    endpoints = [endpoint for item in slices for endpoint in item["endpoints"] or ()]
    return wanted == {endpoint["addresses"][0]: endpoint["zone"] for endpoint in endpoints if endpoint["conditions"]["ready"]}


async def test_every_cluster_gives_services_addresses_of_its_own(clusters, shop):
    found = set()
    for cluster in clusters.values():
        service = await cluster.api.get(f"{collection('v1', 'Service', shop.namespace)}/{SERVICE}")
        found.add(service["spec"]["clusterIP"].rpartition(".")[0].rpartition(".")[0])
    assert len(found) == len(clusters)


@pytest.mark.parametrize(
    ("api_version", "kind"),
    [
        ("multicluster.x-k8s.io/v1alpha1", "ServiceExport"),
        ("multicluster.x-k8s.io/v1beta1", "ServiceImport"),
        ("gateway.networking.k8s.io/v1", "Gateway"),
        ("gateway.networking.k8s.io/v1", "HTTPRoute"),
    ],
)
async def test_kinds_of_mcs_and_gateway_api_are_served(clusters, api_version, kind):
    for cluster in clusters.values():
        assert (await cluster.api.get(collection(api_version, kind)))["kind"] == f"{kind}List"


async def test_our_own_kinds_are_accepted_strictly(clusters):
    files = sorted((Path(kubernetes_build.HERE).parent / "deploy" / "crds").glob("*.yaml"))
    assert files
    await install(clusters["east"].api, files)
