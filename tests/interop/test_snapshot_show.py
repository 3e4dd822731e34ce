"""What `xdsctl snapshot show` prints is what Envoy says that it has."""

import asyncio
import json
import subprocess

from google.protobuf import json_format

from xds.cli.demo.control_plane import XDSCTL
from xds.cli.demo.lab import EAST, Lab, gateway, sidecar
from xds.cli.demo.places import Place, in_zone
from xds.wire import CLUSTER, ENDPOINT, LISTENER, ROUTE, message_class
from xds.wire.pool import POOL

DUMPED = {
    CLUSTER: ("ClustersConfigDump", "dynamic_active_clusters", lambda item: item["cluster"]),
    LISTENER: ("ListenersConfigDump", "dynamic_listeners", lambda item: item["active_state"]["listener"]),
    ROUTE: ("RoutesConfigDump", "dynamic_route_configs", lambda item: item["route_config"]),
    ENDPOINT: ("EndpointsConfigDump", "dynamic_endpoint_configs", lambda item: item["endpoint_config"]),
}
"""Type URL -> where Envoy's /config_dump has it."""


async def test_a_snapshot_is_what_envoy_has(envoy, tmp_path, delta):
    async with Lab(tmp_path, envoy, [sidecar(EAST), gateway()], delta=delta) as lab:
        lab.turn_not_ready(in_zone(Place("east", "east-b")))
        for node, process in lab.envoys.items():
            await eventually_equal(lab, node, process)


async def eventually_equal(lab, node, process):
    """Compare until what was just changed has arrived, three seconds at most."""
    for _ in range(30):
        shown, dumped = await shown_by_xdsctl(lab, node), dumped_by(await process.config_dump())
        if shown == dumped:
            break
        await asyncio.sleep(0.1)
    assert shown == dumped
    assert shown.keys() == DUMPED.keys()
    assert all(shown.values())


async def shown_by_xdsctl(lab, node):
    command = (*XDSCTL, "snapshot", "show", node, "-o", "json", "--admin-address", lab.control_plane.admin_address)
    run = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, check=True)
    return {response["type_url"]: contents(response["type_url"], response["resources"]) for response in json.loads(run.stdout)}


def dumped_by(dump):
    sections = {section["@type"].rpartition(".")[2]: section for section in dump["configs"]}
    return {
        url: contents(url, [resource(item) for item in sections[section].get(field, [])])
        for url, (section, field, resource) in DUMPED.items()
    }


def contents(type_url, resources):
    """Return what can be compared: messages by name; of endpoints, where each is and how it is, because Envoy adds defaults."""
    messages = [parsed(type_url, resource) for resource in resources]
    if type_url == ENDPOINT:
        return {message.cluster_name: set(endpoints(message)) for message in messages}
    return {message.name: message for message in messages}


def endpoints(assignment):
    for group in assignment.endpoints:
        place = (group.priority, group.locality.region, group.locality.zone, group.locality.sub_zone)
        for endpoint in group.lb_endpoints:
            socket = endpoint.endpoint.address.socket_address
            yield (*place, group.load_balancing_weight.value, socket.address, socket.port_value, endpoint.health_status)


def parsed(type_url, resource):
    body = {key: value for key, value in resource.items() if key != "@type"}
    return json_format.ParseDict(body, message_class(type_url.rpartition("/")[2])(), descriptor_pool=POOL)
