"""Shares at a real Envoy are those that Envoy's documented arithmetic gives for our tiers."""

import pytest
from interop_waiting import eventually, health_of

from xds.cli.demo.arithmetic import expected_shares
from xds.cli.demo.manifests import HOST
from xds.cli.demo.places import Place, in_cluster, in_zone
from xds.cli.demo.story import TOLERANCE
from xds.cli.demo.traffic import measure_shares

REQUESTS = 5000
"""70 % of that many requests has a standard deviation of 0.65 points; the tolerance is 3."""


def first_of_zone(pod):
    return pod.place.zone == "east-a" and pod.index == 0


WORLDS = {
    "everything is up": lambda world: world,
    "a zone is not ready": lambda world: world.not_ready(in_zone(Place("east", "east-a"))),
    "part of a zone is not ready": lambda world: world.not_ready(first_of_zone),
    "the cluster is not ready": lambda world: world.not_ready(in_cluster("east")),
    "the cluster has no endpoints": lambda world: world.without(in_cluster("east")),
}


async def test_shares_are_those_of_the_arithmetic(sidecar_lab):
    lab, (client,), (envoy,) = sidecar_lab, sidecar_lab.clients, sidecar_lab.envoys.values()
    everything = lab.world
    for name, change in WORLDS.items():
        lab.show(change(everything))
        wanted = {f"{pod.address}:{lab.backends.port}": "HEALTHY" if pod.ready else "UNHEALTHY" for pod in lab.world.pods}
        await eventually(lambda wanted=wanted: shows(envoy, wanted))

        measured, failures = await measure_shares(client, REQUESTS)

        expected = expected_shares(lab.world, "east")
        print(f"{name}: {measured}, expected {expected}")
        assert not failures, name
        for place in measured.keys() | expected.keys():
            assert measured.get(place, 0.0) == pytest.approx(expected.get(place, 0.0), abs=TOLERANCE), (name, place)


async def shows(envoy, wanted):
    return health_of(await envoy.hosts(f"{HOST}:80")) == wanted
