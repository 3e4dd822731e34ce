"""A member against an API server that does everything wrong that one can do. Times are virtual."""

from __future__ import annotations

import asyncio

import pytest
from fake_store import Answer
from fleet_world import export
from live_follower import LiveFollower

from xds.discovery.live.intake import MEMBER_KINDS
from xds.discovery.live.member import MemberSource
from xds.model.events import Health, MemberState, Upsert

pytestmark = pytest.mark.looptime(noop_cycles=100)  # a real server answers: under load its answer needs a moment of real time

STALE, CONNECTED, SYNCING = MemberState.STALE, MemberState.CONNECTED, MemberState.SYNCING
WEB = ["10.1.0.1", "10.1.0.2"]


async def test_everything_is_told_and_then_synced_once(server, member_of):
    async with member_of(server) as member:
        await member.until_synced()
        assert member.names() == {"web"}
        assert member.names("Node") == {"n1"}
        assert member.names("Namespace") == {"shop"}
        assert member.addresses() == WEB
        assert member.states == [("east", CONNECTED)]
        await asyncio.sleep(3600)
        assert member.synced == ["east"]
        assert member.states == [("east", CONNECTED)]
        assert len(member.objects) == 4
        assert member.found() == {}


async def test_changes_are_told(server, member_of, put_endpoints):
    async with member_of(server) as member:
        await member.until_synced()
        put_endpoints(server.store, "web", "10.1.0.3")
        await member.until(lambda: member.addresses() == ["10.1.0.3"])
        server.store.delete("Service", "web")
        await member.until(lambda: not member.names())


@pytest.mark.parametrize("streamed_lists", ["refused", "ignored"])
async def test_a_server_without_streamed_lists_is_listed(server, member_of, streamed_lists):
    server.store.streamed_lists = streamed_lists
    async with member_of(server) as member:
        await member.until_synced()
        assert member.states == [("east", CONNECTED)]  # nothing is wrong: who starts must not go on without it
        assert member.addresses() == WEB
        assert asyncio.get_running_loop().time() < 30


async def test_a_large_collection_comes_in_pages(server, member_of, put_service):
    server.store.streamed_lists = "refused"
    for index in range(1100):
        server.store.put("Node", f"n{index}")
    async with member_of(server) as member:
        await member.until_synced()
        assert len(member.names("Node")) == 1100
        assert sum("nodes?limit=500" in path for path in server.requests) == 3


async def test_a_custom_kind_that_appears_later_is_read_and_one_that_goes_is_dropped(server, member_of):
    async with member_of(server) as member:
        await member.until_synced()
        server.store.add_kind("ServiceExport")
        server.store.put("ServiceExport", "web")
        await member.until(lambda: member.names("ServiceExport") == {"web"})
        server.store.remove_kind("ServiceExport")
        await member.until(lambda: not member.names("ServiceExport"))
        await asyncio.sleep(600)
        assert member.states == [("east", CONNECTED)]  # a kind that is not there is nothing wrong
        server.store.add_kind("ServiceExport")
        server.store.put("ServiceExport", "api")
        await member.until(lambda: member.names("ServiceExport") == {"api"})


async def test_a_custom_kind_that_went_before_our_start_is_dropped(server, member_of):
    follower, saved = LiveFollower(), export("web")
    follower.take([Upsert("east", saved)])
    member = MemberSource("east", MEMBER_KINDS, follower.take, follower.changed.set, [saved])
    async with member_of(server, member, follower):
        await follower.until_synced()
        await follower.until(lambda: not follower.names("ServiceExport"))


async def test_a_custom_kind_that_went_while_nobody_looked_is_dropped(server, member_of):
    server.store.add_kind("ServiceExport")
    server.store.put("ServiceExport", "web")
    saved = server.store.save()
    del saved.resources["ServiceExport"]
    async with member_of(server) as member:
        await member.until(lambda: member.names("ServiceExport") == {"web"})
        await server.restore(saved)
        await member.until(lambda: not member.names("ServiceExport"))


async def test_a_custom_kind_that_is_served_in_another_version_is_read_on(server, member_of):
    server.store.add_kind("ServiceExport", "v1alpha1")
    server.store.put("ServiceExport", "web")
    async with member_of(server) as member:
        await member.until(lambda: member.names("ServiceExport") == {"web"})
        server.store.add_kind("ServiceExport", "v1beta1")
        await server.end_watches()
        server.store.put("ServiceExport", "api")
        await member.until(lambda: member.names("ServiceExport") == {"web", "api"})
        assert member.told_deletes() == []
        await member.until(
            lambda: (
                {item.api_version for (_, key), item in member.objects.items() if key.kind == "ServiceExport"}
                == {"multicluster.x-k8s.io/v1beta1"}
            )
        )


async def test_a_server_that_answers_404_to_everything_takes_nothing_back(server, member_of):
    """As a load balancer does whose backends are gone, or another server at the same address."""
    server.store.add_kind("ServiceExport")
    server.store.put("ServiceExport", "web")
    async with member_of(server) as member:
        await member.until_synced()
        server.fault = lambda *_: Answer(404, b"default backend - 404")
        server.close_connections()
        await asyncio.sleep(600)
        assert member.told_deletes() == []
        assert member.state() is STALE
        server.fault = None
        await member.until(lambda: member.state() is CONNECTED)
        assert member.told_deletes() == []


async def test_what_is_no_api_server_is_not_an_empty_cluster(server, member_of):
    server.fault = lambda *_: Answer(404, b"<html>not found</html>")
    async with member_of(server) as member:
        await member.until(lambda: member.state() is STALE)
        assert member.synced == []
        assert "no Kubernetes API server" in member.found()["XDS0301"].message


async def test_a_kind_that_is_there_in_no_version_that_we_read_is_named(server, member_of):
    server.store.add_kind("ServiceExport", "v2")
    async with member_of(server) as member:
        await member.until_synced()
        await member.until(lambda: "XDS0314" in member.found())
        assert member.found()["XDS0314"].message == "cluster 'east' has ServiceExport in v2 alone; read are v1alpha1, v1beta1"
        assert (member.state(), member.names()) == (CONNECTED, {"web"})
        server.store.add_kind("ServiceExport", "v1beta1")
        server.store.put("ServiceExport", "web")
        await member.until(lambda: member.names("ServiceExport") == {"web"})
        assert "XDS0314" not in member.found()


async def test_a_kind_that_may_not_be_read_is_named_and_the_rest_is_served(server, member_of):
    server.store.add_kind("ServiceExport")
    server.store.put("ServiceExport", "web")
    server.forbidden = {"ServiceExport"}
    async with member_of(server) as member:
        await member.until_synced()
        assert member.addresses() == WEB
        assert member.states == [("east", CONNECTED)]
        (problem,) = member.found().values()
        assert problem.code == "XDS0302"
        assert "ServiceExport" in problem.message
        assert 'User "isthmus" cannot' in problem.message
        server.forbidden = set()
        member.changed.clear()
        await member.until(lambda: member.names("ServiceExport") == {"web"})
        await asyncio.sleep(0)
        assert member.found() == {}


async def test_a_member_of_which_nothing_may_be_read_says_so_beside_its_state(server, member_of):
    def told(member):
        return [(event.state, event.reason) for event in member.events if isinstance(event, Health)]

    server.forbidden = set(server.store.resources)
    async with member_of(server) as member:
        await member.until(lambda: told(member)[-1:] == [(CONNECTED, "nothing of it may be read (XDS0302)")])
        assert "XDS0302" in member.found()
        server.forbidden = server.forbidden - {"Service"}
        await member.until(lambda: told(member)[-1] == (CONNECTED, ""))


async def test_a_kind_that_may_not_be_read_any_more_keeps_what_was_read(server, member_of):
    async with member_of(server) as member:
        await member.until_synced()
        server.forbidden = {"Service"}
        server.close_connections()
        await member.until(lambda: "XDS0302" in member.found())
        assert member.names() == {"web"}
        await asyncio.sleep(600)
        assert member.names() == {"web"}
        assert member.state() is CONNECTED


async def test_a_server_that_starts_and_forbids_everything_is_not_believed(server, member_of):
    """Until its roles are there it does so."""
    server.forbidden = {"Service", "EndpointSlice", "Node", "Namespace"}
    server.ready = False
    async with member_of(server) as member:
        reported = []
        member.member._on_problems = lambda: reported.extend(member.member.problems())
        await asyncio.sleep(1)
        server.forbidden, server.ready = set(), True
        await member.until_synced()
        assert member.states == [("east", CONNECTED)]
        assert [problem.code for problem in reported] == []
        assert member.names() == {"web"}


async def test_problems_of_objects_are_reported_when_they_come_and_when_they_go(server, member_of):
    async with member_of(server) as member:
        await member.until_synced()
        server.store.put("Service", "web", spec={"ports": [{"port": "http"}]})
        await member.until(lambda: "XDS0102" in member.found())
        server.store.put("Service", "web", spec={"ports": [{"port": 80}]})
        await member.until(lambda: not member.found())


async def test_a_server_that_cannot_be_reached_is_stale_and_its_endpoints_stay(server, member_of, put_endpoints):
    async with member_of(server) as member:
        await member.until_synced()
        await server.stop()
        await member.until(lambda: member.state() is STALE)
        problem = member.found()["XDS0301"]
        assert f"cannot connect to {server.url}" in problem.message
        assert problem.hint == "what was read of it stays in force"
        await asyncio.sleep(3600)
        assert member.addresses() == WEB
        put_endpoints(server.store, "web", "10.1.0.9")
        await server.start()
        await member.until(lambda: member.addresses() == ["10.1.0.9"])
        await member.until(lambda: member.state() is CONNECTED)
        assert member.found() == {}
        assert member.told_deletes() == []


async def test_a_server_that_cannot_be_reached_at_the_start(server, member_of):
    await server.stop()
    async with member_of(server) as member:
        await member.until(lambda: member.state() is STALE)
        assert member.found()["XDS0301"].hint == "nothing was read of it yet; the rest is served"
        assert member.synced == []
        await server.start()
        await member.until_synced()
        await member.until(lambda: member.state() is CONNECTED)


@pytest.mark.parametrize("status", [429, 500, 503])
async def test_one_failure_is_no_state(server, member_of, status):
    """Who starts waits for a cluster unless it is stale: one answer must not be enough for that."""
    failures = [Answer(status, b"try again")] * 3
    server.fault = lambda *_: failures.pop() if failures else None
    async with member_of(server) as member:
        await member.until_synced()
        assert member.states == [("east", CONNECTED)]


async def test_a_server_that_says_nothing_is_stale_soon(server, member_of, put_endpoints):
    async with member_of(server) as member:
        await member.until_synced()
        server.silent = True
        server.wake()
        began_s = asyncio.get_running_loop().time()
        await member.until(lambda: member.state() is STALE)
        assert asyncio.get_running_loop().time() - began_s < 20
        assert "did not answer in time" in member.found()["XDS0301"].message
        put_endpoints(server.store, "web", "10.1.0.9")
        await asyncio.sleep(600)
        assert member.addresses() == WEB
        server.resume()
        await member.until(lambda: member.addresses() == ["10.1.0.9"])
        await member.until(lambda: member.state() is CONNECTED)


async def test_a_watch_that_is_cut_200_times_misses_nothing(server, member_of, put_endpoints):
    async with member_of(server) as member:
        await member.until_synced()
        for index in range(200):
            put_endpoints(server.store, "web", f"10.1.1.{index}")
            await server.cut_watches()
            put_endpoints(server.store, "web", f"10.1.2.{index}")
            await asyncio.sleep(index % 3)
        await member.until(lambda: member.addresses() == ["10.1.2.199"])
        assert member.told_deletes() == []
        assert [event for event in member.events if isinstance(event, Health)] == [Health("east", CONNECTED)]
        assert len(server.requests) < 200 * 4 * 10


@pytest.mark.parametrize("how", ["cut", "ended"])
async def test_watches_that_end_at_once_are_not_asked_for_all_the_time(server, member_of, how):
    async with member_of(server) as member:
        await member.until_synced()

        async def disturb():
            while True:
                await (server.cut_watches() if how == "cut" else server.end_watches())
                await asyncio.sleep(0.01)

        before = len(server.requests)
        task = asyncio.create_task(disturb())
        await asyncio.sleep(60)
        task.cancel()
        assert len(server.requests) - before < 60 * 4 * 3


@pytest.mark.parametrize("as_status", [True, False])
async def test_gone_is_no_failure(server, member_of, put_endpoints, as_status):
    server.gone_as_status = as_status
    async with member_of(server) as member:
        await member.until_synced()
        put_endpoints(server.store, "web", "10.1.0.7")
        server.store.compact()
        server.close_connections()
        await member.until(lambda: member.addresses() == ["10.1.0.7"])
        assert member.told_deletes() == []
        assert member.states == [("east", CONNECTED)]


async def test_a_server_that_always_says_gone_is_not_listed_all_the_time(server, member_of):
    server.fault = lambda _, query: Answer(410, b"") if query.get("watch") and "resourceVersion" in query else None
    async with member_of(server) as member:
        await member.until_synced()
        server.close_connections()
        before = len(server.requests)
        await asyncio.sleep(600)
        assert len(server.requests) - before < 600 * 4 * 2


@pytest.mark.parametrize("properly", [True, False])
async def test_restored_from_an_older_backup(server, member_of, put_service, properly):
    async with member_of(server) as member:
        saved = server.store.save()
        put_service(server.store, "late", "10.1.0.9")
        await member.until_synced()
        assert member.names() == {"web", "late"}
        if properly:
            await server.end_watches()
            server.store.restore(saved)
        else:
            await server.restore(saved)
        await member.until(lambda: member.names() == {"web"})
        put_service(server.store, "new", "10.1.0.8")
        await member.until(lambda: member.names() == {"web", "new"})


async def test_restored_and_overtaken_is_seen_soon(server, member_of, put_service):
    """The restored server may be at the old version again before it is asked: after an outage all is listed again, soon."""
    async with member_of(server) as member:
        saved = server.store.save()
        put_service(server.store, "late", "10.1.0.9")
        await member.until_synced()
        await server.stop()
        server.store.restore(saved)
        for _ in range(50):
            server.store.put("Node", "n1")
        await server.start()
        await member.until(lambda: member.names() == {"web"}, within_s=200)


async def test_emptied(server, member_of):
    async with member_of(server) as member:
        await member.until_synced()
        server.store.empty()
        await member.until(lambda: not member.objects)
        assert member.state() is CONNECTED


GARBAGE = [
    Answer(200, b"<html>Log in</html>"),
    Answer(200, b"{}"),
    Answer(200, b'{"status":"ok"}'),
    Answer(200, b""),
    Answer(200, b"[1]"),
    Answer(200, b"\xff\xfe"),
    Answer(200, b"x" * 50_000),
    Answer(200, b'{"kind":"List","apiVersion":"v1","metadata":{},"items":[]}'),
    Answer(404, b"404 page not found"),
]


@pytest.mark.parametrize("answer", GARBAGE, ids=lambda answer: repr(answer.body[:20]))
@pytest.mark.parametrize("when", ["at the start", "later"])
async def test_garbage_takes_nothing_back(server, member_of, answer, when):
    server.store.add_kind("ServiceExport")
    server.store.put("ServiceExport", "web")
    if when == "at the start":
        server.fault = lambda *_: answer
    async with member_of(server) as member:
        if when == "later":
            await member.until_synced()
            server.fault = lambda *_: answer
            server.close_connections()
        await asyncio.sleep(1200)
        assert member.state() is STALE
        assert "XDS0301" in member.found()
        assert member.told_deletes() == []
        server.fault = None
        await member.until_synced()
        await member.until(lambda: member.state() is CONNECTED)
        assert member.names("ServiceExport") == {"web"}
        assert member.addresses() == WEB


@pytest.mark.parametrize(
    "line",
    [
        *(b"\n\n", b"nonsense\n", b"x" * 9_000_000, b'{"type":"ADDED","object":7}\n', b'{"type":"OTHER","object":{}}\n'),
        b'{"type":"ADDED","object":{"metadata":{"name":"\xff"}}}\n',
        b'{"type":"ADDED","object":{"metadata":{"name":"deep"},"status":' + b"[" * 5000 + b"]" * 5000 + b"}}\n",
    ],
)
async def test_garbage_on_a_watch(server, member_of, put_endpoints, line):
    async with member_of(server) as member:
        await member.until_synced()
        server.say(line)
        await asyncio.sleep(60)
        put_endpoints(server.store, "web", "10.1.0.7")
        await member.until(lambda: member.addresses() == ["10.1.0.7"])
        assert member.told_deletes() == []


async def test_discovery_that_fails_while_the_server_is_there_is_one_state(server, member_of):
    """The pulse must not say that all is well while kinds cannot be looked for."""
    async with member_of(server) as member:
        await member.until_synced()
        server.fault = lambda path, _: Answer(500, b"boom") if path == "/apis/multicluster.x-k8s.io" else None
        await member.until(lambda: member.state() is STALE)
        await asyncio.sleep(300)
        assert member.states == [("east", CONNECTED), ("east", STALE)]
        server.fault = None
        await member.until(lambda: member.state() is CONNECTED)


async def test_a_credential_that_is_no_longer_accepted_keeps_what_was_read(server, member_of):
    async with member_of(server) as member:
        await member.until_synced()
        server.token = "another"
        server.close_connections()
        await member.until(lambda: member.state() is STALE)
        assert "401" in member.found()["XDS0301"].message
        await asyncio.sleep(600)
        assert member.addresses() == WEB


async def test_another_connection_goes_on_where_the_first_was(server, member_of, put_service):
    async with member_of(server) as member:
        await member.until_synced()
        source, told = member.member, len(member.events)
    put_service(server.store, "late", "10.1.0.9")
    server.store.delete("Node", "n1")
    async with member_of(server, source, member):
        await member.until(lambda: "10.1.0.9" in member.addresses() and "late" in member.names() and not member.names("Node"))
        assert member.told_deletes() == ["n1"]
        told_again = [event.object.metadata.name for event in member.events[told:] if isinstance(event, Upsert)]
        assert sorted(told_again) == ["late", "late-1"]


async def test_another_connection_to_another_server_ends_with_what_that_has(servers, member_of, put_service):
    """Though its version is beyond what the first server had."""
    first, second = await servers(), await servers()
    put_service(first.store, "only-first", "10.1.0.9")
    for _ in range(100):
        second.store.put("Node", "n1")
    async with member_of(first) as member:
        await member.until_synced()
        source = member.member
    async with member_of(second, source, member):
        await member.until(lambda: member.names() == {"web"}, within_s=30)
