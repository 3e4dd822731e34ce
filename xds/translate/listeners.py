"""Listeners and the HTTP connection managers in them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from xds.translate.ads import ads_source
from xds.wire import envoy, pack

if TYPE_CHECKING:
    from collections.abc import Sequence

    from google.protobuf.message import Message


def http_filter(
    stat_prefix: str, route_config_name: str, filters: Sequence[envoy.HttpFilter] = (), *, edge: bool = False
) -> envoy.Filter:
    """Return an HTTP connection manager whose routes come by RDS.

    Args:
        stat_prefix: where Envoy counts.
        route_config_name: the RouteConfiguration to ask for.
        filters: what requests pass before they are routed.
        edge: clients are strangers: their address is taken from the connection, and paths are normalised before routing.
    """
    manager = envoy.HttpConnectionManager(
        stat_prefix=stat_prefix,
        rds=envoy.Rds(config_source=ads_source(), route_config_name=route_config_name),
        http_filters=[*filters, router()],
        upgrade_configs=[envoy.HttpConnectionManager.UpgradeConfig(upgrade_type="websocket")],
        # Streams live: neither they nor quiet WebSockets are cut off by default.
        stream_idle_timeout=envoy.Duration(),
    )
    if edge:
        manager.use_remote_address.value = True
        manager.normalize_path.value = True
        manager.merge_slashes = True
    return named_filter("envoy.filters.network.http_connection_manager", manager)


def tcp_filter(stat_prefix: str, cluster: str, kept_by: envoy.HashPolicy | None = None) -> envoy.Filter:
    """Return a filter that connects to one cluster; connections may be idle for as long as they like.

    Args:
        stat_prefix: where Envoy counts.
        cluster: the cluster.
        kept_by: what clients are kept to endpoints by.
    """
    kept = [kept_by] if kept_by else ()
    proxy = envoy.TcpProxy(stat_prefix=stat_prefix, cluster=cluster, idle_timeout=envoy.Duration(), hash_policy=kept)
    return named_filter("envoy.filters.network.tcp_proxy", proxy)


def named_filter(name: str, config: Message) -> envoy.Filter:
    """Return a network filter with its configuration."""
    return envoy.Filter(name=name, typed_config=pack(config))


def router() -> envoy.HttpFilter:
    """Return the filter that ends every HTTP filter chain."""
    return envoy.HttpFilter(name="envoy.filters.http.router", typed_config=pack(envoy.Router()))


def socket_address(listen: str) -> envoy.Address:
    """Return the address of `ADDRESS:PORT`, e.g. `127.0.0.1:15001` or `[::]:15001`."""
    address, _, port = listen.rpartition(":")
    return envoy.Address(socket_address=envoy.SocketAddress(address=address.strip("[]"), port_value=int(port)))
