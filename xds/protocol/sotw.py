"""One state-of-the-world stream: what its client asked for, was sent and rejected, and what it is to be sent next.

In: decoded requests, change sets, snapshots and the time. Out: responses, recorded as sent before they are returned. No I/O,
no clock.

At most one response a type is in flight; what changes meanwhile is sent after its ACK or NACK, which carries the newest names
of the client, so that no subscription change is lost to a stale nonce (R14).

A complete set (R11) is what the client holds, with the changes that may go now: what waits for others, or was rejected, stays in
it as the client accepted it, so the set is the union of old and new until nothing uses the old any more (R25).
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING
from weakref import WeakValueDictionary

from xds.protocol.encoder import Response, awaited_by, encoded_bytes
from xds.protocol.gates import Gates
from xds.protocol.holdings import NO_NAMES, UNCERTAIN, Claim
from xds.protocol.interest import WILDCARD, Subscription, shared
from xds.protocol.kind import Kind
from xds.protocol.layers import Ground
from xds.protocol.ledger import Nack, State
from xds.protocol.stream import Stream
from xds.protocol.traits import COMPLETE, FOLLOWERS, LEGACY_WILDCARD, WAITS_FOR, leaders
from xds.snapshot.resource import Resource
from xds.snapshot.table import set_version
from xds.wire.type_urls import ENDPOINT

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from collections.abc import Set as AbstractSet

    from xds.protocol.interest import Look
    from xds.protocol.requests import SotwRequest
    from xds.snapshot.snapshot import Snapshot
    from xds.snapshot.table import Table

EVERYTHING = Subscription(wildcard=True, names=NO_NAMES)


class SotwStream(Stream["_SotwType"]):
    """One `StreamAggregatedResources` stream, or the state-of-the-world stream of one type."""

    one_in_flight = True

    def on_request(self, request: SotwRequest, now_s: float) -> Nack | None:
        """Take in a request; call `poll` afterwards.

        Returns:
            What the client rejected, if the request is a NACK.
        """
        kind = self._types.get(request.type_url)
        if kind is None:  # the first request of a type is the initial one, whatever nonce it carries (R16)
            self._begin(request, now_s)
            return None
        asks_again = self._asks_again(kind, request)
        nack = self._settle(kind, request, now_s)
        if not self._resubscribe(kind, request) and asks_again:
            kind.interest.owe(kind.interest.subscription.names.union(kind.interest.client.held))
        return nack

    def poll(self, snapshot: Snapshot, now_s: float) -> list[Response]:
        """Return what is to be sent now, in the order CDS, EDS, LDS, RDS, SDS, others; each response counts as sent."""
        responses: list[Response] = []
        self._polled_at_s = now_s
        if not self._due():
            return responses
        gates = Gates(self._types, snapshot, now_s, aggregated=self._aggregated)
        for kind in self._types.values():
            if kind.in_flight or not (kind.interest.pending or kind.answer_due):
                continue
            if kind.claimed and kind.interest.subscription == EVERYTHING:
                self._go_on(kind, snapshot, now_s)
            kind.claimed = ""
            if kind.interest.pending or kind.answer_due:
                responses += self._news(kind, snapshot, gates, now_s)
        return responses

    def _news(self, kind: _SotwType, snapshot: Snapshot, gates: Gates, now_s: float) -> list[Response]:
        """Return the response of one type, if there is something to say."""
        if at_once := self._at_once(kind, snapshot, gates, now_s):
            self._keep_spare(kind.type_url, at_once.awaited, snapshot)
            return [at_once]
        available, version = snapshot.resources(kind.type_url), snapshot.type_version(kind.type_url)
        if kind.complete:
            resources = kind.take_complete(available, gates)
            if resources is None:
                return []
            if not (
                len(resources) == len(available) and all((there := available.get(r.name)) is r or there == r for r in resources)
            ):
                version = set_version(resources)
        else:
            resources = kind.take_part(available, gates, self._response_bytes)
            if not resources and not kind.absent:
                return []
        response = self._response(kind, resources, version, now_s)
        if kind.type_url in WAITS_FOR:
            may_need = kind.news(response) + kind.predecessors()
            self._keep_spare(kind.type_url, awaited_by(kind.type_url, may_need), snapshot)
        return [response]

    def _at_once(self, kind: _SotwType, snapshot: Snapshot, gates: Gates, now_s: float) -> Response | None:
        """Return what many streams are told alike: all that a client asks for, or one mere change.

        All of it is told if the client has nothing yet, or if it is not known what it has.
        """
        available, version = snapshot.resources(kind.type_url), snapshot.type_version(kind.type_url)
        if kind.absent or kind.told_absent:
            return None
        if kind.last is None and (kind.asks_first or kind.asks_anew) and gates.stand_open(kind):
            names = kind.interest.subscription.asked
            if kind.complete and names is not None:
                return None
            limit_bytes = sys.maxsize if kind.complete else self._response_bytes
            found = self._encoder.first(
                kind.type_url, available, names, above=self._last_nonce, limit_bytes=limit_bytes, version=version
            )
            if len(found) == 1:
                return self._tell(kind, found[0], now_s)
        elif not kind.complete and (changes := kind.mere_changes(snapshot, self._types)) and len(changes) == 1:
            return self._tell(kind, self._encoder.sotw(kind.type_url, changes, version, above=self._last_nonce), now_s)
        return None

    def _tell(self, kind: _SotwType, response: Response, now_s: float) -> Response:
        """Record that a client is sent all that there is to tell it."""
        kind.interest.looked_at()
        kind.changes = response.content
        kind.interest.client.put(response.content)
        return self._sent(kind, response, now_s)

    def _go_on(self, kind: _SotwType, snapshot: Snapshot, now_s: float) -> None:
        """Find out from its version what a client that reconnects holds: all that there is (R19a), or what there was."""
        if kind.claimed == snapshot.type_version(kind.type_url):
            kind.hold(self._encoder.whole(kind.type_url, snapshot.resources(kind.type_url)), now_s)
            self.ledger.held_already(kind.type_url, now_s, version=kind.claimed)
            return
        for earlier in reversed(self.earlier()):
            if earlier.type_version(kind.type_url) == kind.claimed:
                kind.hold(self._encoder.whole(kind.type_url, earlier.resources(kind.type_url)), now_s)
                kind.interest.everything = True
                return

    def _begin(self, request: SotwRequest, now_s: float) -> None:
        kind = _SotwType(request.type_url, tells_absent=self.reads_errors)
        self._add(kind, now_s)
        self._resubscribe(kind, request)
        kind.claimed = request.version if kind.complete else ""
        kind.reconnected = bool(request.version)
        if kind.reconnected and not kind.complete:  # only of whole sets a version says what is held; of parts, each may be
            kind.interest.client.before.rest_on(_uncertain(kind.interest.subscription.names))
        # A client that reconnects may hold what is gone: a set of which nothing is left is sent, too (R11). "" is no name (R4).
        kind.answer_due |= kind.complete and any(request.names)

    def _settle(self, kind: _SotwType, request: SotwRequest, now_s: float) -> Nack | None:
        """Match an ACK or NACK to the last response. A stale nonce answers nothing, but its names count (R14)."""
        if kind.last is None or request.nonce != kind.last.nonce:
            if request.nonce:
                self.ledger.stale(kind.type_url)
            return None
        in_flight = kind.in_flight.pop(request.nonce, None)
        if in_flight is None:
            return None
        response, _ = in_flight
        if request.error is None:
            kind.accept(response.nonce, kind.settled_by(response), now_s)
            self._accepted(kind, kind.changes)
            self.ledger.acked(response, *kind.standing(now_s))
            return None
        blamed = kind.reject(request.error, now_s)
        self._blame(kind, blamed)
        news = tuple(resource for resource in kind.changes.values() if resource is not None)
        gone = tuple(name for name, resource in kind.changes.items() if resource is None)
        nack = Nack(kind.type_url, response.nonce, request.error, news, gone, now_s, blamed)
        self.ledger.nacked(nack)
        return nack

    def _resubscribe(self, kind: _SotwType, request: SotwRequest) -> bool:
        """Replace the subscription by the names of a request; those that are new must be answered (R7). False: it is the same."""
        before = kind.interest.subscription
        if request.names:
            kind.ever_named = True
            names = frozenset(request.names)
            wildcard = WILDCARD in names
            if wildcard:
                names -= {WILDCARD}
        else:  # nothing at all, once there were names (R1, R3); for most types from the start (R2)
            wildcard, names = kind.type_url in LEGACY_WILDCARD and not kind.ever_named, NO_NAMES
        subscription = Subscription(wildcard, names)
        if subscription == before:
            return False
        self.subscription_changes += 1
        kind.interest.subscribe(subscription)
        kind.told_absent &= names
        kind.interest.owe(names - before.names if before.names else names)
        if wildcard and not before.wildcard:
            kind.interest.everything = kind.answer_due = True
        return True

    def _asks_again(self, kind: _SotwType, request: SotwRequest) -> bool:
        """Return whether what looks like one more ACK is Envoy asking for what a cluster or a scope waits for (R20).

        It need not be answered if the response in question followed its clusters on this stream: then the client has it already,
        or its nonce is stale.
        """
        leader_urls = leaders(kind.type_url)
        if (
            not leader_urls
            or kind.last is None
            or kind.in_flight
            or request.error is not None
            or request.nonce != kind.last.nonce
        ):
            return False
        present = [self._types[url] for url in leader_urls if url in self._types]
        if not present:  # clusters come over another stream; scopes do not, where routes come over an aggregated one
            return kind.type_url == ENDPOINT
        return any(leader.last and int(leader.last.nonce) > int(kind.last.nonce) for leader in present)

    def _response(self, kind: _SotwType, resources: list[Resource], version: str, now_s: float) -> Response:
        absent = kind.take_absent()
        return self._sent(
            kind, self._encoder.sotw(kind.type_url, resources, version, above=self._last_nonce, absent=absent), now_s
        )

    def _sent(self, kind: _SotwType, response: Response, now_s: float) -> Response:
        self._last_nonce = int(response.nonce)
        kind.sent(response, now_s)
        self._follow(kind, response)
        self.ledger.sent(response, now_s, State.ERROR if kind.interest.client.withheld else State.STALE)
        return response

    def _follow(self, kind: _SotwType, response: Response) -> None:
        """Owe the client what it will wait for because its parents were sent anew (R19, R20)."""
        if follower := self._types.get(FOLLOWERS.get(kind.type_url, "")):
            news = kind.news(response)
            all_new = len(news) == len(response.resources)
            awaited = response.awaited if all_new else awaited_by(kind.type_url, news)
            follower.interest.owe(follower.interest.wanted(awaited))


class _SotwType(Kind):
    """One type of a state-of-the-world stream."""

    __slots__ = ("absent", "changes", "claimed", "complete", "ever_named", "in_doubt", "last", "tells_absent", "told_absent")

    def __init__(self, type_url: str, *, tells_absent: bool) -> None:
        super().__init__(type_url)
        self.tells_absent = tells_absent
        self.absent: list[str] = []
        """Names of which the next response says that there is no such resource."""
        self.told_absent: set[str] = set()
        """Names of which the client was told so; once is enough, until that changes."""
        self.complete = type_url in COMPLETE
        self.claimed = ""
        """The version that the first request says is held; until the first poll (R19a)."""
        self.ever_named = False
        self.in_doubt: frozenset[str] = frozenset()
        """What was new in the set before the last one, if that was rejected: the client may have it, or some of it."""
        self.last: Response | None = None
        self.changes: Mapping[str, Resource | None] = {}
        """What the last response changed of what the client held; None for what it left out."""

    @property
    def asks_anew(self) -> bool:
        """Whether a client that was sent nothing yet has something of all that it asks for, and waits for all of it."""
        interest, client = self.interest, self.interest.client
        wildcard, names = interest.subscription
        if self.complete or not self.reconnected or wildcard or client.held.size:
            return False
        return client.before.size == len(names) and interest.owes_all and not (interest.everything or interest.waiting)

    def hold(self, resources: Ground[Resource | Claim], now_s: float) -> None:
        """Record that the client holds these, and need not be answered."""
        self.interest.looked_at()
        self.interest.client.held.rest_on(resources)
        self.came_with(resources, now_s)
        self.answer_due = False
        self.synced = True

    def take_complete(self, available: Table, gates: Gates) -> list[Resource] | None:
        """Return the whole set to be sent (R11), or None if the client was sent it already."""
        look = self.interest.take(available)
        self._take_changes(look, gates)
        if not self.changes and not self.answer_due and not self.absent:
            return None
        return [resource for _, resource in sorted(self.interest.client.held.merged().items()) if not isinstance(resource, Claim)]

    def take_part(self, available: Table, gates: Gates, limit_bytes: int) -> list[Resource]:
        """Return what changed or was asked for, up to a size; what exceeds it stays due. Absence means nothing here (R11)."""
        look = self.interest.take(available)
        self._take_changes(look, gates, limit_bytes)
        return [resource for resource in self.changes.values() if resource is not None]

    def _take_changes(self, look: Look, gates: Gates, limit_bytes: int = 0) -> None:
        """Find what the next response changes, and record it as sent; names that must go apart make one response each."""
        gone: list[str] = []
        if self.complete:
            apart = [name for names in look.apart for name in names]
            self.interest.client.restore([name for name in apart if name not in self.interest.client.held])  # until its turn
            gone = [name for name in apart if name not in look.available]
        self.changes = self._found(look.names + gone, look.owed, look, gates, limit_bytes)
        while look.apart and not self.changes:
            names = look.apart.pop(0)
            self.changes = self._found(names, frozenset(names), look, gates, limit_bytes)
        if look.apart:
            self.interest.apart = [*self.interest.apart, *look.apart]
        self.interest.client.put(self.changes)

    def _found(
        self, names: Sequence[str], owed: AbstractSet[str], look: Look, gates: Gates, limit_bytes: int
    ) -> dict[str, Resource | None]:
        found = self.find(names, owed, look, gates)
        self.told_absent.difference_update([resource.name for resource in found.resources])
        if not self.complete:  # that something is gone: a client drops it when it no longer refers to it, unless it can be told
            gone = gates.released(self, found.gone, look) if self.tells_absent and found.gone else []
            if found.gone:
                self.interest.abandoned = self.interest.abandoned.union(found.gone).difference(gone)
            self._tell_absent(found.absent + gone)
            first, *rest = self.portions(found.resources)
            self._put_back([resource for portion in rest for resource in portion], owed)
            return {**{r.name: r for r in self._up_to(limit_bytes, first, owed)}, **dict.fromkeys(gone)}
        client = self.interest.client
        client.restore(self.interest.waiting)  # what waits stays in the set as it was
        gone = found.gone + [name for name in found.absent if name in client.held or client.before.get(name)]
        if gone:
            gone = gates.released(self, gone, look)
            client.restore(self.interest.waiting)
        self._tell_absent([name for name in found.absent if name not in self.interest.waiting] + gone)
        return {**{resource.name: resource for resource in found.resources}, **dict.fromkeys(gone)}

    def _tell_absent(self, names: Iterable[str]) -> None:
        """Have the next response say that there are no such resources, as far as the client asks for them by name (R34)."""
        if self.tells_absent:
            asked = self.interest.subscription.names
            self.absent += [name for name in dict.fromkeys(names) if name in asked and name not in self.told_absent]
            self.told_absent.update(self.absent)

    def take_absent(self) -> list[str]:
        """Return the names whose absence is to be told now."""
        absent, self.absent = sorted(self.absent), []
        return absent

    def _up_to(self, limit_bytes: int, resources: Iterable[Resource], owed: AbstractSet[str]) -> list[Resource]:
        result: list[Resource] = []
        size = 0
        for resource in resources:
            size += encoded_bytes((resource,))
            if result and size > limit_bytes:
                self._put_back((resource,), owed)
            else:
                result.append(resource)
        return result

    def _put_back(self, resources: Iterable[Resource], owed: AbstractSet[str]) -> None:
        names = {resource.name for resource in resources}
        self.interest.go_on_owing(names & owed)
        self.interest.look_at(names - owed)

    def news(self, response: Response) -> list[Resource]:
        """Return what of the last response may be other than what the client has: it waits for what follows that (R20)."""
        changed = [resource for resource in self.changes.values() if resource is not None]
        if not self.in_doubt:
            return changed
        return changed + [r for r in response.resources if r.name in self.in_doubt and r.name not in self.changes]

    def predecessors(self) -> list[Resource]:
        """Return what the client goes back to if it rejects the last response."""
        found = [self.interest.client.before.get(name) for name in self.changes]
        return [resource for resource in found if isinstance(resource, Resource)]

    def sent(self, response: Response, now_s: float) -> None:
        """Record a response."""
        self.last, self.answer_due = response, False
        self.in_flight[response.nonce] = response, now_s
        changes = self.changes
        is_all = changes is response.content or changes.keys() == response.names  # they may be many
        names = response.names if is_all else shared(frozenset(changes))
        self.interest.client.deliveries.sent(response.nonce, names, now_s, self.interest.client.known)

    def settled_by(self, response: Response) -> Mapping[str, Resource | None]:
        """Return what the ACK of the last response accepts: its changes, and what it says of all that was not certain."""
        client = self.interest.client
        if len(client.before) == len(self.changes) and not (self.interest.owed or self.interest.everything):
            return self.changes  # of which each name is uncertain until now, and no other
        uncertain = {*self.interest.owed, *client.before}
        if self.interest.everything:
            uncertain.update(name for name in response.names if name not in client.held)
        if uncertain <= self.changes.keys():
            return self.changes
        said = {resource.name: resource for resource in response.resources if resource.name in uncertain}
        return {**(dict.fromkeys(uncertain) if self.complete else {}), **said, **self.changes}

    def accept(self, nonce: str, content: Mapping[str, Resource | None], now_s: float) -> None:
        """Record an ACK of this content."""
        self.in_doubt = frozenset()
        super().accept(nonce, content, now_s)

    def reject(self, error: str, now_s: float) -> tuple[str, ...]:
        """Record a NACK, and return what is withheld because of it (R16b)."""
        # What a complete set leaves out is not what is wrong with it.
        content = {name: resource for name, resource in self.changes.items() if resource is not None}
        suspects = self.interest.reject(content, error, now_s)
        blamed = suspects & self.interest.client.withheld.keys()
        if self.complete:
            self.interest.client.restore(suspects)
            self.in_doubt = suspects
            # The client may have applied any part of the set: it gets one that it accepts, with whatever can be changed by then.
            self.answer_due |= bool(self.changes)
        return tuple(sorted(blamed))


_UNCERTAIN: WeakValueDictionary[frozenset[str], Ground[Resource | Claim | None]] = WeakValueDictionary()


def _uncertain(names: frozenset[str]) -> Ground[Resource | Claim | None]:
    """Return what a client has of names of which it says no more than that it has something: of a crowd, many say the same."""
    found = _UNCERTAIN.get(names)
    if found is None:
        found = _UNCERTAIN[names] = Ground(dict.fromkeys(names, UNCERTAIN))
    return found
