"""Kind: one type of one stream, whichever variant of the protocol it speaks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from xds.protocol.gates import stand_open
from xds.protocol.holdings import UNCERTAIN, Claim, Replaced, version_of
from xds.protocol.interest import Interest
from xds.protocol.ledger import State
from xds.protocol.traits import REPLACING, WAITED_FOR, WARMED_BY
from xds.snapshot.resource import Resource
from xds.wire.type_urls import ROUTE

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from collections.abc import Set as AbstractSet

    from xds.protocol.encoder import Response
    from xds.protocol.gates import Gates
    from xds.protocol.interest import Look
    from xds.snapshot.snapshot import Snapshot

LINGER_S: Final = 1.0
"""How long the connections of a listener that was replaced or removed go on using what it refers to, at the least."""
REMEMBERED_S: Final = 30.0
"""How long it is remembered what a listener replaced, even if it never takes over; nothing waits as long."""
SPARES: Final = 64
"""Spares kept of a client that asks for more and answers nothing."""


class Found(NamedTuple):
    """What there is to tell a client."""

    resources: list[Resource]
    absent: list[str]
    """Names that are owed, and there is no such resource."""
    gone: list[str]
    """Names that the client holds, and there is no such resource any more."""


class Spare(NamedTuple):
    """What there was when something that waits for it was sent: the answer should it be gone when the client asks."""

    names: frozenset[str]
    available: Mapping[str, Resource]
    had: Mapping[str, Resource]
    """What the client had of names that were not available."""


class Kind:
    """One type of a stream."""

    __slots__ = ("answer_due", "gathers_since_s", "in_flight", "interest", "reconnected", "spares", "synced", "type_url")

    def __init__(self, type_url: str) -> None:
        self.type_url = type_url
        self.interest = Interest()
        self.in_flight: dict[str, tuple[Response, float]] = {}
        """Nonce -> the unanswered response and when it was sent, oldest first."""
        self.answer_due = False
        """The client asked for all that there is and has to hear of it, even if that is nothing (R12)."""
        self.reconnected = False
        """The client came with something of the type."""
        self.gathers_since_s: float | None = None
        """Since when listeners that come and go wait for each other."""
        self.synced = False
        """The client has accepted something of the type, or came with something."""
        self.spares: Sequence[Spare] = ()
        """Of what the client was sent and may still ask for, the oldest first."""

    def standing(self, now_s: float) -> tuple[State, float]:
        """Return how the type stands, and since when."""
        if self.interest.client.withheld:
            return State.ERROR, now_s
        if self.in_flight:
            return State.STALE, next(iter(self.in_flight.values()))[1]
        return State.SYNCED, now_s

    @property
    def asks_first(self) -> bool:
        """Whether the client has nothing, by what it was sent, and waits for everything that it asks for."""
        interest, client = self.interest, self.interest.client
        if self.synced or self.in_flight or client.held or client.before or client.withheld or interest.apart or interest.waiting:
            return False
        if interest.subscription.wildcard:
            return interest.everything and not (interest.owed or interest.subscription.names)
        return not interest.everything and interest.owes_all

    def mere_changes(self, snapshot: Snapshot, kinds: Mapping[str, Kind]) -> list[Resource]:
        """Return other versions of what the client had and has, in order, if that is all that there is to tell; else nothing.

        Where changes come faster than ACKs, one before it may be unanswered yet.

        Args:
            snapshot: what there is.
            kinds: the stream's types by URL.
        """
        interest, client = self.interest, self.interest.client
        if self.spares or self.answer_due or interest.asks or client.withheld or not stand_open(self, kinds):
            return []
        available, names, before = snapshot.resources(self.type_url), interest.dirty, client.before
        if len(names) == 1:  # as nearly always, and quicker by itself
            (name,) = names
            resource, held = available.get(name), {name: client.held.get(name)}
            there = [resource] if resource else []
        else:
            there, held = available.present(sorted(names)), client.held.picked(names)
        changes: list[Resource] = []
        for resource in there:
            has = held[resource.name]
            if has is None:
                return []
            if has.version != resource.version:  # else it was sent since it changed
                if before.size and version_of(before.get(resource.name, has)) in (None, resource.version):
                    return []
                changes.append(resource)
        return changes if len(there) == len(names) else []

    def find(self, names: Sequence[str], owed: AbstractSet[str], look: Look, gates: Gates) -> Found:
        """Return what of these names there is to tell the client now; what a gate holds back is looked at again.

        Args:
            names: in the order in which they are to go out.
            owed: those that must be answered even if there is no such resource.
            look: what they are part of.
            gates: those of the stream.
        """
        found = Found([], [], [])
        client, are_open = self.interest.client, gates.stand_open(self)
        if are_open and not (client.held or client.withheld):
            names = self._find_first(names, look, found)
        for name in names:
            resource = (client.instead_of_rejected(name) if client.withheld else None) or look.available.get(name)
            if resource is None and name in owed:
                resource = self._spare_for_now(name, look, gates)
            if resource is None:
                self._find_nothing(name, owed, look, gates, found)
            elif client.holds(resource):  # nothing owed is held
                continue
            elif not are_open and gates.hold_back(self, resource, look.deadlines):
                self.interest.go_on_owing({name} & owed)
            else:
                found.resources.append(resource)
        if self.type_url in REPLACING and self.interest.waiting:
            self._gather(found, owed, look, gates)
        else:
            self.gathers_since_s = None
        return found

    def _find_nothing(self, name: str, owed: AbstractSet[str], look: Look, gates: Gates, found: Found) -> None:
        """Find what the client has to be told of a name of which there is no resource."""
        if name in owed:
            if gates.may_be_waited_for(self, name) and gates.wait(self, name, look.deadlines):
                self.interest.go_on_owing({name})
            else:
                found.absent.append(name)
        elif name in self.interest.client.held and not gates.must_finish(self, name, look.deadlines):
            found.gone.append(name)

    def _gather(self, found: Found, owed: AbstractSet[str], look: Look, gates: Gates) -> None:
        """Have those that are new wait with those that wait, and with those that go (`Gates.released`)."""
        new = [resource.name for resource in found.resources if resource.name not in self.interest.client.held]
        kept = {name for name in new if gates.gather(self, name, look.deadlines)}
        self.interest.go_on_owing(kept & owed)
        found.resources[:] = [resource for resource in found.resources if resource.name not in kept]

    def _find_first(self, names: Sequence[str], look: Look, found: Found) -> Sequence[str]:
        """Find what there is for a client that has nothing yet, whose names may be many; return the others."""
        found.resources.extend(look.available.present(names))
        if len(found.resources) == len(names):
            return ()
        there = {resource.name for resource in found.resources}
        return [name for name in names if name not in there]

    def _spare_for_now(self, name: str, look: Look, gates: Gates) -> Resource | None:
        """Return what there was of a name that has to be answered; it is looked at again until what waits for it is gone, too."""
        resource = self.spare(name)
        if resource is None or not gates.can_be_used(resource):
            return None
        gates.wait(self, name, look.deadlines)
        return resource

    def spare(self, name: str) -> Resource | None:
        """Return what there was of a name when something that waits for it was sent, or else what the client had then."""
        for names, available, had in reversed(self.spares):
            if name in names and (found := available.get(name) or had.get(name)):
                return found
        return None

    def keep_spare(self, names: frozenset[str], available: Mapping[str, Resource]) -> None:
        """Remember what there is of names that the client may ask for, or has of those that are gone already.

        The client may have to go back to these: a cluster is left as it was if its new content is rejected.
        """
        client = self.interest.client
        known = {name: client.held.get(name) or client.before.get(name) for name in names if name not in available}
        had = {name: resource for name, resource in known.items() if isinstance(resource, Resource)}
        spare = Spare(names, available, had)
        if not self.spares or self.spares[-1] != spare:  # asked for again and again, it is the same
            self.spares = [*self.spares[-SPARES:], spare]

    def reject_spares(self, names: frozenset[str]) -> None:
        """Forget what there was of names that the client rejects: it would do so again, without end."""
        self.spares = [spare._replace(names=spare.names - names) for spare in self.spares]

    def drop_answered(self, names: AbstractSet[str]) -> None:
        """Forget what there was of names that the client was answered, and has accepted, since what waits for them was sent."""
        self.spares = [spare._replace(names=left) for spare in self.spares if (left := spare.names - names)]

    def drop_spares(self, *, but_last: bool = False) -> None:
        """Forget what there was of names that the client needs not be answered any more."""
        last = self.spares[-1:] if but_last else []
        self.spares = [
            spare for spare in self.spares if (last and spare is last[0]) or not spare.names.isdisjoint(self.interest.owed)
        ]

    def portions(self, resources: list[Resource]) -> list[list[Resource]]:
        """Cut up what had better not share a response, because a NACK covers all of it.

        When an update of endpoints or routes is rejected, Envoy no longer lets clusters and listeners wait for any of what
        was in it: they go on without endpoints or routes. So what the client accepted before does not travel with what it may
        reject, nor what something waits for with mere changes, nor what is under way already with what is not; and routes,
        and changed endpoints of a cluster that serves requests while it warms anew, travel alone.
        """
        if len(resources) <= 1 or self.type_url not in WAITED_FOR or not self.synced:
            return [resources]
        client = self.interest.client
        sure: list[Resource] = []
        alone: list[list[Resource]] = []
        new: list[Resource] = []
        changed: list[Resource] = []
        for resource in resources:
            name = resource.name
            accepted = client.before.get(name, client.held.get(name))
            if version_of(accepted) == resource.version:
                sure.append(resource)
            elif self.type_url == ROUTE or (accepted is not None and self.spare(name)):
                alone.append([resource])
            elif accepted is not None:
                changed.append(resource)
            else:
                new.append(resource)
        under_way = frozenset().union(*[response.names for response, _ in self.in_flight.values()]) if new else frozenset()
        again = [resource for resource in new if resource.name in under_way]
        new = [resource for resource in new if resource.name not in under_way]
        return [portion for portion in (sure, *alone, again, new, changed) if portion] or [[]]

    def accept(self, nonce: str, content: Mapping[str, Resource | None], now_s: float) -> None:
        """Record an ACK of this content."""
        interest, client = self.interest, self.interest.client
        client.deliveries.accepted(nonce, now_s)
        if self.type_url in WARMED_BY and self.synced:
            client.forget_replaced(before_s=now_s - REMEMBERED_S)
            had = {name: client.before[name] for name in client.before.among(content.keys())}
            others = {name: was for name, was in had.items() if was is None or version_of(was) != version_of(content[name])}
            client.replace([Replaced(name, was, now_s, now_s + LINGER_S) for name, was in others.items()])
        self.synced = True
        unsettled = self.in_flight or interest.everything or interest.owed or interest.apart or client.withheld
        if unsettled or client.before.size > len(content):
            later = [response.names for response, _ in self.in_flight.values() if int(response.nonce) > int(nonce)]
            interest.accept(content, later)
        else:  # nothing else is unsettled, and names may be many
            interest.rejections_in_a_row = 0
            client.settle()

    def came_with(self, names: Iterable[str], now_s: float) -> None:
        """Take into account that listeners which the client came with may wait for routes, and others be in force instead."""
        if needed_url := WARMED_BY.get(self.type_url):
            client = self.interest.client
            found = [(name, held) for name in names if (held := client.held.get(name)) is not None]
            may_wait = [name for name, held in found if isinstance(held, Claim) or needed_url in held.refs]
            client.replace([Replaced(name, UNCERTAIN, now_s, now_s) for name in may_wait])

    def superseded(self) -> Iterator[Resource | Claim]:
        """Return what the client may still use although something else, or that there is nothing, was sent since."""
        yield from self.interest.client.superseded()
        held = self.interest.client.held
        for response, _ in self.in_flight.values():
            yield from [resource for resource in response.resources if held.get(resource.name) is not resource]
