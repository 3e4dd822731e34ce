"""What a real Envoy asks for only when a request needs it, and how it learns that there is no such thing."""

import json
import time
from dataclasses import dataclass

import pytest
from google.protobuf import json_format
from interop_waiting import eventually
from static_envoy import EXTENSIONS, Source, backend, bootstrap, http_listener, resource, running_envoy

from xds.cli.demo.lab import EAST, Lab, sidecar
from xds.cli.demo.manifests import HOST
from xds.cli.demo.places import in_cluster
from xds.wire import CLUSTER, POOL, ROUTE, VIRTUAL_HOST, envoy

pytestmark = pytest.mark.interop
ON_DEMAND = {"@type": f"{EXTENSIONS}.filters.http.on_demand.v3.OnDemand"}


@pytest.fixture(params=["ads", "own"])
def source(request):
    """Over ADS, or over a stream of the type alone; on demand there is only incremental xDS."""
    return Source(delta=True, aggregated=request.param == "ads")


def virtual_host(host, text):
    # Envoy removes by the name inside, so it has to be that of the resource.
    message = envoy.VirtualHost(name=f"routes/{host}", domains=[host])
    answer = message.routes.add(match={"prefix": "/"}).direct_response
    answer.status, answer.body.inline_string = 200, text
    return resource(VIRTUAL_HOST, message.name, message)


async def test_virtual_hosts_on_demand(envoy, tmp_path, plane, source, http):
    """The name is that of the route configuration, a slash, and the Host header; no alias is needed."""
    plane.put(virtual_host("web", "web"), virtual_host("unasked", "unasked"))
    # Envoy's first request names nothing, and no answer but a virtual host ends its wait: 15 s unless we say otherwise.
    routes = {"name": "routes", "vhds": {"config_source": {**source.config, "initial_fetch_timeout": "0.1s"}}}
    demand = {"name": "on_demand", "typed_config": ON_DEMAND}
    config = bootstrap(plane, source, listeners=[http_listener(http.port, filters=[demand], **via_rds(plane, source, routes))])
    async with running_envoy(envoy, tmp_path, config) as process:
        await eventually(lambda: http.gives((200, "web"), host="web"))
        assert plane.subscribed(VIRTUAL_HOST) == [(False, {"routes/web"})]
        plane.put(virtual_host("web", "changed"))
        await eventually(lambda: http.gives((200, "changed"), host="web"))

        # A name that does not exist: the request that waits for it is answered at once.
        began_s = time.monotonic()
        assert await http.get(host="nowhere") == (404, "")
        assert time.monotonic() - began_s < 1
        plane.put(virtual_host("nowhere", "here now"))
        await eventually(lambda: http.gives((200, "here now"), host="nowhere"))

        plane.put(gone=[(VIRTUAL_HOST, "routes/web")])
        await eventually(lambda: http.gives((404, ""), host="web"))
        assert await http.get(host="nowhere") == (200, "here now")
        assert not any((await process.stats("update_rejected")).values())


def via_rds(plane, source, routes):
    message = json_format.ParseDict(routes, envoy.RouteConfiguration(), descriptor_pool=POOL)
    plane.put(resource(ROUTE, "routes", message))
    return {"rds": {"route_config_name": "routes", "config_source": source.config}}


def cluster(name, address):
    host, _, port = address.rpartition(":")
    message = envoy.Cluster(name=name, load_assignment={"cluster_name": name})
    message.connect_timeout.seconds = 1
    socket = message.load_assignment.endpoints.add().lb_endpoints.add().endpoint.address.socket_address
    socket.address, socket.port_value = host, int(port)
    return resource(CLUSTER, name, message)


@pytest.mark.parametrize("beside_wildcard", [False, True], ids=["alone", "beside cds"])
async def test_clusters_on_demand(envoy, tmp_path, plane, source, http, beside_wildcard):
    async with backend() as address:
        plane.put(cluster("web", address), cluster("unasked", address))
        odcds = {"source": source.config, "timeout": "20s"}
        filters = [{"name": "on_demand", "typed_config": ON_DEMAND | {"odcds": odcds}}]
        route = {"match": {"prefix": "/"}, "route": {"cluster_header": "x-cluster"}}
        hosts = [{"name": "all", "domains": ["*"], "routes": [route]}]
        listener = http_listener(http.port, filters=filters, route_config={"name": "routes", "virtual_hosts": hosts})
        config = bootstrap(plane, source, listeners=[listener])
        if beside_wildcard:
            config.setdefault("dynamic_resources", {})["cds_config"] = source.config
        async with running_envoy(envoy, tmp_path, config) as process:
            assert (await http.get(x_cluster="web"))[0] == 200
            began_s = time.monotonic()
            assert (await http.get(x_cluster="nowhere"))[0] == 503
            assert time.monotonic() - began_s < 1
            plane.put(cluster("nowhere", address))
            await eventually(lambda: answers(http, 200))
            assert not any((await process.stats("update_rejected")).values())
            # On demand the name alone is asked for; a cluster that the wildcard has brought is there already.
            named = frozenset().union(*(names for _, names in plane.subscribed(CLUSTER)))
            assert named == ({"nowhere"} if beside_wildcard else {"web", "nowhere"})


async def answers(http, status):
    return (await http.get(x_cluster="nowhere"))[0] == status


async def test_our_clusters_on_demand(envoy, tmp_path, http):
    """Clusters as they are translated, whose endpoints follow; the one that another request asks for is not fetched."""
    async with Lab(tmp_path, envoy, [sidecar(EAST)]) as lab:
        source = Source(delta=True, aggregated=True)
        odcds = {"source": source.config, "timeout": "20s"}
        filters = [{"name": "on_demand", "typed_config": ON_DEMAND | {"odcds": odcds}}]
        route = {"match": {"prefix": "/"}, "route": {"cluster_header": "x-cluster"}}
        hosts = [{"name": "all", "domains": ["*"], "routes": [route]}]
        listener = http_listener(http.port, filters=filters, route_config={"name": "routes", "virtual_hosts": hosts})
        config = bootstrap(ControlPlaneAt(lab.control_plane.xds_address), source, listeners=[listener])
        config["node"] = {
            "id": "on-demand",
            "cluster": "test",
            "locality": {"region": EAST.region, "zone": EAST.zones[0]},
            "metadata": {"isthmus": {"cluster": "east", "namespace": "shop"}},
        }
        async with running_envoy(envoy, tmp_path, config) as process:
            assert await cluster_of(http) == "east"
            assert (await http.get(x_cluster="nowhere.shop.svc.clusterset.local:80"))[0] == 503
            assert {one for one in await cluster_names(process) if ":80" in one} == {f"{HOST}:80"}
            # What is on demand is kept up with.
            lab.turn_not_ready(in_cluster("east"))
            await eventually(lambda: answers_from(http, "west"))
            assert not any((await process.stats("update_rejected")).values())


async def cluster_of(http):
    status, body = await http.get(x_cluster=f"{HOST}:80")
    return json.loads(body)["cluster"] if status == 200 else ""


async def answers_from(http, cluster):
    return await cluster_of(http) == cluster


@dataclass
class ControlPlaneAt:
    """What `bootstrap` needs to know of a control plane in another process."""

    address: str


async def cluster_names(process):
    dump = await process.config_dump()
    found = [config for config in dump["configs"] if "dynamic_active_clusters" in config]
    return [one["cluster"]["name"] for config in found for one in config["dynamic_active_clusters"]]
