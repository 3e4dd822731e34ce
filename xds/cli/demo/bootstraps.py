"""Bootstraps of the demo's Envoys."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from xds.cli.demo.manifests import GATEWAY, NAMESPACE

if TYPE_CHECKING:
    from xds.cli.demo.lab import Proxy

_HTTP_OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"


def bootstrap_of(proxy: Proxy, xds_address: str, *, delta: bool) -> dict[str, Any]:
    """Return a bootstrap, without its admin interface, in proto3 JSON form."""
    host, _, port = xds_address.rpartition(":")
    metadata = {"cluster": proxy.place.cluster, "namespace": NAMESPACE, "role": proxy.role}
    if proxy.role == "gateway":
        metadata["gateway"] = GATEWAY
    else:
        metadata |= {"intercept": proxy.intercept, "listen": proxy.listen}
    source = {"ads": {}, "resource_api_version": "V3"}
    ads = {
        "api_type": "DELTA_GRPC" if delta else "GRPC",
        "transport_api_version": "V3",
        "grpc_services": [{"envoy_grpc": {"cluster_name": "xds"}}],
    }
    address = {"socket_address": {"address": host, "port_value": int(port)}}
    endpoints = [{"lb_endpoints": [{"endpoint": {"address": address}}]}]
    http2 = {
        "@type": f"type.googleapis.com/{_HTTP_OPTIONS}",
        "explicit_http_config": {"http2_protocol_options": {}},
    }
    cluster = {
        "name": "xds",
        "type": "STATIC",
        "connect_timeout": "1s",
        "typed_extension_protocol_options": {_HTTP_OPTIONS: http2},
        "load_assignment": {"cluster_name": "xds", "endpoints": endpoints},
    }
    locality = {"region": proxy.region, "zone": proxy.place.zone}
    return {
        "node": {"id": proxy.name, "cluster": "demo", "locality": locality, "metadata": {"isthmus": metadata}},
        "dynamic_resources": {"lds_config": source, "cds_config": source, "ads_config": ads},
        "static_resources": {"clusters": [cluster]},
    }
