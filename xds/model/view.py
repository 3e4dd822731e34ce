"""Views: what proxies share. All proxies of one view get the same bytes."""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct


class Role(StrEnum):
    """What kind of client a node is."""

    SIDECAR = "sidecar"
    NODE = "node"
    GATEWAY = "gateway"
    PROXYLESS = "proxyless"


class Intercept(StrEnum):
    """How a sidecar gets its traffic."""

    EXPLICIT = "explicit"
    """Applications send HTTP to 127.0.0.1:15001; the Host header decides."""
    TRANSPARENT = "transparent"
    """Connections are redirected to 0.0.0.0:15001; their original destination decides."""


class View(Struct, frozen=True, order=True, cache_hash=True):
    """The key of a view."""

    cluster: str = ""
    """The member it belongs to; "" outside every member: cluster-set names alone."""
    network: str = "default"
    region: str = ""
    zone: str = ""
    role: Role = Role.SIDECAR
    namespace: str = "default"
    intercept: Intercept = Intercept.EXPLICIT
    gateway: str = ""
    """`<namespace>/<name>` of the Gateway to serve; "" for all of its cluster."""
    listen: str = ""
    """Where a sidecar's `outbound` listener listens, `ADDRESS:PORT`; "" for every other role."""
    node_name: str = ""
    """Set only where a policy needs it."""

    def __str__(self) -> str:
        parts = [f"{self.role}@{self.cluster or '-'}/{self.region or '-'}/{self.zone or '-'}"]
        if self.listen:
            parts += [f"ns={self.namespace}", str(self.intercept), self.listen]
        parts += [text for text in (self.gateway, self.node_name) if text]
        parts += [f"net={self.network}"] if self.network != "default" else []
        return " ".join(parts)
