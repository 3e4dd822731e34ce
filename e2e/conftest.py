"""Two real clusters for all tests, `east` and `west`, with the CRDs that we read; E2E_PROVIDER says who runs them."""

import os
import subprocess

import kubernetes_build
import pytest
import pytest_asyncio
from crds import install
from envoy_binary import envoy_or_skip
from kind_clusters import KindProvider
from live_lab import Sidecar, serving
from local_clusters import LocalProvider
from reader_access import make_reader, write_access
from shop import REGIONS, make_nodes, open_shop

from xds.cli.demo import lab
from xds.cli.demo.backends import Backends
from xds.cli.demo.envoy import EnvoyProcess
from xds.cli.demo.processes import free_port
from xds.cli.envoy_bootstrap import envoy_bootstrap

START_S = 600
"""For a test: the first one waits until the clusters run, which takes kind minutes."""
PROVIDER = os.environ.get("E2E_PROVIDER", "local")


def pytest_collection_modifyitems(items):
    for item in items:
        if item.path.parent == kubernetes_build.HERE:
            item.add_marker(pytest.mark.e2e)
            item.add_marker(pytest.mark.timeout(START_S))


def pytest_collection_finish(session):
    """Build before the first test: it takes far longer than a test may, and needs the machine's network."""
    if session.config.option.collectonly or _missing():
        return
    terminal = session.config.pluginmanager.get_plugin("terminalreporter")
    try:
        kubernetes_build.crds()
        if PROVIDER == "local":
            if not kubernetes_build.is_built(kubernetes_build.PROGRAMS):
                terminal.write_line("building Kubernetes, once: about 7 minutes on two cores")
            kubernetes_build.programs()
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
        pytest.exit(f"Kubernetes does not build: {error}", returncode=1)


def _missing():
    """Return why there can be no clusters; "" if there can."""
    if PROVIDER == "local":
        return kubernetes_build.missing()
    if PROVIDER == "kind":
        return KindProvider.missing() or kubernetes_build.no_go()
    pytest.exit(f"E2E_PROVIDER={PROVIDER}: there are local and kind", returncode=1)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def provider(tmp_path_factory):
    """What runs the clusters."""
    if reason := _missing():
        pytest.skip(reason)
    directory = tmp_path_factory.mktemp("clusters")
    found = LocalProvider(kubernetes_build.programs(), directory) if PROVIDER == "local" else KindProvider(directory)
    try:
        yield found
    finally:
        await found.stop()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def clusters(provider):
    """Name -> cluster."""
    found = [await provider.start(number, name) for number, name in enumerate(region.name for region in REGIONS)]
    for cluster in found:
        await install(cluster.api, kubernetes_build.crds())
        await make_nodes(cluster)
        await make_reader(cluster)
    return {cluster.name: cluster for cluster in found}


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def kubeconfigs(clusters, tmp_path_factory):
    """Name of a cluster -> kubeconfig of the control plane's own user there."""
    directory = tmp_path_factory.mktemp("kubeconfigs")
    return {name: await write_access(cluster, directory / f"{name}.yaml") for name, cluster in clusters.items()}


@pytest_asyncio.fixture(loop_scope="session")
async def shop(clusters):
    """A service that both clusters run and export."""
    async with open_shop(clusters, free_port()) as found:
        yield found


@pytest.fixture
def plane_files(kubeconfigs):
    """The kubeconfigs that the control plane is given."""
    return [*kubeconfigs.values()]


@pytest_asyncio.fixture(loop_scope="session")
async def plane(plane_files, tmp_path):
    """`xdsctl serve` on both clusters, with a MemberCluster for each from a file."""
    with serving(tmp_path, plane_files) as process:
        await process.wait_ready()
        yield process
        process.check()


@pytest_asyncio.fixture(loop_scope="session")
async def sidecar(plane, envoy, tmp_path):
    """A real Envoy in the first zone of east."""
    proxy = lab.sidecar(lab.EAST)
    bootstrap = envoy_bootstrap(proxy.node, plane.xds_address, admin_address="127.0.0.1:0", delta=True)
    with EnvoyProcess(proxy.name, bootstrap, tmp_path, envoy) as process:
        await process.wait_ready()
        yield Sidecar(process, proxy.port)
        rejected = {name: count for name, count in (await process.stats("update_rejected")).items() if count}
        assert not rejected, process.log_tail()


@pytest_asyncio.fixture(loop_scope="session")
async def backends(provider, shop):
    """The shop's pods as HTTP servers that say who they are."""
    if not provider.reaches_pods:
        pytest.skip("addresses of pods do not lead here")
    found = Backends(shop.port)
    await found.start(shop.pods.values())
    yield found
    found.close()


@pytest.fixture(scope="session")
def envoy():
    """The Envoy binary."""
    return envoy_or_skip()
