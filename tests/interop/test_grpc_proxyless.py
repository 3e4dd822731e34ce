"""Stock gRPC clients take endpoints from us, fail over by our priorities, and say what is wrong."""

import asyncio

import pytest
from proxyless_clients import CLIENTS
from proxyless_lab import TARGET, ProxylessLab

from xds.cli.demo.places import Place, in_cluster, in_zone

pytestmark = [pytest.mark.interop, pytest.mark.clients]

OF_CLUSTER = "xds:///web.shop.svc.cluster.local:80"
ABSENT = "later.shop.svc.clusterset.local:80"
EAST_PLACES = {"east/east-a", "east/east-b"}
WEST_PLACES = {"west/west-a", "west/west-b"}

ABSENT_ERRORS = {
    "python": f"UNAVAILABLE: empty address list (LDS resource {ABSENT}: does not exist",
    "go": f'xds: resource "{ABSENT}" of type "ListenerResource" has been removed',
    "java": f"Timed out waiting for resource {ABSENT} from xDS server",
    # Its channel turns to TRANSIENT_FAILURE after 15 s as well, but leaves calls that wait for it to their deadlines.
    "node": "DEADLINE_EXCEEDED: Deadline exceeded after 20.",
}
"""What each client says of a service that is not there, once it has waited 15 s for it."""


def parametrised(client):
    marks = (pytest.mark.matrix, pytest.mark.timeout(600)) if client.builds else ()
    return pytest.param(client, id=client.name, marks=marks)


@pytest.fixture(scope="module", params=[parametrised(client) for client in CLIENTS.values()])
def client(request):
    """A client program and where it has been built."""
    return request.param, request.param.directory()


@pytest.fixture
async def lab(client, tmp_path):
    async with ProxylessLab(tmp_path, *client) as running:
        yield running


async def test_a_proxyless_client_fails_over_by_our_priorities(lab):
    assert set(await lab.calls()) == EAST_PLACES
    assert set(await lab.streams()) == {"cds eds lds SYNCED"}

    everything = lab.everything
    for world, places in (
        (everything.not_ready(in_zone(Place("east", "east-a"))), {"east/east-b"}),
        (everything.not_ready(in_cluster("east")), WEST_PLACES),
        (everything, EAST_PLACES),
    ):
        lab.show(world)
        assert failures(await lab.eventually_calls(places)) == {}, places

    # Dead without notice: connections break, and the next priority takes over; what was under way may fail.
    lab.kill_pods("east")
    await lab.eventually_calls(WEST_PLACES)
    lab.start_pods("east")
    assert failures(await lab.eventually_calls(EAST_PLACES)) == {}
    assert set(await lab.streams()) == {"cds eds lds SYNCED"}


async def test_a_restart_of_the_control_plane_fails_no_call_to_either_of_two_services(lab):
    targets = (TARGET, OF_CLUSTER)
    for target in targets:
        assert set(await lab.calls(target=target)) == EAST_PLACES
    before = await lab.streams()
    async with lab.traffic(targets) as answers:
        lab.control_plane.kill()
        await asyncio.sleep(1)
        lab.control_plane.start()
        await lab.control_plane.wait_ready()
        await lab.eventually_streams(before)

        # The restarted control plane is still one that serves changes, to both.
        lab.show(lab.everything.not_ready(in_zone(Place("east", "east-a"))))
        for target in targets:
            await lab.eventually_calls({"east/east-b"}, target)
    assert set(answers) == EAST_PLACES, answers
    print(f"{sum(answers.values())} calls in the background")


async def test_a_service_that_is_not_there_is_an_error_until_it_is_there(lab, client):
    program, _ = client
    assert set(await lab.calls()) == EAST_PLACES
    ((error, count),) = (await lab.calls(1, f"xds:///{ABSENT}")).items()
    assert ABSENT_ERRORS[program.name] in error
    assert count == 1
    assert set(await lab.calls()) == EAST_PLACES

    lab.add_service("later")
    await lab.eventually_calls(EAST_PLACES, f"xds:///{ABSENT}")
    assert set(await lab.streams()) == {"cds eds lds SYNCED"}


def failures(answers):
    return {answer: count for answer, count in answers.items() if answer not in EAST_PLACES | WEST_PLACES}
