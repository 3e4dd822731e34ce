"""One incremental stream: what its client asked for, holds and rejected, and what it is to be sent next.

In: decoded requests, change sets, snapshots and the time. Out: responses, recorded as sent before they are returned. No I/O,
no clock.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from xds.protocol.claims import NO_CLAIMS, Claims
from xds.protocol.encoder import Encoder, Response, split
from xds.protocol.gates import Gates
from xds.protocol.heartbeats import Heartbeats
from xds.protocol.holdings import NO_NAMES
from xds.protocol.interest import WILDCARD, Subscription
from xds.protocol.kind import Kind
from xds.protocol.ledger import Nack, State
from xds.protocol.stream import RESPONSE_BYTES, Stream
from xds.protocol.traits import EMPTY_IF_ABSENT, FOLLOWERS, LEGACY_WILDCARD, NEVER_REMOVED, REPLACING, removal_rank
from xds.snapshot.resource import Resource

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from collections.abc import Set as AbstractSet

    from xds.protocol.interest import Look
    from xds.protocol.requests import DeltaRequest
    from xds.snapshot.snapshot import Snapshot
    from xds.snapshot.table import Table

IN_FLIGHT = 64
"""Unanswered responses remembered a type; a client that never answers costs no more than this."""
OVERDUE = 1024
"""Of older ones, taken to be accepted, the names are remembered: should the client reject one after all, that counts."""


class DeltaStream(Stream["_DeltaType"]):
    """One `DeltaAggregatedResources` stream, or the incremental stream of one type."""

    one_in_flight = False

    def __init__(self, encoder: Encoder, *, response_bytes: int = RESPONSE_BYTES, aggregated: bool = True) -> None:
        super().__init__(encoder, response_bytes=response_bytes, aggregated=aggregated)
        self._followers_due: dict[str, frozenset[str]] = {}
        """Names of a type not asked for yet whose parents were sent on this stream (R19)."""
        self._beating: dict[str, _DeltaType] = {}
        """The types of which some resource has, or had, a time to live."""

    def on_request(self, request: DeltaRequest, now_s: float) -> Nack | None:
        """Take in a request; call `poll` afterwards.

        Returns:
            What the client rejected, if the request is a NACK.
        """
        kind = self._types.get(request.type_url)
        if kind is None:
            self._begin(request, now_s)
            return None
        nack, rejected = self._settle(kind, request, now_s)
        if request.subscribe or request.unsubscribe:
            self._apply(kind, request.subscribe, request.unsubscribe, rejected=rejected)
        return nack

    def settle(self, type_url: str, snapshot: Snapshot, now_s: float) -> None:
        """Compare what the client said that it holds of a type with what there is: if that is all, nothing is pending then.

        May be called after the first request of a type, and spares the crowd that comes back a `poll` each that finds nothing;
        otherwise that compares. It does so in any case where some resource has a time to live, which counts from then.
        """
        kind, available = self._types[type_url], snapshot.resources(type_url)
        if kind.claims and not available.perishable:
            kind.compare(available, now_s)
            if not kind.interest.pending:
                self._note_held(kind, now_s)

    def poll(self, snapshot: Snapshot, now_s: float) -> list[Response]:
        """Return what is to be sent now, in this order; each response counts as sent.

        Additions and answers come first, in the order CDS, EDS, LDS, RDS, SDS, others; then removals of what the client
        holds, in the order LDS, RDS, others, CDS, EDS (R24). What a gate holds back is looked at again in later polls.
        """
        self._polled_at_s = now_s
        due = self._due()
        if not due:
            responses: list[Response] = []
        elif len(due) == 1 and not due[0].claims and (changes := due[0].mere_changes(snapshot, self._types)):
            responses = self._send_changes(due[0], changes, now_s)
        else:
            responses = self._send_pending(snapshot, now_s)
        return responses + self._send_heartbeats(now_s) if self._beating else responses

    def _send_changes(self, kind: _DeltaType, changes: list[Resource], now_s: float) -> list[Response]:
        """Send new versions of what the client has accepted, as nearly always: nothing else is asked for, nothing waits."""
        kind.interest.looked_at()
        if len(changes) == 1:  # which is not split, however large
            return [self._response(kind, changes, (), now_s)]
        responses: list[Response] = []
        self._send(kind, changes, (), now_s, responses)
        return responses

    def _send_pending(self, snapshot: Snapshot, now_s: float) -> list[Response]:
        gates = Gates(self._types, snapshot, now_s, aggregated=self._aggregated)
        responses: list[Response] = []
        looked_at: list[_DeltaType] = []
        going: list[tuple[_DeltaType, Look, list[str]]] = []
        for kind in self._types.values():
            if not kind.interest.pending:  # for which what was sent before may be a reason
                continue
            available = snapshot.resources(kind.type_url)
            gone: list[str] = []
            sent = self._send_first(kind, available, gates, now_s)
            if not sent:
                look = self._look(kind, available, now_s)
                sent = self._send_found(kind, look, gates, now_s, gone)
                if gone and kind.removable:
                    going.append((kind, look, gone))
            for response in sent:
                self._keep_spare(response.type_url, response.awaited, snapshot)
            responses += sent
            looked_at.append(kind)
        for kind, look, gone in sorted(going, key=lambda item: removal_rank(item[0].type_url)):
            self._send(kind, (), gates.released(kind, gone, look), now_s, responses)
        return responses + self._answer_rest(looked_at, now_s)

    def _answer_rest(self, looked_at: list[_DeltaType], now_s: float) -> list[Response]:
        """Answer who asked for everything and was told nothing yet, even if that is nothing, or Envoy waits (R12)."""
        for kind in looked_at:
            self._note_held(kind, now_s)
        return [self._response(kind, (), (), now_s) for kind in looked_at if kind.answer_due]

    def _note_held(self, kind: _DeltaType, now_s: float) -> None:
        """Record it if a client that was told nothing yet has all that there is to tell (R17)."""
        if kind.interest.client.held.size and not kind.answer_due:
            self.ledger.held_already(kind.type_url, now_s)

    def _send_heartbeats(self, now_s: float) -> list[Response]:
        due = [(kind, beats) for kind in self._beating.values() if (beats := kind.beats().due(now_s))]
        return [
            self._sent(kind, self._encoder.heartbeat(kind.type_url, beats, above=self._last_nonce), now_s) for kind, beats in due
        ]

    def _heartbeats_s(self) -> list[float]:
        if not self._beating:
            return []
        return [min(due_s.values()) for kind in self._beating.values() if (due_s := kind.beats().due_s)]

    def _send_first(self, kind: _DeltaType, available: Table, gates: Gates, now_s: float) -> list[Response]:
        """Return what a client gets that has nothing yet: what all get that ask for the same. Nothing if there is more to it."""
        if kind.claims or not kind.asks_first or not gates.stand_open(kind):
            return []
        names = kind.interest.subscription.asked
        found = self._encoder.first(kind.type_url, available, names, above=self._last_nonce, limit_bytes=self._response_bytes)
        if found:
            kind.interest.looked_at()
        return [self._sent(kind, response, now_s) for response in found]

    def _look(self, kind: _DeltaType, available: Table, now_s: float) -> Look:
        look = kind.look(available, now_s)
        if kind.heartbeats and kind.heartbeats.due_s:
            self._beating[kind.type_url] = kind
        return look

    def _send_found(self, kind: _DeltaType, look: Look, gates: Gates, now_s: float, gone: list[str]) -> list[Response]:
        """Return additions and answers of one type; what the client is to drop is added to `gone`, if it goes later."""
        responses: list[Response] = []
        if not (look.names or look.apart):  # as where a client came with what there is
            kind.gathers_since_s = None
            return responses
        for names, owed in ((look.names, look.owed), *[(names, kind.still_owed(names, look)) for names in look.apart]):
            found = kind.find(names, owed, look, gates)
            removed = found.absent if kind.removable else []
            if kind.type_url in REPLACING:
                removed = removed + gates.released(kind, found.gone, look)
            else:
                gone += found.gone
            *first, last = kind.portions(found.resources)
            for portion in first:
                self._send(kind, portion, (), now_s, responses)
            self._send(kind, last, removed, now_s, responses, empty=kind.type_url in EMPTY_IF_ABSENT)
        return responses

    def _begin(self, request: DeltaRequest, now_s: float) -> None:
        """Take in the first request of a type: its nonce means nothing (R16), its initial versions do (R17)."""
        type_url = request.type_url
        kind = _DeltaType(type_url)
        self._add(kind, now_s)
        legacy = not request.subscribe and type_url in LEGACY_WILDCARD
        interest, kind.claims = kind.interest, Claims.of(request.initial_versions)
        subscribe = (*request.subscribe, WILDCARD) if legacy else request.subscribe
        self._apply(kind, subscribe, request.unsubscribe, claims=kind.claims)
        kind.synced = kind.reconnected = interest.everything = bool(kind.claims)
        interest.everything |= interest.subscription.wildcard
        if due := self._followers_due.pop(type_url, None):
            interest.owe(interest.wanted(due))
        kind.answer_due = interest.subscription.wildcard and not kind.claims

    def _settle(self, kind: _DeltaType, request: DeltaRequest, now_s: float) -> tuple[Nack | None, frozenset[str]]:
        """Match an ACK or NACK to its response; several may be in flight, and unknown nonces mean nothing (R15)."""
        found = kind.in_flight.pop(request.nonce, None)
        if found is None:
            if request.nonce:
                self.ledger.stale(kind.type_url)
            return self._reject_late(kind, request, now_s)
        response = found[0]
        if request.error is None:
            kind.accept(response.nonce, content := response.content, now_s)
            self._accepted(kind, content)
            self.ledger.acked(response, *kind.standing(now_s))
            return None, NO_NAMES
        nack, rejected = self._reject(kind, response.nonce, response.content, request.error, now_s)
        client = kind.interest.client
        client.unsure |= client.before.among(response.names) - rejected  # sent anew since
        kind.interest.owe(client.held.among(frozenset(response.heartbeats)))  # it wants the body
        return nack, rejected

    def _reject_late(self, kind: _DeltaType, request: DeltaRequest, now_s: float) -> tuple[Nack | None, frozenset[str]]:
        """Take a NACK of a response that was taken to be accepted for one of what the client is believed to have of it.

        Should that have been sent anew since, its ACK says so.
        """
        names = kind.overdue.pop(request.nonce, NO_NAMES)
        held = kind.interest.client.held
        content = {name: one for name in sorted(names) if isinstance(one := held.get(name), Resource)}
        if request.error is None or not content:
            return None, NO_NAMES
        return self._reject(kind, request.nonce, content, request.error, now_s)

    def _reject(
        self, kind: _DeltaType, nonce: str, content: Mapping[str, Resource | None], error: str, now_s: float
    ) -> tuple[Nack, frozenset[str]]:
        """Record a NACK of this content, None for what was removed; return it, and the names that are dealt with."""
        rejected = kind.interest.reject(content, error, now_s)
        blamed = tuple(sorted(rejected & kind.interest.client.withheld.keys()))
        self._blame(kind, blamed)
        resources = tuple(resource for resource in content.values() if resource is not None)
        removed = tuple(name for name, resource in content.items() if resource is None)
        nack = Nack(kind.type_url, nonce, error, resources, removed, now_s, blamed)
        self.ledger.nacked(nack)
        return nack, rejected

    def _apply(
        self,
        kind: _DeltaType,
        subscribe: Collection[str],
        unsubscribe: Collection[str],
        *,
        rejected: frozenset[str] = NO_NAMES,
        claims: Claims = NO_CLAIMS,
    ) -> None:
        """Apply subscribes, then unsubscribes (R5), and owe what they ask for (R6).

        What the same request rejects is not sent again because it names it too: that would be a loop (R16b). Nor is what the
        client has, by what the same request says, unless that is outdated.
        """
        interest = kind.interest
        before = interest.subscription
        added, removed = frozenset(subscribe), frozenset(unsubscribe)
        asked_for_all = WILDCARD in added and WILDCARD not in removed
        added = added - {WILDCARD} if WILDCARD in added else added
        wildcard = asked_for_all or (before.wildcard and WILDCARD not in removed)
        names = before.names | added if before.names else added  # which may be many: no copy that is not needed
        subscription = Subscription(wildcard, names - removed if removed else names)
        if subscription != before:
            interest.subscribe(subscription)
            self.subscription_changes += 1
            if kind.claims and not wildcard:  # what is dropped is no longer held, whatever was said of it at first
                kind.claims = kind.claims.among(interest.subscription.names)
        # Whether the wildcard covers a name that was unsubscribed is for the server to say (R5).
        asked = added - removed - rejected if removed or rejected else added
        if removed and wildcard:
            asked |= removed & (before.names | added)
        if lacking := claims.lacking(asked):
            interest.owe(lacking)
        if asked_for_all:
            interest.everything = kind.answer_due = True
            if before.wildcard:  # asked again: the client may have dropped everything (R6)
                interest.owe({*interest.client.held, *interest.client.withheld} - rejected)

    def _send(
        self,
        kind: _DeltaType,
        resources: Sequence[Resource],
        removed: Sequence[str],
        now_s: float,
        into: list[Response],
        *,
        empty: bool = False,
    ) -> None:
        pieces = split(resources, removed, self._response_bytes)
        into += [self._response(kind, some, gone, now_s, empty=empty) for some, gone in pieces]

    def _response(
        self, kind: _DeltaType, resources: Sequence[Resource], removed: Sequence[str], now_s: float, *, empty: bool = False
    ) -> Response:
        return self._sent(
            kind, self._encoder.delta(kind.type_url, resources, removed, above=self._last_nonce, empty=empty), now_s
        )

    def _sent(self, kind: _DeltaType, response: Response, now_s: float) -> Response:
        self._last_nonce = int(response.nonce)
        kind.sent(response, now_s)
        if response.perishable:
            self._beating[kind.type_url] = kind
        self.ledger.sent(response, now_s, State.ERROR if kind.interest.client.withheld else State.STALE)
        if response.awaited:
            self._follow(response)
        return response

    def _follow(self, response: Response) -> None:
        """Owe the client what it will wait for because its parents were sent, unchanged or not (R19, R20, R21)."""
        type_url = FOLLOWERS.get(response.type_url)
        if type_url is None:
            return
        if kind := self._types.get(type_url):
            kind.interest.owe(kind.interest.wanted(response.awaited))
        elif self._aggregated:
            self._followers_due[type_url] = self._followers_due.get(type_url, NO_NAMES) | response.awaited


class _DeltaType(Kind):
    """One type of an incremental stream."""

    __slots__ = ("claims", "heartbeats", "overdue", "removable")

    def __init__(self, type_url: str) -> None:
        super().__init__(type_url)
        self.removable = type_url not in NEVER_REMOVED
        self.claims = NO_CLAIMS
        """Name -> version that the client said it has in its first request; until that is compared with what there is (R17)."""
        self.heartbeats: Heartbeats | None = None
        """Once some resource has a time to live."""
        self.overdue: dict[str, frozenset[str]] = {}
        """Nonce -> names of responses too many to be remembered whole, the oldest first."""

    def beats(self) -> Heartbeats:
        """Return the heartbeats of the type, which are made when they are needed: most types have none."""
        if self.heartbeats is None:
            self.heartbeats = Heartbeats(self.type_url, self.interest.client)
        return self.heartbeats

    def sent(self, response: Response, now_s: float) -> None:
        self.answer_due = False
        client = self.interest.client
        client.put(response.content)
        client.deliveries.sent(response.nonce, response.names, now_s, client.known)
        if response.perishable:
            self.beats().begin(response.perishable, now_s)
        self.in_flight[response.nonce] = response, now_s
        if len(self.in_flight) > IN_FLIGHT:  # who never answers has to be taken to accept
            overdue, _ = self.in_flight.pop(next(iter(self.in_flight)))
            client.accept(overdue.content)
            self.overdue[overdue.nonce] = overdue.names
            if len(self.overdue) > OVERDUE:
                del self.overdue[next(iter(self.overdue))]

    def still_owed(self, names: list[str], look: Look) -> AbstractSet[str]:
        """Return which names of a rejected response have to be answered; what is gone by now goes as whatever is in use goes."""
        client = self.interest.client
        gone = {name for name in names if name not in look.available and client.before.get(name) is not None}
        client.unsure |= gone
        client.restore(gone)
        return frozenset(names) - gone

    def look(self, available: Table, now_s: float) -> Look:
        """Take out what is to be looked at now."""
        if self.claims:
            self.compare(available, now_s)
        return self.interest.take(available)

    def compare(self, available: Table, now_s: float) -> None:
        """Take note of what the client claimed: what differs from what there is, or is missing, is to be looked at."""
        interest = self.interest
        claims = self.claims if interest.subscription.wildcard else self.claims.among(interest.subscription.names)
        claims = claims.without(interest.owed) if interest.owed else claims
        found = claims.compared(available)
        interest.claimed(claims, found)
        self.came_with(claims, now_s)
        if found.perishable:
            self.beats().claimed(found.perishable, now_s)
        self.claims = NO_CLAIMS
