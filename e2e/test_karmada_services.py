"""Karmada's MultiClusterService in the hub: a real Envoy uses the providers' pods under the Service's own name."""

from pathlib import Path

import pytest
import pytest_asyncio
import workload
from crds import install
from interop_waiting import eventually
from live_lab import serving
from shop import SERVICE

from xds.cli.demo.lab import EAST, WEST
from xds.cli.demo.traffic import Client, shares_of

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="session")]
CRD = Path(__file__).parent / "registry_crds" / "karmada_services.yaml"


@pytest_asyncio.fixture(loop_scope="session")
async def plane(clusters, kubeconfigs, tmp_path):
    """`xdsctl serve` on both clusters, with what is fleet-wide in east."""
    await install(clusters["east"].api, [CRD])
    with serving(tmp_path, kubeconfigs.values(), arguments=("--hub", str(clusters["east"].kubeconfig))) as process:
        await process.wait_ready()
        yield process
        process.check()


def sharing(shop, providers, consumers):
    lists = {"providerClusters": providers, "consumerClusters": consumers}
    spec = {"types": ["CrossCluster"], **{field: [{"name": name} for name in names] for field, names in lists.items()}}
    return workload.named("networking.karmada.io/v1alpha1", "MultiClusterService", SERVICE, shop.namespace, spec=spec)


async def test_a_service_without_exports_fails_over_to_the_clusters_that_provide_it(clusters, plane, shop, sidecar, backends):
    name = f"{SERVICE}.{shop.namespace}.svc.cluster.local"
    for cluster in clusters.values():
        await cluster.api.delete(shop.export())
    client = Client("application", sidecar.port, name)

    async def served_by(*regions):
        answers = await client.burst(50)
        places = {str(place) for region in regions for place in region.places}
        return all(answer.ok for answer in answers) and shares_of(answers).keys() == places

    async def knows(*names):
        hosts = await sidecar.envoy.hosts(f"{name}:80")
        return hosts.keys() == {address for one in names for address in shop.addresses(one)}

    await eventually(lambda: knows("east"))
    item = sharing(shop, ["west"], ["east"])
    await clusters["east"].api.apply(item)
    try:
        await eventually(lambda: knows("east", "west"))
        assert await served_by(EAST), "its own come first"
        for pod in shop.pods.values():
            if pod.place.cluster == "east":
                await shop.report(pod, ready=False)
        await eventually(lambda: served_by(WEST))
        # West provides for others no longer: what runs in east is all that there is.
        await clusters["east"].api.apply(sharing(shop, ["east"], ["east"]))
        await eventually(lambda: knows("east"))
    finally:
        await clusters["east"].api.delete(item)
