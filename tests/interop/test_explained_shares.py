"""What `explain` predicts is what a real Envoy does, in generated fleets, under generated policies and failures.

`SHARES_SEED` gives other worlds, `SHARES_FLEETS` more or fewer.
"""

import os
from collections import Counter

import pytest
import yaml
from shares_lab import NOBODY, Plane, SharesLab, backend_everywhere, id_of, node_of
from shares_world import CLIENTS, WORLDS, GeneratedFleet

from xds.cli.demo.processes import free_port
from xds.model.node import Node

SEED = os.environ.get("SHARES_SEED", "6")
ENOUGH = 20
FLEETS = int(os.environ.get("SHARES_FLEETS", ENOUGH))
REQUESTS, AGAIN = 2000, 20_000
"""How many are sent, and how many before a world is said to be a miss."""
TOLERANCE = 0.03
"""Half of the former has a standard deviation of 1.1 points, half of the latter 0.35."""
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
}
"""In how many of 300 worlds, so that the test means something."""


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    return tmp_path_factory.mktemp("backend")


@pytest.mark.parametrize("number", range(FLEETS))
async def test_predicted_shares_are_those_of_a_real_envoy(envoy, directory, tmp_path, number):
    gateway_port = free_port()
    async with backend_everywhere(envoy, directory) as port:
        generated = GeneratedFleet(f"{SEED}/{number}", backend_port=port, gateway_port=gateway_port, block=number % 250 + 1)
        async with SharesLab(generated, gateway_port, envoy, tmp_path, delta=number % 2 == 0) as lab:
            await lab.fail()
            misses = [miss for world in generated.worlds if (miss := await missed(lab, world))]
    assert not misses, f"SHARES_SEED={SEED}, fleet {number}\n\n" + "\n\n".join(misses)


async def missed(lab, world):
    """Return in words how what a world's client measures differs from what is predicted; "" if it does not."""
    explained = lab.explain(world)
    for requests in (REQUESTS, AGAIN):
        measured = by_place(explained, await lab.measure(world, requests))
        found = differences(predicted(explained), measured)
        if not found:
            return ""
    return f"{yaml.safe_dump({world.name: world.facts}, sort_keys=False)}{told(explained)}\n{found}"


def predicted(explained):
    """Return place or address -> the fraction that it gets."""
    shares = Counter({**explained.shares, NOBODY: explained.unserved})
    for locality, endpoint in endpoints(explained):
        assert f"{locality.cluster}/{locality.zone}" in shares or not endpoint.share
        shares[endpoint.addresses[0]] += endpoint.share
    return shares


def by_place(explained, counts):
    """Return the same of counted answers."""
    places = {endpoint.addresses[0]: f"{at.cluster}/{at.zone}" for at, endpoint in endpoints(explained)}
    shares = Counter()
    for who, count in counts.items():
        shares[who] += count / counts.total()
        if who != NOBODY:
            shares[places[who]] += count / counts.total()
    return shares


def differences(wanted, measured):
    """Return what is further apart than the tolerance, in words."""
    return "; ".join(
        f"{who}: predicted {100 * wanted[who]:.1f} %, measured {100 * measured[who]:.1f} %"
        for who in sorted(wanted | measured)
        if abs(wanted[who] - measured[who]) > TOLERANCE
    )


def endpoints(explained):
    """Yield all endpoints that the client is given, each with its locality."""
    for tier in explained.tiers:
        for locality in tier.localities:
            for endpoint in locality.endpoints:
                yield locality, endpoint


def told(explained):
    """Return the tiers for people."""
    lines = []
    for tier in explained.tiers:
        state = f"tier {tier.index}, {tier.name}: {tier.healthy} of {tier.endpoints} healthy, gets {tier.load_percent} %"
        lines.append(state + (", panics" if tier.panics else ""))
        for one in tier.localities:
            healths = Counter(endpoint.health for endpoint in one.endpoints)
            lines.append(
                f"  {one.cluster}/{one.zone}: weight {one.weight}, effective {one.effective_weight:.3g}, {dict(healths)}"
            )
    return "\n".join(lines)


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
        }.items()
        if is_so
    )
