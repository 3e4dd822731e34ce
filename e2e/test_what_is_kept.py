"""A cluster that is gone for a while, or has lost its data by mistake, costs nobody an endpoint."""

import json

import kubernetes_build
import pytest
import pytest_asyncio
import workload
from crds import install
from interop_waiting import eventually
from live_lab import serving, states, xdsctl

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(240)]
NAMES = [f"web{number}" for number in range(5)]
NAMESPACE = "kept"


@pytest_asyncio.fixture(loop_scope="session")
async def spare(provider):
    """A cluster of its own, with five services that are exported."""
    if not hasattr(provider, "reaches_pods") or not provider.reaches_pods:
        pytest.skip("this provider's clusters cannot lose their data")
    cluster = await provider.start(5, "spare")
    await fill(cluster)
    return cluster


async def fill(cluster, names=NAMES):
    await install(cluster.api, kubernetes_build.crds())
    await cluster.api.apply(workload.namespace(NAMESPACE))
    for number, name in enumerate(names):
        export = workload.named("multicluster.x-k8s.io/v1alpha1", "ServiceExport", name, NAMESPACE)
        await cluster.api.apply(service(name), endpoints(name, f"10.9.0.{number + 1}"), export)


def service(name):
    found = workload.service(name, NAMESPACE)
    del found["spec"]["selector"]
    return found


def endpoints(name, address):
    item = workload.named("discovery.k8s.io/v1", "EndpointSlice", f"{name}-1", NAMESPACE)
    item["metadata"]["labels"] = {"kubernetes.io/service-name": name}
    return {
        **item,
        "addressType": "IPv4",
        "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}],
        "endpoints": [{"addresses": [address], "conditions": {"ready": True}}],
    }


async def served(plane):
    """Return the exported services that have an endpoint, with how many of it are ready."""
    items = json.loads(await xdsctl(plane, "services", "-o", "json"))["items"]
    return {
        item["name"].partition(".")[0]: item["endpoints_ready"] for item in items if not item["cluster"] and item["endpoints"]
    }


async def problem_codes(plane):
    return {problem["code"] for problem in (await plane.admin("/v1/problems"))["items"]}


async def test_a_cluster_that_is_down_or_empty_is_served_as_it_was(spare, tmp_path):
    arguments = ("--state-directory", str(tmp_path / "state"))
    with serving(tmp_path, [spare.kubeconfig], declared=False, arguments=arguments) as plane:
        await plane.wait_ready()
        assert await eventually(lambda: has_all(plane))

        # The control plane starts anew while the cluster is down.
        plane.stop()
        spare.kill()
        plane.start()
        await plane.wait_ready()
        assert await served(plane) == dict.fromkeys(NAMES, 1)
        assert (await states(plane))["spare"] == "Stale"
        await spare.restart()
        await eventually(lambda: is_connected(plane), timeout_s=60)
        assert await served(plane) == dict.fromkeys(NAMES, 1)

        # The cluster comes back with nothing in it.
        await spare.lose_everything()
        await eventually(lambda: is_held(plane), timeout_s=60)
        assert (await served(plane)).keys() == set(NAMES)
        # What is there again is not doubted any more.
        await fill(spare, NAMES[:1])
        await eventually(lambda: only_the_first_is_ready(plane), timeout_s=60)
        await fill(spare)
        await eventually(lambda: has_all(plane), timeout_s=60)
        await eventually(lambda: is_not_held(plane), timeout_s=60)


async def has_all(plane):
    return await served(plane) == dict.fromkeys(NAMES, 1)


async def is_connected(plane):
    return (await states(plane))["spare"] == "Connected"


async def is_held(plane):
    return "XDS0308" in await problem_codes(plane)


async def is_not_held(plane):
    return "XDS0308" not in await problem_codes(plane)


async def only_the_first_is_ready(plane):
    return await served(plane) == {name: int(name == NAMES[0]) for name in NAMES}
