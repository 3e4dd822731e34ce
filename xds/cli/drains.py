"""Drains as they are kept, and the way from one step to the next."""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from xds.cli.output import say
from xds.cli.override_store import command_line, name_of
from xds.cli.places import place_of
from xds.errors import ChangedError, XdsError

if TYPE_CHECKING:
    from collections.abc import Callable

    from xds.cli.override_store import Store
    from xds.model.traffic_objects import TrafficOverride
    from xds.policy.places import Place


TRIES = 5
"""To write a step, while others change the same object otherwise."""


class ElsewhereError(XdsError):
    """Somebody else has changed a drain meanwhile."""


@dataclass(frozen=True, slots=True)
class Drain:
    """One drain."""

    store: Store = field(repr=False)
    place: Place
    services: tuple[str, ...] = ()
    name: str = field(default="", compare=False)
    """Of its override."""
    steps: int = 1
    step: int = 0
    """How many have been made."""
    reason: str = field(default="", compare=False)
    version: str = field(default="", compare=False)
    """Of its override, as it was read or written last."""

    def __str__(self) -> str:
        """Return what it drains, for people."""
        return f"{self.place} ({', '.join(self.services)})" if self.services else str(self.place)

    @property
    def gets(self) -> str:
        """What the place still gets."""
        left = 100 * (self.steps - self.step) / self.steps
        return f"gets {left:.3g} % of what it would" if 0 < left < 100 else "gets all that it would" if left else "gets nothing"

    @property
    def is_complete(self) -> bool:
        """Whether all steps have been made."""
        return self.step >= self.steps

    def found(self) -> Drain | None:
        """Return the one of this place and these services that is kept; None if there is none."""
        alike = [one for one in drains_of(self.store) if (one.place, one.services) == (self.place, self.services)]
        return next((one for one in alike if one.name == self.default_name), alike[0] if alike else None)

    @property
    def default_name(self) -> str:
        """What its override is called if `xdsctl` makes it."""
        return name_of("drain", self.place.kind, self.place.name, rest=self.services)

    def put(self) -> Drain:
        """Keep it as it is here, and return it with its version then; one of which no step is left goes.

        Raises:
            ChangedError: somebody else has changed its override since it was read.
        """
        from xds.model.traffic_objects import DrainSpec

        spec = DrainSpec(**self.place.fields, services=[*self.services], steps=self.steps, step=self.step)
        if self.step:
            return replace(self, version=self.store.put_drain(self.name, spec, self.reason, self.version))
        self.store.take_back(self.name, spec, self.version)
        return replace(self, version="")

    def command(self, word: str, *options: str) -> str:
        """Return a command about it, for people to copy."""
        services = [text for name in self.services for text in ("--service", name)] if word == "drain" else ()
        return command_line(word, self.place.text, *services, *options, store=self.store)


class Walk:
    """A drain that makes one step after the other.

    Args:
        drain: where it begins.
        before_each: called before each step.
    """

    def __init__(self, drain: Drain, before_each: Callable[[Drain], None] | None = None) -> None:
        self.at = drain
        """The step that was made last."""
        self._before_each = before_each

    def to(self, step: int, pause_s: float) -> None:
        """Make all steps up to one, or back to it, with pauses in between.

        Raises:
            ElsewhereError: somebody else has changed the drain meanwhile.
            XdsError: a step cannot be made, or what is called before it objects.
        """
        way = 1 if step > self.at.step else -1
        while self.at.step != step:
            self.make(replace(self.at, step=self.at.step + way))
            say(f"step {self.at.step} of {self.at.steps}: {self.at} {self.at.gets}")
            if self.at.step != step:
                time.sleep(pause_s)
                self._look()

    def make(self, drain: Drain) -> None:
        """Make one step, however large.

        Raises:
            ElsewhereError: somebody else has changed the drain meanwhile, e.g. while this step was looked at.
            XdsError: it cannot be made, or what is called before it objects.
        """
        if self._before_each is not None:
            self._before_each(drain)
            self._look()
        for _ in range(TRIES):
            try:
                self.at = replace(drain, version=self.at.version).put()
            except ChangedError:  # which may be about something else in it
                self._look()
            else:
                return
        raise ElsewhereError(f"{self.at}: somebody else goes on changing its override; try again")

    def _look(self) -> None:
        """See whether it is still as we left it."""
        now = self.at.found()
        if now is None or not now.step:
            if self.at.step:
                raise ElsewhereError(f"{self.at}: somebody else has undone the drain")
        elif (now.step, now.steps) != (self.at.step, self.at.steps) and not (now.is_complete and self.at.is_complete):
            raise ElsewhereError(f"{self.at}: somebody else has made it step {now.step} of {now.steps}")
        self.at = replace(self.at, version=now.version if now else "")


def drains_of(store: Store) -> list[Drain]:
    """Return the drains that are kept, but those of no place, or where several meet."""
    found = (_read(store, item) for item in store.read())
    return [one for one in found if one is not None]


def _read(store: Store, item: TrafficOverride) -> Drain | None:
    spec = item.spec.drain
    place = place_of(spec) if spec is not None else None
    if spec is None or place is None:
        return None
    step = min(spec.step, spec.steps)
    meta = item.metadata
    return Drain(store, place, (*sorted({*spec.services}),), meta.name, spec.steps, step, item.spec.reason, meta.resource_version)
