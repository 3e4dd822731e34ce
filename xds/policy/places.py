"""Places as operators name them: `cluster=east`, or `east` alone where that is clear."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from xds.errors import XdsError
from xds.problems import all_known, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Iterable

KINDS: Final = ("cluster", "zone", "region")


class NoPlaceError(XdsError):
    """A place that does not exist."""

    exit_code = 65


class UnclearPlaceError(XdsError):
    """A text that names no place, or may name several."""

    exit_code = 64


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
        """Return the fields of a drain, or of a failure."""
        return {self.kind: self.name}

    def must_be_one_of(self, known: Iterable[Place]) -> None:
        """Raise NoPlaceError if it is not among those that are known."""
        there = {one.name for one in known if one.kind == self.kind}
        if self.name not in there:
            hint = did_you_mean(self.name, there) or all_known(self.kind, there)
            raise NoPlaceError(f"there is no {self.kind} {self.name!r}; {hint}")


def find_place(text: str, known: Iterable[Place]) -> Place:
    """Return the place that is meant; one that is named in full need not be known.

    Raises:
        UnclearPlaceError: it may be several, or is none.
        NoPlaceError: a name alone is none of those that are known.
    """
    places = {*known}
    kind, _, name = text.partition("=")
    if name and kind in KINDS:
        return Place(kind, name)
    if "=" in text:
        raise UnclearPlaceError(f"{text!r} is no place; use cluster=NAME, zone=NAME or region=NAME")
    found = sorted(one for one in places if one.name == text)
    if len(found) > 1:
        choices = " or ".join(one.text for one in found)
        names = " and ".join(f"a {one.kind}" for one in found)
        raise UnclearPlaceError(f"{text!r} is {names}; say {choices}")
    if not found:
        raise NoPlaceError(f"there is no cluster, zone or region {text!r}; {_hint(text, places)}")
    return found[0]


def _hint(text: str, known: Iterable[Place]) -> str:
    names = [*known]
    kinds = [(kind, sorted({one.name for one in names if one.kind == kind})) for kind in KINDS]
    listed = "; ".join(f"{kind}s: {', '.join(found)}" for kind, found in kinds if found)
    return did_you_mean(text, (one.name for one in names)) or (f"known {listed}" if listed else "no member is known")
