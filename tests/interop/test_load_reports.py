"""What real clients report over LRS is what their requests really did."""

from collections import Counter

import pytest
from grpc_scripts import answers, client_of, script
from interop_waiting import eventually

from xds.cli.demo.control_plane import ControlPlaneProcess
from xds.cli.demo.lab import EAST, WEST, Lab, gateway, sidecar
from xds.cli.demo.manifests import HOST, Manifests
from xds.cli.demo.places import World, in_cluster
from xds.cli.demo.processes import free_port

pytestmark = pytest.mark.interop


@pytest.fixture(autouse=True)
def every_second(monkeypatch):
    monkeypatch.setenv("XDS_LOADS_INTERVAL_SECONDS", "1")


async def test_envoys_report_every_request(envoy, tmp_path, delta):
    async with Lab(tmp_path, envoy, [sidecar(EAST), gateway()], delta=delta) as lab:
        await counting(lab.control_plane, clients=2)
        for client, requests in zip(lab.clients, (300, 170), strict=True):
            assert all(answer.ok for answer in await client.burst(requests))
        sent = Counter(answer.place for client in lab.clients for answer in client.answers)
        assert sum(sent.values()) == 470
        await eventually(lambda: has_reported(lab.control_plane, sent))
        assert (await lab.control_plane.metrics())["xds_load_streams"] == 2

        # Dead without notice: each attempt that found nobody is an error of the place where it went.
        lab.kill(in_cluster("east"))
        assert all(answer.ok for answer in await lab.clients[0].burst(100))
        await eventually(lambda: has_errors(lab.control_plane, "east/"))
        assert not any([any((await process.stats("update_rejected")).values()) for process in lab.envoys.values()])
        lab.check()
        lab.envoys["gateway"].stop()
        await eventually(lambda: streams(lab.control_plane, 1))


async def test_a_proxyless_grpc_client_reports_every_call(tmp_path):
    world = World.of((EAST, WEST), pods_per_zone=2)
    manifests = Manifests(tmp_path / "clusters", backend_port=free_port(), app_protocol="kubernetes.io/h2c")
    manifests.write(world)
    with (
        ControlPlaneProcess(manifests.directory, tmp_path / "control-plane.log") as control_plane,
        script("grpc_pods.py", str(manifests.backend_port)) as pods,
    ):
        await control_plane.wait_ready()
        with client_of(control_plane, pods, world) as client:
            sent = Counter(answers(client, 120))
            assert sum(sent.values()) == 120
            await eventually(lambda: has_reported(control_plane, sent))
            sent += Counter(answers(client, 33))
            await eventually(lambda: has_reported(control_plane, sent))
            assert (await control_plane.metrics())["xds_load_streams"] == 1
        await eventually(lambda: streams(control_plane, 0))


async def counting(control_plane, *, clients):
    """Wait until Envoy counts: it begins with the report after the one in which a cluster was new."""
    before = (await control_plane.metrics())["xds_load_reports_total"]
    await eventually(lambda: reports(control_plane, before + 3 * clients))


async def reports(control_plane, number):
    return (await control_plane.metrics())["xds_load_reports_total"] >= number


async def streams(control_plane, number):
    return (await control_plane.metrics())["xds_load_streams"] == number


async def has_reported(control_plane, sent):
    """Whether exactly these requests were reported, as successes: `cluster/zone` -> number."""
    found = await localities(control_plane)
    issued = Counter({place: load["issued"] for place, load in found.items()})
    return issued == Counter({place: load["succeeded"] for place, load in found.items()}) == sent


async def has_errors(control_plane, place):
    return any(load["failed"] for name, load in (await localities(control_plane)).items() if name.startswith(place))


async def localities(control_plane):
    """Return the loads of the service in all views: `cluster/zone` -> what -> number."""
    result = {}
    for item in (await control_plane.admin("/v1/loads"))["items"]:
        assert item["cluster"] == f"{HOST}:80"  # the only one that is asked for
        for load in item["localities"]:
            found = result.setdefault(f"{load['sub_zone']}/{load['zone']}", Counter())
            found.update({key: int(load[key]) for key in ("issued", "succeeded", "failed", "in_progress")})
    return result
