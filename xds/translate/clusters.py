"""Envoy clusters: one for each TCP port of a service, the same for every view of Envoys, and of gRPC clients."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from xds.model.service import Protocol
from xds.model.traffic_objects import OutlierSpec
from xds.policy.policies import ClusterSettings
from xds.translate.ads import ads_source
from xds.translate.affinity import keep_clients
from xds.translate.assignments import METADATA, PATH, assignment_name, load_assignment, origins_of
from xds.translate.resources import resource_of
from xds.translate.routes import ORIGINAL_PATH, duration
from xds.wire import CLUSTER, ENDPOINT, envoy, pack, to_bytes

if TYPE_CHECKING:
    from xds.model.service import Port, Service
    from xds.policy.ladder import Ladder
    from xds.snapshot.resource import Resource

PASSTHROUGH = "passthrough"
"""The cluster of connections that go on to where they were going anyway (transparent sidecars)."""

CONNECT_TIMEOUT_S = 2
"""Enough for a lost SYN (1 s) between continents; a host that is gone without a trace costs this much, once a retry."""

_HTTP_OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
_UNLIMITED = 2**32 - 1
DEFAULTS: Final = ClusterSettings()
"""Where no policy speaks."""


def service_cluster(
    service: Service, port: Port, settings: ClusterSettings = DEFAULTS, ladder: Ladder | None = None, *, proxyless: bool = False
) -> Resource:
    """Return the cluster of one port. Nothing in it follows from endpoints: a change would warm the cluster again.

    With a ladder, its endpoints stand in it all the same, for the sake of those that are called by name.

    gRPC clients know only the kinds of outlier detection that we switch off (A50), so for them the field is left out: one that
    is there makes grpc-java 1.85.1 count calls per endpoint, and a call whose endpoint is taken away meanwhile hangs for ever.
    """
    message = envoy.Cluster()
    message.CopyFrom(_COMMON)
    if settings != DEFAULTS:
        _apply(settings, message, port)
        if settings.slow_start_s and not service.keeps_clients:
            message.round_robin_lb_config.slow_start_config.slow_start_window.CopyFrom(duration(settings.slow_start_s))
    if service.keeps_clients:
        keep_clients(message, proxyless=proxyless)
    if proxyless:
        message.ClearField("outlier_detection")
    message.name = service.resource_name(port.number)
    if port.protocol is Protocol.HTTP2 or settings.through_gateways:
        http = envoy.HttpProtocolOptions.ExplicitHttpConfig
        if port.protocol is Protocol.HTTP2:
            explicit = http(http2_protocol_options=envoy.Http2ProtocolOptions())
        else:
            explicit = http(http_protocol_options=envoy.Http1ProtocolOptions())
        filters = _PATH_FILTERS if settings.through_gateways else ()
        options = envoy.HttpProtocolOptions(explicit_http_config=explicit, http_filters=filters)
        message.typed_extension_protocol_options[_HTTP_OPTIONS].CopyFrom(pack(options))
    if ladder is not None:
        return _with_its_endpoints(message, service, port, ladder)
    assigned = assignment_name(service, port.number, through_gateways=settings.through_gateways)
    if assigned != message.name:
        message.eds_cluster_config.service_name = assigned
    refs = {ENDPOINT: frozenset((assigned,))}
    origins = (*service.origins, settings.origin) if settings.origin else service.origins
    return resource_of(CLUSTER, message.name, to_bytes(message), refs=refs, origins=origins)


def _with_its_endpoints(message: envoy.Cluster, service: Service, port: Port, ladder: Ladder) -> Resource:
    """Return a cluster whose endpoints stand in itself, since Envoy resolves no names that come by EDS."""
    message.type = envoy.Cluster.STRICT_DNS
    message.dns_lookup_family = envoy.Cluster.V4_PREFERRED
    message.ClearField("eds_cluster_config")
    message.load_assignment.CopyFrom(load_assignment(service, port.number, ladder))
    return resource_of(CLUSTER, message.name, to_bytes(message), origins=origins_of(service, port.number, ladder))


def passthrough_cluster() -> Resource:
    """Return the cluster that connects to the original destination, speaking what the client speaks."""
    message = envoy.Cluster(
        name=PASSTHROUGH,
        type=envoy.Cluster.ORIGINAL_DST,
        lb_policy=envoy.Cluster.CLUSTER_PROVIDED,
        connect_timeout=envoy.Duration(seconds=CONNECT_TIMEOUT_S),
        circuit_breakers=_unlimited(),
    )
    same = envoy.HttpProtocolOptions.UseDownstreamHttpConfig(
        http_protocol_options=envoy.Http1ProtocolOptions(), http2_protocol_options=envoy.Http2ProtocolOptions()
    )
    options = envoy.HttpProtocolOptions(use_downstream_protocol_config=same)
    message.typed_extension_protocol_options[_HTTP_OPTIONS].CopyFrom(pack(options))
    return resource_of(CLUSTER, PASSTHROUGH, to_bytes(message))


def _unlimited() -> envoy.CircuitBreakers:
    """Return thresholds that never bind: Envoy's defaults (1,024 requests, 3 retries at once) fail requests in a failover."""
    thresholds = envoy.CircuitBreakers.Thresholds
    limit = envoy.UInt32Value(value=_UNLIMITED)
    return envoy.CircuitBreakers(
        thresholds=[thresholds(max_connections=limit, max_pending_requests=limit, max_requests=limit, max_retries=limit)]
    )


def _apply(settings: ClusterSettings, message: envoy.Cluster, port: Port) -> None:
    """Put what a policy says in place of what stands there by default."""
    message.common_lb_config.healthy_panic_threshold.value = settings.panic_percent
    if (spec := settings.outlier_detection) is not None:
        message.outlier_detection.CopyFrom(_outlier_detection(spec))
    if (check := settings.health_check) is not None:
        question = envoy.HealthCheck(
            timeout=duration(check.timeout_seconds),
            interval=duration(check.interval_seconds),
            unhealthy_threshold=envoy.UInt32Value(value=check.unhealthy_threshold),
            healthy_threshold=envoy.UInt32Value(value=check.healthy_threshold),
        )
        if check.path and port.protocol.is_http:
            codec = "HTTP2" if port.protocol is Protocol.HTTP2 else "HTTP1"
            question.http_health_check.CopyFrom(envoy.HealthCheck.HttpHealthCheck(path=check.path, codec_client_type=codec))
        else:
            question.tcp_health_check.SetInParent()
        message.health_checks.append(question)


def _outlier_detection(spec: OutlierSpec) -> envoy.OutlierDetection:
    """Return ejection, by default on local-origin failures only: a host that cannot be reached, not one that answers 503.

    All hosts may be ejected, so a moment in which a client reaches nobody must not cost much longer than itself: hosts come
    back after seconds, not after Envoy's half minute. Everything else is stated as 0, since gRPC (A50) and Envoy switch
    success rates on by default.
    """
    zero, always = envoy.UInt32Value(value=0), envoy.UInt32Value(value=100)
    local, answers, gateway = spec.consecutive_local_failures, spec.consecutive_server_errors, spec.consecutive_gateway_errors
    return envoy.OutlierDetection(
        interval=duration(spec.interval_seconds),
        base_ejection_time=duration(spec.base_ejection_seconds),
        max_ejection_time=duration(spec.max_ejection_seconds),
        split_external_local_origin_errors=True,
        consecutive_local_origin_failure=envoy.UInt32Value(value=local) if local else None,
        enforcing_consecutive_local_origin_failure=always if local else zero,
        enforcing_local_origin_success_rate=zero,
        consecutive_5xx=envoy.UInt32Value(value=answers) if answers else None,
        enforcing_consecutive_5xx=always if answers else zero,
        consecutive_gateway_failure=envoy.UInt32Value(value=gateway) if gateway else None,
        enforcing_consecutive_gateway_failure=always if gateway else zero,
        enforcing_success_rate=zero,
        enforcing_failure_percentage=zero,
        enforcing_failure_percentage_local_origin=zero,
        max_ejection_percent=envoy.UInt32Value(value=spec.max_ejection_percent),
    )


def _path_filters() -> list[envoy.HttpFilter]:
    """Return what puts the path of a gateway in front of a request's, once the endpoint is chosen: anew in each try.

    Only a script may change the path of a request at that point, and only header mutations know the endpoint's metadata. The
    mark in front keeps the header from being empty, in which case a client's own would stay.
    """
    found = envoy.HeaderValueOption(
        header=envoy.HeaderValue(key=_IN_FRONT, value=f"=%UPSTREAM_METADATA({METADATA}:{PATH})%"),
        append_action=envoy.HeaderValueOption.OVERWRITE_IF_EXISTS_OR_ADD,
    )
    mutation = envoy.HeaderMutation(mutations=envoy.Mutations(request_mutations=[{"append": found}]))
    script = envoy.Lua(default_source_code=envoy.DataSource(inline_string=_SCRIPT))
    named = (("header_mutation", mutation), ("lua", script), ("upstream_codec", envoy.UpstreamCodec()))
    return [envoy.HttpFilter(name=f"envoy.filters.http.{name}", typed_config=pack(config)) for name, config in named]


_IN_FRONT: Final = "x-isthmus-path"
_SCRIPT: Final = f"""function envoy_on_request(handle)
  local headers = handle:headers()
  local in_front = headers:get("{_IN_FRONT}"):sub(2)
  local path = headers:get("{ORIGINAL_PATH}") or headers:get(":path")
  headers:remove("{_IN_FRONT}")
  headers:replace("{ORIGINAL_PATH}", path)
  headers:replace(":path", in_front .. path)
end
"""
"""Where a route does not keep the path yet, since it is on its way, the first try does."""
_PATH_FILTERS: Final = _path_filters()
_COMMON = envoy.Cluster(
    type=envoy.Cluster.EDS,
    eds_cluster_config=envoy.Cluster.EdsClusterConfig(eds_config=ads_source()),
    connect_timeout=envoy.Duration(seconds=CONNECT_TIMEOUT_S),
    lb_policy=envoy.Cluster.ROUND_ROBIN,
    common_lb_config=envoy.Cluster.CommonLbConfig(
        # Never send to hosts known to be unhealthy: the next tier is there for that.
        healthy_panic_threshold=envoy.Percent(value=0),
        locality_weighted_lb_config=envoy.Cluster.CommonLbConfig.LocalityWeightedLbConfig(),
    ),
    circuit_breakers=_unlimited(),
    outlier_detection=_outlier_detection(OutlierSpec()),
    # Proxyless gRPC reports its loads for clusters that say so (A27); Envoy does by its bootstrap, and ignores this.
    lrs_server=envoy.ConfigSource(self=envoy.SelfConfigSource()),
)
"""What the clusters of all services have in common."""
