"""Members come and go by what the hub registers, whichever system's objects these are."""

import base64
from pathlib import Path

import pytest
import pytest_asyncio
import yaml
from crds import install
from interop_waiting import eventually
from kubernetes_api import path_of
from live_lab import serving, states
from workload import named, namespace

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="session")]
DEPLOY = Path(__file__).parents[1] / "deploy" / "crds"


@pytest_asyncio.fixture(loop_scope="session")
async def hub(clusters, tmp_path):
    """`xdsctl serve` whose hub is east, which is no member by that."""
    await install(clusters["east"].api, sorted(DEPLOY.glob("*.yaml")))
    await clusters["east"].api.apply(namespace("isthmus-system"))  # for the lease
    arguments = ("--hub", str(clusters["east"].kubeconfig))
    with serving(tmp_path, [], declared=False, arguments=arguments) as process:
        await process.wait_ready()
        yield process
        process.check()


def secret(name, data, **labels):
    item = named("v1", "Secret", name, "default", data={key: base64.b64encode(text).decode() for key, text in data.items()})
    item["metadata"]["labels"] = labels
    return item


async def test_members_come_and_go_with_their_registrations(hub, clusters, kubeconfigs):
    api = clusters["east"].api
    assert await states(hub) == {}
    ours = secret("west", {"kubeconfig": kubeconfigs["west"].read_bytes()}, **{"traffic.isthmus.dev/cluster": "west"})
    istio = secret("istio-remote-secret-c2", {"c2": kubeconfigs["east"].read_bytes()}, **{"istio/multiCluster": "true"})
    spec = {"region": "r-west", "kubeconfigSecret": {"namespace": "default", "name": "plain"}}
    member = named("traffic.isthmus.dev/v1alpha1", "MemberCluster", "west2", spec=spec)
    try:
        await api.apply(ours, istio)
        await eventually(lambda: are(hub, {"west": "Connected", "c2": "Connected"}), timeout_s=30)
        # A MemberCluster says where a cluster stands, and may say how to reach it.
        plain = secret("plain", {"kubeconfig": kubeconfigs["west"].read_bytes()})
        await api.apply(plain, member)
        # It is the same cluster as west, and a MemberCluster comes before a Secret.
        await eventually(lambda: are(hub, {"west2": "Connected", "c2": "Connected"}), timeout_s=30)
        (found,) = [item for item in (await hub.admin("/v1/members"))["items"] if item["name"] == "west2"]
        assert (found["region"], found["aliases"]) == ("r-west", ["west"])
        await eventually(lambda: is_told(hub, "XDS0309"))
        await eventually(lambda: has_conditions(api, member, {"Connected": "Connected", "Problems": "XDS0309"}), timeout_s=30)
        await api.delete(member)
        await eventually(lambda: are(hub, {"west": "Connected", "c2": "Connected"}), timeout_s=30)
        # A kubeconfig that may run programs is not taken from an object.
        config = yaml.safe_load(kubeconfigs["west"].read_text())
        config["users"][0]["user"] = {"exec": {"command": "/bin/sh", "apiVersion": "client.authentication.k8s.io/v1"}}
        unsafe = secret("unsafe", {"kubeconfig": yaml.safe_dump(config).encode()}, **{"traffic.isthmus.dev/cluster": "unsafe"})
        await api.apply(unsafe)
        await eventually(lambda: is_told(hub, "XDS0306"), timeout_s=30)
        assert await states(hub) == {"west": "Connected", "c2": "Connected"}
    finally:
        await api.delete(ours, istio, member, secret("plain", {}), secret("unsafe", {}))


async def are(plane, wanted):
    return await states(plane) == wanted


async def has_conditions(api, item, wanted):
    """Return whether the object has conditions of these types with these reasons."""
    status = (await api.get(path_of(item))).get("status", {})
    return {one["type"]: one["reason"] for one in status.get("conditions", ())} == wanted


async def is_told(plane, code):
    return code in {problem["code"] for problem in (await plane.admin("/v1/problems"))["items"]}
