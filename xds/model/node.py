"""Nodes: what a client says of itself, and the view that follows from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, TypeVar

from xds.errors import NodeRejectedError
from xds.model.local import canonical_address
from xds.model.view import Intercept, Role, View
from xds.problems import Problem

if TYPE_CHECKING:
    from xds.model.members import Member

METADATA_KEY = "isthmus"
KNOWN_KEYS = frozenset(
    ("cluster", "network", "namespace", "service_account", "role", "intercept", "listen", "gateway", "node_name", "labels"),
)
UNKNOWN_KEYS = 20
"""Unknown keys told one by one: a problem is kept for each, as long as the client is connected."""

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

    @property
    def is_grpc(self) -> bool:
        """Whether it is a gRPC library, which says so whatever its language: `gRPC C-core`, `gRPC Go`, `grpc-node` ..."""
        return self.user_agent.lower().startswith("grpc")


DEFAULT_LISTEN = {Intercept.EXPLICIT: "127.0.0.1:15001", Intercept.TRANSPARENT: "0.0.0.0:15001"}
"""Where the `outbound` listener of a sidecar listens unless its metadata says `listen: ADDRESS:PORT`."""


def view_of(node: Node, members: Mapping[str, Member], *, by_node: bool = False) -> tuple[View, tuple[Problem, ...]]:
    """Return the view of a node, and a problem for each value that was missing and got a default.

    Args:
        node: what the client says of itself.
        members: the fleet's members by name.
        by_node: some policy looks at the Kubernetes node a client runs on, so views are kept apart by it.

    Raises:
        NodeRejectedError: the node names something that does not exist or that nobody can serve.
    """
    return _Resolution(node, members).view(by_node=by_node)


class _Resolution:
    def __init__(self, node: Node, members: Mapping[str, Member]) -> None:
        self.node = node
        self.members = members
        self.problems: list[Problem] = []
        found = node.metadata.get(METADATA_KEY, {})
        if not isinstance(found, Mapping):
            raise NodeRejectedError(node.id, f"metadata.{METADATA_KEY} must be an object, not {type(found).__name__}")
        self.metadata: Mapping[str, Any] = found
        if unknown := sorted(found.keys() - KNOWN_KEYS):
            self.note_unknown(unknown)

    def note(self, where: str, message: str, *, code: str = "XDS0502") -> None:
        self.problems.append(Problem(code, f"node {self.node.id!r}: {message}", field=f"node.{where}"))

    def note_unknown(self, keys: list[str]) -> None:
        known = f"known are {', '.join(sorted(KNOWN_KEYS))}"
        for key in keys[:UNKNOWN_KEYS]:
            self.note_key(key, f"unknown key; {known}", code="XDS0504")
        if more := len(keys[UNKNOWN_KEYS:]):
            self.note(f"metadata.{METADATA_KEY}", f"{more} more unknown keys; {known}", code="XDS0504")

    def note_key(self, key: str, message: str, *, code: str = "XDS0502") -> None:
        self.note(f"metadata.{METADATA_KEY}.{key}", message, code=code)

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

    def view(self, *, by_node: bool) -> tuple[View, tuple[Problem, ...]]:
        role = self.choice("role", Role, Role.PROXYLESS if self.node.is_grpc else Role.SIDECAR)
        member = self.member()
        intercepts = role in (Role.SIDECAR, Role.NODE)
        intercept = self.choice("intercept", Intercept, Intercept.EXPLICIT) if intercepts else Intercept.EXPLICIT
        view = View(
            cluster=member.name if member else "",
            network=self.network(member),
            region=self.node.region or self.default("region", member.region if member else ""),
            zone=self.node.zone or self.default("zone", member.zones[0] if member and len(member.zones) == 1 else ""),
            role=role,
            # Only what differs by namespace is kept apart: a bare host name means something to a sidecar alone.
            namespace=self.namespace() if intercepts else "",
            intercept=intercept,
            gateway=self.gateway() if role == Role.GATEWAY else "",
            listen=self.listen(DEFAULT_LISTEN[intercept]) if intercepts else "",
            node_name=self.text("node_name") if by_node else "",
        )
        return view, tuple(self.problems)

    def default(self, part: str, value: str) -> str:
        """Return what stands for a missing part of the locality, and say so."""
        self.note(f"locality.{part}", f"missing; using {value!r}" if value else f"missing; nothing counts as the same {part}")
        return value

    def network(self, member: Member | None) -> str:
        text = self.text("network")
        if text and text not in (networks := {other.network for other in self.members.values()}):
            known = sorted(networks)
            message = f"{text!r} is no member's network, so no endpoint is reachable; members have {', '.join(known) or 'none'}"
            self.note_key("network", message)
        return text or (member.network if member else "default")

    def namespace(self) -> str:
        text = self.text("namespace")
        if not text:
            self.note_key("namespace", "missing; using 'default'")
        return text or "default"

    def gateway(self) -> str:
        text = self.text("gateway")
        return f"{self.namespace()}/{text}" if text and "/" not in text else text

    def listen(self, default: str) -> str:
        text = self.text("listen") or default
        if not _is_socket_address(text):
            reason = f"metadata.{METADATA_KEY}.listen is {text!r}; use ADDRESS:PORT, e.g. {default}"
            raise NodeRejectedError(self.node.id, reason)
        return text

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
            self.note_key("cluster", f"missing; using {fitting[0].name!r}, the only member in the node's locality")
            return fitting[0]
        self.note_key("cluster", "missing, and no single member fits the node's locality; only cluster-set names are served")
        return None


def _is_socket_address(text: str) -> bool:
    address, _, port = text.rpartition(":")
    if canonical_address(address.strip("[]")) is None:
        return False
    return port.isascii() and port.isdecimal() and 0 < int(port) < 65536
