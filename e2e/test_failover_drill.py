"""A drill on real API servers and a real Envoy: a gated standby, a drain that is refused, an opened gate, a ramp, and back."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from crds import install
from interop_waiting import eventually
from live_lab import run
from shop import SERVICE
from workload import named

from xds.cli.demo.lab import EAST, WEST
from xds.cli.demo.traffic import Client, shares_of, traffic

pytestmark = pytest.mark.asyncio(loop_scope="session")
CRDS = Path(__file__).parents[1] / "deploy" / "crds"
NEAR = 0.05


@asynccontextmanager
async def in_force(api, policy):
    """Have a policy in a cluster while the context is open."""
    await install(api, sorted(CRDS.glob("*.yaml")))
    await api.apply(policy)
    try:
        yield
    finally:
        await api.delete(policy)


def standby(namespace):
    """Return a policy by which clients in east use east, and west once its gate is open."""
    ref = {"group": "multicluster.x-k8s.io", "kind": "ServiceImport", "name": SERVICE}
    spec = {"targetRefs": [ref], "strategy": {"type": "RemoteDR", "primary": EAST.region, "remote": WEST.region}}
    return named("traffic.isthmus.dev/v1alpha1", "TrafficPolicy", "standby", namespace, spec=spec)


async def test_a_site_is_drained_and_comes_back_without_a_failed_request(clusters, plane, shop, sidecar, backends, tmp_path):
    service = f"{shop.namespace}/{SERVICE}"
    directory = tmp_path / "clusters"
    where = ("--clusters", directory)
    asked = ("--admin-address", plane.admin_address)
    client = Client("application", sidecar.port, shop.name)

    async def explained():
        found, _ = await run("explain", shop.name, "--from", sidecar.name, *asked, "-o", "json")
        return json.loads(found)

    async def served_as_explained(*clusters):
        """Return whether requests go to these clusters, in the shares that are predicted."""
        predicted = (await explained())["shares"]
        if {place.partition("/")[0] for place in predicted} != {*clusters}:
            return False
        answers = await client.burst(400)
        measured = shares_of(answers)
        return all(answer.ok for answer in answers) and all(
            abs(measured.get(place, 0.0) - predicted.get(place, 0.0)) < NEAR for place in measured.keys() | predicted.keys()
        )

    async with in_force(clusters["east"].api, standby(shop.namespace)):
        await eventually(lambda: sidecar.knows(shop))
        await eventually(lambda: governs(explained), timeout_s=90)  # the kind may be new to the control plane
        await eventually(lambda: served_as_explained("east"))
        _, said = await run("drain", "cluster=east", *where, *asked, "--service", service, exits=1)
        assert "BLACKHOLE: 100 % of the requests find nobody" in said, "the gate is closed"
        async with traffic([client], rate=100):
            await run("gate", "open", f"east:{shop.namespace}/standby", "standby", *where, *asked)
            await eventually(lambda: served_as_explained("east"))
            await run("drain", "cluster=east", *where, *asked, "--service", service, "--ramp", "4s", "--steps", "4")
            await eventually(lambda: served_as_explained("west"))
            await asyncio.sleep(1)
            await run("undrain", "cluster=east", *where)
            await eventually(lambda: served_as_explained("east"))
        assert not [answer for answer in client.answers if not answer.ok]
        await run("gate", "close", f"east:{shop.namespace}/standby", "standby", *where)


async def governs(explained):
    return "standby" in (await explained())["policy"]
