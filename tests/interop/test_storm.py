"""Five releases of Envoy in one storm of changes, some of them invalid: no request fails, and in the end the snapshot rules.

`STORM_SEED` gives other storms, `STORM_RELEASES` fewer Envoys.
"""

import asyncio
import os
from collections import Counter

import pytest
from envoy_releases import RELEASES, UnavailableError, envoy_of
from interop_waiting import eventually
from storm_lab import StormLab
from storm_script import CHANGES, Storm
from storm_traffic import calling
from storm_world import INLINE, Listener, Service

from xds.cli.demo.processes import free_port
from xds.wire import LISTENER

SEED = int(os.environ.get("STORM_SEED", "4"))
RATE = 6
"""Requests a second of each caller; with ten callers to each of five Envoys, 300 in all."""
SETTLE_S = 12
"""What waits in the server waits 5 s; less than Envoy's own 15 s of patience with a cluster that warms."""
COME_BACK_S = 30
"""As long, after a client has found the control plane again (it tries ever more rarely), and its old listeners have drained."""
REPEATS = 8
"""NACKs that one invalid resource may cost a proxy: it is found among others by halving."""

pytestmark = [pytest.mark.interop, pytest.mark.matrix, pytest.mark.timeout(240)]


@pytest.fixture(scope="session")
def binaries():
    """Release -> the Envoy, for every release."""
    releases = os.environ.get("STORM_RELEASES", " ".join(RELEASES)).split()
    try:
        return {release: envoy_of(release) for release in releases}
    except UnavailableError as error:
        pytest.skip(str(error))


@pytest.fixture
async def lab(binaries, tmp_path, delta):
    storm = Storm(SEED, free_port(), free_port)
    async with StormLab(storm, binaries, tmp_path, delta=delta) as lab:
        yield lab


async def test_a_storm_fails_no_request(lab):
    callers = lab.callers()
    async with calling(callers, rate=RATE):
        changes = await lab.play(lab.storm.steps())
        differing = await lab.settle(SETTLE_S)
        await asyncio.sleep(1)  # in which every answer must come from where the last snapshot says
        complaints = {envoy.name: await lab.complaints(envoy) for envoy in lab.envoys}
    summary = f"seed {SEED}: {changes} changes, {lab.journal.summary}, {answered(callers)} answers"
    print(summary)
    assert_no_failures(lab, callers, summary)
    assert not differing, summary
    assert not any(complaints.values()), (summary, complaints)
    assert changes >= CHANGES
    assert answered(callers) > 200 * len(callers) / 2
    assert_only_the_spoilt_were_rejected(lab)


async def test_a_control_plane_that_comes_back_in_the_storm_fails_no_request(lab, delta):
    lab.storm.weights["spoils"] = 0
    callers = lab.callers()
    async with calling(callers, rate=RATE):
        for number, step in enumerate(lab.storm.steps(CHANGES // 5)):
            await lab.play([step])
            if number % 10 == 5:
                if not delta:  # a client of this variant says by a version what it holds: that must be one that a snapshot had
                    assert not await lab.settle(COME_BACK_S)
                await lab.stop_server()
            if number % 10 == 9:
                await lab.start_server()
        await lab.start_server()
        differing = await lab.settle(COME_BACK_S)
        await lab.stop_server()
        await lab.start_server()
        await eventually(lambda: len(lab.server.streams()) == len(lab.envoys), timeout_s=20)
        await asyncio.sleep(1)
    summary = f"seed {SEED}: {lab.journal.summary}, {answered(callers)} answers"
    print(summary)
    assert_no_failures(lab, callers, summary)
    assert not differing
    assert not lab.journal.rejections
    if delta:
        assert not lab.server.counters.responses, "sent again although nothing changed"


async def test_a_listener_rejected_for_want_of_a_cluster_comes_when_the_cluster_does(lab):
    service = Service("late", 1, cluster_fault="timeout")
    listener = Listener("late", free_port(), INLINE, [service])
    lab.world.services[service.name] = service
    lab.world.listeners[listener.name] = listener
    lab.publish(["a listener whose only cluster is invalid"])
    await eventually(lambda: len(lab.rejectors(LISTENER)) == len(lab.envoys), timeout_s=SETTLE_S)
    service.cluster_fault = ""
    lab.publish(["the cluster is mended, the listener as before"])
    assert not await lab.settle(SETTLE_S)


def assert_no_failures(lab, callers, summary):
    """Say what went wrong first, and what had happened shortly before."""
    judged = [(caller, answer) for caller in callers for answer in caller.answers if not lab.journal.is_right(caller, answer)]
    failures = sorted(judged, key=lambda failure: failure[1].ended_s)
    kinds = Counter(f"{caller.name}: {answer.status} {answer.place} {answer.detail}" for caller, answer in failures)
    firsts = {caller.name.partition(" ")[2]: (caller, answer) for caller, answer in reversed(failures)}
    told = [lab.journal.story_of(*failure) for failure in list(firsts.values())[-5:]]
    assert not failures, "\n".join(
        [summary, f"{len(failures)} failures", *told, *(f"{n} x {k}" for k, n in kinds.most_common(20))]
    )


def assert_only_the_spoilt_were_rejected(lab):
    """Each NACK is of a response with something invalid in it, and nothing invalid was sent again and again."""
    times = Counter()
    for one in lab.journal.rejections:
        found = {(one.node, one.type_url, *resource) for resource in one.content} & lab.spoilt.keys()
        assert found, f"{one.node} rejects what is valid: {one}"
        times.update(found)
    repeated = {what: count for what, count in times.items() if count > REPEATS * lab.spoilt[what]}
    assert not repeated, f"invalid resources were sent again and again: {repeated}"
    assert times, "nothing invalid was ever sent"


def answered(callers):
    return sum(len(caller.answers) for caller in callers)
