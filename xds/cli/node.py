"""What the command line says of a node, and the metadata in which the node repeats it to the control plane."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class NodeFlags:
    """A node as described by flags; "" stands for what was not said."""

    node_id: str
    workload: str = ""
    cluster: str = ""
    region: str = ""
    zone: str = ""
    role: str = ""
    namespace: str = ""
    intercept: str = ""
    listen: str = ""
    gateway: str = ""
    network: str = ""

    @property
    def metadata(self) -> dict[str, Any]:
        """`node.metadata`, with only what was said and the role."""
        keys = ("cluster", "network", "namespace", "intercept", "listen", "gateway")
        said = {key: getattr(self, key) for key in keys}
        return {"isthmus": {"role": self.role or "sidecar"} | {key: value for key, value in said.items() if value}}

    @property
    def locality(self) -> dict[str, str]:
        """`node.locality`, with only what was said."""
        return {key: value for key, value in (("region", self.region), ("zone", self.zone)) if value}

    @property
    def node_cluster(self) -> str:
        """`node.cluster`, which Envoy requires."""
        return self.workload or self.role or "sidecar"
