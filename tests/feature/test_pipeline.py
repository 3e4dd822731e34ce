"""From a file to a client, through all stages, over real sockets."""

from __future__ import annotations

from structlog.testing import capture_logs

from xds.wire import CLUSTER, ENDPOINT, LISTENER, ROUTE, envoy, unpack


def serious(plane):
    return [problem.code for problem in plane.problems() if problem.severity != "info"]


SET = "web.shop.svc.clusterset.local:80"
OWN = "web.shop.svc.cluster.local:80"


async def subscribe(client, type_url, *names, **fields):
    await client.send(type_url, names, **fields)
    response = await client.receive()
    await client.ack(response)
    return {resource.name: resource for resource in response.resources}


def tiers_of(resource):
    """Return priority -> addresses of a CLA."""
    message = unpack(ENDPOINT, resource.resource.value)
    found = {}
    for group in message.endpoints:
        addresses = [host.endpoint.address.socket_address.address for host in group.lb_endpoints]
        found.setdefault(group.priority, []).extend(addresses)
    return found


async def test_own_cluster_first_then_the_others(running, connect):
    async with running() as plane:
        client = connect(plane)
        assert set(await subscribe(client, CLUSTER)) == {SET, OWN}
        found = await subscribe(client, ENDPOINT, SET, OWN)
        assert tiers_of(found[SET]) == {0: ["10.1.0.1", "10.1.0.2"], 1: [], 2: ["10.2.0.1", "10.2.0.2"]}
        assert tiers_of(found[OWN]) == {0: ["10.1.0.1", "10.1.0.2"]}
        assert set(await subscribe(client, LISTENER)) == {"outbound"}
        assert set(await subscribe(client, ROUTE, "outbound")) == {"outbound"}


async def test_a_changed_endpoint_goes_out_alone(running, connect, fleet):
    async with running() as plane:
        client = connect(plane)
        await subscribe(client, CLUSTER)
        await subscribe(client, ENDPOINT, SET, OWN)
        fleet.endpoints("west", "web", "10.2.0.1", "10.2.0.3")
        response = await client.receive()
        assert [resource.name for resource in response.resources] == [SET]
        assert tiers_of(response.resources[0])[2] == ["10.2.0.1", "10.2.0.3"]
        assert plane.store.current(plane.store.views()[0]).trigger.startswith(f"endpoints of {SET.removesuffix(':80')}")


async def test_endpoints_that_turn_unready_stay_as_unhealthy(running, connect, fleet):
    async with running() as plane:
        client = connect(plane)
        await subscribe(client, ENDPOINT, OWN)
        fleet.endpoints("east", "web", "10.1.0.1", "10.1.0.2", ready=False)
        message = unpack(ENDPOINT, (await client.receive()).resources[0].resource.value)
        states = [host.health_status for group in message.endpoints for host in group.lb_endpoints]
        assert states == [envoy.HealthStatus.Value("UNHEALTHY")] * 2


async def test_a_new_service_brings_its_cluster_and_its_endpoints_unasked_for_those_that_want_them(running, connect, fleet):
    async with running() as plane:
        client = connect(plane)
        await subscribe(client, CLUSTER)
        fleet.service("east", "cart", "10.1.0.7")
        names = set()
        while names != {"cart.shop.svc.clusterset.local:80", "cart.shop.svc.cluster.local:80"}:
            response = await client.receive()
            names |= {resource.name for resource in response.resources}


async def test_a_broken_file_changes_nothing_and_is_reported(running, connect, fleet, soon):
    async with running() as plane:
        client = connect(plane)
        await subscribe(client, ENDPOINT, SET)
        (fleet.path / "east" / "web-endpoints.yaml").write_text("kind: [EndpointSlice\n")
        await soon(lambda: any(problem.source.startswith("east/web-endpoints.yaml") for problem in plane.problems()))
        await client.silence()
        fleet.endpoints("east", "web", "10.1.0.9")
        assert tiers_of((await client.receive()).resources[0])[0] == ["10.1.0.9"]
        assert serious(plane) == []


async def test_what_a_later_stage_finds_is_told_with_the_place_of_its_object(running, fleet, connect, soon):
    async with running() as plane:
        for path in ("web.yaml", "web-endpoints.yaml"):
            file = fleet.path / "east" / path
            file.write_text("# a comment\n" + file.read_text())
        (fleet.path / "east" / "web-endpoints.yaml").unlink()
        await subscribe(connect(plane), LISTENER)
        await soon(lambda: any(problem.code == "XDS0215" for problem in plane.problems()))
        found = {problem.code: problem for problem in plane.problems()}
        assert found["XDS0215"].source == "east/web.yaml:2"
        assert list(found) == sorted(found, key=lambda code: ["error", "warning", "info"].index(found[code].severity))
        (fleet.path / "east" / "web.yaml").unlink()
        await soon(lambda: not any(problem.code == "XDS0215" for problem in plane.problems()))


async def test_a_client_that_reconnects_to_a_restarted_control_plane_is_sent_nothing_it_holds(running, connect):
    held = {}
    async with running() as plane:
        client = connect(plane)
        for type_url, names in ((CLUSTER, ()), (ENDPOINT, (SET, OWN)), (LISTENER, ()), (ROUTE, ("outbound",))):
            held[type_url] = {name: found.version for name, found in (await subscribe(client, type_url, *names)).items()}
    async with running() as plane:
        client = connect(plane)
        for type_url, versions in held.items():
            names = () if type_url in (CLUSTER, LISTENER) else versions
            await client.send(type_url, names, initial_resource_versions=versions)
        await client.silence(0.5)


async def test_a_member_that_moves_to_another_region_moves_its_clients(running, connect, fleet):
    async with running() as plane:
        client = connect(plane)
        assert tiers_of((await subscribe(client, ENDPOINT, SET))[SET])[1] == []
        fleet.write("fleet.yaml", fleet.member("east", region="r-west"), fleet.member("west", region="r-west"))
        assert tiers_of((await client.receive()).resources[0])[1] == ["10.2.0.1", "10.2.0.2"]
        assert {view.region for view in plane.store.views()} >= {"r-west"}


async def test_a_rejected_resource_is_a_problem_until_it_is_accepted(running, connect, fleet, soon):
    async with running() as plane:
        client = connect(plane)
        await client.send(ENDPOINT, [SET])
        await client.ack(await client.receive(), error="too hot")
        await soon(lambda: serious(plane) == ["XDS0503"])
        assert any("too hot" in problem.message for problem in plane.problems())
        fleet.endpoints("east", "web", "10.1.0.9")
        await client.ack(await client.receive())
        await soon(lambda: serious(plane) == [])


async def test_a_cluster_that_goes_takes_its_endpoints_along(running, connect, fleet):
    async with running() as plane:
        client = connect(plane)
        await subscribe(client, ENDPOINT, SET)
        for path in (fleet.path / "west").iterdir():
            path.unlink()
        tiers = {2: ["10.2.0.1"]}
        while tiers[2]:
            tiers = tiers_of((await client.receive()).resources[-1])
        assert tiers[0] == ["10.1.0.1", "10.1.0.2"]


async def test_an_unknown_cluster_is_refused_with_the_known_ones(running, connect, soon):
    async with running() as plane:
        client = connect(plane, cluster="mars")
        await client.send(CLUSTER)
        code, text = await client.status()
        assert code == "INVALID_ARGUMENT"
        assert "members are east, west" in text
        await soon(lambda: serious(plane) == ["XDS0501"])


async def test_a_gateway_that_does_not_exist_is_told_with_its_node_for_as_long_as_that_is_connected(running, connect, soon):
    def missing(plane):
        return [problem.message for problem in plane.problems() if problem.code == "XDS0407"]

    what = "cluster east has no Gateway shop/publik, which a gateway is to serve"
    async with running() as plane:
        first, second = (connect(plane, node_id=f"gw-{n}", role="gateway", gateway="shop/publik") for n in (1, 2))
        await first.send(CLUSTER)
        await soon(lambda: missing(plane) == [f"node 'gw-1': {what}"])
        await second.send(CLUSTER)
        await soon(lambda: missing(plane) == [f"node 'gw-1' and 1 more: {what}"])
        first.call.cancel()
        await soon(lambda: missing(plane) == [f"node 'gw-2': {what}"])
        second.call.cancel()
        await soon(lambda: missing(plane) == [])


async def test_a_file_full_of_problems_does_not_flood_the_log(running, fleet, soon):
    async with running() as plane:
        with capture_logs() as logged:
            fleet.write(
                "east/bad.yaml", *({"apiVersion": "v1", "kind": "Service", "metadata": {"name": f"B{n}"}} for n in range(500))
            )
            await soon(lambda: sum(problem.code == "XDS0102" for problem in plane.problems()) == 500)
            await soon(lambda: logged)
        assert [line["event"] for line in logged] == [*["problem"] * 20, "more problems"]
        assert logged[-1]["count"] == 480
