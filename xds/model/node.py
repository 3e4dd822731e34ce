"""Nodes: what a client says of itself, and the view that follows from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, TypeVar

from xds.errors import NodeRejectedError
from xds.model.view import Intercept, Role, View
from xds.problems import Problem

if TYPE_CHECKING:
    from xds.model.members import Member

METADATA_KEY = "isthmus"
KNOWN_KEYS = frozenset(
    ("cluster", "network", "namespace", "service_account", "role", "intercept", "gateway", "node_name", "labels"),
)

Choice = TypeVar("Choice", bound=StrEnum)


@dataclass(frozen=True, slots=True)
class Node:
    """The `node` of the first request of a stream (xDS: envoy.config.core.v3.Node)."""

    id: str
    workload: str = ""
    """`node.cluster`."""
    region: str = ""
    zone: str = ""
    metadata: Mapping[str, Any] = field(default_factory=dict)
    """All of `node.metadata`, as JSON values; ours is under the key `isthmus`."""
    user_agent: str = ""
    features: frozenset[str] = frozenset()
    """`client_features`."""


def view_of(node: Node, members: Mapping[str, Member]) -> tuple[View, tuple[Problem, ...]]:
    """Return the view of a node, and a problem for each value that was missing and got a default.

    Raises:
        NodeRejectedError: the node names something that does not exist or that nobody can serve.
    """
    return _Resolution(node, members).view()


class _Resolution:
    def __init__(self, node: Node, members: Mapping[str, Member]) -> None:
        self.node = node
        self.members = members
        self.problems: list[Problem] = []
        found = node.metadata.get(METADATA_KEY, {})
        if not isinstance(found, Mapping):
            raise NodeRejectedError(node.id, f"metadata.{METADATA_KEY} must be an object, not {type(found).__name__}")
        self.metadata: Mapping[str, Any] = found
        for key in sorted(set(found) - KNOWN_KEYS):
            self.note(f"{METADATA_KEY}.{key}", f"unknown key; known are {', '.join(sorted(KNOWN_KEYS))}")

    def note(self, where: str, message: str) -> None:
        self.problems.append(Problem("XDS0502", f"node {self.node.id!r}: {message}", field=f"node.metadata.{where}"))

    def text(self, key: str) -> str:
        value = self.metadata.get(key, "")
        if not isinstance(value, str):
            reason = f"metadata.{METADATA_KEY}.{key} must be a string, not {type(value).__name__}"
            raise NodeRejectedError(self.node.id, reason)
        return value

    def choice(self, key: str, kind: type[Choice], default: Choice) -> Choice:
        text = self.text(key)
        if not text:
            return default
        try:
            return kind(text)
        except ValueError:
            names = ", ".join(kind)
            raise NodeRejectedError(self.node.id, f"metadata.{METADATA_KEY}.{key} is {text!r}; use one of {names}") from None

    def view(self) -> tuple[View, tuple[Problem, ...]]:
        role = self.choice("role", Role, Role.PROXYLESS if self.node.user_agent.startswith("gRPC") else Role.SIDECAR)
        intercept = self.choice("intercept", Intercept, Intercept.EXPLICIT)
        member = self.member()
        region, zone = self.node.region, self.node.zone
        if not region:
            region = member.region if member else ""
            self.note("", f"node.locality.region is missing; using {region!r}")
        namespace = self.text("namespace")
        gateway = self.text("gateway")
        if not namespace:
            namespace = gateway.partition("/")[0] if "/" in gateway else "default"
            self.note(f"{METADATA_KEY}.namespace", f"missing; using {namespace!r}")
        if role == Role.GATEWAY and gateway and "/" not in gateway:
            gateway = f"{namespace}/{gateway}"
        view = View(
            cluster=member.name if member else "",
            network=self.text("network") or (member.network if member else "default"),
            region=region,
            zone=zone,
            role=role,
            # Only what differs by namespace is kept apart: a bare host name is a sidecar's (or node proxy's) business.
            namespace=namespace if role in (Role.SIDECAR, Role.NODE) else "",
            intercept=intercept if role in (Role.SIDECAR, Role.NODE) else Intercept.EXPLICIT,
            gateway=gateway if role == Role.GATEWAY else "",
        )
        return view, tuple(self.problems)

    def member(self) -> Member | None:
        name = self.text("cluster")
        if name:
            if name not in self.members:
                known = ", ".join(sorted(self.members)) or "none"
                raise NodeRejectedError(
                    self.node.id, f"metadata.{METADATA_KEY}.cluster {name!r} is not a member cluster; members are {known}"
                )
            return self.members[name]
        fitting = [
            member
            for member in self.members.values()
            if self.node.region
            and member.region == self.node.region
            and (not self.node.zone or not member.zones or self.node.zone in member.zones)
        ]
        if len(fitting) == 1:
            self.note(f"{METADATA_KEY}.cluster", f"missing; using {fitting[0].name!r}, the only member in the node's locality")
            return fitting[0]
        self.note(
            f"{METADATA_KEY}.cluster", "missing, and no single member fits the node's locality; only cluster-set names are served"
        )
        return None
