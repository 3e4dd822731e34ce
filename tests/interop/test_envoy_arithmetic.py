"""Our second writing of Envoy's arithmetic against the tables of its documentation, and against a real Envoy."""

import pytest
from documented_loads import LOADS

from xds.cli.demo.arithmetic import LocalityHealth, default_ladder, expected_shares, priority_loads, shares
from xds.cli.demo.backends import Backends
from xds.cli.demo.envoy import EnvoyProcess
from xds.cli.demo.lab import EAST, WEST
from xds.cli.demo.places import Place, World, in_cluster, in_zone
from xds.cli.demo.processes import free_port
from xds.cli.demo.story import tolerance
from xds.cli.demo.traffic import Client, measure_shares

WORLD = World.of((EAST, WEST), pods_per_zone=4)


def healthy(percent):
    return [LocalityHealth("any", 1, percent, 100)]


@pytest.mark.parametrize(("percents", "loads"), [*LOADS, ((0, 0), [0, 0])])
def test_priorities_share_as_the_documentation_says(percents, loads):
    assert priority_loads([healthy(percent) for percent in percents]) == loads


@pytest.mark.parametrize(("percent", "share"), [(100, 1 / 3), (70, 0.329), (50, 0.259), (25, 0.149), (0, 0.0)])
def test_localities_share_as_the_documentation_says(percent, share):
    found = shares([[LocalityHealth("x", 1, percent, 100), LocalityHealth("y", 2, 100, 100)]])
    assert found.get("x", 0.0) == pytest.approx(share, abs=0.005)


def test_a_priority_without_hosts_passes_on():
    assert priority_loads([[], healthy(50), []]) == [0, 100, 0]
    assert shares([[], [], []]) == {}


def test_the_default_ladder_puts_the_own_cluster_before_the_region_before_anywhere():
    ladder = default_ladder(WORLD.not_ready(in_zone(Place("east", "east-b"))), "east")
    assert [[(locality.name, locality.healthy, locality.total) for locality in tier] for tier in ladder] == [
        [("east/east-a", 4, 4), ("east/east-b", 0, 4)],
        [],
        [("west/west-a", 4, 4), ("west/west-b", 4, 4)],
    ]


ONE_POD = WORLD.pods[0]
WORLDS = {
    "everything is up": WORLD,
    "a zone is not ready": WORLD.not_ready(in_zone(Place("east", "east-a"))),
    "a pod is not ready": WORLD.not_ready(lambda pod: pod == ONE_POD),
    "one pod of the cluster is ready": WORLD.not_ready(lambda pod: pod.place.cluster == "east" and pod != ONE_POD),
    "the cluster is not ready": WORLD.not_ready(in_cluster("east")),
    "a smaller zone": WORLD.without(lambda pod: pod.place.zone == "east-a" and pod.index > 0),
}


async def test_a_real_envoy_shares_as_the_arithmetic_says(envoy, tmp_path):
    """Without any control plane: the yardstick itself is right."""
    backends = Backends(free_port())
    await backends.start(WORLD.pods)
    client = Client("client", free_port(), "web")
    for number, (name, world) in enumerate(WORLDS.items()):
        static = static_bootstrap(assignment(world, backends.port), client.port)
        with EnvoyProcess(f"envoy-{number}", static, tmp_path, envoy) as process:
            await process.wait_ready()
            measured, failures = await measure_shares(client, 3000)
        expected = expected_shares(world, "east")
        assert not failures, name
        for place in measured.keys() | expected.keys():
            assert measured.get(place, 0.0) == pytest.approx(
                expected.get(place, 0.0), abs=tolerance(expected.get(place, 0.0), 3000)
            ), (name, place)
    backends.close()


def assignment(world, port):
    """Return the CLA of a client in the cluster east, written by hand."""
    localities = [{"priority": 1, "load_balancing_weight": 1, "locality": {"zone": "empty"}, "lb_endpoints": []}]
    for place in world.places:
        pods = world.select(in_zone(place))
        endpoints = [
            {
                "health_status": "HEALTHY" if pod.ready else "UNHEALTHY",
                "endpoint": {"address": {"socket_address": {"address": pod.address, "port_value": port}}},
            }
            for pod in pods
        ]
        localities.append(
            {
                "priority": 0 if place.cluster == "east" else 2,
                "load_balancing_weight": len(pods),
                "locality": {"zone": place.zone, "sub_zone": place.cluster},
                "lb_endpoints": endpoints,
            }
        )
    return {"cluster_name": "web", "endpoints": localities}


def static_bootstrap(load_assignment, port):
    cluster = {
        "name": "web",
        "type": "STATIC",
        "common_lb_config": {"healthy_panic_threshold": {"value": 0}, "locality_weighted_lb_config": {}},
        "load_assignment": load_assignment,
    }
    api = "type.googleapis.com/envoy.extensions.filters"
    router = {"name": "router", "typed_config": {"@type": f"{api}.http.router.v3.Router"}}
    route = {"match": {"prefix": "/"}, "route": {"cluster": "web"}}
    hcm = {
        "@type": f"{api}.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "in",
        "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [route]}]},
        "http_filters": [router],
    }
    listener = {
        "name": "in",
        "address": {"socket_address": {"address": "127.0.0.1", "port_value": port}},
        "filter_chains": [{"filters": [{"name": "hcm", "typed_config": hcm}]}],
    }
    return {"static_resources": {"clusters": [cluster], "listeners": [listener]}}
