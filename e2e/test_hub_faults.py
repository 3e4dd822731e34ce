"""The hub may go away, or lose its data: who is a member, and where each stands, stays as it was."""

import base64

import pytest
import pytest_asyncio
from crds import install
from interop_waiting import eventually
from live_lab import serving, states
from test_registries import DEPLOY
from workload import named

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(400)]
MEMBERS = {"east": "r-first", "west": "r-second"}


@pytest_asyncio.fixture(loop_scope="session")
async def spare_hub(provider):
    """A cluster of its own to be the hub."""
    if not provider.reaches_pods:
        pytest.skip("this provider's clusters cannot lose their data")
    return await provider.start(6, "hub")


async def register(hub, kubeconfigs):
    """Register both clusters, by MemberClusters and the Secrets that these name."""
    await install(hub.api, sorted(DEPLOY.glob("*.yaml")))
    for name, region in MEMBERS.items():
        secret = named("v1", "Secret", f"member-{name}", "default")
        secret["data"] = {"kubeconfig": base64.b64encode(kubeconfigs[name].read_bytes()).decode()}
        spec = {"region": region, "kubeconfigSecret": {"namespace": "default", "name": secret["metadata"]["name"]}}
        await hub.api.apply(secret, named("traffic.isthmus.dev/v1alpha1", "MemberCluster", name, spec=spec))


async def test_a_hub_that_is_down_when_we_start_or_has_lost_everything(spare_hub, kubeconfigs, shop, tmp_path):
    arguments = ("--hub", str(spare_hub.kubeconfig), "--state-directory", str(tmp_path / "state"))
    await register(spare_hub, kubeconfigs)

    async def regions():
        return {item["name"]: item["region"] for item in (await plane.admin("/v1/members"))["items"]}

    async def are(state):
        return await states(plane) == dict.fromkeys(MEMBERS, state)

    async def has_endpoints(number):
        return [item["endpoints"] for item in (await plane.admin("/v1/services"))["items"] if item["name"] == shop.name] == [
            number
        ]

    async def is_held():
        return "XDS0308" in {problem["code"] for problem in (await plane.admin("/v1/problems"))["items"]}

    async def is_held_no_longer():
        return not await is_held()

    with serving(tmp_path, [], declared=False, arguments=arguments) as plane:
        await plane.wait_ready()
        await eventually(lambda: are("Connected"), timeout_s=30)
        await eventually(lambda: has_endpoints(4))
        plane.stop()
        spare_hub.kill()
        plane.start()
        await plane.wait_ready()
        assert (await regions(), await states(plane)) == (MEMBERS, dict.fromkeys(MEMBERS, "Stale"))
        assert await has_endpoints(4)
        await spare_hub.restart()
        await eventually(lambda: are("Connected"), timeout_s=60)
        assert await regions() == MEMBERS

        await spare_hub.lose_everything()
        # Asking again waits for half a minute at most; then the kind has to be missing twice.
        await eventually(is_held, timeout_s=150)
        assert (await regions(), await states(plane)) == (MEMBERS, dict.fromkeys(MEMBERS, "Connected"))
        await shop.remove(next(iter(shop.pods.values())))
        await eventually(lambda: has_endpoints(3))
        await register(spare_hub, kubeconfigs)
        await eventually(is_held_no_longer, timeout_s=60)
        assert (await regions(), await states(plane)) == (MEMBERS, dict.fromkeys(MEMBERS, "Connected"))
        plane.check()
