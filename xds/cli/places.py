"""Places, as the admin API and overrides tell of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from xds.policy.places import KINDS, Place

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from xds.model.traffic_objects import DrainSpec


def place_of(drain: DrainSpec) -> Place | None:
    """Return what a drain is about; None if that is the place where several meet, or none."""
    found = [Place(kind, getattr(drain, kind)) for kind in KINDS if getattr(drain, kind)]
    return found[0] if len(found) == 1 else None


def places_of(members: Iterable[Mapping[str, object]]) -> set[Place]:
    """Return the places of members, as the admin API tells of them."""
    found: set[Place] = set()
    for one in members:
        zones = one["zones"]
        assert isinstance(zones, (list, tuple))
        found |= {
            Place("cluster", str(one["name"])),
            Place("region", str(one["region"])),
            *(Place("zone", str(zone)) for zone in zones),
        }
    return {one for one in found if one.name}
