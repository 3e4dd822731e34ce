"""Real Envoys, real backends and the real control plane; every process ends with its test, or with pytest."""

import pytest
from envoy_binary import envoy_or_skip
from static_envoy import Http, running_plane

from xds.cli.demo.lab import EAST, Lab, sidecar


def pytest_collection_modifyitems(items):
    for item in items:
        if "envoy" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.interop)


@pytest.fixture(scope="session")
def envoy():
    """The Envoy binary."""
    return envoy_or_skip()


@pytest.fixture(params=["delta", "sotw"])
def delta(request):
    """Whether the proxies speak incremental xDS; a test that asks for it runs with both variants."""
    return request.param == "delta"


@pytest.fixture
async def sidecar_lab(envoy, tmp_path, delta):
    """Two clusters and a sidecar in the east, with traffic going nowhere yet."""
    async with Lab(tmp_path, envoy, [sidecar(EAST)], delta=delta) as lab:
        yield lab
        lab.check()


@pytest.fixture
async def plane():
    """A server with a source in memory, whose client rejects nothing."""
    async with running_plane() as plane:
        yield plane
        assert plane.nacks == []


@pytest.fixture
def http():
    """A client of a listener on a free port."""
    return Http()
