"""What `explain` predicts is what a real Envoy does, in generated fleets, under generated policies and failures.

`SHARES_SEED` gives other worlds, `SHARES_FLEETS` more or fewer.
"""

import os
from collections import Counter

import pytest
from shares_lab import GrpcLab, Plane, SharesLab, backend_everywhere, id_of, node_of
from shares_verdict import endpoints, missed
from shares_world import CLIENTS, WORLDS, GeneratedFleet

from xds.cli.demo.processes import free_port
from xds.model.node import Node

SEED = os.environ.get("SHARES_SEED", "6")
ENOUGH = 20
FLEETS = int(os.environ.get("SHARES_FLEETS", ENOUGH))
GRPC_FLEETS = max(1, FLEETS // 5)
"""A client in Python needs its time."""
AT_LEAST = {
    "something is healthy in part": 100,
    "three tiers get something": 5,
    "an unhealthy endpoint is used in panic": 10,
    "a gate is closed": 10,
    "a gate has been opened": 10,
    "a drain is in the middle of its ramp": 50,
    "a degraded endpoint is used": 10,
    "an endpoint drains": 50,
    "nobody serves": 5,
    "the client is a gateway": 50,
    "a gateway of another cluster is used": 10,
}
"""In how many of 300 worlds, so that the test means something."""


@pytest.mark.parametrize("number", range(FLEETS))
async def test_predicted_shares_are_those_of_a_real_envoy(envoy, tmp_path, number):
    gateway_port = free_port()
    async with backend_everywhere(envoy, tmp_path) as port:
        generated = GeneratedFleet(f"{SEED}/{number}", backend_port=port, gateway_port=gateway_port, block=number % 250 + 1)
        async with SharesLab(generated, gateway_port, envoy, tmp_path, delta=number % 2 == 0) as lab:
            await lab.fail()
            misses = [miss for world in generated.worlds if (miss := await missed(world, lab.explain(world), lab.measure))]
    assert not misses, f"SHARES_SEED={SEED}, fleet {number}\n\n" + "\n\n".join(misses)


@pytest.mark.parametrize("number", range(GRPC_FLEETS))
async def test_predicted_shares_are_those_of_a_grpc_client(envoy, tmp_path, number):
    async with backend_everywhere(envoy, tmp_path) as port:
        generated = GeneratedFleet(f"{SEED}/{number}", backend_port=port, gateway_port=free_port(), block=number % 250 + 1)
        async with GrpcLab(generated) as lab:
            worlds = [world for world in generated.worlds if generated.clients[world.client].role != "gateway"]
            misses = [miss for world in worlds if (miss := await missed(world, lab.explain(world), lab.measure))]
    assert not misses, f"SHARES_SEED={SEED}, fleet {number}\n\n" + "\n\n".join(misses)


def test_the_generated_worlds_have_everything_in_them():
    found = Counter()
    for number in range(ENOUGH):
        generated = GeneratedFleet(f"{SEED}/{number}", backend_port=8080, gateway_port=8081, block=1)
        plane = Plane()
        plane.tell(generated.begins)
        plane.tell(generated.fails)
        for client in range(CLIENTS):
            said = node_of(generated, client, 15001)
            plane.view_of(Node(said.node_id, region=said.region, zone=said.zone, metadata=said.metadata))
        for world in generated.worlds:
            found.update(features(world, plane.explain(world.asked, id_of(world.client))))
    assert ENOUGH * WORLDS == 300
    assert {what: count for what, count in AT_LEAST.items() if found[what] < count} == {}, found


def features(world, explained):
    """Yield what of the list is in a world."""
    used = [endpoint for _, endpoint in endpoints(explained) if endpoint.share]
    yield from (
        what
        for what, is_so in {
            "something is healthy in part": any(0 < tier.healthy < tier.endpoints for tier in explained.tiers),
            "three tiers get something": sum(tier.load_percent > 0 for tier in explained.tiers) > 2,
            "an unhealthy endpoint is used in panic": any(one.health == "UNHEALTHY" for one in used),
            "a gate is closed": any(tier.closed for tier in explained.tiers),
            "a gate has been opened": "open" in world.facts,
            "a drain is in the middle of its ramp": any("drained to" in " ".join(at.reasons) for at, _ in endpoints(explained)),
            "a degraded endpoint is used": any(one.health == "DEGRADED" for one in used),
            "an endpoint drains": any(one.health == "DRAINING" for _, one in endpoints(explained)),
            "nobody serves": explained.unserved == 1,
            "the client is a gateway": explained.role == "gateway",
            "a gateway of another cluster is used": any(
                one.addresses[0] in world.facts.get("gateways", {}).values() for one in used
            ),
        }.items()
        if is_so
    )
