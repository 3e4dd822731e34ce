"""A real API server is told whether a policy is accepted, and a typo takes nothing out of force, over a restart either."""

import base64
from pathlib import Path

import pytest
from crds import install
from interop_waiting import eventually
from kubernetes_api import path_of
from live_lab import serving, states
from workload import named, namespace

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="session")]
DEPLOY = Path(__file__).parents[1] / "deploy" / "crds"
BAD = "spec.tiers[0].places[0].clusters[0]: there is no cluster 'wets' (did you mean 'west'?)"


def policy(cluster):
    tiers = [{"name": "first", "places": [{"clusters": [cluster]}]}]
    return named(
        "traffic.isthmus.dev/v1alpha1", "TrafficPolicy", "first", "default", spec={"defaultFor": "Namespace", "tiers": tiers}
    )


async def test_policies_on_the_hub(clusters, kubeconfigs, tmp_path):
    api = clusters["east"].api
    await install(api, sorted(DEPLOY.glob("*.yaml")))
    data = {"kubeconfig": base64.b64encode(kubeconfigs["west"].read_bytes()).decode()}
    west = named("v1", "Secret", "west", "default", data=data)
    west["metadata"]["labels"] = {"traffic.isthmus.dev/cluster": "west"}
    await api.apply(namespace("isthmus-system"), west)  # the namespace is for the lease
    arguments = ("--hub", str(clusters["east"].kubeconfig), "--state-directory", str(tmp_path / "state"))
    try:
        with serving(tmp_path, [], declared=False, arguments=arguments) as plane:
            await plane.wait_ready()
            await eventually(lambda: are(plane, {"west": "Connected"}), timeout_s=30)
            await api.apply(policy("wets"))
            await eventually(lambda: says(api, "False", "Invalid", f"{BAD}; nothing of it is in force"), timeout_s=60)
            await api.apply(policy("west"))
            await eventually(lambda: says(api, "True", "Accepted", ""), timeout_s=60)
            await api.apply(policy("wets"))
            stays = f"{BAD}; the version that was accepted last stays in force"
            await eventually(lambda: says(api, "False", "Invalid", stays), timeout_s=60)
            plane.check()
        await api.patch_status(policy("wets"), {"conditions": []})
        with serving(tmp_path, [], declared=False, arguments=arguments) as plane:
            await plane.wait_ready()
            await eventually(lambda: says(api, "False", "Invalid", stays), timeout_s=60)
            plane.check()
    finally:
        await api.delete(policy("west"), west)


async def are(plane, wanted):
    return await states(plane) == wanted


async def says(api, *wanted):
    """Return whether the policy as it stands now has the condition Accepted with this status, reason and message."""
    item = await api.get(path_of(policy("west")))
    found = {one["type"]: one for one in item.get("status", {}).get("conditions", ())}.get("Accepted", {})
    told = found.get("status"), found.get("reason"), found.get("message")
    return told == wanted and found["observedGeneration"] == item["metadata"]["generation"]
