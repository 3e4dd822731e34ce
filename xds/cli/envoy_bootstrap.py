"""The bootstrap of an Envoy, authored with typed dataclasses of the Envoy API so that a misspelt field cannot happen."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import betterproto2
from envoy_data_plane.envoy.config.bootstrap.v3 import (
    Admin,
    Bootstrap,
    BootstrapDynamicResources,
    BootstrapStaticResources,
    ClusterManager,
)
from envoy_data_plane.envoy.config.cluster.v3 import Cluster, ClusterDiscoveryType, UpstreamConnectionOptions
from envoy_data_plane.envoy.config.core.v3 import (
    Address,
    AggregatedConfigSource,
    ApiConfigSource,
    ApiConfigSourceApiType,
    ApiVersion,
    BackoffStrategy,
    ConfigSource,
    DataSource,
    GrpcService,
    GrpcServiceEnvoyGrpc,
    Http2ProtocolOptions,
    KeepaliveSettings,
    Locality,
    Node,
    Pipe,
    RetryPolicy,
    SocketAddress,
    TcpKeepalive,
    TransportSocket,
)
from envoy_data_plane.envoy.config.endpoint.v3 import ClusterLoadAssignment, Endpoint, LbEndpoint, LocalityLbEndpoints
from envoy_data_plane.envoy.config.overload.v3 import OverloadManager, ResourceMonitor
from envoy_data_plane.envoy.extensions.resource_monitors.downstream_connections.v3 import DownstreamConnectionsConfig
from envoy_data_plane.envoy.extensions.transport_sockets.tls.v3 import (
    CertificateValidationContext,
    CommonTlsContext,
    SubjectAltNameMatcher,
    SubjectAltNameMatcherSanType,
    TlsCertificate,
    UpstreamTlsContext,
)
from envoy_data_plane.envoy.extensions.upstreams.http.v3 import HttpProtocolOptions, HttpProtocolOptionsExplicitHttpConfig
from envoy_data_plane.envoy.type.matcher.v3 import StringMatcher
from envoy_data_plane.google.protobuf import Any as ProtoAny
from envoy_data_plane.google.protobuf import Struct

from xds.cli.xds_tls import host_of, is_ip

if TYPE_CHECKING:
    from xds.cli.node import NodeFlags
    from xds.cli.xds_tls import XdsTls

XDS_CLUSTER = "isthmus_xds"
MAX_CONNECTIONS = 50_000
"""Without some limit, Envoy warns at every start."""
RECONNECT_S, MAX_RECONNECT_S = 0.5, 5.0
"""How soon Envoy tries again to reach the control plane, growing up to the second; by its own default up to 30 s."""
_HTTP = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"


def envoy_bootstrap(
    node: NodeFlags, xds_address: str, *, admin_address: str, delta: bool, tls: XdsTls | None = None
) -> dict[str, Any]:
    """Return the bootstrap in proto3 JSON.

    Args:
        node: who the Envoy says it is.
        xds_address: where the control plane serves xDS: `HOST:PORT`, `[IPV6]:PORT` or `unix:/PATH`.
        admin_address: where Envoy's own admin page is to be.
        delta: incremental xDS, else state of the world.
        tls: whom to trust on the way to the control plane; None: plain text.
    """
    ads = ConfigSource(ads=AggregatedConfigSource(), resource_api_version=ApiVersion.V3)
    bootstrap = Bootstrap(
        node=Node(
            id=node.node_id,
            cluster=node.node_cluster,
            locality=Locality(**node.locality) if node.locality else None,
            metadata=Struct.from_dict(node.metadata),
        ),
        admin=Admin(address=_address(admin_address), ignore_global_conn_limit=True),
        dynamic_resources=BootstrapDynamicResources(
            ads_config=ApiConfigSource(
                api_type=ApiConfigSourceApiType.DELTA_GRPC if delta else ApiConfigSourceApiType.GRPC,
                transport_api_version=ApiVersion.V3,
                grpc_services=[GrpcService(envoy_grpc=_envoy_grpc())],
                set_node_on_first_message_only=True,
            ),
            cds_config=ads,
            lds_config=ads,
        ),
        static_resources=BootstrapStaticResources(clusters=[_xds_cluster(xds_address, tls)]),
        # Envoy tells how many requests it sent where (LRS); without this field nobody is asked for them.
        cluster_manager=ClusterManager(
            load_stats_config=ApiConfigSource(
                api_type=ApiConfigSourceApiType.GRPC,
                transport_api_version=ApiVersion.V3,
                grpc_services=[GrpcService(envoy_grpc=_envoy_grpc())],
            ),
        ),
        overload_manager=OverloadManager(resource_monitors=[_connection_limit()]),
    )
    result: dict[str, Any] = bootstrap.to_dict(casing=betterproto2.Casing.SNAKE)
    return result


def _envoy_grpc() -> GrpcServiceEnvoyGrpc:
    back_off = BackoffStrategy(base_interval=timedelta(seconds=RECONNECT_S), max_interval=timedelta(seconds=MAX_RECONNECT_S))
    return GrpcServiceEnvoyGrpc(cluster_name=XDS_CLUSTER, retry_policy=RetryPolicy(retry_back_off=back_off))


def _xds_cluster(address: str, tls: XdsTls | None) -> Cluster:
    host = host_of(address)
    by_name = bool(host) and not is_ip(host)
    endpoint = LbEndpoint(endpoint=Endpoint(address=_address(address)))
    return Cluster(
        name=XDS_CLUSTER,
        type=ClusterDiscoveryType.STRICT_DNS if by_name else ClusterDiscoveryType.STATIC,
        connect_timeout=timedelta(seconds=1),
        load_assignment=ClusterLoadAssignment(cluster_name=XDS_CLUSTER, endpoints=[LocalityLbEndpoints(lb_endpoints=[endpoint])]),
        typed_extension_protocol_options={_HTTP: ProtoAny.pack(_http2())},
        transport_socket=_transport_socket(tls) if tls else None,
        # A control plane whose machine vanished must be noticed, although it never closes the connection.
        upstream_connection_options=UpstreamConnectionOptions(
            tcp_keepalive=TcpKeepalive(keepalive_probes=3, keepalive_time=30, keepalive_interval=10),
        ),
    )


def _transport_socket(tls: XdsTls) -> TransportSocket:
    """Return TLS with files that Envoy reads once, when it starts: it follows files of its own SDS alone."""
    kind = SubjectAltNameMatcherSanType.IP_ADDRESS if tls.names_ip else SubjectAltNameMatcherSanType.DNS
    name = SubjectAltNameMatcher(san_type=kind, matcher=StringMatcher(exact=tls.server_name))
    own = TlsCertificate(certificate_chain=DataSource(filename=tls.cert), private_key=DataSource(filename=tls.key))
    context = UpstreamTlsContext(
        common_tls_context=CommonTlsContext(
            tls_certificates=[own] if tls.cert else [],
            validation_context=CertificateValidationContext(
                trusted_ca=DataSource(filename=tls.ca), match_typed_subject_alt_names=[name]
            ),
            alpn_protocols=["h2"],
        ),
        sni="" if tls.names_ip else tls.server_name,
    )
    return TransportSocket(name="envoy.transport_sockets.tls", typed_config=ProtoAny.pack(context))


def _http2() -> HttpProtocolOptions:
    keepalive = KeepaliveSettings(interval=timedelta(seconds=30), timeout=timedelta(seconds=10))
    options = Http2ProtocolOptions(connection_keepalive=keepalive)
    return HttpProtocolOptions(explicit_http_config=HttpProtocolOptionsExplicitHttpConfig(http2_protocol_options=options))


def _connection_limit() -> ResourceMonitor:
    limit = DownstreamConnectionsConfig(max_active_downstream_connections=MAX_CONNECTIONS)
    return ResourceMonitor(name="envoy.resource_monitors.global_downstream_max_connections", typed_config=ProtoAny.pack(limit))


def _address(address: str) -> Address:
    if address.startswith("unix:"):
        return Address(pipe=Pipe(path=address.removeprefix("unix:")))
    host, _, port = address.rpartition(":")
    return Address(socket_address=SocketAddress(address=host.strip("[]"), port_value=int(port)))
