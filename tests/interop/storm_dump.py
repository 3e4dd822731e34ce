"""What an Envoy says it has in force, in the form of a snapshot."""

from google.protobuf import json_format

from xds.wire import CLUSTER, ENDPOINT, LISTENER, POOL, ROUTE, message_class, to_bytes

PREFIX = "type.googleapis.com/"
SECTIONS = {
    "ClustersConfigDump": (CLUSTER, "dynamic_active_clusters", ("cluster",)),
    "ListenersConfigDump": (LISTENER, "dynamic_listeners", ("active_state", "listener")),
    "RoutesConfigDump": (ROUTE, "dynamic_route_configs", ("route_config",)),
    "EndpointsConfigDump": (ENDPOINT, "dynamic_endpoint_configs", ("endpoint_config",)),
}
"""Message of a section -> type, list of what is in force, and the way to the resource in an item."""
UNSETTLED = ("dynamic_warming_clusters", "warming_state", "error_state")


def in_force(dump):
    """Return (type URL, name) -> bytes of what is in force; duplicates are an error."""
    found = {}
    for section in dump["configs"]:
        kind = section["@type"].rpartition(".")[2]
        if kind in SECTIONS:
            type_url, items, way = SECTIONS[kind]
            for item in section.get(items, ()):
                if way[0] not in item:
                    continue  # a listener that only warms, or only drains
                name, body = _resource(type_url, item, way)
                assert found.setdefault((type_url, name), body) == body, f"two of {name}"
    return found


def expected(snapshot):
    """Return the same of a snapshot."""
    return {
        (type_url, resource.name): _normal(type_url, message_class(type_url.removeprefix(PREFIX)).FromString(resource.body))
        for type_url in (CLUSTER, ENDPOINT, LISTENER, ROUTE)
        for resource in snapshot.resources(type_url).values()
    }


def unsettled(dump):
    """Return what is warming or in error."""
    found = []
    for section in dump["configs"]:
        for key, value in section.items():
            if key in UNSETTLED:
                found.append(f"{key}: {len(value)}")
            elif key == "dynamic_listeners":
                found += [
                    f"{state} of {item.get('name', 'a new listener')}" for item in value for state in UNSETTLED if state in item
                ]
    return found


def differences(dump, snapshot):
    """Return in words how an Envoy's dump differs from a snapshot; empty if it does not."""
    have, want = in_force(dump), expected(snapshot)
    names = sorted(have.keys() | want.keys(), key=str)
    return [_difference(key, have.get(key), want.get(key)) for key in names if have.get(key) != want.get(key)] + unsettled(dump)


def _difference(key, have, want):
    type_url, name = key
    what = f"{type_url.rpartition('.')[2]} {name}"
    if have is None:
        return f"{what} is missing"
    return f"{what} is too much" if want is None else f"{what} differs"


def _resource(type_url, item, way):
    for key in way:
        item = item[key]
    message = message_class(type_url.removeprefix(PREFIX))()
    content = {key: value for key, value in item.items() if key != "@type"}
    json_format.ParseDict(content, message, descriptor_pool=POOL)
    return getattr(message, "name", None) or message.cluster_name, _normal(type_url, message)


def _normal(type_url, message):
    """Return bytes; of endpoints without what Envoy adds, since it dumps them from its hosts, in its own order."""
    if type_url == ENDPOINT:
        message.ClearField("policy")
        for group in message.endpoints:
            for host in group.lb_endpoints:
                host.endpoint.ClearField("health_check_config")
            group.lb_endpoints.sort(key=to_bytes)
        message.endpoints.sort(key=to_bytes)
    return to_bytes(message)
