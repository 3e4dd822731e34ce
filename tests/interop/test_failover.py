"""Requests survive when backends go, whether they say so first or not."""

import asyncio
import time

from interop_waiting import eventually, health_of

from xds.cli.demo.lab import EAST, Lab, sidecar
from xds.cli.demo.manifests import HOST
from xds.cli.demo.places import Place, in_cluster, in_zone
from xds.cli.demo.traffic import Client, traffic

EAST_A = Place("east", "east-a")
RATE = 400


async def test_no_request_fails_when_a_zone_turns_not_ready_before_it_stops(sidecar_lab):
    lab, (client,) = sidecar_lab, sidecar_lab.clients
    async with traffic([client], rate=RATE):
        await asyncio.sleep(1)
        lab.turn_not_ready(in_zone(EAST_A))
        await eventually(lambda: is_quiet(client, EAST_A))
        lab.stop(in_zone(EAST_A))
        await asyncio.sleep(1)
        await lab.restore()
        await eventually(lambda: client.answers[-1].place == str(EAST_A), every_s=0.0)
    assert failures(client) == []
    assert len(client.answers) > RATE


async def test_no_idempotent_request_fails_when_backends_are_killed(envoy, tmp_path, delta):
    """Requests are in flight when it happens; the manifests stay as they are."""
    async with Lab(tmp_path, envoy, [sidecar(EAST)], delta=delta, delay_s=0.02) as lab:
        (client,) = lab.clients
        async with traffic([client], rate=RATE):
            for selection in (in_zone(EAST_A), in_cluster("east")):
                await asyncio.sleep(1)
                killed_s = time.monotonic()
                lab.kill(selection)
                await asyncio.sleep(1)
                gone = {str(pod.place) for pod in lab.world.select(selection)}
                assert not [answer for answer in since(client, killed_s + 0.1) if answer.place in gone]
        assert failures(client) == []
        assert len(client.answers) > RATE


async def test_what_is_not_retried_fails_only_until_the_removal_arrives(envoy, tmp_path, delta):
    async with Lab(tmp_path, envoy, [sidecar(EAST)], delta=delta, delay_s=0.02) as lab:
        (process,) = lab.envoys.values()
        client = Client("poster", lab.proxies[0].port, HOST, method="POST")
        async with traffic([client], rate=RATE):
            await asyncio.sleep(1)
            killed_s = time.monotonic()
            lab.kill(in_zone(EAST_A))
            lab.show(lab.world.without(in_zone(EAST_A)))
            await eventually(lambda: lacks(process, EAST_A, lab))
            removed_s = time.monotonic()
            await asyncio.sleep(1)
        assert all(killed_s <= answer.at_s <= removed_s + 0.1 for answer in failures(client))
        assert since(client, removed_s)


async def lacks(envoy, place, lab):
    left = {f"{pod.address}:{lab.backends.port}" for pod in lab.world.pods if pod.place != place}
    return health_of(await envoy.hosts(f"{HOST}:80")).keys() == left


def is_quiet(client, place, for_s=0.5):
    answers = since(client, time.monotonic() - for_s)
    return bool(answers) and all(answer.place != str(place) for answer in answers)


def since(client, at_s):
    return [answer for answer in client.answers if answer.at_s >= at_s]


def failures(client):
    return [answer for answer in client.answers if not answer.ok]
