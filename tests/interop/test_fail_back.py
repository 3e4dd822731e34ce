"""A real Envoy leaves a place that is held back alone, and uses it when nothing else is left."""

import pytest
import yaml
from interop_waiting import eventually, health_of

from xds.cli.demo.manifests import HOST, NAMESPACE
from xds.cli.demo.places import in_cluster
from xds.cli.demo.traffic import measure_shares

REQUESTS = 300
SOAK_S = 8


@pytest.fixture
def soaked(sidecar_lab):
    """Two clusters with a policy that gives traffic back after some seconds."""
    policy = {
        "apiVersion": "traffic.isthmus.dev/v1alpha1",
        "kind": "TrafficPolicy",
        "metadata": {"name": "all", "namespace": NAMESPACE},
        "spec": {"defaultFor": "Fleet", "failBackAfterSeconds": SOAK_S},
    }
    (sidecar_lab.manifests.directory / "policy.yaml").write_text(yaml.safe_dump(policy))
    return sidecar_lab


async def test_traffic_comes_back_after_the_soak(soaked):
    lab, everything = soaked, soaked.world
    await eventually(lambda: governs(lab))
    lab.turn_not_ready(in_cluster("east"))
    assert await clusters_used(lab, east="UNHEALTHY", west="HEALTHY") == {"west"}
    lab.show(everything)
    assert await clusters_used(lab, east="DEGRADED", west="HEALTHY") == {"west"}
    lab.turn_not_ready(in_cluster("west"))
    assert await clusters_used(lab, east="DEGRADED", west="UNHEALTHY") == {"east"}
    lab.show(everything)
    assert await clusters_used(lab, east="HEALTHY", west="HEALTHY") == {"east"}


async def governs(lab):
    return "TrafficPolicy shop/all" in str(await lab.control_plane.admin(f"/v1/explain?service={HOST}&from=east"))


async def clusters_used(lab, **health):
    """Return which clusters' pods answer, once the Envoy has been told of this health."""
    (client,), (envoy,) = lab.clients, lab.envoys.values()
    wanted = {f"{pod.address}:{lab.backends.port}": health[pod.place.cluster] for pod in lab.world.pods}
    await eventually(lambda: shows(envoy, wanted), timeout_s=SOAK_S + 10)
    measured, failures = await measure_shares(client, REQUESTS)
    assert not failures
    return {place.partition("/")[0] for place, share in measured.items() if share}


async def shows(envoy, wanted):
    return health_of(await envoy.hosts(f"{HOST}:80")) == wanted
