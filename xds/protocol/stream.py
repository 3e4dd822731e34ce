"""What an incremental and a state-of-the-world stream have in common: their types, their ledger, and how changes reach them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar, Generic, TypeVar

from xds.protocol.kind import SPARES, Kind, Spare
from xds.protocol.ledger import Ledger, ResourceStatus, resource_statuses
from xds.protocol.traits import AWAITED, AWAITED_BY, FOLLOWERS, WAITS_FOR, WARMED_BY, send_rank

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence
    from collections.abc import Set as AbstractSet

    from xds.protocol.encoder import Encoder
    from xds.protocol.holdings import Rejection
    from xds.protocol.interest import Subscription
    from xds.snapshot.resource import Resource
    from xds.snapshot.snapshot import ChangeSet, Snapshot

RESPONSE_BYTES = 3_500_000
"""Where a response is split: Go gRPC clients refuse messages over 4 MiB (R38)."""


K = TypeVar("K", bound=Kind)


class Stream(Generic[K]):
    """A stream as the server's hub sees it.

    Args:
        encoder: shared by the streams of a server.
        response_bytes: responses that may be split are split at about this size; a single larger resource goes out alone.
        aggregated: whether the stream may carry every type (ADS), so that a type not asked for yet may still be asked for.
    """

    one_in_flight: ClassVar[bool]
    """Whether a type's next response waits for the answer to its last one."""

    def __init__(self, encoder: Encoder, *, response_bytes: int = RESPONSE_BYTES, aggregated: bool = True) -> None:
        self.ledger = Ledger()
        self.subscription_changes = 0
        """Rises whenever `subscription` has something new to say of some type."""
        self.reads_errors = False
        """The client reads `resource_errors`: it waits for what does not exist unless it is told (R34). Set before the first
        request; of no account in the incremental variant, which has `removed_resources`."""
        self.earlier: Callable[[], Sequence[Snapshot]] = tuple
        """Returns earlier snapshots of the view, oldest first: what a client that reconnects may hold, or wait for."""
        self._encoder = encoder
        self._response_bytes = response_bytes
        self._aggregated = aggregated
        self._spares: dict[str, tuple[Spare, ...]] = {}
        """`Kind.spares` of types not asked for yet."""
        self._last_nonce = 0
        self._polled_at_s = float("-inf")
        self._types: dict[str, K] = {}
        """Type URL -> what the stream knows of it, in the order in which additions go out."""

    def subscriptions(self) -> Mapping[str, Subscription]:
        """Return what the stream wants: type URL -> (wildcard, names)."""
        return {type_url: kind.interest.subscription for type_url, kind in self._types.items()}

    def subscription(self, type_url: str) -> Subscription:
        """Return what the stream wants of a type that was asked for."""
        return self._types[type_url].interest.subscription

    def resources(self, type_url: str, among: AbstractSet[str] | None = None) -> list[ResourceStatus]:
        """Return how each resource of a type stands that the client holds, was sent, asked for by name or rejected, by name.

        Args:
            type_url: the type.
            among: only resources of these names.
        """
        kind = self._types.get(type_url)
        return resource_statuses(kind.interest, among) if kind else []

    def withheld(self, type_url: str) -> Mapping[str, Rejection]:
        """Return what the client rejected and is not sent again until it differs: name -> rejection."""
        kind = self._types.get(type_url)
        return kind.interest.client.withheld if kind else {}

    @property
    def pending(self) -> bool:
        """Whether `poll` may have something to do before `deadline_s`."""
        return bool(self._due())

    def deadline_s(self) -> float | None:
        """Return when `poll` has something to do even if nothing happens, in the time that it is given; None for never."""
        waits = self._heartbeats_s()
        for kind in self._types.values():
            if kind.interest.waiting:
                waits = [*waits, *self._waits_s()]
                break
        return min([at_s for at_s in waits if at_s > self._polled_at_s], default=None) if waits else None

    def _due(self) -> list[K]:
        """Return the types of which there may be something to tell the client."""
        due: list[K] = []
        for kind in self._types.values():  # for each change and each request of each stream, so nothing is called here
            interest = kind.interest
            if interest.dirty or interest.owed or interest.waiting or interest.everything or interest.apart or kind.answer_due:
                due.append(kind)
        return [kind for kind in due if not kind.in_flight] if due and self.one_in_flight else due

    def _waits_s(self) -> list[float]:
        """Return when names that wait, of what may be sent next, wait no longer."""
        ready = [kind for kind in self._types.values() if not self.one_in_flight or not kind.in_flight]
        waiting = [at_s for kind in ready for at_s in kind.interest.waiting.values()]
        return waiting and [*waiting, *[replaced.until_s for kind in ready for replaced in kind.interest.client.replaced]]

    def _heartbeats_s(self) -> list[float]:
        """Return when heartbeats are due."""
        return []

    def on_change(self, change: ChangeSet) -> None:
        """Mark the names of a change set dirty, as far as they are subscribed to."""
        for type_url, names in change.names.items():
            kind = self._types.get(type_url)
            if kind is not None:
                kind.interest.change(names)

    def resync(self) -> None:
        """Mark every name dirty that is subscribed to, e.g. because the stream moves to another view."""
        for kind in self._types.values():
            kind.interest.everything = True

    def _keep_spare(self, type_url: str, awaited: frozenset[str], snapshot: Snapshot) -> None:
        """Remember what there is of that which the client will ask for because it is sent something of a type."""
        if awaited:
            needed_url = WAITS_FOR[type_url]
            available = snapshot.resources(needed_url)
            if needed := self._types.get(needed_url):
                needed.keep_spare(awaited, available)
            elif self._aggregated:  # else it asks for them elsewhere
                self._spares[needed_url] = (*self._spares.get(needed_url, ())[-SPARES:], Spare(awaited, available, {}))

    def _blame(self, kind: K, names: Collection[str]) -> None:
        """Note of what is withheld now which clusters the client did not have that it refers to, and that it is no answer."""
        kind.reject_spares(frozenset(names))
        withheld = kind.interest.client.withheld
        for name in names:
            resource = withheld[name].resource
            if resource is not None and resource.refs:
                lacking = [self._lacked(url, resource.refs.get(url, frozenset())) for url in AWAITED]
                withheld[name] = replace(withheld[name], lacking=frozenset().union(*lacking))

    def _lacked(self, type_url: str, names: frozenset[str]) -> frozenset[str]:
        if not names or type_url not in self._types:
            return frozenset()
        client = self._types[type_url].interest.client
        return frozenset(name for name in names if name not in client.held or client.before.get(name, client) is None)

    def _accepted(self, kind: K, content: Mapping[str, Resource | None]) -> None:
        """Draw the consequences for other types of what the client accepted of one."""
        leader = self._types.get(AWAITED_BY.get(kind.type_url, ""))
        if kind.spares and leader is not None and not leader.in_flight:
            kind.drop_answered(content.keys())
        if not kind.in_flight:
            self._drop_spares(kind)
        if kind.type_url in AWAITED:  # what was rejected may go out again if the client has now what was lacking
            for other in self._types.values():
                withheld = other.interest.client.withheld
                for name in [name for name, rejection in withheld.items() if not rejection.lacking.isdisjoint(content)]:
                    other.interest.release(name)

    def _drop_spares(self, kind: K) -> None:
        """Forget what the client will not ask for any more, all of a type being answered.

        Clusters are answered once they are warm, listeners at once: the routes of the last ones are still to be asked for.
        """
        needed = self._types.get(WAITS_FOR.get(kind.type_url, ""))
        if needed and needed.spares:
            needed.drop_spares(but_last=kind.type_url in WARMED_BY)
        if kind.spares and any(
            needed_url == kind.type_url and url in self._types and not self._types[url].in_flight
            for url, needed_url in WARMED_BY.items()
        ):
            kind.drop_spares()

    def _add(self, kind: K, now_s: float) -> None:
        """Enter a type that the client asks for the first time."""
        last = next(reversed(self._types), None)
        self._types[kind.type_url] = kind
        kind.spares = self._spares.pop(kind.type_url, ())
        if kind.type_url in WARMED_BY and self._aggregated:
            self._owe_what_warms()
        if last is not None and send_rank(kind.type_url) < send_rank(last):  # clients nearly always ask in that order
            self._types = dict(sorted(self._types.items(), key=lambda item: send_rank(item[0])))
        self.ledger.asked(kind.type_url, now_s)

    def _owe_what_warms(self) -> None:
        """Owe a client that asks for listeners, and before for endpoints with what it had, but not for clusters, those endpoints.

        Envoy asks for no clusters while one that it came with is warming. That waits for endpoints, though they did not change
        (R19), or are gone by now: then it gets what there was of them.
        """
        for leader_url, url in FOLLOWERS.items():
            kind = self._types.get(url)
            if leader_url not in self._types and kind is not None and kind.reconnected:
                names = kind.interest.subscription.names.difference(*[response.names for response, _ in kind.in_flight.values()])
                kind.spares = [Spare(names, earlier.resources(url), {}) for earlier in self.earlier()]
                kind.interest.owe(names)
