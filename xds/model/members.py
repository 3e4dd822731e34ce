"""Members: the clusters of the fleet."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from xds.model.events import MemberState, Standing

if TYPE_CHECKING:
    from collections.abc import Mapping

    from xds.problems import Ref


@dataclass(frozen=True, slots=True)
class Member:
    """One cluster of the fleet."""

    name: str
    region: str = ""
    zones: tuple[str, ...] = ()
    """Declared zones, or else the zones of its nodes, sorted."""
    network: str = "default"
    state: MemberState = MemberState.SYNCING
    reason: str = ""
    """Why it is in that state."""
    aliases: frozenset[str] = frozenset()
    """Other names by which it is registered."""
    standing: Standing = Standing.FULL
    provider: str = ""
    """Who runs it, e.g. a cloud."""
    labels: Mapping[str, str] = field(default_factory=dict)
    """Of its MemberCluster."""
    property_id: str = ""
    """What its ClusterProperty says that the cluster set calls it (KEP-2149); "" if it says nothing that can be used."""
    declared: bool = True
    """False: there are manifests of it but no MemberCluster."""
    origin: Ref | None = None

    @property
    def id(self) -> str:
        """How the cluster set calls it, e.g. in names of pods and labels of slices."""
        return self.property_id or self.name
