"""What discovery tells the model: the only way in."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from typing import TYPE_CHECKING, NamedTuple

from msgspec import Struct

from xds.problems import Ref

if TYPE_CHECKING:
    from collections.abc import Mapping

    from xds.model.objects import KubernetesObject
    from xds.model.service import Locality
    from xds.model.traffic_objects import TrafficPolicy

FLEET = ""
"""The `cluster` of fleet-wide objects."""


class MemberState(StrEnum):
    """How fresh what we know of a member is; being stale alone moves no traffic."""

    CONNECTED = "Connected"
    SYNCING = "Syncing"
    STALE = "Stale"
    LOST = "Lost"


class Standing(IntEnum):
    """What clients of other clusters are to make of a member's endpoints; its own clients take them as they are."""

    FULL = 0
    DEMOTED = 1
    """They are DEGRADED: nothing has been heard of the member for too long."""
    REMOVED = 2
    """They are left out: for far too long."""


class ObjectKey(Struct, frozen=True, order=True, gc=False):
    """Identity of an object inside its cluster."""

    kind: str
    namespace: str
    name: str


class Upsert(Struct, frozen=True):
    """An object is new or changed."""

    cluster: str
    object: KubernetesObject

    @property
    def key(self) -> ObjectKey:
        """Identity of the object."""
        return ObjectKey(self.object.kind, self.object.metadata.namespace, self.object.metadata.name)


class Delete(Struct, frozen=True):
    """An object is gone."""

    cluster: str
    key: ObjectKey


@dataclass(frozen=True, slots=True)
class Synced:
    """Everything that existed in the cluster when we connected has been told."""

    cluster: str


@dataclass(frozen=True, slots=True)
class Health:
    """The state of a member's source changed."""

    cluster: str
    state: MemberState
    reason: str = ""
    standing: Standing = Standing.FULL


@dataclass(frozen=True, slots=True)
class Doubt:
    """Which services of a cluster may be gone although we go on with what they had; replaces what was doubted before."""

    cluster: str
    services: frozenset[tuple[str, str]] = frozenset()
    """(namespace, name)."""


@dataclass(frozen=True, slots=True)
class Aliases:
    """By which other names a cluster is registered; replaces what was told before."""

    cluster: str
    names: frozenset[str]


@dataclass(frozen=True, slots=True)
class Remember:
    """What was known of a cluster beside its objects, as far as was saved: told before these."""

    cluster: str
    seen: Mapping[tuple[str, str, str], frozenset[str]] = field(default_factory=dict)
    """(namespace, service, source of copies) -> identities of endpoints that have been ready."""
    accepted: tuple[TrafficPolicy, ...] = ()
    """Its policies, each as it was accepted last: for the policy stage, which keeps that in force."""


class PortPlace(NamedTuple):
    """A locality of a service port, under whichever of its names clients ask for it."""

    namespace: str
    service: str
    port: int
    locality: Locality


class Recovery(NamedTuple):
    """Of a place that had lost all its traffic, and is well again."""

    well_s: float
    """For how many seconds at least; told anew when that reaches what a policy asks for."""
    beside: frozenset[Locality] = frozenset()
    """Places of the port that were well all along when this one became so: a tier that takes one of them had lost nothing."""


@dataclass(frozen=True, slots=True)
class Recovering:
    """Which places had lost all their traffic, and are well again; replaces what was told before."""

    places: Mapping[PortPlace, Recovery]
    cluster: str = FLEET


Event = Upsert | Delete | Synced | Health | Doubt | Aliases | Remember | Recovering


def ref_of(cluster: str, item: KubernetesObject) -> Ref:
    """Return what names the object in problems and origins."""
    meta = item.metadata
    return Ref(cluster, item.kind, meta.namespace, meta.name, meta.resource_version)
