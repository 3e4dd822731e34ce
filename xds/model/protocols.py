"""What a port speaks: by `appProtocol`, then by the name of the port, then TCP."""

from __future__ import annotations

from xds.model.service import Protocol

_APP_PROTOCOLS = {
    "http": Protocol.HTTP,
    "http2": Protocol.HTTP2,
    "grpc": Protocol.HTTP2,
    "h2c": Protocol.HTTP2,
    "kubernetes.io/h2c": Protocol.HTTP2,
    "kubernetes.io/ws": Protocol.HTTP,
}
"""Kubernetes' own prefixed values (KEP-3726) and the IANA names that people write; all else is opaque TCP."""

_NAME_PREFIXES = {
    "http": Protocol.HTTP,
    "http2": Protocol.HTTP2,
    "grpc": Protocol.HTTP2,
    "h2c": Protocol.HTTP2,
    "ws": Protocol.HTTP,
}


def protocol_of(app_protocol: str | None, port_name: str) -> Protocol:
    """Return the protocol of a port, e.g. HTTP for a port named `http` or `http-admin`."""
    if app_protocol:
        return _APP_PROTOCOLS.get(app_protocol.lower(), Protocol.TCP)
    return _NAME_PREFIXES.get(port_name.partition("-")[0], Protocol.TCP)
