"""One incremental stream: what its client asked for, holds and rejected, and what it is to be sent next.

In: decoded requests, change sets, snapshots and the time. Out: responses, recorded as sent before they are returned. No I/O,
no clock.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from xds.protocol.encoder import Encoder, Response, encoded_bytes
from xds.protocol.interest import NO_NAMES, WILDCARD, Interest, Subscription
from xds.protocol.ledger import Nack, State
from xds.protocol.stream import RESPONSE_BYTES, Stream
from xds.protocol.traits import EMPTY_IF_ABSENT, LEGACY_WILDCARD, NEVER_REMOVED, removal_rank

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from xds.protocol.requests import DeltaRequest
    from xds.snapshot.resource import Resource
    from xds.snapshot.snapshot import Snapshot

IN_FLIGHT = 64
"""Unanswered responses remembered a type; a client that never answers costs no more than this."""


class DeltaStream(Stream["_DeltaType"]):
    """One `DeltaAggregatedResources` stream, or the incremental stream of one type."""

    def __init__(self, encoder: Encoder, *, response_bytes: int = RESPONSE_BYTES) -> None:
        super().__init__(encoder, response_bytes=response_bytes)
        self._followers_due: dict[str, frozenset[str]] = {}
        """Names of a type not asked for yet whose parents were sent on this stream (R19)."""

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
            self._apply(kind, request.subscribe, request.unsubscribe, rejected)
        return nack

    def poll(self, snapshot: Snapshot, now_s: float) -> list[Response]:
        """Return what is to be sent now, in this order; each response counts as sent.

        Additions and answers come first, in the order CDS, EDS, LDS, RDS, SDS, others; then removals of what the client
        holds, in the order LDS, RDS, others, CDS, EDS (R24).
        """
        responses: list[Response] = []
        looked_at: list[tuple[_DeltaType, list[str]]] = []
        for kind in self._types.values():
            if kind.interest.pending:
                removed: list[str] = []
                looked_at.append((kind, removed))
                for resources, absent in kind.take(snapshot.resources(kind.type_url), removed):
                    self._send(kind, resources, absent, now_s, responses, empty=kind.type_url in EMPTY_IF_ABSENT)
        for kind, removed in sorted(looked_at, key=lambda item: removal_rank(item[0].type_url)):
            self._send(kind, (), removed, now_s, responses)
        for kind, _ in looked_at:
            if kind.answer_due:
                responses.append(self._response(kind, (), (), now_s))  # even if it is empty, or Envoy waits (R12)
            elif kind.interest.held:
                self.ledger.held_already(kind.type_url, now_s)
        return responses

    def _begin(self, request: DeltaRequest, now_s: float) -> None:
        """Take in the first request of a type: its nonce means nothing (R16), its initial versions do (R17)."""
        type_url = request.type_url
        kind = _DeltaType(type_url)
        self._add(kind, now_s)
        legacy = not request.subscribe and type_url in LEGACY_WILDCARD
        self._apply(kind, (*request.subscribe, WILDCARD) if legacy else request.subscribe, request.unsubscribe)
        interest = kind.interest
        interest.held = {name: version for name, version in request.initial_versions.items() if interest.wants(name)}
        interest.dirty |= interest.held.keys()
        interest.owed -= interest.held.keys()
        interest.owe(interest.wanted(self._followers_due.pop(type_url, NO_NAMES)))
        kind.answer_due = interest.subscription.wildcard and not request.initial_versions

    def _settle(self, kind: _DeltaType, request: DeltaRequest, now_s: float) -> tuple[Nack | None, frozenset[str]]:
        """Match an ACK or NACK to its response; several may be in flight, and unknown nonces mean nothing (R15)."""
        if request.nonce not in kind.in_flight:
            if request.nonce:
                self.ledger.stale(kind.type_url)
            return None, NO_NAMES
        response, _ = kind.in_flight.pop(request.nonce)
        if request.error is None:
            kind.accept(response)
            self.ledger.acked(response, *kind.standing(now_s))
            return None, NO_NAMES
        rejected = kind.interest.reject(response.content(), request.error)
        nack = Nack(kind.type_url, response.nonce, request.error, response.resources, response.removed, now_s)
        self.ledger.nacked(nack)
        return nack, rejected

    def _apply(
        self, kind: _DeltaType, subscribe: Sequence[str], unsubscribe: Sequence[str], rejected: frozenset[str] = NO_NAMES
    ) -> None:
        """Apply subscribes, then unsubscribes (R5), and owe what they ask for (R6).

        What the same request rejects is not sent again because it names it too: that would be a loop (R16b).
        """
        interest = kind.interest
        before = interest.subscription
        added, removed = frozenset(subscribe) - {WILDCARD}, frozenset(unsubscribe)
        asked_for_all = WILDCARD in subscribe and WILDCARD not in removed
        wildcard = asked_for_all or (before.wildcard and WILDCARD not in removed)
        subscription = Subscription(wildcard, (before.names | added) - removed)
        if subscription != before:
            interest.subscribe(subscription)
            self.subscription_changes += 1
        # Whether the wildcard covers a name that was unsubscribed is for the server to say (R5).
        interest.owe((added - removed - rejected) | (removed & (before.names | added) if wildcard else NO_NAMES))
        if asked_for_all:
            interest.everything = kind.answer_due = True
            if before.wildcard:  # asked again: the client may have dropped everything (R6)
                interest.owe({*interest.held, *interest.withheld} - rejected)

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
        into += [self._response(kind, some, gone, now_s, empty=empty) for some, gone in self._split(resources, removed)]

    def _response(
        self, kind: _DeltaType, resources: Sequence[Resource], removed: Sequence[str], now_s: float, *, empty: bool = False
    ) -> Response:
        response = self._encoder.delta(kind.type_url, resources, removed, above=self._last_nonce, empty=empty)
        self._last_nonce = int(response.nonce)
        kind.sent(response, now_s)
        self.ledger.sent(response, now_s, state=State.ERROR if kind.interest.withheld else State.STALE)
        self._follow(response)
        return response

    def _split(self, resources: Sequence[Resource], removed: Sequence[str]) -> Iterator[tuple[Sequence[Resource], Sequence[str]]]:
        """Cut into pieces below the limit of a message (R38)."""
        limit = self._response_bytes
        if encoded_bytes(resources) + sum([len(name) + 4 for name in removed]) <= limit:
            if resources or removed:
                yield resources, removed
            return
        some: list[Resource] = []
        gone: list[str] = []
        size = 0
        for resource in resources:
            more = encoded_bytes((resource,))
            if some and size + more > limit:
                yield some, ()
                some, size = [], 0
            some.append(resource)
            size += more
        for name in removed:
            if (some or gone) and size + len(name) > limit:
                yield some, gone
                some, gone, size = [], [], 0
            gone.append(name)
            size += len(name) + 4
        if some or gone:
            yield some, gone

    def _follow(self, response: Response) -> None:
        """Owe the client what it will wait for because its parents were sent, unchanged or not (R19, R20, R21)."""
        for type_url, names in response.followers.items():
            kind = self._types.get(type_url)
            if kind is None:
                before = self._followers_due.get(type_url)
                self._followers_due[type_url] = before | names if before else names
            else:
                kind.interest.owe(kind.interest.wanted(names))


class _DeltaType:
    """One type of an incremental stream."""

    __slots__ = ("answer_due", "in_flight", "interest", "type_url")

    def __init__(self, type_url: str) -> None:
        self.type_url = type_url
        self.interest = Interest()
        self.in_flight: dict[str, tuple[Response, float]] = {}
        """Nonce -> the unanswered response and when it was sent, oldest first."""
        self.answer_due = False
        """The client asked for all that there is and has to hear of it, even if that is nothing (R12)."""

    def sent(self, response: Response, now_s: float) -> None:
        self.answer_due = False
        self.in_flight[response.nonce] = response, now_s
        if len(self.in_flight) > IN_FLIGHT:
            del self.in_flight[next(iter(self.in_flight))]

    def take(self, available: Mapping[str, Resource], removed: list[str]) -> Iterator[tuple[list[Resource], list[str]]]:
        """Take out what is to be sent now: batches of resources and of names asked for that do not exist (R8).

        Args:
            available: the resources of the type.
            removed: gets the names that the client holds and that exist no longer; they go out later.
        """
        look = self.interest.take(available)
        yield self._batch(look.names, look.owed, available, removed)
        for names in look.apart:
            yield self._batch(names, set(names), available, removed)

    def _batch(
        self, names: list[str], owed: set[str], available: Mapping[str, Resource], removed: list[str]
    ) -> tuple[list[Resource], list[str]]:
        held = self.interest.held
        found = [resource for name in names if (resource := available.get(name))]
        resources = [resource for resource in found if held.get(resource.name) != resource.version]  # nothing owed is held
        held.update([(resource.name, resource.version) for resource in resources])
        absent: list[str] = []
        if len(found) < len(names) and self.type_url not in NEVER_REMOVED:
            for name in names:
                if name not in available and (name in owed or name in held):
                    (absent if name in owed else removed).append(name)
                    held.pop(name, None)
        return resources, absent

    def accept(self, response: Response) -> None:
        self.interest.accept(response.content() if self.interest.withheld else {})

    def standing(self, now_s: float) -> tuple[State, float]:
        """Return how the type stands, and since when."""
        if self.interest.withheld:
            return State.ERROR, now_s
        if self.in_flight:
            return State.STALE, next(iter(self.in_flight.values()))[1]
        return State.SYNCED, now_s
