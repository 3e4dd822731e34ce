"""Members come and go by other systems' registries: Karmada's, Flomesh's, ErieCanal's, KubeFed's and ClusterProfiles.

The CRDs are small schemas of our own, and no controller of these systems runs: the tests write what it would report.
"""

from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import pytest_asyncio
import yaml
from crds import install
from interop_waiting import eventually
from karmada_proxy import KarmadaProxy
from live_lab import serving, states
from reader_access import NAMESPACE, write_access
from registries import ErieCanal, Flomesh, Karmada, KubeFed, Place, Profile, Way, plugins, secret
from test_registries import DEPLOY
from workload import named

from xds.cli.demo.lab import WEST

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="session")]
HERE = Path(__file__).parent
ROLE = HERE.parent / "deploy" / "control-plane" / "hub-reader.yaml"
READER = "e2e-hub-reader"
FIRST, SECOND = Place("r-first", ("first-a",)), Place("r-second", ("second-a",))
"""None of which the cluster's nodes say."""
REGISTRIES = [Karmada, Flomesh, ErieCanal, KubeFed, Profile]
CONNECTED = {"west": "Connected"}
RENEWED_S = 60
"""A plugin that gave a bad token is asked again after half a minute."""


def hub_role(*, without=""):
    """Return the role that deploy/ gives the control plane in the hub, all but one resource."""
    (role,) = [item for item in yaml.safe_load_all(ROLE.read_text()) if item["kind"] == "ClusterRole"]
    role["metadata"]["name"] = READER
    role["rules"] = [rule for rule in role["rules"] if without not in rule["resources"]]
    return role


@pytest_asyncio.fixture(loop_scope="session")
async def hub_kubeconfig(clusters, tmp_path):
    """East as the hub, with all CRDs, for a user who may do there what deploy/ lets the control plane do."""
    east = clusters["east"]
    await install(east.api, [*sorted(DEPLOY.glob("*.yaml")), *sorted((HERE / "registry_crds").glob("*.yaml"))])
    account, role = named("v1", "ServiceAccount", READER, NAMESPACE), hub_role()
    ref = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": READER}
    subjects = [{"kind": "ServiceAccount", "name": READER, "namespace": NAMESPACE}]
    binding = named(role["apiVersion"], "ClusterRoleBinding", READER, roleRef=ref, subjects=subjects)
    try:
        await east.api.apply(account, role, binding)
        yield await write_access(east, tmp_path / "hub.yaml", account=READER)
    finally:
        await east.api.delete(binding, role, account)


@pytest.fixture
def plugin(tmp_path):
    """The file that holds what the plugin answers."""
    return tmp_path / "credential.json"


@pytest_asyncio.fixture(loop_scope="session")
async def made(clusters, plugin):
    """Return a function that makes a registry at the hub, whose objects go with the test."""
    found = []

    def make(kind):
        found.append(kind(clusters["east"].api, plugin))
        return found[-1]

    yield make
    for registry in found:
        await registry.delete()


@pytest.fixture
def serving_hub(plugin, tmp_path):
    """Return a function that runs `xdsctl serve` of which nothing is a member yet, on a kubeconfig of the hub."""

    @asynccontextmanager
    async def serve(kubeconfig):
        config = tmp_path / "config.yaml"
        config.write_text(yaml.safe_dump({"apiVersion": "xds/v1", "registry": {"plugins": plugins(plugin)}}))
        arguments = ("--hub", str(kubeconfig), "--config", str(config))
        with serving(tmp_path, [], declared=False, arguments=arguments) as process:
            await process.wait_ready()
            assert await states(process) == {}
            yield process
            process.check()

    return serve


@pytest_asyncio.fixture(loop_scope="session")
async def hub(hub_kubeconfig, serving_hub):
    """`xdsctl serve` whose hub is east, which is no member by that."""
    async with serving_hub(hub_kubeconfig) as process:
        yield process


@pytest.mark.parametrize("kind", REGISTRIES)
async def test_a_cluster_comes_changes_and_goes_with_its_registration(kind, hub, made, shop, kubeconfigs):
    registry, way = made(kind), Way.of(kubeconfigs["west"])
    await registry.register_without_credentials()
    await eventually(lambda: is_told(hub, "XDS0306", registry.refusal), timeout_s=30)
    assert await states(hub) == {}
    # Its credentials are there now, and no good.
    await registry.register(way.as_nobody(), FIRST)
    await eventually(lambda: is_told(hub, "XDS0301", "Unauthorized"), timeout_s=30)
    assert await states(hub) == {"west": "Stale"}
    assert await told(hub, "XDS0306") == []

    await registry.register(way, FIRST)
    await eventually(lambda: are(hub, CONNECTED), timeout_s=RENEWED_S)
    assert await place(hub) == FIRST
    await eventually(lambda: has_endpoints(hub, shop, 2))
    assert await told(hub, "XDS03") == []
    await shop.add(WEST.places[0])
    await eventually(lambda: has_endpoints(hub, shop, 3))

    await registry.register(way, SECOND)
    await eventually(lambda: stands_at(hub, SECOND))
    assert await states(hub) == CONNECTED

    await registry.delete()
    await eventually(lambda: are(hub, {}))
    await eventually(lambda: has_endpoints(hub, shop, None))
    assert await told(hub, "XDS03") == []


@pytest.mark.parametrize("kind", [Karmada, Profile])
async def test_a_token_that_is_withdrawn_and_replaced(kind, hub, made, shop, clusters, tmp_path):
    west, bound = clusters["west"], named("v1", "Secret", "e2e-token", NAMESPACE)
    registry = made(kind)
    try:
        await west.api.apply(bound)
        await registry.register(Way.of(await write_access(west, tmp_path / "first.yaml", bound)), FIRST)
        await eventually(lambda: are(hub, CONNECTED), timeout_s=30)
        await eventually(lambda: has_endpoints(hub, shop, 2))
    finally:
        await west.api.delete(bound)
    await eventually(lambda: are(hub, {"west": "Stale"}), timeout_s=40)
    assert await has_endpoints(hub, shop, 2)
    await shop.add(WEST.places[0])
    await registry.register(Way.of(await write_access(west, tmp_path / "second.yaml")), FIRST)
    await eventually(lambda: are(hub, CONNECTED), timeout_s=RENEWED_S)
    await eventually(lambda: has_endpoints(hub, shop, 3))


async def test_a_secret_that_is_deleted_and_made_again(hub, made, shop, clusters, kubeconfigs):
    kubefed, way = made(KubeFed), Way.of(kubeconfigs["west"])
    await kubefed.register(way, FIRST)
    await eventually(lambda: are(hub, CONNECTED), timeout_s=30)
    await eventually(lambda: has_endpoints(hub, shop, 2))
    await clusters["east"].api.delete(secret())
    await eventually(lambda: is_told(hub, "XDS0306", kubefed.refusal), timeout_s=30)
    # It is a member until the KubeFedCluster is gone.
    await shop.add(WEST.places[0])
    await eventually(lambda: has_endpoints(hub, shop, 3))
    assert await place(hub) == FIRST
    await kubefed.register(way, FIRST)
    await eventually(lambda: is_not_told(hub, "XDS03"), timeout_s=30)
    assert await states(hub) == CONNECTED


async def test_a_secret_that_the_control_plane_may_not_read(hub, made, clusters, kubeconfigs):
    east, karmada = clusters["east"].api, made(Karmada)
    await east.apply(hub_role(without="secrets"))
    await karmada.register(Way.of(kubeconfigs["west"]), FIRST)
    await eventually(lambda: is_told(hub, "XDS0302", "the hub does not let us read Secret default/west"), timeout_s=30)
    assert await states(hub) == {}
    await east.apply(hub_role())
    await eventually(lambda: are(hub, CONNECTED), timeout_s=30)
    assert not await is_told(hub, "XDS0302", "default/west")


@pytest.mark.parametrize("kind", [Karmada, KubeFed])
async def test_a_server_whose_certificate_is_not_to_be_verified(kind, hub, made, shop, kubeconfigs):
    await made(kind).register_unverified(Way.of(kubeconfigs["west"]))
    await eventually(lambda: are(hub, CONNECTED), timeout_s=30)
    await eventually(lambda: has_endpoints(hub, shop, 2))


async def test_a_plugin_that_fails_is_told_and_asked_again(hub, made, shop, kubeconfigs):
    profile, way = made(Profile), Way.of(kubeconfigs["west"])
    await profile.show(way, FIRST)
    await eventually(lambda: is_told(hub, "XDS0303", "the plugin 'cat' gives no credentials"), timeout_s=30)
    profile.answer(way.token)
    await eventually(lambda: are(hub, CONNECTED), timeout_s=30)
    assert await told(hub, "XDS0303") == []
    await eventually(lambda: has_endpoints(hub, shop, 2))


async def test_karmada_in_pull_mode(hub_kubeconfig, serving_hub, made, shop, clusters, kubeconfigs):
    east, karmada, way = clusters["east"].api, made(Karmada), Way.of(kubeconfigs["west"])
    await east.apply(hub_role(without="clusters/proxy"))
    async with KarmadaProxy(hub_kubeconfig, {"west": kubeconfigs["west"]}) as proxy:
        through = proxy.kubeconfig(hub_kubeconfig, hub_kubeconfig.with_name("through.yaml"))
        async with serving_hub(through) as hub:
            # Of the proxy that Karmada has for each cluster, a right of its own is needed.
            await pull(karmada, FIRST)
            await eventually(lambda: is_told(hub, "XDS03", "no rights to clusters/proxy"), timeout_s=30)
            assert await states(hub) == {"west": "Stale"}
            await east.apply(hub_role())
            await eventually(lambda: are(hub, CONNECTED), timeout_s=60)
            assert await place(hub) == FIRST
            await eventually(lambda: has_endpoints(hub, shop, 2))
            assert await told(hub, "XDS03") == []
            assert proxy.open
            await shop.add(WEST.places[0])
            await eventually(lambda: has_endpoints(hub, shop, 3))
            await pull(karmada, SECOND)
            await eventually(lambda: stands_at(hub, SECOND))
            # In push mode, the way is another one.
            await karmada.register(way, SECOND)
            await eventually(lambda: not proxy.open, timeout_s=30)
            await shop.add(WEST.places[1])
            await eventually(lambda: has_endpoints(hub, shop, 4))
            await pull(karmada, SECOND)
            await eventually(lambda: proxy.open, timeout_s=30)
            await karmada.delete()
            await eventually(lambda: are(hub, {}))
            await eventually(lambda: not proxy.open)


async def test_karmada_evicts_what_runs_in_a_cluster(hub, made, shop, kubeconfigs):
    karmada, way = made(Karmada), Way.of(kubeconfigs["west"])
    await karmada.register(way, FIRST)
    await eventually(lambda: are(hub, CONNECTED), timeout_s=30)
    await eventually(lambda: has_endpoints(hub, shop, 2))
    taint = {"key": "cluster.karmada.io/not-ready", "effect": "NoExecute"}
    item = karmada.cluster(apiEndpoint=way.server, region=FIRST.region, zones=list(FIRST.zones), taints=[taint])
    await karmada.api.apply(item)
    await eventually(lambda: has_reason(hub, "Karmada evicts what runs there (cluster.karmada.io/not-ready:NoExecute)"))
    await karmada.api.patch_status(item, {"conditions": [{"type": "Ready", "status": "False", "reason": "ClusterNotReachable"}]})
    await eventually(lambda: is_told(hub, "XDS0312", "Karmada takes cluster 'west' for not ready (ClusterNotReachable)"))
    # We reach it, and what runs there is known, as a last resort for others.
    assert await states(hub) == CONNECTED
    assert await has_endpoints(hub, shop, 2)
    await karmada.api.patch_status(item, {"conditions": [{"type": "Ready", "status": "True"}]})
    await karmada.register(way, FIRST)
    await eventually(lambda: has_reason(hub, ""))
    assert not await is_told(hub, "XDS0312", "")


async def has_reason(plane, wanted):
    """Return whether that is said of the only member's state."""
    (found,) = (await plane.admin("/v1/members"))["items"]
    return found["reason"] == wanted


async def pull(karmada, where):
    """Register the cluster in pull mode; an agent there keeps it up, and nobody needs its address."""
    item = karmada.cluster("Pull", region=where.region, zones=list(where.zones))
    del item["spec"]["secretRef"]
    await karmada.api.apply(item)


async def are(plane, wanted):
    return await states(plane) == wanted


async def place(plane):
    """Return where the only member stands."""
    (found,) = (await plane.admin("/v1/members"))["items"]
    return Place(found["region"], tuple(found["zones"]))


async def stands_at(plane, wanted):
    return await place(plane) == wanted


async def told(plane, code):
    """Return the messages of problems whose code begins so."""
    return [item["message"] for item in (await plane.admin("/v1/problems"))["items"] if item["code"].startswith(code)]


async def is_told(plane, code, text):
    return any(text in message for message in await told(plane, code))


async def is_not_told(plane, code):
    return not await told(plane, code)


async def has_endpoints(plane, shop, number):
    """Return whether the exported service has so many; None: whether there is none."""
    found = [item["endpoints_ready"] for item in (await plane.admin("/v1/services"))["items"] if item["name"] == shop.name]
    return found == ([] if number is None else [number])
