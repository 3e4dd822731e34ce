"""An Envoy that asks only for endpoints and routes, each over a stream of its own, and has the rest in its bootstrap."""

from interop_waiting import eventually, health_of

from xds.cli.demo.arithmetic import expected_shares
from xds.cli.demo.envoy import EnvoyProcess
from xds.cli.demo.lab import EAST, Lab, sidecar
from xds.cli.demo.manifests import HOST
from xds.cli.demo.places import Place, in_zone
from xds.cli.demo.processes import free_port
from xds.cli.demo.traffic import Client, measure_shares
from xds.cli.envoy_bootstrap import XDS_CLUSTER, envoy_bootstrap

NAME = f"{HOST}:80"


async def test_endpoints_and_routes_can_be_had_without_ads(envoy, tmp_path, delta):
    async with Lab(tmp_path, envoy, [sidecar(EAST)], delta=delta) as lab:
        client = Client("client", free_port(), HOST)
        bootstrap = own_streams(lab, client.port, delta=delta)
        with EnvoyProcess("own-streams", bootstrap, tmp_path, envoy) as process:
            await process.wait_ready()
            shares, failures = await measure_shares(client, 200)
            assert not failures
            assert shares.keys() == expected_shares(lab.world, "east").keys()

            lab.turn_not_ready(in_zone(Place("east", "east-a")))
            await eventually(lambda: some_unhealthy(process))
            shares, failures = await measure_shares(client, 200)
            assert not failures
            assert shares.keys() == expected_shares(lab.world, "east").keys()
            assert not any((await process.stats("update_rejected")).values())


def own_streams(lab, port, *, delta):
    """Return the bootstrap of the lab's sidecar with a static listener and cluster, whose routes and endpoints are dynamic."""
    bootstrap = envoy_bootstrap(lab.proxies[0].node, lab.control_plane.xds_address, admin_address="127.0.0.1:0", delta=delta)
    del bootstrap["dynamic_resources"]
    source = {
        "resource_api_version": "V3",
        "api_config_source": {
            "api_type": "DELTA_GRPC" if delta else "GRPC",
            "transport_api_version": "V3",
            "grpc_services": [{"envoy_grpc": {"cluster_name": XDS_CLUSTER}}],
        },
    }
    eds = {"type": "EDS", "eds_cluster_config": {"eds_config": source}}
    # The route configuration names every cluster of the view, so all of them are needed.
    names = (NAME, NAME.replace("clusterset", "cluster"))
    balancing = {"healthy_panic_threshold": {"value": 0}, "locality_weighted_lb_config": {}}
    bootstrap["static_resources"]["clusters"] += [{"name": name, "common_lb_config": balancing, **eds} for name in names]
    api = "type.googleapis.com/envoy.extensions.filters"
    manager = {
        "@type": f"{api}.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "own",
        "rds": {"route_config_name": "outbound", "config_source": source},
        "http_filters": [{"name": "router", "typed_config": {"@type": f"{api}.http.router.v3.Router"}}],
    }
    listener = {
        "name": "own",
        "address": {"socket_address": {"address": "127.0.0.1", "port_value": port}},
        "filter_chains": [{"filters": [{"name": "manager", "typed_config": manager}]}],
    }
    bootstrap["static_resources"]["listeners"] = [listener]
    return bootstrap


async def some_unhealthy(process):
    return "UNHEALTHY" in health_of(await process.hosts(NAME)).values()
