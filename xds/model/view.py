"""Views: what proxies share. All proxies of one view get the same bytes."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


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


@dataclass(frozen=True, slots=True, order=True)
class View:
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
    node_name: str = ""
    """Set only where a policy needs it."""

    def __str__(self) -> str:
        place = "/".join((self.cluster or "-", self.region or "-", self.zone or "-"))
        extra = [
            part
            for part in (self.namespace, self.intercept if self.role == Role.SIDECAR else "", self.gateway, self.node_name)
            if part
        ]
        return f"{self.role}@{place} {' '.join(extra)}".strip()
