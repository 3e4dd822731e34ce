"""NACKs from the client to the problem, the log, the admin API, and the quarantine, over real sockets."""

from __future__ import annotations

import aiohttp
import pytest
from structlog.testing import capture_logs

from xds.wire import CLUSTER, ENDPOINT

SET = "web.shop.svc.clusterset.local:80"
OWN = "web.shop.svc.cluster.local:80"


async def ask(plane, path):
    async with aiohttp.ClientSession(f"http://{plane.admin_address}") as session, session.get(path) as response:
        return await response.json() if path.startswith("/v1") else await response.text()


def serious(plane):
    return [(problem.code, problem.ref and problem.ref.kind) for problem in plane.problems() if problem.severity == "error"]


def rejections(logged):
    return [line for line in logged if line["event"] == "response rejected" and line["log_level"] == "warning"]


async def test_a_nack_is_told_everywhere_with_its_object_and_only_once(running, connect, fleet, soon):
    with capture_logs() as logged:
        async with running() as plane:
            clients = [connect(plane, node_id=f"n{number}") for number in range(4)]
            for client in clients:
                await client.send(CLUSTER)
                await client.ack(await client.receive(), error=f"Error adding/updating cluster(s) {OWN}: no")
            await soon(lambda: serious(plane) == [("XDS0503", "Service")] and "4 nodes" in str(plane.problems()))
            await soon(lambda: any(line.get("code") == "XDS0503" for line in logged))
            body = await ask(plane, "/v1/nacks")
            assert [(item["node_id"], item["name"]) for item in body["items"]] == [(f"n{number}", OWN) for number in range(4)]
            (origin,) = body["items"][0]["origins"]
            assert (origin["cluster"], origin["kind"], origin["name"]) == ("east", "Service", "web")
            assert 'xds_rejected_resources{type="cds"} 1.0' in await ask(plane, "/metrics")
            # Everything else flows on: the other cluster of the response came again, alone.
            for client in clients:
                response = await client.receive()
                assert [resource.name for resource in response.resources] == [SET]
                await client.ack(response)
            fleet.service("east", "web", "10.1.0.1", ports=(80, 81))
            for client in clients:
                assert {resource.name for resource in (await client.receive()).resources} >= {OWN.replace("80", "81")}
                await client.call.done_writing()
            await soon(lambda: not serious(plane))
            await soon(lambda: [line for line in logged if line["event"] == "resolved" and line["code"] == "XDS0503"])
    (line,) = rejections(logged)
    assert (line["node"], line["type"], line["names"]) == ("n0", "cds", OWN)
    assert line["objects"].startswith("Service shop/web in east")
    assert len([line for line in logged if line["event"] == "problem" and line["code"] == "XDS0503"]) == 1


@pytest.mark.parametrize("kind", ["ads delta", "ads sotw"])
async def test_quarantine_gives_every_node_of_the_view_what_was_accepted(kind, running, connect, fleet, soon):
    async with running(quarantine=True) as plane:
        clients = [connect(plane, kind, node_id=f"n{number}") for number in range(3)]
        versions = set()
        for client in clients:
            await client.send(ENDPOINT, [OWN])
            response = await client.receive()
            versions.add(content(response))
            await client.ack(response, [OWN])
        (good,) = versions
        fleet.endpoints("east", "web", "10.1.0.9")
        for client in clients:
            response = await client.receive()
            assert content(response) != good
            await client.ack(response, [OWN], error=f"{OWN} is bad")
        await soon(lambda: ("XDS0506", "Service") in serious(plane))
        (problem,) = (problem for problem in plane.problems() if problem.code == "XDS0506")
        assert "since 3 nodes rejected it and none accepted it" in problem.message
        late = connect(plane, kind, node_id="late")
        await late.send(ENDPOINT, [OWN])
        response = await late.receive()
        assert content(response) == good
        await late.ack(response, [OWN])
        body = await ask(plane, "/v1/nacks")
        assert {item["node_id"] for item in body["items"] if item["quarantined"]} == {"n0", "n1", "n2"}
        fleet.endpoints("east", "web", "10.1.0.8")
        response = await late.receive()
        assert content(response) != good
        await soon(lambda: not serious(plane))


async def test_without_the_option_nothing_is_taken_from_anybody(running, connect, fleet, soon):
    async with running() as plane:
        clients = [connect(plane, node_id=f"n{number}") for number in range(4)]
        for client in clients:
            await client.send(ENDPOINT, [OWN])
            response = await client.receive()
            await client.ack(response, error=f"{OWN} is bad")
        await soon(lambda: any("4 nodes" in problem.message for problem in plane.problems()))
        late = connect(plane, node_id="late")
        await late.send(ENDPOINT, [OWN])
        assert content(await late.receive()) == content(response)
        assert plane.quarantined() == []


def content(response):
    (resource,) = response.resources
    return getattr(resource, "resource", resource).value
