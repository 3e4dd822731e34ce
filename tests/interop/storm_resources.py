"""The resources of the storm, made by hand, without retries and with refs as translation sets them; each can be spoilt."""

from xds.snapshot.resource import Resource
from xds.translate.ads import ads_source
from xds.translate.listeners import named_filter, router, socket_address
from xds.wire import CLUSTER, ENDPOINT, LISTENER, ROUTE, envoy, pack, to_bytes

FAULTS = {CLUSTER: ("timeout", "balancer"), ENDPOINT: ("priority", "weight"), ROUTE: ("regex", "twice"), LISTENER: ("filter",)}
"""Type URL -> what can be wrong with a resource, so that every Envoy rejects it."""

WHY = "%RESPONSE_CODE% %RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS% %UPSTREAM_CLUSTER% %LOCAL_REPLY_BODY%\n"
"""The body of every answer that Envoy gives by itself."""


def cluster(name, *, claim, connect_timeout_ms, fault=""):
    """Return an EDS cluster whose endpoints are called `claim`."""
    message = envoy.Cluster(name=name, type=envoy.Cluster.EDS, lb_policy=envoy.Cluster.ROUND_ROBIN)
    message.eds_cluster_config.eds_config.CopyFrom(ads_source())
    if claim != name:
        message.eds_cluster_config.service_name = claim
    message.connect_timeout.FromMilliseconds(0 if fault == "timeout" else connect_timeout_ms)
    if fault == "balancer":
        unknown = message.load_balancing_policy.policies.add().typed_extension_config
        unknown.name = "unknown"
        unknown.typed_config.CopyFrom(pack(envoy.Router()))
    return Resource.of(CLUSTER, name, to_bytes(message), refs={ENDPOINT: frozenset((claim,))})


def assignment(name, *, pods, port, fault=""):
    """Return the endpoints `name`: one locality for each of the pods' places, all in priority 0."""
    message = envoy.ClusterLoadAssignment(cluster_name=name)
    for place in sorted({pod.place for pod in pods}):
        group = message.endpoints.add()
        group.locality.region, group.locality.zone = place.cluster, place.zone
        group.load_balancing_weight.value = 1
        for pod in pods:
            if pod.place == place:
                host = group.lb_endpoints.add(health_status=envoy.HealthStatus.HEALTHY)
                host.load_balancing_weight.value = 0 if fault == "weight" else 1
                host.endpoint.address.CopyFrom(socket_address(f"{pod.address}:{port}"))
        if fault == "priority":
            group.priority = 129
    return Resource.of(ENDPOINT, name, to_bytes(message))


def route_table(name, *, clusters, revision):
    """Return a route configuration message: host -> cluster, as pairs."""
    message = envoy.RouteConfiguration(name=name)
    for host, target in clusters:
        virtual = message.virtual_hosts.add(name=host, domains=[host])
        route = virtual.routes.add()
        route.match.prefix = "/"
        route.route.cluster = target
        header = virtual.response_headers_to_add.add().header
        header.key, header.value = "x-revision", str(revision)
    return message


def routes(name, *, clusters, revision, fault=""):
    """Return a route configuration."""
    message = route_table(name, clusters=clusters, revision=revision)
    if fault == "regex":
        route = message.virtual_hosts.add(name="bad", domains=["bad"]).routes.add()
        route.match.safe_regex.regex = "("
        route.direct_response.status = 200
    elif fault == "twice":
        message.virtual_hosts.add(name="again", domains=[clusters[0][0]] * 2)
    return Resource.of(ROUTE, name, to_bytes(message), refs={CLUSTER: _targets(clusters)})


def rds_listener(name, *, host, port, route_config, revision, fault=""):
    """Return an HTTP listener whose routes come by RDS."""
    manager = _manager(name, revision)
    manager.rds.route_config_name = route_config
    manager.rds.config_source.CopyFrom(ads_source())
    return _listener(name, (host, port), _http(manager), {ROUTE: frozenset((route_config,))}, fault)


def inline_listener(name, *, host, port, clusters, revision, validated=True, fault=""):
    """Return an HTTP listener that holds its routes itself; validated, Envoy rejects it if one of its clusters is missing."""
    manager = _manager(name, revision)
    manager.route_config.CopyFrom(route_table(name, clusters=clusters, revision=revision))
    manager.route_config.validate_clusters.value = validated
    return _listener(name, (host, port), _http(manager), {CLUSTER: _targets(clusters)}, fault)


def tcp_listener(name, *, host, port, target, revision, fault=""):
    """Return a listener that connects to one cluster."""
    proxy = envoy.TcpProxy(stat_prefix=name, cluster=target)
    proxy.max_connect_attempts.value = 1
    proxy.idle_timeout.seconds = 3600 + revision
    return _listener(
        name, (host, port), named_filter("envoy.filters.network.tcp_proxy", proxy), {CLUSTER: frozenset((target,))}, fault
    )


def _targets(clusters):
    return frozenset(target for _, target in clusters)


def _manager(name, revision):
    manager = envoy.HttpConnectionManager(stat_prefix=name, http_filters=[router()], server_name=f"revision-{revision}")
    manager.local_reply_config.body_format.text_format_source.inline_string = WHY
    return manager


def _http(manager):
    return named_filter("envoy.filters.network.http_connection_manager", manager)


def _listener(name, address, last, refs, fault):
    filters = [named_filter("unknown", envoy.Router())] if fault == "filter" else []
    chain = envoy.FilterChain(filters=[*filters, last])
    message = envoy.Listener(name=name, address=socket_address("{}:{}".format(*address)), filter_chains=[chain])
    return Resource.of(LISTENER, name, to_bytes(message), refs=refs)
