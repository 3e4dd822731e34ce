"""The service of load reports, over real gRPC."""

import asyncio

import grpc
import pytest
from test_loads import EAST, stats
from xds_world import channel_to, cluster, eventually, serving

from xds.server import Limits
from xds.server.loads import Load
from xds.server.lrs import SEND_ALL
from xds.wire import CLUSTER, envoy

METHOD = "/envoy.service.load_stats.v3.LoadReportingService/StreamLoadStats"


class Reporter:
    """One stream of load reports."""

    def __init__(self, channel, node_id="web-1", region="eu", features=(SEND_ALL,), serializer=None):
        call = channel.stream_stream(
            METHOD,
            request_serializer=serializer or envoy.LoadStatsRequest.SerializeToString,
            response_deserializer=envoy.LoadStatsResponse.FromString,
        )
        self.call = call()
        self.node = envoy.Node(id=node_id, locality={"region": region}, client_features=features)

    async def begin(self):
        """Say who reports; return what is asked for."""
        await self.call.write(envoy.LoadStatsRequest(node=self.node))
        return await self.read()

    async def read(self):
        async with asyncio.timeout(10):
            return await self.call.read()

    async def report(self, *cluster_stats):
        await self.call.write(envoy.LoadStatsRequest(cluster_stats=cluster_stats))

    async def status(self):
        async with asyncio.timeout(10):
            return (await self.call.code()).name, await self.call.details()


async def test_a_client_is_asked_for_all_its_clusters_once_and_its_reports_count(world, server, channel):
    world.put(cluster("web"))
    reporter = Reporter(channel)
    asked = await reporter.begin()
    assert (asked.send_all_clusters, list(asked.clusters), asked.report_endpoint_granularity) == (True, [], False)
    assert asked.load_reporting_interval.ToSeconds() == 10
    await reporter.report(stats("web", (EAST, 3, 2, 1, 0)), stats("mine", (EAST, 9, 9, 0, 0)))
    await reporter.report(stats("web", (EAST, 1, 1, 0, 4)))
    await eventually(lambda: server.loads.reports == 3)
    assert server.loads.totals()["web"].localities == {EAST: Load(4, 3, 1)}
    assert server.loads.in_progress() == {("eu", "web", EAST): 4}
    assert (server.loads.ignored_clusters, server.loads.reporters) == (1, 1)
    reporter.call.cancel()
    await eventually(lambda: server.loads.reporters == 0 and not +world.users)
    assert server.loads.in_progress() == {}


async def test_a_client_that_must_be_told_names_hears_of_new_clusters(world, server, channel):
    world.put(cluster("b"), cluster("a"))
    reporter = Reporter(channel, features=())
    asked = await reporter.begin()
    assert (asked.send_all_clusters, list(asked.clusters)) == (False, ["a", "b"])
    await reporter.report()
    world.put(cluster("c"), gone=[(CLUSTER, "a")])
    await reporter.report()
    assert list((await reporter.read()).clusters) == ["b", "c"]
    await reporter.call.done_writing()
    assert await reporter.read() is grpc.aio.EOF
    assert await reporter.status() == ("OK", "")


async def test_the_interval_is_ours(world):
    async with serving(world, load_interval_s=2.5) as server, channel_to(server.bound) as channel:
        asked = await Reporter(channel).begin()
        assert asked.load_reporting_interval.ToMilliseconds() == 2_500


@pytest.mark.parametrize(
    ("node_id", "words"),
    [("", "the first load report of a stream must carry `node` with an `id`"), ("bad", "'mars' is not a member cluster")],
)
async def test_a_client_that_cannot_be_placed_is_told_why(world, server, channel, node_id, words):
    reporter = Reporter(channel, node_id)
    with pytest.raises(grpc.aio.AioRpcError):
        await reporter.begin()
    code, text = await reporter.status()
    assert code == "INVALID_ARGUMENT"
    assert words in text


async def test_garbage_ends_its_own_stream_alone(world, server, channel):
    world.put(cluster("web"))
    good, bad = Reporter(channel), Reporter(channel, serializer=lambda _: b"\xff\xff garbage")
    await good.begin()
    with pytest.raises(grpc.aio.AioRpcError):
        await bad.begin()
    assert (await bad.status())[0] == "INVALID_ARGUMENT"
    await good.report(stats("web", (EAST, 1, 1, 0, 0)))
    await eventually(lambda: "web" in server.loads.totals())


@pytest.mark.parametrize(
    ("report", "words"),
    [
        ([stats("web")] * 6, "a load report has 6 `cluster_stats`, more than 5"),
        ([stats("web", *[(EAST, 1, 1, 0, 0)] * 4), stats("api", *[(EAST, 1, 1, 0, 0)] * 4)], "has 8 `upstream_locality_stats`"),
        ([stats("web", dropped=dict.fromkeys("abcdefgh", 1))], "and `dropped_requests` in all, more than 7"),
    ],
)
async def test_a_report_with_too_much_in_it_ends_its_own_stream_alone(world, report, words):
    world.put(cluster("web"))
    limits = Limits(report_clusters=5, report_entries=7)
    async with serving(world, limits=limits) as server, channel_to(server.bound) as channel:
        good, bad = Reporter(channel), Reporter(channel)
        await good.begin()
        await bad.begin()
        await bad.report(*report)
        code, text = await bad.status()
        assert (code, words in text) == ("RESOURCE_EXHAUSTED", True), text
        await good.report(*[stats("web", *[(EAST, 1, 1, 0, 0)] * 7)], *[stats("web")] * 4)
        await eventually(lambda: server.loads.reports == 3)
        assert server.loads.totals()["web"].localities == {EAST: Load(7, 7)}


async def test_reports_follow_a_node_into_another_view(world, server, channel):
    world.put(cluster("web"))
    world.put(cluster("api"), view="moved")
    reporter = Reporter(channel)
    await reporter.begin()
    world.view_names["eu"] = "moved"
    await server.reassign()
    await reporter.report(stats("web", (EAST, 1, 1, 0, 0)), stats("api", (EAST, 1, 1, 0, 0)))
    await eventually(lambda: server.loads.reports == 2)
    assert [(view, name) for view, name, _ in server.loads.by_view()] == [("moved", "api")]
    assert +world.users == {"moved": 1}


async def test_stop_ends_load_reports_at_once(world):
    async with serving(world) as server, channel_to(server.bound) as channel:
        reporter, silent = Reporter(channel), Reporter(channel)
        await reporter.begin()
        await silent.call.wait_for_connection()
        async with asyncio.timeout(5):
            await server.stop(60)
        assert await reporter.status() == ("UNAVAILABLE", "the control plane is shutting down; reconnect")
        assert (await silent.status())[0] == "UNAVAILABLE"
    assert not +world.users
