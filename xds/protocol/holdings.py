"""Holdings: what the client of one stream is believed to have of one type, what it rejected, and when that was.

What a client *holds* was sent or is claimed by it. While it has not accepted the newest content of a name, what it had accepted
*before* is remembered too: it may still use that. What it rejected is *withheld* until it differs (R16b).
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from xds.protocol.deliveries import Deliveries
from xds.protocol.layers import Ground, Layered
from xds.snapshot.resource import Resource

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from collections.abc import Set as AbstractSet


@dataclass(frozen=True, slots=True)
class Claim:
    """What a client says it holds: the version of content that is not the current one, and that we may never have had (R17)."""

    version: str


NO_NAMES: Final[frozenset[str]] = frozenset()
"""The one and only: each `frozenset()` is another one, and takes 216 bytes."""
MANY: Final = 8
"""Names of a response, beyond which they are recorded together."""
UNCERTAIN: Final = Claim("")
"""What a client has that may have taken what it was sent, or not: part of what it rejected, what it asked for anew meanwhile."""


@dataclass(frozen=True, slots=True)
class Rejection:
    """Content that the client rejected, alone or by name."""

    resource: Resource | None
    """None: a removal was rejected."""
    error: str
    """The client's own words."""
    at_s: float
    contested: bool = False
    """Another resource has what this one wants, e.g. its address; the error does not say which."""
    lacking: frozenset[str] = frozenset()
    """Clusters that it refers to and that the client did not have then."""


class Replaced(NamedTuple):
    """What goes on being used for a while although the client accepted something else, or nothing, instead."""

    name: str
    resource: Resource | Claim | None
    """None: there was nothing before."""
    at_s: float
    """When the client accepted what is there instead."""
    until_s: float
    """Until when it is used in any case."""


def version_of(held: Resource | Claim | None) -> str | None:
    """Return a version; None for what does not exist."""
    return None if held is None else held.version


class Holdings:
    """What one client has of one type."""

    __slots__ = ("before", "deliveries", "held", "replaced", "unsure", "withheld")

    def __init__(self) -> None:
        self.held: Layered[Resource | Claim] = Layered()
        """Name -> what was sent last, or what the client said it had."""
        self.before: Layered[Resource | Claim | None] = Layered()
        """Name -> what the client accepted last, None for nothing; of names whose newest content it has not accepted."""
        self.unsure = NO_NAMES
        """Names of `before` of which the client rejected something later: it may have that, or what it had accepted."""
        self.replaced: Sequence[Replaced] = ()
        self.withheld: dict[str, Rejection] = {}
        self.deliveries = Deliveries()

    def holds(self, resource: Resource) -> bool:
        """Return whether the client has exactly this."""
        held = self.held.get(resource.name)
        return held is not None and held.version == resource.version

    def put(self, content: Mapping[str, Resource | None]) -> None:
        """Record that this is sent: name -> resource, None for what the client is told to drop."""
        held, before = self.held, self.before
        ground: Ground[Any] = content if isinstance(content, Ground) else Ground(content)
        if ground is content and not before.size and not held.size:  # a first sync, whose names may be many
            before.rest_on(ground.absent)
            held.rest_on(ground.present)
            return
        if len(ground) > MANY:
            before.put(held.picked(before.lacking(ground) if before.size else ground))
            held.put(ground.present)
            for name in ground.keys() - ground.present.keys():
                held.pop(name, None)
            return
        for name, resource in ground.items():
            had = held.pop(name, None) if resource is None else held.swap(name, resource)
            if not before.size or name not in before:
                before.swap(name, had)

    def doubt(self, names: AbstractSet[str]) -> None:
        """Take into account that the client may have dropped these, or that they must be sent whatever it has.

        What it rejected stays withheld: it is sent what it accepted before, or, if that is nothing, once more what it rejected.
        """
        for name in self.held.among(names):
            self.before.setdefault(name, self.held[name])
            del self.held[name]

    def instead_of_rejected(self, name: str) -> Resource | None:
        """Return what the client accepted of a name before it rejected what there is, for when it has to be answered (R16b)."""
        rejection, accepted = self.withheld.get(name), self.before.get(name)
        return accepted if rejection and rejection.resource and isinstance(accepted, Resource) else None

    def accept(self, content: Mapping[str, Resource | None], later: Sequence[AbstractSet[str]] = ()) -> None:
        """Record that the client accepted this content, perhaps after it had rejected the same.

        Args:
            content: name -> resource, None for what is gone.
            later: the names in each response that was sent after this content and is not answered yet. Such a name is not settled
                even if it is sent as it is here: it may have been gone in between.
        """
        answered = self.before.among(content.keys())
        overtaken = answered.intersection(chain.from_iterable(later))
        if self.unsure:
            self.unsure -= answered
        settled: list[str] = []
        for name, held in self.held.picked(answered).items():
            accepted = content[name]
            if name not in overtaken and (held is accepted or version_of(held) == version_of(accepted)):
                settled.append(name)
            else:
                self.before[name] = accepted
        self.before.drop(settled)
        for name in self.withheld.keys() & content.keys() if self.withheld else ():
            accepted = content[name]
            if version_of(self.withheld[name].resource) == version_of(accepted):
                del self.withheld[name]
                self.before.pop(name, None)
                if accepted is not None:
                    self.held[name] = accepted

    def settle(self) -> None:
        """Record that the client accepted everything that it was sent."""
        self.before.clear()
        self.unsure = NO_NAMES

    def restore(self, names: Iterable[str]) -> None:
        """Go back to what the client had accepted of these: the base of the next complete set."""
        for name in names:
            if name in self.unsure:
                self.held[name] = UNCERTAIN
            elif (accepted := self.before.pop(name, None)) is not None:
                self.held[name] = accepted

    def forget(self, names: AbstractSet[str]) -> None:
        """Forget what the client no longer wants."""
        if self.unsure:
            self.unsure -= names
        for known in (self.held, self.before, self.withheld):
            for name in [name for name in names if name in known]:
                del known[name]

    def replace(self, replaced: Sequence[Replaced]) -> None:
        """Record what goes on being used for a while."""
        if replaced:
            self.replaced = [*self.replaced, *replaced]

    def forget_replaced(self, before_s: float) -> None:
        """Forget what was replaced before a time."""
        if self.replaced and self.replaced[0].at_s < before_s:
            self.replaced = [replaced for replaced in self.replaced if replaced.at_s >= before_s]

    def known(self) -> tuple[Mapping[str, object], ...]:
        """Return where the names stand that the client has not let go of."""
        return self.held, self.before, self.withheld

    def superseded(self) -> Iterator[Resource | Claim]:
        """Return what the client may still use although something else, or that there is nothing, was sent since."""
        yield from [accepted for accepted in self.before.values() if accepted is not None]
        yield from [replaced.resource for replaced in self.replaced if replaced.resource is not None]

    def outdated(self, names: AbstractSet[str], available: Mapping[str, Resource]) -> Iterator[Resource | Claim]:
        """Return what the client has of some names and that is no longer what there is."""
        for name in self.held.among(names):
            if self.held[name].version != version_of(available.get(name)):
                yield self.held[name]
