"""200 things that users do in three real clusters: what is written is what KEP-1645 says, and what a restart writes."""

from pprint import pprint
from random import Random

import kubernetes_build
import pytest
import pytest_asyncio
import workload
from crds import install
from interop_waiting import eventually
from kep_model import MCS, NAMES, NAMESPACE, SLICES, expected_conditions, expected_copies, expected_imports, operations
from kubernetes_api import collection, path_of
from live_lab import serving

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(400)]
OURS, SOURCE = "app.kubernetes.io/managed-by", "multicluster.kubernetes.io/source-cluster"
SETTLED_S = 60
LEASES = "isthmus-system"
KINDS = {"Service": "v1", "ServiceExport": MCS, "EndpointSlice": SLICES}


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def three(clusters, provider):
    """Three clusters with the namespace."""
    north = await provider.start(6, "north")
    await install(north.api, kubernetes_build.crds())
    found = {**clusters, "north": north}
    for cluster in found.values():
        await cluster.api.apply(workload.namespace(NAMESPACE), workload.namespace(LEASES))
    return found


@pytest.mark.parametrize("seed", [1, 2])
async def test_any_order(seed, three, tmp_path):
    for cluster in three.values():
        for kind, version in KINDS.items():
            await cluster.api.delete(*await listed(cluster, version, kind))
    random = Random(seed)
    kubeconfigs = [cluster.kubeconfig for cluster in three.values()]
    with serving(tmp_path, kubeconfigs, declared=False, arguments=("--mcs", "*")) as plane:
        await plane.wait_ready()
        for number, operation in enumerate(operations(random, [*three], 200), 1):
            await carry_out(three[operation.cluster], operation)
            if number % 50 == 0:
                await until_settled(three, plane)
        plane.stop()
        before = {name: await versions(cluster) for name, cluster in three.items()}
        for item in await ours(three["west"]):
            await three["west"].api.delete(item)
        plane.start()
        await plane.wait_ready()
        await until_settled(three, plane)
        assert [await versions(three[name]) for name in ("east", "north")] == [before["east"], before["north"]]


async def carry_out(cluster, operation):
    named = workload.named(KINDS[operation.kind], operation.kind, operation.name, NAMESPACE)
    if operation.item is None or operation.kind == "Service":  # few of its fields may be changed
        await cluster.api.delete(named)
    if operation.item is not None:
        await cluster.api.apply(operation.item)


async def until_settled(three, plane):
    wanted = None

    async def is_settled():
        nonlocal wanted
        wanted = await differences(three)
        return not wanted

    try:
        await eventually(is_settled, timeout_s=SETTLED_S, every_s=0.2)
    except AssertionError:
        problems = [one for one in (await plane.admin("/v1/problems"))["items"] if one["code"].startswith("XDS03")]
        pprint((wanted, problems))
        assert wanted == {}, "that is what is there, and what the KEP says"


async def differences(three):
    """Return what is written otherwise than the KEP says: name -> (found, expected)."""
    world, written = {}, {}
    for name, cluster in three.items():
        items = [
            item for kind, version in {**KINDS, "ServiceImport": MCS}.items() for item in await listed(cluster, version, kind)
        ]
        world[name] = {(one["kind"], one["metadata"]["name"]): one for one in items if not is_ours(one)}
        written[name] = [one for one in items if is_ours(one)]
    found = {}
    for cluster, items in written.items():
        for name in NAMES:
            pairs = {
                "import": (imported(items, name), expected_imports(world, name)),
                "copies": (copies(items, name), expected_copies(world, name)),
                "conditions": (conditions(world[cluster], name), expected_conditions(world, cluster, name)),
            }
            found |= {(cluster, name, what): pair for what, pair in pairs.items() if pair[0] != pair[1]}
    return found


async def listed(cluster, version, kind):
    items = (await cluster.api.get(collection(version, kind, NAMESPACE)))["items"]
    return [{**item, "apiVersion": version, "kind": kind} for item in items]


def is_ours(item):
    labels = item["metadata"].get("labels", {})
    return labels.get(OURS) == "isthmus" or labels.get("endpointslice.kubernetes.io/managed-by") == "mcs.isthmus.dev"


async def ours(cluster):
    kinds = {"ServiceImport": MCS, "Service": "v1", "EndpointSlice": SLICES}
    return [item for kind, version in kinds.items() for item in await listed(cluster, version, kind) if is_ours(item)]


async def versions(cluster):
    return {path_of(item): item["metadata"]["resourceVersion"] for item in await ours(cluster)}


def imported(items, name):
    found = [item for item in items if (item["kind"], item["metadata"]["name"]) == ("ServiceImport", name)]
    if not found:
        return None
    (item,) = found
    derived = [one for one in items if (one["kind"], one["metadata"]["name"]) == ("Service", f"clusterset-{name}")]
    if [one["spec"]["clusterIPs"] for one in derived] not in ([item["spec"].get("ips")], []):
        return {"derived": derived, "import": item}
    return {
        "type": item["spec"]["type"],
        "ports": {(port["name"], port["port"]) for port in item["spec"]["ports"]},
        "affinity": item["spec"].get("sessionAffinity", "None"),
        "distribution": item["spec"].get("trafficDistribution", ""),
        "labels": {key: value for key, value in item["metadata"]["labels"].items() if key != OURS},
        "clusters": [one["cluster"] for one in item.get("status", {}).get("clusters", ())],
    }


def copies(items, name):
    return {
        (item["metadata"]["labels"][SOURCE], address, frozenset(port["name"] for port in item["ports"] or ()))
        for item in items
        if item["kind"] == "EndpointSlice" and item["metadata"]["labels"]["multicluster.kubernetes.io/service-name"] == name
        for endpoint in item["endpoints"] or ()
        for address in endpoint["addresses"]
    }


def conditions(world, name):
    export = world.get(("ServiceExport", name))
    told = export and export.get("status", {}).get("conditions", ())
    return export and {one["type"]: (one["status"], frozenset(one["reason"].split(","))) for one in told}
