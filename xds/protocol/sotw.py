"""One state-of-the-world stream: what its client asked for, was sent and rejected, and what it is to be sent next.

In: decoded requests, change sets, snapshots and the time. Out: responses, recorded as sent before they are returned. No I/O,
no clock.

At most one response a type is in flight; what changes meanwhile is sent after its ACK or NACK, which carries the newest names
of the client, so that no subscription change is lost to a stale nonce (R14).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from xds.protocol.encoder import Response, encoded_bytes, followers_of
from xds.protocol.interest import NO_NAMES, WILDCARD, Interest, Subscription
from xds.protocol.ledger import Nack, State
from xds.protocol.stream import Stream
from xds.protocol.traits import COMPLETE, LEGACY_WILDCARD, leaders
from xds.wire.type_urls import ENDPOINT

if TYPE_CHECKING:
    from collections.abc import Mapping

    from xds.protocol.requests import SotwRequest
    from xds.snapshot.resource import Resource
    from xds.snapshot.snapshot import Snapshot

EVERYTHING = Subscription(wildcard=True, names=NO_NAMES)


class SotwStream(Stream["_SotwType"]):
    """One `StreamAggregatedResources` stream, or the state-of-the-world stream of one type."""

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
            kind.interest.owe(kind.interest.subscription.names | kind.interest.held.keys())
        return nack

    def poll(self, snapshot: Snapshot, now_s: float) -> list[Response]:
        """Return what is to be sent now, in the order CDS, EDS, LDS, RDS, SDS, others; each response counts as sent."""
        responses: list[Response] = []
        for kind in self._types.values():
            if kind.in_flight or not kind.interest.pending:
                continue
            version = snapshot.type_version(kind.type_url)
            available = snapshot.resources(kind.type_url)
            if kind.claimed == version and kind.interest.subscription == EVERYTHING:  # R19a
                kind.hold(available)
                self.ledger.held_already(kind.type_url, now_s, version=version)
            else:
                resources = kind.take_complete(available) if kind.complete else kind.take_part(available, self._response_bytes)
                if resources is not None:
                    responses.append(self._response(kind, resources, version, now_s))
            kind.claimed = ""
        return responses

    def _begin(self, request: SotwRequest, now_s: float) -> None:
        kind = _SotwType(request.type_url)
        self._add(kind, now_s)
        self._resubscribe(kind, request)
        kind.claimed = request.version if kind.complete else ""
        # A client that reconnects may hold what is gone: a set of which nothing is left is sent, too (R11). "" is no name (R4).
        kind.answer_due |= kind.complete and any(request.names)

    def _settle(self, kind: _SotwType, request: SotwRequest, now_s: float) -> Nack | None:
        """Match an ACK or NACK to the last response. A stale nonce answers nothing, but its names count (R14)."""
        response = kind.last
        if response is None or request.nonce != response.nonce:
            if request.nonce:
                self.ledger.stale(kind.type_url)
            return None
        if request.error is not None:
            kind.in_flight = False
            kind.reject(response, request.error)
            nack = Nack(kind.type_url, response.nonce, request.error, response.resources, (), now_s)
            self.ledger.nacked(nack)
            return nack
        if kind.in_flight:
            kind.in_flight = False
            kind.accept(response)
            self.ledger.acked(response, State.ERROR if kind.in_error else State.SYNCED, now_s)
        return None

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
        kind.interest.owe(names - before.names)
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
        response = self._encoder.sotw(kind.type_url, resources, version, above=self._last_nonce)
        self._last_nonce = int(response.nonce)
        kind.last, kind.in_flight = response, True
        self._follow(kind, response)
        self.ledger.sent(response, now_s, state=State.ERROR if kind.in_error else State.STALE)
        return response

    def _follow(self, kind: _SotwType, response: Response) -> None:
        """Owe the client what it will wait for because its parents were sent anew (R19, R20)."""
        all_new = len(kind.news) == len(response.resources)
        for type_url, names in (response.followers if all_new else followers_of(kind.type_url, kind.news)).items():
            follower = self._types.get(type_url)
            if follower is not None:
                follower.interest.owe(follower.interest.wanted(names))


class _SotwType:
    """One type of a state-of-the-world stream."""

    __slots__ = (
        "answer_due",
        "claimed",
        "complete",
        "ever_named",
        "in_flight",
        "interest",
        "last",
        "news",
        "rejected",
        "type_url",
    )

    def __init__(self, type_url: str) -> None:
        self.type_url = type_url
        self.complete = type_url in COMPLETE
        self.interest = Interest()
        self.claimed = ""
        """The version that the first request says is held; until the first poll (R19a)."""
        self.ever_named = False
        self.answer_due = False
        """The client asked for all that there is and has to hear of it, even if that is nothing (R12)."""
        self.last: Response | None = None
        self.in_flight = False
        """The last response is unanswered."""
        self.rejected = False
        """The last complete set was rejected; part of it may be in force all the same."""
        self.news: list[Resource] = []
        """Of the last response, what the client did not hold."""

    def hold(self, available: Mapping[str, Resource]) -> None:
        """Record that the client holds all that there is."""
        self.interest.take(available)
        self.interest.held = {name: resource.version for name, resource in available.items()}
        self.answer_due = False

    def take_complete(self, available: Mapping[str, Resource]) -> list[Resource] | None:
        """Return the whole set to be sent (R11), or None if the client was sent it already."""
        interest = self.interest
        owed = interest.take(available).owed
        wanted = available if interest.subscription.wildcard else interest.subscription.names & available.keys()
        resources = [available[name] for name in sorted(wanted)]
        content = {resource.name: resource.version for resource in resources}
        if content == interest.held and not self.answer_due and owed.isdisjoint(content):
            return None
        self.news = [r for r in resources if self.rejected or interest.held.get(r.name) != r.version]
        interest.held, self.answer_due, self.rejected = content, False, False
        return resources

    def take_part(self, available: Mapping[str, Resource], limit_bytes: int) -> list[Resource] | None:
        """Return what changed or was asked for, up to a size; what exceeds it stays due. Absence means nothing here (R11)."""
        look = self.interest.take(available)
        resources = self._part(look.names, look.owed, available, limit_bytes)
        apart = look.apart
        while apart and not resources:
            names = apart.pop(0)
            resources = self._part(names, set(names), available, limit_bytes)
        self.interest.apart += apart
        return resources or None

    def _part(self, names: list[str], owed: set[str], available: Mapping[str, Resource], limit_bytes: int) -> list[Resource]:
        interest = self.interest
        resources: list[Resource] = []
        size = 0
        for name in names:
            resource = available.get(name)
            if resource is None or (name not in owed and interest.held.get(name) == resource.version):
                continue
            size += encoded_bytes((resource,))
            if resources and size > limit_bytes:
                (interest.owed if name in owed else interest.dirty).add(name)
            else:
                resources.append(resource)
                interest.held[resource.name] = resource.version
        return resources

    def reject(self, response: Response, error: str) -> None:
        """Record a NACK: the same content is not sent again (R16b)."""
        self.rejected = self.complete
        if not self.complete:
            self.interest.reject(response.content(), error)

    def accept(self, response: Response) -> None:
        """Record an ACK."""
        self.rejected = False
        self.interest.accept(response.content() if self.interest.withheld else {})

    @property
    def in_error(self) -> bool:
        """Whether something rejected has not changed since."""
        return self.rejected or bool(self.interest.withheld)
