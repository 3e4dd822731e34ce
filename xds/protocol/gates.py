"""Gates: what may not go out yet, so that nothing a client uses is missing at any moment (make before break; R24, R25, R26).

- A resource that names a cluster which is new to the stream waits until the client has accepted that cluster. Envoy holds the
  ACK back until the cluster is warm, so it is the signal that requests may be routed there.
- A removal waits until the client has accepted what stopped using the name. What uses what is said by `Resource.refs`.
- Listeners wait for each other: one that is new, or that goes, waits while another does: it may want or give up an address.
  As new ones may come all the time, that ends after GATHER_S.
- Routes wait while a listener that replaces another waits for its own (endpoints likewise, if a cluster moves to others), and
  such moves are made one at a time.

Each wait is one resource's and ends WAIT_S after what is waited for was sent, in any case; a type that nobody asked for, a
NACK or a client that never answers holds nothing up. What follows a cluster never waits: the cluster waits for it (R21).
"""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, Final, NamedTuple

from xds.protocol.holdings import UNCERTAIN, Claim, version_of
from xds.protocol.traits import AWAITED, AWAITED_BY, COMPLETE, FOLLOWERS, REFERRERS, REPLACING, UNGATED, WAITS_FOR, WARMED_BY

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from xds.protocol.holdings import Replaced
    from xds.protocol.interest import Look
    from xds.protocol.kind import Kind
    from xds.snapshot.resource import Resource
    from xds.snapshot.snapshot import Snapshot

WAIT_S: Final = 5.0
"""Enough for a cluster to become warm; after it, a stale client is worse than a moment's 503."""
GATHER_S: Final = 15.0
"""How long listeners that come and go are gathered, though none of those they wait for waits longer than WAIT_S."""
WAITING: Final = 1000
"""Names of a type whose absence is not told yet, at most: each is looked at again in every poll."""


class _Usage(NamedTuple):
    """What of one type a client may use."""

    needed: set[str]
    """By resources that are to be replaced or removed, but were not yet."""
    superseded: set[str]
    """By resources instead of which something else was sent."""
    unknown: bool
    """It may use others as well: it came with resources that we do not know."""

    def with_refs(
        self, type_url: str, outdated: Iterable[Resource | Claim], superseded: Iterable[Resource | Claim], *, claims_count: bool
    ) -> _Usage:
        unknown = self.unknown
        for names, resources in ((self.needed, outdated), (self.superseded, superseded)):
            for held in resources:
                if isinstance(held, Claim):
                    unknown |= claims_count
                else:
                    names.update(held.refs.get(type_url, ()))
        return self._replace(unknown=unknown)


def stand_open(kind: Kind, kinds: Mapping[str, Kind]) -> bool:
    """Return whether no resource of a type of a stream has to wait.

    A client that has nothing yet gets everything at once: its first sync. So does one that has something and does not say
    what (state of the world), if the type's sets are complete: to leave anything out would take it away.

    Args:
        kind: the type.
        kinds: the stream's types by URL.
    """
    if not kind.synced and (kind.type_url in COMPLETE or not _came_with_something(kinds)):
        return True
    return kind.type_url in UNGATED and kind.type_url not in WAITS_FOR and not _may_move(kind, kinds)


def _came_with_something(kinds: Mapping[str, Kind]) -> bool:
    return any(kind.reconnected for kind in kinds.values())


def _may_move(kind: Kind, kinds: Mapping[str, Kind]) -> Kind | None:
    """Return the type that waits for this one, if something of it may be about to move to others."""
    leader = kinds.get(AWAITED_BY.get(kind.type_url, ""))
    return leader if leader and (leader.interest.client.before.size or leader.interest.client.replaced) else None


class Gates:
    """Those of one stream, at the moment of one poll.

    Args:
        kinds: the stream's types by URL.
        snapshot: what there is.
        now_s: the time.
        aggregated: whether the client may still ask for types that it has not asked for yet.
    """

    def __init__(self, kinds: Mapping[str, Kind], snapshot: Snapshot, now_s: float, *, aggregated: bool) -> None:
        self._kinds = kinds
        self._snapshot = snapshot
        self._now_s = now_s
        self._aggregated = aggregated
        self._fresh: dict[tuple[str, str], frozenset[str]] = {}
        self._removed: dict[tuple[str, str], frozenset[str]] = {}
        self._moves: dict[str, set[str]] = {}
        self._may_wait_for: dict[str, set[str] | None] = {}

    def stand_open(self, kind: Kind) -> bool:
        """Return whether no resource of a type has to wait."""
        return stand_open(kind, self._kinds)

    def hold_back(self, kind: Kind, resource: Resource, deadlines: Mapping[str, float]) -> bool:
        """Return whether a resource has to wait for what it refers to, and have it looked at again if so.

        Not to be asked where the gates stand open.
        """
        must_wait = kind.type_url not in UNGATED and self._must_wait(kind, resource)
        must_wait = must_wait or self._would_disturb(kind, resource) or self._moves_beside_another(kind, resource)
        return must_wait and self.wait(kind, resource.name, deadlines)

    def can_be_used(self, resource: Resource) -> bool:
        """Return whether the client has, or is to have, all that a resource that is gone refers to."""
        return all(
            url not in self._kinds or name in self._kinds[url].interest.client.held or name in self._snapshot.resources(url)
            for url in AWAITED
            for name in resource.refs.get(url, ())
        )

    def may_be_waited_for(self, kind: Kind, name: str) -> bool:
        """Return whether something that is to be replaced or removed may be warming and wait for this.

        To be told that there is no such thing would put that in force.
        """
        if len(kind.interest.waiting) >= WAITING:
            return False
        if kind.type_url not in self._may_wait_for:
            self._may_wait_for[kind.type_url] = self._unsettled_refs(kind.type_url)
        awaited = self._may_wait_for[kind.type_url]
        return awaited is None or name in awaited

    def must_finish(self, kind: Kind, name: str, deadlines: Mapping[str, float]) -> bool:
        """Return whether a listener that is to go has to become warm before, and have it looked at again if so.

        It may have taken over the address of one that is gone already; were it to go before it is in force, Envoy would close the
        socket, and refuse connections until the next one has its own.
        """
        needed_url = WARMED_BY.get(kind.type_url, "")
        if needed_url not in self._kinds:
            return False
        needed, routes = self._kinds[needed_url], self._snapshot.resources(needed_url)
        missing = self._not_accepted(needed_url, kind.interest.client.held.get(name))
        to_come = [route for route in missing if route in routes or ((spare := needed.spare(route)) and self.can_be_used(spare))]
        return bool(to_come) and self.wait(kind, name, deadlines)

    def released(self, kind: Kind, names: Sequence[str], look: Look) -> list[str]:
        """Return which removals may go; the others wait because the client may still use the names, and are looked at again."""
        if not names:
            return []
        if kind.type_url in REPLACING and kind.interest.waiting:
            return [name for name in names if not self.gather(kind, name, look.deadlines)]
        usage = self._usage(kind)
        return [name for name in names if not self._keep(kind, name, usage, look.deadlines)]

    def _keep(self, kind: Kind, name: str, usage: _Usage, deadlines: Mapping[str, float]) -> bool:
        if name in usage.needed:  # the time begins when what stops using it is sent
            kind.interest.waiting[name] = self._now_s + WAIT_S
            return True
        return (usage.unknown or name in usage.superseded) and self.wait(kind, name, deadlines)

    def wait(self, kind: Kind, name: str, deadlines: Mapping[str, float]) -> bool:
        """Have a name looked at again, and return True, unless it has waited long enough."""
        deadline_s = deadlines.get(name, self._now_s + WAIT_S)
        if deadline_s <= self._now_s:
            return False
        kind.interest.waiting[name] = deadline_s
        return True

    def _unsettled_refs(self, type_url: str) -> set[str] | None:
        """Return the names of a type that what is to change may wait for; None for any, if it is not known what a client has."""
        found: set[str] = set()
        for url, needed_url in WAITS_FOR.items():
            if needed_url == type_url and self._may_come_yet(url, self._kinds[type_url]):
                return None
            if needed_url == type_url and url in self._kinds:
                self._settle(self._kinds[url])
                client = self._kinds[url].interest.client
                for held in chain(client.outdated(client.held.keys(), self._snapshot.resources(url)), client.superseded()):
                    if isinstance(held, Claim):
                        return None
                    found.update(held.refs.get(type_url, ()))
        return found

    def _may_come_yet(self, type_url: str, kind: Kind) -> bool:
        """Return whether a client that reconnects will say next what it has of a type; it asks for listeners last."""
        return type_url not in self._kinds and self._aggregated and kind.reconnected and self._kinds.keys().isdisjoint(WARMED_BY)

    def gather(self, kind: Kind, name: str, deadlines: Mapping[str, float]) -> bool:
        """Have a listener that comes or goes wait as long as any other does, and return True, unless that takes too long.

        One that goes may make room for one that is still waiting: if its time were up before, nobody would listen.
        """
        if kind.gathers_since_s is None:
            kind.gathers_since_s = self._now_s
        until_s = min(max(kind.interest.waiting.values()), kind.gathers_since_s + GATHER_S)
        return self.wait(kind, name, {name: max(until_s, deadlines.get(name, self._now_s + WAIT_S))})

    def _must_wait(self, kind: Kind, resource: Resource) -> bool:
        if any(self._lacks(url, resource.refs.get(url)) for url in AWAITED):
            return True
        if needed_url := WARMED_BY.get(kind.type_url):
            # Not before its routes can be answered: the shorter it is warming, the less can go wrong meanwhile.
            routes = self._snapshot.resources(needed_url)
            missing = [routes[name] for name in self._not_accepted(needed_url, resource) if name in routes]
            return any(self._lacks(url, route.refs.get(url)) for url in AWAITED for route in missing)
        return False

    def _would_disturb(self, kind: Kind, resource: Resource) -> bool:
        """Return whether a NACK of this would make something active without what it waits for, because it moves to others.

        Once Envoy has rejected an update of routes, no listener waits for others any more; the same with endpoints and
        clusters, though these rarely move.
        """
        leader = _may_move(kind, self._kinds)
        if leader is None:
            return False
        client = kind.interest.client
        accepted = client.before.get(resource.name, client.held.get(resource.name))
        if version_of(accepted) == resource.version:
            return False  # the client has it
        available = self._snapshot.resources(kind.type_url)
        held = leader.interest.client.held
        moving = self._moving(leader.type_url)
        awaited = {one for name, was in moving for one in self._not_accepted(kind.type_url, held.get(name), was)}
        return resource.name not in awaited and any(name in available or kind.spare(name) for name in awaited)

    def _moves_beside_another(self, kind: Kind, resource: Resource) -> bool:
        """Return whether this moves to others while another resource of the type does: if those are rejected, it hurts both."""
        needed_url = WAITS_FOR.get(kind.type_url)
        client = kind.interest.client
        accepted = client.before.get(resource.name, client.held.get(resource.name))
        if needed_url is None or accepted is None or not self._not_accepted(needed_url, resource, accepted):
            return False
        moves = self._moves.get(kind.type_url)
        if moves is None:
            moving = [(name, was) for name, was in self._moving(kind.type_url) if was is not None]
            moves = {name for name, was in moving if self._not_accepted(needed_url, client.held.get(name), was)}
            self._moves[kind.type_url] = moves
        if moves - {resource.name}:
            return True
        moves.add(resource.name)
        return False

    def _moving(self, type_url: str) -> Iterator[tuple[str, Resource | Claim | None]]:
        """Return what may be warming in place of something else, with what that is if it has the same name."""
        kind = self._kinds[type_url]
        client = kind.interest.client
        available = self._snapshot.resources(type_url)
        for replaced in client.replaced:
            is_new_to_us = isinstance(replaced.resource, Claim)  # then what is outdated is to be replaced, or goes, in its turn
            if is_new_to_us and version_of(client.held.get(replaced.name)) != version_of(available.get(replaced.name)):
                continue
            if replaced.at_s > self._now_s - WAIT_S:
                yield replaced.name, replaced.resource
        for name in client.before.among(self._sent_lately(kind)) if client.before else ():
            if (was := client.before[name]) is not None or type_url in REPLACING:
                yield name, was

    def _not_accepted(self, type_url: str, held: Resource | Claim | None, was: Resource | Claim | None = None) -> list[str]:
        """Return the names that a resource refers to, unlike the one before it, and that the client has not accepted."""
        if held is None or isinstance(held, Claim):
            return []
        names = held.refs.get(type_url, frozenset())
        if was is not None:
            names -= frozenset() if isinstance(was, Claim) else was.refs.get(type_url, frozenset())
        if not names or type_url not in self._kinds:
            return list(names)
        client = self._kinds[type_url].interest.client
        nothing = (None, UNCERTAIN)
        return [n for n in names if client.before.get(n, client.held.get(n)) in nothing and n not in client.withheld]

    def _lacks(self, type_url: str, names: frozenset[str] | None) -> bool:
        """Return whether the client is about to get some of these names, and has not accepted them yet."""
        if not names:
            return False
        other = self._kinds.get(type_url)
        if other is None:  # a client that reconnects asks for its types in any order (R18)
            return self._aggregated and _came_with_something(self._kinds)
        client = other.interest.client
        follower = self._kinds.get(FOLLOWERS.get(type_url, ""))
        settled = not (follower and (follower.in_flight or follower.interest.pending))
        if settled and not client.before and not other.interest.pending:
            return False
        return any(self._is_new(other, name) or self._follower_is_new(other, name, follower) for name in names)

    def _is_new(self, kind: Kind, name: str) -> bool:
        """Return whether the client is to get a name that it does not have, and has not said yet that it has it, or rejects it.

        What was sent a while ago counts as accepted.
        """
        client = kind.interest.client
        if name in client.withheld:
            return False
        held, available = client.held.get(name), self._snapshot.resources(kind.type_url).get(name)
        if held is None or isinstance(held, Claim):  # not sent yet, or gone and back; what it came with may not have been warm
            return available is not None and kind.interest.wants(name)
        if (
            available is not None
            and held.version != available.version
            and self._not_accepted(FOLLOWERS.get(kind.type_url, ""), held)
        ):
            return True  # to be replaced before it was warm
        if name not in client.before or name not in self._sent_lately(kind):
            return False
        was = client.before[name]
        if was is None or isinstance(was, Claim):
            return True
        return name in self._removed_lately(kind)

    def _follower_is_new(self, kind: Kind, name: str, follower: Kind | None) -> bool:
        """Return whether a cluster's first endpoints are unanswered: were they rejected, it would be warm without any.

        A client that reconnects may come with a cluster that still waits for its endpoints.
        """
        held = kind.interest.client.held.get(name)
        if isinstance(held, Claim):
            held = self._snapshot.resources(kind.type_url).get(name)
        if follower is None or held is None:
            return False
        to_ask = self._snapshot.resources(follower.type_url).keys() if name in self._sent_lately(kind) else ()
        awaited = held.refs.get(follower.type_url, ())
        return any(self._is_new(follower, one) or (one in to_ask and one not in follower.interest.client.held) for one in awaited)

    def _removed_lately(self, kind: Kind) -> frozenset[str]:
        """Return the names that unanswered responses remove."""
        newest = next(reversed(kind.in_flight), "")
        if (kind.type_url, newest) not in self._removed:
            removed = [response.removed for response, _ in kind.in_flight.values()]
            self._removed[kind.type_url, newest] = frozenset().union(*removed)
        return self._removed[kind.type_url, newest]

    def _sent_lately(self, kind: Kind) -> frozenset[str]:
        """Return the names in responses that the client has not answered, and need not have answered yet."""
        newest = next(reversed(kind.in_flight), "")  # responses are sent in between
        found = self._fresh.get((kind.type_url, newest))
        if found is None:
            lately = [response.names for response, sent_at_s in kind.in_flight.values() if sent_at_s > self._now_s - WAIT_S]
            found = self._fresh[kind.type_url, newest] = frozenset().union(*lately)
        return found

    def _usage(self, kind: Kind) -> _Usage:
        """Return which names of a type the client may use, though what uses them is no longer what there is."""
        referrers = REFERRERS.get(kind.type_url, frozenset())
        # What a client came with may use anything, until it has said what that is.
        usage = _Usage(set(), set(), unknown=kind.reconnected and not all(self._is_known(url) for url in referrers))
        for other in self._kinds.values():
            self._settle(other)
            available = self._snapshot.resources(other.type_url)
            outdated, superseded = list(other.interest.outdated(available)), list(other.superseded())
            if other.interest.abandoned and other.type_url in referrers:
                needed = self._usage(other).needed
                names = other.interest.abandoned
                outdated += other.interest.client.outdated(names & needed, available)
                superseded += other.interest.client.outdated(names - needed, available)
            if any(sent_at_s <= self._now_s - WAIT_S for _, sent_at_s in other.in_flight.values()):
                superseded, outdated = superseded + outdated, []  # who does not answer has had its time
            usage = usage.with_refs(kind.type_url, outdated, superseded, claims_count=other.type_url in referrers)
        return usage

    def _is_known(self, type_url: str) -> bool:
        """Return whether it is known what of a type a client has that came with something."""
        kind = self._kinds.get(type_url)
        return kind is not None and (kind.synced or not kind.reconnected)

    def _settle(self, kind: Kind) -> None:
        """Forget what was replaced, once what replaced it has all that it needs to take over, and its connections are gone."""
        client, needed_url = kind.interest.client, WARMED_BY.get(kind.type_url, "")
        if client.replaced:
            client.replaced = [
                replaced
                for replaced in client.replaced
                if replaced.until_s > self._now_s or not self._is_taken_over(kind, replaced, needed_url)
            ]

    def _is_taken_over(self, kind: Kind, replaced: Replaced, needed_url: str) -> bool:
        held = kind.interest.client.held.get(replaced.name)
        if isinstance(held, Claim):  # perhaps to what there is again by now; otherwise it is outdated, which counts by itself
            available = self._snapshot.resources(kind.type_url).get(replaced.name)
            held = available if version_of(available) == held.version else None
        if held is None:
            return True
        if needed_url not in self._kinds:  # a client that reconnects is still to say what it has
            return not kind.reconnected or replaced.at_s <= self._now_s - WAIT_S
        needed = self._kinds[needed_url].interest.client
        return all(name in needed.held and name not in needed.before for name in held.refs.get(needed_url, ()))
