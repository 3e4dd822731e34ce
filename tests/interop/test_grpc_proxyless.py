"""Stock gRPC clients take endpoints from us, fail over by our priorities, and say what is wrong."""

import asyncio

import pytest
from interop_waiting import eventually
from proxyless_clients import CLIENTS
from proxyless_lab import TARGET, ProxylessLab

from xds.cli.demo.places import Place, in_cluster, in_zone
from xds.protocol.encoder import NOT_FOUND

pytestmark = [pytest.mark.interop, pytest.mark.clients]

OF_CLUSTER = "xds:///web.shop.svc.cluster.local:80"
ABSENT = "later.shop.svc.clusterset.local:80"
CART = "cart.shop.svc.clusterset.local:80"
CHANNELS = 200
EAST_PLACES = {"east/east-a", "east/east-b"}
WEST_PLACES = {"west/west-a", "west/west-b"}

ABSENT_ERRORS = {
    "python": f"UNAVAILABLE: empty address list (LDS resource {ABSENT}: does not exist",
    "go": f'xds: resource "{ABSENT}" of type "ListenerResource" has been removed',
    "java": f"Timed out waiting for resource {ABSENT} from xDS server",
    # Its channel turns to TRANSIENT_FAILURE after 15 s as well, but leaves calls that wait for it to their deadlines.
    "node": "waiting for name resolution",
}
"""What each client says of a service that is not there, once it has waited 15 s for it."""

NEVER_BACK = {"node"}
"""grpc-js-xds 1.14.1 takes a resource that comes back as it was for one that it holds (grpc/grpc-node#3074, not released yet)."""


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
    await lab.settled()

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
    await lab.settled()


async def test_endpoints_that_come_and_go_under_traffic_fail_no_call(lab):
    everything = lab.everything
    assert set(await lab.calls()) == EAST_PLACES
    async with lab.traffic((TARGET,)) as answers:
        for _ in range(6):
            for gone in (in_zone(Place("east", "east-a")), in_zone(Place("east", "east-b")), in_cluster("east")):
                lab.show(everything.not_ready(gone))
                await asyncio.sleep(0.1)
                lab.show(everything)
                await asyncio.sleep(0.1)
    assert failures(answers) == {}
    await lab.settled()


async def test_a_channel_stays_with_one_endpoint_of_a_service_that_keeps_its_clients(lab):
    lab.add_service("cart", affinity="ClientIP")
    target = f"xds:///{CART}"
    await eventually(lambda: answers_without_errors(lab, target), timeout_s=25)
    (place,) = await lab.calls(100, target)
    assert set(await lab.calls(100, target)) == {place}
    await lab.settled()


async def test_channels_are_spread_over_the_endpoints_of_a_service_that_keeps_its_clients(tmp_path):
    program = CLIENTS["python"]
    async with ProxylessLab(tmp_path, program, program.directory()) as lab:
        lab.add_service("cart", affinity="ClientIP")
        target = f"xds:///{CART}"
        await eventually(lambda: answers_without_errors(lab, target), timeout_s=25)
        found = await lab.calls(CHANNELS, f"{target} each")
        assert set(found) == EAST_PLACES
        assert min(found.values()) > CHANNELS / 4, "half of them each, with a standard deviation of 7"
        await lab.settled()


async def test_a_restart_of_the_control_plane_fails_no_call_to_either_of_two_services(lab):
    targets = (TARGET, OF_CLUSTER)
    for target in targets:
        assert set(await lab.calls(target=target)) == EAST_PLACES
    streams = await lab.settled()
    async with lab.traffic(targets) as answers:
        lab.control_plane.kill()
        await asyncio.sleep(1)
        lab.control_plane.start()
        await lab.control_plane.wait_ready()
        await eventually(lambda: all_are_back(lab, streams), timeout_s=25)

        # The restarted control plane is still one that serves changes, to both.
        lab.show(lab.everything.not_ready(in_zone(Place("east", "east-a"))))
        for target in targets:
            await lab.eventually_calls({"east/east-b"}, target)
    assert set(answers) == EAST_PLACES, answers
    print(f"{sum(answers.values())} calls in the background")


async def test_a_service_that_is_not_there_is_an_error_until_it_is_there(lab, client):
    program, _ = client
    target = f"xds:///{ABSENT}"
    assert set(await lab.calls()) == EAST_PLACES
    ((error, count),) = (await lab.calls(1, target)).items()
    assert ABSENT_ERRORS[program.name] in error
    assert count == 1

    lab.add_service("later")
    await lab.eventually_calls(EAST_PLACES, target)
    await lab.settled()

    # Taken away, it is an error at once; what else the client calls does not notice.
    lab.remove_service("later")
    await eventually(lambda: fails_at_once(lab, target))
    assert set(await lab.calls()) == EAST_PLACES
    lab.add_service("later")
    if program.name in NEVER_BACK:
        with pytest.raises(AssertionError, match="not within 3 s"):
            await lab.eventually_calls(EAST_PLACES, target, timeout_s=3)
    else:
        await lab.eventually_calls(EAST_PLACES, target)
    await lab.settled()


async def test_a_client_that_reads_resource_errors_is_told_at_once(monkeypatch, tmp_path):
    monkeypatch.setenv("GRPC_EXPERIMENTAL_XDS_DATA_ERROR_HANDLING", "true")
    program = CLIENTS["python"]
    async with ProxylessLab(tmp_path, program, program.directory()) as lab:
        ((error, _),) = (await lab.calls(1, f"xds:///{ABSENT}")).items()
        assert f"LDS resource {ABSENT}: {NOT_FOUND}" in error
        lab.add_service("later")
        await lab.eventually_calls(EAST_PLACES, f"xds:///{ABSENT}")
        await lab.settled()


async def fails_at_once(lab, target):
    (answer, *others) = await lab.calls(1, target)
    return answer.startswith("UNAVAILABLE: ") and not others


async def answers_without_errors(lab, target):
    return not failures(await lab.calls(1, target))


async def all_are_back(lab, streams):
    return await lab.settled() == streams


def failures(answers):
    return {answer: count for answer, count in answers.items() if answer not in EAST_PLACES | WEST_PLACES}
