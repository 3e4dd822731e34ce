"""What the admin API tells of one member, and of one service in all of them."""

import pytest
from described_fleet import EAST_SINCE, SLICE_SINCE, WEST_SINCE, described_fleet
from fake_plane import EAST, stream
from fleet_world import endpoint, endpoint_slice, export, fleet_of, make, member, service, traffic_policy

from xds.model.events import Health, MemberState
from xds.model.service import ServiceKey
from xds.problems import Problem


@pytest.fixture
def fleet(plane):
    fleet = described_fleet()
    plane.take(fleet)
    return fleet


@pytest.fixture
def told(get):
    """Return what is told at a path."""

    async def ask(path):
        status, body = await get(path)
        assert status == 200, body
        return body

    return ask


async def test_a_member(plane, fleet, told):
    fleet.apply([Health("east", MemberState.STALE, "no answer")])
    plane.take(fleet)
    plane.found = [
        *plane.found,
        Problem("XDS0101", "cannot be parsed", source="east/bad.yaml:9"),
        Problem("XDS0303", "the kubeconfig of cluster 'east': no"),
        Problem("XDS0303", "the kubeconfig of cluster 'east-2': no"),
    ]
    plane.open = [stream("a", EAST, {}), stream("a", EAST, {}, kind="sotw"), stream("b", EAST, {})]
    found = await told("/v1/members/east")
    assert (found["member"]["name"], found["member"]["state"], found["member"]["reason"]) == ("east", "Stale", "no answer")
    assert found["member"]["since"] == "2023-11-14T22:14:20Z"
    assert (found["member"]["services"], found["member"]["endpoints"], found["endpoints_ready"]) == (1, 1, 1)
    assert (found["exports"], found["exports_valid"], found["proxies"]) == (1, 1, 2)
    assert found["read_from"] == "directory clusters/east"
    assert [item["code"] for item in found["problems"]] == ["XDS0203"] * 3 + ["XDS0101", "XDS0303"]


async def test_what_other_clusters_lend_counts_there(plane, get, told):
    web = [service("web"), export("web")]
    slices = {name: endpoint_slice("web", [endpoint(f"10.{number}.0.1")]) for number, name in enumerate(("east", "west"), 1)}
    named = traffic_policy("web", "web", strategy={"type": "FailOver"})
    fleet = fleet_of({name: [*web, found] for name, found in slices.items()}, member("east"), member("west"), named)
    plane.take(fleet)
    assert fleet.services[ServiceKey("shop", "web", "east")].widened_by
    assert [item["endpoints"] for item in (await told("/v1/members"))["items"]] == [1, 1]
    assert (await told("/v1/members/east"))["endpoints_ready"] == 1
    assert (await told("/v1/status"))["endpoints"] == 2
    assert 'xds_endpoints{cluster="east",health="HEALTHY"} 1.0' in (await get("/metrics"))[1]


async def test_a_member_with_exports_that_are_not_valid(fleet, told):
    found = await told("/v1/members/north")
    assert (found["exports"], found["exports_valid"]) == (2, 0)
    assert sorted(item["code"] for item in found["problems"]) == ["XDS0204", "XDS0212"]


async def test_a_declared_member_of_which_nothing_is_told(plane, told):
    plane.take(fleet_of({}, member("east")))
    found = await told("/v1/members/east")
    assert (found["member"]["state"], found["exports"]) == ("Syncing", 0)
    assert [item["code"] for item in found["problems"]] == ["XDS0217"]


async def test_who_exports_a_service(fleet, told):
    found = await told("/v1/services/shop/web")
    east, north, west = found["exports"]
    assert (east["cluster"], east["created_at"], east["valid"]) == ("east", EAST_SINCE, True)
    assert (west["cluster"], west["created_at"], west["valid"]) == ("west", WEST_SINCE, True)
    assert (north["cluster"], north["valid"], north["reason"]) == ("north", False, "NoService")
    assert north["message"] == "there is no Service shop/web"
    assert "created_at" not in north


async def test_what_is_imported(fleet, told):
    found = (await told("/v1/services/shop/web"))["imported"]
    assert (found["type"], found["oldest"], found["why"]) == ("ClusterSetIP", "west", "the oldest export")
    assert (found["session_affinity"], found["session_affinity_timeout_seconds"]) == ("ClientIP", 600)
    assert (found["traffic_distribution"], found["internal_traffic_policy"]) == ("", "Cluster")
    assert found["ports"] == [
        {"port": 80, "name": "http", "protocol": "HTTP", "clusters": ["east", "west"]},
        {"port": 81, "name": "admin", "protocol": "TCP", "clusters": ["east"]},
    ]


async def test_conflicts_have_a_winner_and_losers(fleet, told):
    found = {(item["field"], item["winner"]["value"]): item for item in (await told("/v1/services/shop/web"))["conflicts"]}
    affinity = found["sessionAffinity", "ClientIP"]
    assert (affinity["reason"], affinity["winner"]["cluster"]) == ("SessionAffinityConflict", "west")
    assert (affinity["why"], affinity["losers"]) == ("the oldest export", [{"cluster": "east", "value": "None"}])
    assert ("sessionAffinityConfig", "clientIP.timeoutSeconds=600") in found
    assert found["trafficDistribution", "none"]["losers"] == [{"cluster": "east", "value": "PreferSameZone"}]
    port = found["ports", "81 (admin, TCP)"]
    assert (port["winner"]["cluster"], port["losers"]) == ("east", [{"cluster": "west", "value": ""}])
    assert port["why"].startswith("ports are joined")


@pytest.mark.parametrize(
    ("created", "oldest", "why"),
    [
        ((None, None), "east", "no export tells when it was created, so the first cluster by name counts"),
        ((EAST_SINCE, EAST_SINCE), "east", "the oldest export, and the first cluster by name of those as old"),
        ((None, WEST_SINCE), "west", "the oldest export"),
    ],
)
async def test_why_an_export_counts(plane, told, created, oldest, why):
    worlds = {name: [service("web"), export("web", created=at)] for name, at in zip(("east", "west"), created, strict=True)}
    plane.take(fleet_of(worlds, member("east"), member("west")))
    found = (await told("/v1/services/shop/web"))["imported"]
    assert (found["oldest"], found["why"]) == (oldest, why)


async def test_who_decides_about_a_port_that_the_oldest_export_lacks(plane, told):
    worlds = {
        "a": [service("web"), export("web", created=WEST_SINCE)],
        "b": [service("web", {"http": 80, "admin": 81}), export("web", created=EAST_SINCE)],
        "c": [service("web", {"http": 80, "admin": 82}), export("web", created=SLICE_SINCE)],
    }
    plane.take(fleet_of(worlds, *map(member, worlds)))
    clash, missing = (await told("/v1/services/shop/web"))["conflicts"]
    assert (clash["winner"]["cluster"], clash["why"]) == ("b", "the oldest export with such a port")
    assert (missing["winner"]["cluster"], missing["losers"]) == ("b", [{"cluster": "a", "value": ""}])


async def test_names_and_addresses(fleet, told):
    found = [(item["name"], item["cluster"], item["addresses"]) for item in (await told("/v1/services/shop/web"))["names"]]
    assert found == [
        *(
            ("web.shop.svc.clusterset.local", name, ["10.98.0.1"] * (name == "east"))
            for name in ("east", "north", "south", "west")
        ),
        ("web.shop.svc.cluster.local", "east", ["10.96.0.1"]),
        ("web.shop.svc.cluster.local", "south", ["10.96.0.1"]),
        ("web.shop.svc.cluster.local", "west", ["10.97.0.1"]),
    ]


async def test_endpoints_by_cluster_and_zone(fleet, told):
    found = (await told("/v1/services/shop/web"))["endpoints"]
    assert [(group["cluster"], group["region"], group["zone"], group["exported"]) for group in found] == [
        ("east", "eu", "eu-1", True),
        ("south", "", "s-1", False),
        ("west", "us", "us-1", True),
        ("west", "us", "us-2", True),
    ]
    states = ("addresses", "ready", "serving", "terminating", "health")
    assert [[entry[name] for name in states] for group in found for entry in group["endpoints"]] == [
        [["10.1.0.1"], True, True, False, "HEALTHY"],
        [["10.4.0.1"], True, True, False, "HEALTHY"],
        [["10.2.0.1"], True, True, False, "HEALTHY"],
        [["10.2.0.2"], False, False, False, ""],
        [["10.2.0.3"], False, True, True, "DRAINING"],
    ]


async def test_an_endpoint_has_an_age_and_a_source(fleet, told):
    east, _, west, _ = (await told("/v1/services/shop/web"))["endpoints"]
    (first,) = east["endpoints"]
    assert (first["ports"], first["created_at"]) == ([8080, 8081], SLICE_SINCE)
    assert first["source"] == {
        "cluster": "east",
        "kind": "EndpointSlice",
        "namespace": "shop",
        "name": "web-1",
        "resource_version": "",
    }
    assert "target" not in first
    pod = west["endpoints"][0]
    assert (pod["target"]["kind"], pod["target"]["name"], pod["target"]["cluster"]) == ("Pod", "web-a", "west")
    assert "created_at" not in pod


async def test_problems_of_a_service(plane, fleet, told):
    slices = Problem("XDS0205", "bad", next(iter(fleet.services.values())).origins[0])
    plane.found = [*plane.found, slices, Problem("XDS0101", "elsewhere")]
    codes = {item["code"] for item in (await told("/v1/services/shop/web"))["problems"]}
    assert codes == {"XDS0203", "XDS0204", "XDS0205"}


async def test_a_slice_belongs_to_its_service(plane, told):
    world = [service("web"), endpoint_slice("web", [endpoint("10.1.0.256")]), service("api"), endpoint_slice("api", [])]
    plane.take(fleet_of({"east": world}, member("east")))
    found = await told("/v1/services/shop/web")
    assert [(item["object"]["kind"], item["code"]) for item in found["problems"]] == [("EndpointSlice", "XDS0205")]
    assert found["endpoints"][0]["endpoints"][0]["addresses"] == ["10.1.0.256"]
    assert "imported" not in found
    assert (found["exports"], found["conflicts"]) == ([], [])


async def test_an_export_of_what_cannot_be_exported(fleet, told):
    found = await told("/v1/services/shop/ext")
    (item,) = found["exports"]
    assert (item["valid"], item["reason"]) == (False, "InvalidServiceType")
    assert "created_at" not in item  # "yesterday" is no time
    assert found["names"] == found["endpoints"] == []


async def test_headless_services(plane, told):
    plane.take(fleet_of({"east": [service("web", clusterIP="None"), export("web")]}, member("east")))
    found = await told("/v1/services/shop/web")
    assert found["imported"]["type"] == "Headless"
    assert [item["headless"] for item in found["names"]] == [True, True]


async def test_an_exporter_that_is_no_member(plane, told):
    labels = {"multicluster.kubernetes.io/service-name": "web", "multicluster.kubernetes.io/source-cluster": "far"}
    copies = [endpoint_slice("", [endpoint("10.9.0.1", zone="z-1")], name="far-web", labels=labels)]
    ports = [{"name": "http", "port": 80}]
    world = [make("ServiceImport", "web", spec={"ips": ["10.98.0.1"], "ports": ports}), *copies]
    plane.take(fleet_of({"east": world, "west": world}, member("east"), member("west")))
    found = await told("/v1/services/shop/web")
    assert [(item["cluster"], item["valid"], item["copied"]) for item in found["exports"]] == [("far", True, True)]
    (group,) = found["endpoints"]
    assert (group["cluster"], group["zone"], group["exported"]) == ("far", "z-1", True)
    (entry,) = group["endpoints"]
    assert (entry["source"]["cluster"], entry["source"]["name"], entry["health"]) == ("east", "far-web", "HEALTHY")


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("/v1/members/eastt", "no cluster 'eastt'; did you mean 'east'?"),
        ("/v1/services/shop/wbe", "no service 'shop/wbe'; did you mean 'shop/web'?"),
        ("/v1/services/shpo/web", "no service 'shpo/web'; did you mean 'shop/web'?"),
    ],
)
async def test_names_that_come_close(fleet, get, path, message):
    assert await get(path) == (404, {"error": message})


async def test_no_service_at_all(plane, get):
    plane.take(fleet_of({}))
    assert await get("/v1/services/shop/web") == (404, {"error": "no service 'shop/web'; there is none yet"})
