import asyncio
import json
import threading
from dataclasses import replace
from urllib.parse import quote

import pytest
from fake_plane import EAST, NOW_S, PRIVATE_KEY, SERVICE, WEB, WEST, by_name, cluster, report_loads, stream
from google.protobuf import json_format
from yarl import URL

from xds.admin.answers import to_json
from xds.admin.server import AdminAddressError, AdminServer
from xds.model.fleet import Fleet
from xds.policy.book import PolicyBook
from xds.protocol import State, TypeStatus
from xds.quarantine import Suspect
from xds.wire import CLUSTER, POOL, admin


def node(name, rest="", query=""):
    """The URL of a node's snapshots, as xdsctl writes it."""
    return URL(f"/v1/snapshots/{quote(name, safe='')}{rest}{query}", encoded=True)


async def test_probes(plane, get):
    assert await get("/healthz") == (200, {"status": "ok"})
    assert await get("/readyz") == (200, {"status": "ok"})
    plane.not_ready = "the first reading of clusters/"
    assert await get("/readyz") == (503, {"error": "not ready: the first reading of clusters/"})
    assert (await get("/healthz"))[0] == 200


async def test_status_counts_what_is_there(get):
    status, body = await get("/v1/status")
    assert status == 200
    wanted = {
        "ready": True,
        "not_ready_reason": "",
        "members": 2,
        "members_connected": 1,
        "services": 2,
        "services_clusterset": 1,
        "endpoints": 2,  # an endpoint that serves two ports counts once, the merged service's not again
        "views": 2,
        "streams": 3,
        "streams_rejecting": 1,
        "problems": {"warning": 1, "error": 1},
        "started_at": "2023-11-14T22:13:20Z",
    }
    assert wanted.items() <= body.items()


async def test_members_are_sorted_and_counted(get):
    _, body = await get("/v1/members")
    assert [(item["name"], item["state"], item["services"], item["endpoints"]) for item in body["items"]] == [
        ("east", "Connected", 1, 2),
        ("west", "Stale", 0, 0),
    ]
    assert [item["since"] for item in body["items"]] == ["2023-11-14T22:14:20Z", "2023-11-14T22:13:20Z"]


async def test_a_member_whose_state_nobody_saw_begin(plane, get):
    plane.states_since_s = {}
    assert [item for item in (await get("/v1/members"))[1]["items"] if "since" in item] == []


async def test_services_of_the_cluster_set_and_of_clusters(plane, get):
    own, merged = sorted(plane.services, key=lambda key: not key.scope)
    first, *rest = plane.services[own].endpoints[80]
    plane.services[own].endpoints.update(dict.fromkeys((80, 81), (first, *(replace(item, health="UNHEALTHY") for item in rest))))
    _, body = await get("/v1/services")
    assert [(item["name"], item["cluster"]) for item in body["items"]] == [(merged.fqdn, ""), (own.fqdn, "east")]
    assert all(item["exported_by"] == ["east"] for item in body["items"])
    assert (body["items"][1]["endpoints_ready"], body["items"][1]["endpoints"]) == (1, 2)
    assert body["items"][1]["ports"][0] == {"port": 80, "name": "http", "protocol": "HTTP"}
    assert body["items"][0]["vips"] == [{"cluster": "east", "addresses": ["10.97.0.1"]}]


async def test_problems_name_object_field_and_remedy(get):
    _, body = await get("/v1/problems")
    first, second = body["items"]
    assert first["severity"] == "warning"
    assert first["object"]["name"] == "web"
    assert (first["field"], first["hint"], first["source"]) == ("spec.ports", "add a port", "east/web.yaml:3")
    assert "object" not in second


async def test_proxies_tell_each_type(get):
    _, body = await get("/v1/proxies")
    assert [(item["node_id"], item["kind"], item["role"]) for item in body["items"]] == [
        ("envoy-1", "ads delta", "sidecar"),
        ("envoy-2", "ads delta", "sidecar"),
        ("gw", "ads sotw", "gateway"),
    ]
    assert [(item["type"], item["state"]) for item in body["items"][1]["types"]] == [("cds", "SYNCED"), ("lds", "ERROR")]
    assert body["items"][1]["types"][1]["rejection"]["error"] == "Listener outbound:\nbad address"
    assert "rejection" not in body["items"][1]["types"][0]
    assert body["items"][0]["types"][1]["type"] == "a.B"
    assert body["items"][1]["types"][1]["nacks"] == 1  # a number, which proto3 JSON makes of 32 bits alone


async def test_nacks_name_node_resource_and_objects(plane, get):
    _, body = await get("/v1/nacks")
    (item,) = body["items"]
    assert [item[key] for key in ("node_id", "view", "kind", "type", "name")] == [
        *("envoy-2", str(EAST), "ads delta", "lds", "outbound")
    ]
    assert (item["error"], item["rejected_at"]) == ("Listener outbound:\nbad address", "2023-11-14T22:13:20Z")
    assert (item["version"], item["accepted_version"]) == (plane.rejection.resource.version, "old")
    assert [(ref["kind"], ref["resource_version"]) for ref in item["origins"]] == [("Service", "7"), ("ServiceExport", "")]
    assert (item["quarantined"], item["more_origins"], body["left_off"]) == (False, 0, 0)


async def test_nacks_of_one_node(get):
    assert len((await get("/v1/nacks?node=envoy-2"))[1]["items"]) == 1
    assert (await get("/v1/nacks?node=envoy-1"))[1]["items"] == []
    status, body = await get("/v1/nacks?node=envoy-3")
    assert (status, body["error"]) == (404, "no connected node 'envoy-3'; did you mean 'envoy-2'?")
    assert await get("/v1/nacks?view=x") == (400, {"error": "unknown parameter 'view'; known is node"})


async def test_the_objects_are_those_that_are_there_now(plane, get):
    listener = plane.rejection.resource
    plane.store.publish(EAST, by_name(replace(listener, origins=(SERVICE._replace(resource_version="8"),))), at_s=1, trigger="")
    _, body = await get("/v1/nacks")
    assert [ref["resource_version"] for ref in body["items"][0]["origins"]] == ["8"]


async def test_a_nack_that_names_nothing_is_told_while_the_culprit_is_searched_for(plane, get):
    searching = TypeStatus(State.STALE, NOW_S, acked_nonce="9", nacked_nonce="10", nack_error="bad", nack_at_s=NOW_S)
    plane.open = [stream("envoy-1", EAST, {CLUSTER: searching})]
    _, body = await get("/v1/nacks")
    ((item,), _) = body["items"], body["left_off"]
    assert (item["node_id"], item["type"], item["name"], item["error"]) == ("envoy-1", "cds", "", "bad")
    searching.acked_nonce = "11"
    assert (await get("/v1/nacks"))[1]["items"] == []


async def test_what_is_in_quarantine_is_listed_for_each_node_that_rejected_it(plane, get):
    bad, good = cluster("web", 9), cluster("web")
    plane.suspects = [(EAST, Suspect(bad, "too slow", NOW_S, {"a": None, "gone": None}, quarantined=True, kept=good))]
    plane.open = []
    _, body = await get("/v1/nacks")
    assert [(item["node_id"], item["name"], item["quarantined"]) for item in body["items"]] == [
        ("a", "web", True),
        ("gone", "web", True),
    ]
    assert body["items"][0]["accepted_version"] == good.version
    assert [item["node_id"] for item in (await get("/v1/nacks?node=gone"))[1]["items"]] == ["gone"]
    _, text = await get("/metrics")
    assert 'xds_quarantined_resources{type="cds"} 1.0' in text.splitlines()


async def test_a_list_of_nacks_ends_somewhere(plane, get, monkeypatch):
    monkeypatch.setattr("xds.admin.nacks.ITEMS", 3)
    monkeypatch.setattr("xds.admin.nacks.ORIGINS", 1)
    types = plane.open[0].types
    plane.open = [stream(f"envoy-{number}", EAST, types, rejections=[plane.rejection]) for number in range(5)]
    _, body = await get("/v1/nacks")
    assert (len(body["items"]), body["left_off"]) == (3, 2)
    assert (len(body["items"][0]["origins"]), body["items"][0]["more_origins"]) == (1, 1)


async def test_snapshot_list(plane, get):
    _, body = await get("/v1/snapshots")
    east = body["items"][1]
    assert east["view"] == str(EAST)
    assert east["version"] == plane.versions()[-1]
    assert east["nodes"] == ["envoy-1", "envoy-2"]
    assert east["resources"] == {"cds": 2, "eds": 1, "lds": 1, "rds": 1, "sds": 1}


@pytest.mark.parametrize("name", ["envoy-1", str(EAST)])
async def test_snapshot_of_a_node_or_a_view(get, name):
    status, body = await get(node(name))
    assert status == 200
    assert [held["type"] for held in body["types"]] == ["cds", "eds", "lds", "rds", "sds"]
    web = body["types"][0]["resources"][1]
    assert web["name"] == WEB
    assert web["resource"] == {"@type": CLUSTER, "name": WEB, "connect_timeout": "5s"}
    assert web["origins"] == [{"cluster": "east", "kind": "Service", "namespace": "shop", "name": "web", "resource_version": "7"}]


async def test_answers_are_proto3_json_of_the_messages(get):
    _, body = await get(node("envoy-1"))
    message = json_format.ParseDict(body, admin.Snapshot(), descriptor_pool=POOL)
    assert message.types[0].resources[1].resource.type_url == CLUSTER


async def test_bodies_of_secrets_never_leave(get):
    _, body = await get(node("envoy-1"))
    assert body["types"][4]["resources"][0].keys() == {"name", "version"}
    for path in ("/v1/snapshots", node("envoy-1"), node("envoy-1", query="?type=sds&name=tls"), node("envoy-1", "/history")):
        text = json.dumps((await get(path))[1])
        assert PRIVATE_KEY.decode() not in text
        assert "tls_certificate" not in text


async def test_selections(plane, get):
    old, new = plane.versions()
    _, body = await get(node("envoy-1", query=f"?version={old[:6]}&type=cds&name=old"))
    assert body["version"] == old
    assert [(held["type"], [item["name"] for item in held["resources"]]) for held in body["types"]] == [("cds", ["old"])]
    _, body = await get(node("envoy-1", query="?name=outbound"))
    assert (body["version"], [held["type"] for held in body["types"]]) == (new, ["lds", "rds"])


@pytest.mark.parametrize(
    ("path", "words"),
    [
        (node("envoy-3"), ["no connected node or live view 'envoy-3'", "did you mean 'envoy-"]),
        (node("zzzzzz"), ["known are 'envoy-1', 'envoy-2', 'gw'"]),
        (node("nobody", "/history"), ["no connected node or live view 'nobody'"]),
        (node("gw", query="?version=ffff"), ["no version 'ffff'; see `xdsctl snapshot history gw`"]),
        (node("gw", query="?type=cdss"), ["no resource type 'cdss'", "did you mean 'cds'?"]),
        (node("gw", query="?name=web.shop.svc.cluster.local"), ["no resource", f"did you mean '{WEB}'?"]),
        ("/v1/nothing", ["nothing is at /v1/nothing", "/v1/status"]),
    ],
)
async def test_what_is_not_there(get, path, words):
    status, body = await get(path)
    assert status == 404
    for word in words:
        assert word in body["error"]


async def test_unknown_node_with_nobody_connected_suggests_views(plane, get):
    plane.open = []
    _, body = await get(node("envoy-1"))
    assert str(EAST) in body["error"]


async def test_streams_of_one_id_in_different_views_are_told_apart(plane, get):
    plane.open.append(stream("gw", WEST, {}))
    assert (await get(node("gw")))[1]["view"] == str(WEST)
    plane.open.append(stream("gw", EAST, {}))
    for rest in ("", "/history"):
        status, body = await get(node("gw", rest))
        assert status == 409
        assert body["error"] == f"3 streams have the id 'gw', in different views: '{EAST}', '{WEST}'; name one of the views"
    assert (await get(node(str(WEST))))[0] == 200


async def test_read_only_and_strict(get):
    status, body = await get("/v1/status", method="POST")
    assert status == 405
    assert "read-only" in body["error"]
    status, body = await get(node("gw", query="?versoin=1"))
    assert (status, body) == (400, {"error": "unknown parameter 'versoin'; known are version, type and name"})


async def test_history_says_what_each_revision_changed(plane, get):
    _, body = await get(node("envoy-2", "/history"))
    first, second = body["items"]
    assert [first["version"], second["version"]] == plane.versions()
    assert first["changes"] == []
    assert second["changes"] == [{"type": "cds", "added": ["new"], "changed": [WEB], "removed": ["old"]}]
    assert second["trigger"] == "shop/web"


async def test_loads_by_view_cluster_and_locality(plane, get):
    report_loads(plane)
    _, body = await get("/v1/loads")
    assert [(item["view"], item["cluster"]) for item in body["items"]] == [(str(WEST), WEB), (str(EAST), "api"), (str(EAST), WEB)]
    web = body["items"][2]
    assert web["localities"][0] == {
        "region": "eu",
        "zone": "eu-1",
        "sub_zone": "east",
        "issued": "10",
        "succeeded": "8",
        "failed": "1",
        "in_progress": "1",
    }
    assert (body["items"][1]["dropped"], body["items"][1]["dropped_by_category"]) == ("3", {"lb": "3"})
    assert web["reported_at"] == "2023-11-14T22:13:20Z"
    for name in ("gw", str(WEST)):
        _, body = await get(URL(f"/v1/loads?node={quote(name, safe='')}", encoded=True))
        assert [(item["view"], item["cluster"]) for item in body["items"]] == [(str(WEST), WEB)]
    assert (await get("/v1/loads?node=nobody"))[0] == 404
    assert await get("/v1/loads?view=x") == (400, {"error": "unknown parameter 'view'; known is node"})


async def test_what_clients_claim_may_exceed_64_bits(plane, get):
    for _ in range(3):
        report_loads(plane, issued=2**64 - 1)
    _, body = await get("/v1/loads")
    assert body["items"][2]["localities"][0]["issued"] == str(2**64 - 1)


async def test_metrics_of_loads(plane, get):
    report_loads(plane)
    _, text = await get("/metrics")
    lines = text.splitlines()
    place = f'cluster="{WEB}",region="eu"'
    for line in (
        f'xds_load_requests_total{{{place},result="success",sub_zone="east",zone="eu-1"}} 9.0',
        f'xds_load_requests_total{{{place},result="error",sub_zone="east",zone="eu-1"}} 1.0',
        f'xds_load_issued_requests_total{{{place},sub_zone="east",zone="eu-1"}} 11.0',
        f'xds_load_requests_in_progress{{{place},sub_zone="east",zone="eu-1"}} 1.0',
        'xds_load_dropped_requests_total{cluster="api"} 3.0',
        "xds_load_reports_total 2.0",
        "xds_load_ignored_clusters_total 1.0",
        "xds_load_streams 2.0",
    ):
        assert line in lines, line


async def test_a_failure_inside_is_an_answer_too(plane, get):
    plane.members = None
    status, body = await get("/v1/members")
    assert status == 500
    assert "log" in body["error"]


async def test_metrics(plane, get):
    status, text = await get("/metrics")
    assert status == 200
    lines = text.splitlines()
    for line in (
        'xds_build_info{version="0.1.0"} 1.0',
        "xds_ready 1.0",
        'xds_clusters{state="Connected"} 1.0',
        'xds_clusters{state="Lost"} 0.0',
        'xds_endpoints{cluster="east",health="HEALTHY"} 2.0',
        'xds_cluster_memory_bytes{cluster="west"} 0.0',
        'xds_config_problems{code="XDS0101",severity="error"} 1.0',
        "xds_views 2.0",
        'xds_resources{type="cds"} 3.0',
        'xds_streams{kind="ads delta"} 2.0',
        'xds_stream_types{state="ERROR",type="lds"} 1.0',
        'xds_nacks_total{type="lds"} 1.0',
        'xds_nacks_total{type="cds"} 0.0',
        'xds_rejected_resources{type="lds"} 1.0',
        'xds_rejected_resources{type="other"} 0.0',
        'xds_quarantined_resources{type="cds"} 0.0',
        "xds_wakes_total 5.0",
        "xds_aged_streams_total 0.0",
        "xds_admission_waiting 3.0",
        "xds_first_syncs_active 2.0",
        "xds_first_syncs_total 7.0",
        "xds_first_syncs_overdue_total 1.0",
        'xds_dns_queries_total{rcode="NXDOMAIN",type="A"} 3.0',
        "xds_translate_seconds_count 2.0",
        "xds_translate_seconds_sum 0.5",
    ):
        assert line in lines, line
    assert any(line.startswith("process_resident_memory_bytes") for line in lines)
    _, text = await get("/metrics", headers={"Accept": "application/openmetrics-text; version=1.0.0"})
    assert text.endswith("# EOF\n")


@pytest.mark.parametrize("address", ["127.0.0.1:99999", "127.0.0.1:x", "192.0.2.1:0", "no-such-host.invalid:0"])
async def test_an_address_that_cannot_be_had(plane, address):
    with pytest.raises(AdminAddressError, match=f"cannot serve the admin API on '{address}'"):
        await AdminServer(plane, address).start()


async def test_a_port_in_use(plane):
    first = AdminServer(plane, "127.0.0.1:0")
    address = await first.start()
    with pytest.raises(AdminAddressError, match="another program listens there"):
        await AdminServer(plane, address).start()
    await first.stop()


async def test_ipv6(plane):
    server = AdminServer(plane, "[::1]:0")
    try:
        address = await server.start()
    except AdminAddressError as error:
        pytest.skip(f"no IPv6 loopback here: {error}")
    assert address.startswith("[::1]:")
    await server.stop()


def test_maps_are_in_the_order_of_their_keys():
    places = [f"east/{number:02}" for number in range(40)]
    shares = dict.fromkeys(reversed(places), 0.5)
    explained = json.loads(to_json(admin.Explanation(shares=shares)))
    assert [*explained["shares"]] == places
    services = [admin.SimulatedService(before=shares, after=shares)]
    (simulated,) = json.loads(to_json(admin.Simulation(services=services)))["services"]
    assert [*simulated["before"]] == [*simulated["after"]] == places
    assert json.loads(to_json(admin.Explanation(), defaults=False)) == {}


@pytest.fixture
def rehearsals(plane, monkeypatch):
    """Rehearsals that end when they are told to."""
    plane.fleet, plane.policies = Fleet(), PolicyBook()
    may_end = threading.Event()

    def simulation(*_):
        may_end.wait(10)
        return admin.Simulation(ok=True)

    monkeypatch.setattr("xds.admin.server.simulations.simulation", simulation)
    yield may_end
    may_end.set()


async def test_one_rehearsal_runs_at_a_time(get, rehearsals):
    asking = [asyncio.ensure_future(get("/v1/simulate", method="POST", data="{}")) for _ in range(3)]
    refused, _ = await asyncio.wait(asking, return_when=asyncio.FIRST_COMPLETED)
    assert refused.pop().result() == (503, {"error": "the control plane rehearses something else; ask again in 5 s"})
    await asyncio.sleep(0)
    rehearsals.set()
    assert sorted(status for status, _ in await asyncio.gather(*asking)) == [200, 503, 503]
    assert (await get("/v1/simulate", method="POST", data="{}"))[0] == 200


async def test_a_rehearsal_counts_until_it_ends_whoever_waits_for_it(get, rehearsals):
    begun = [asyncio.ensure_future(get("/v1/simulate", method="POST", data="{}")) for _ in range(2)]
    await asyncio.wait(begun, return_when=asyncio.FIRST_COMPLETED)
    (waiting,) = (one for one in begun if not one.done())
    waiting.cancel()
    assert (await get("/v1/simulate", method="POST", data="{}"))[0] == 503
