"""Places as operators name them: `cluster=east`, or `east` alone where that is clear."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from xds.cli.output import suggestion
from xds.errors import XdsError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from xds.model.traffic_objects import DrainSpec

KINDS = ("cluster", "zone", "region")


class NoPlaceError(XdsError):
    """A place that does not exist."""

    exit_code = 65


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """A cluster, a zone or a region."""

    kind: str
    name: str

    def __str__(self) -> str:
        """Return it for people."""
        return f"{self.kind} {self.name}"

    @property
    def text(self) -> str:
        """Return it as it can be given."""
        return f"{self.kind}={self.name}"

    @property
    def fields(self) -> dict[str, str]:
        """Return the fields of a drain."""
        return {self.kind: self.name}


def place_of(drain: DrainSpec) -> Place | None:
    """Return what a drain is about; None if that is the place where several meet, or none."""
    found = [Place(kind, getattr(drain, kind)) for kind in KINDS if getattr(drain, kind)]
    return found[0] if len(found) == 1 else None


def find_place(text: str, known: Iterable[Place]) -> Place:
    """Return the place that is meant; one that is named in full need not be known.

    Raises:
        UsageError: it may be several.
        NoPlaceError: a name alone is none of those that are known.
    """
    places = [*known]
    kind, _, name = text.partition("=")
    if name and kind in KINDS:
        return Place(kind, name)
    if name:
        raise click.UsageError(f"{text!r} is no place; use cluster=NAME, zone=NAME or region=NAME", click.get_current_context())
    found = sorted(one for one in {*places} if one.name == text)
    if len(found) > 1:
        choices = " or ".join(one.text for one in found)
        names = " and ".join(f"a {one.kind}" for one in found)
        raise click.UsageError(f"{text!r} is {names}; say {choices}", click.get_current_context())
    if not found:
        raise NoPlaceError(f"there is no cluster, zone or region {text!r}; {_hint(text, places)}")
    return found[0]


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


def _hint(text: str, known: Iterable[Place]) -> str:
    names = [*known]
    kinds = [(kind, sorted({one.name for one in names if one.kind == kind})) for kind in KINDS]
    listed = "; ".join(f"{kind}s: {', '.join(found)}" for kind, found in kinds if found)
    return suggestion(text, (one.name for one in names), f"known {listed}" if listed else "no member is known")
