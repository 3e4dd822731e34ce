"""What an incremental and a state-of-the-world stream have in common: their types, their ledger, and how changes reach them."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Generic, NamedTuple, TypeVar

from xds.protocol.interest import Interest
from xds.protocol.ledger import Ledger, ResourceStatus, State, resource_statuses
from xds.protocol.traits import WARMED_BY, send_rank

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from collections.abc import Set as AbstractSet

    from xds.protocol.encoder import Encoder, Response
    from xds.protocol.gates import Gates
    from xds.protocol.holdings import Claim
    from xds.protocol.interest import Look, Subscription
    from xds.snapshot.resource import Resource
    from xds.snapshot.snapshot import ChangeSet

RESPONSE_BYTES = 3_500_000
"""Where a response is split: Go gRPC clients refuse messages over 4 MiB (R38)."""


class Found(NamedTuple):
    """What there is to tell a client."""

    resources: list[Resource]
    absent: list[str]
    """Names that are owed, and there is no such resource."""
    gone: list[str]
    """Names that the client holds, and there is no such resource any more."""


class Kind:
    """One type of a stream."""

    __slots__ = ("answer_due", "in_flight", "interest", "reconnected", "synced", "type_url")

    def __init__(self, type_url: str) -> None:
        self.type_url = type_url
        self.interest = Interest()
        self.in_flight: dict[str, tuple[Response, float]] = {}
        """Nonce -> the unanswered response and when it was sent, oldest first."""
        self.answer_due = False
        """The client asked for all that there is and has to hear of it, even if that is nothing (R12)."""
        self.reconnected = False
        """The client came with something of the type."""
        self.synced = False
        """The client has accepted something of the type, or came with something."""

    def standing(self, now_s: float) -> tuple[State, float]:
        """Return how the type stands, and since when."""
        if self.interest.client.withheld:
            return State.ERROR, now_s
        if self.in_flight:
            return State.STALE, next(iter(self.in_flight.values()))[1]
        return State.SYNCED, now_s

    def find(self, names: Iterable[str], owed: AbstractSet[str], look: Look, gates: Gates) -> Found:
        """Return what of these names there is to tell the client now; what a gate holds back is looked at again.

        Args:
            names: in the order in which they are to go out.
            owed: those that must be answered even if there is no such resource.
            look: what they are part of.
            gates: those of the stream.
        """
        found = Found([], [], [])
        client = self.interest.client
        for name in names:
            resource = look.available.get(name)
            if resource is None:
                if name in owed:
                    found.absent.append(name)
                elif name in client.held:
                    found.gone.append(name)
            elif client.holds(resource):  # nothing owed is held
                continue
            elif gates.hold_back(self, resource, look.deadlines):
                self.interest.owed |= {name} & owed
            else:
                found.resources.append(resource)
        return found

    def accept(self, nonce: str, content: Mapping[str, Resource | None], now_s: float) -> None:
        """Record an ACK of this content."""
        interest, client = self.interest, self.interest.client
        self.synced = True
        client.deliveries.accepted(nonce, now_s)
        if self.type_url in WARMED_BY:
            client.replaced.update({n: was for n, now in content.items() if now and (was := client.before.get(n))})
        if self.in_flight or interest.owed or interest.apart or client.withheld:
            interest.accept(content)
        else:  # nothing else is unsettled, and names may be many
            interest.rejections_in_a_row = 0
            client.before.clear()

    def lingering(self, available: Mapping[str, Resource]) -> Iterator[Resource | Claim]:
        """Return what the client may still use although there is something else, or nothing, instead."""
        yield from self.interest.lingering(available)
        held = self.interest.client.held
        for response, _ in self.in_flight.values():
            yield from [resource for resource in response.resources if held.get(resource.name) is not resource]


K = TypeVar("K", bound=Kind)


class Stream(Generic[K]):
    """A stream as the server's hub sees it.

    Args:
        encoder: shared by the streams of a server.
        response_bytes: responses that may be split are split at about this size; a single larger resource goes out alone.
    """

    one_in_flight: ClassVar[bool]
    """Whether a type's next response waits for the answer to its last one."""

    def __init__(self, encoder: Encoder, *, response_bytes: int = RESPONSE_BYTES) -> None:
        self.ledger = Ledger()
        self.subscription_changes = 0
        """Rises whenever `subscriptions()` has something new to say."""
        self._encoder = encoder
        self._response_bytes = response_bytes
        self._last_nonce = 0
        self._types: dict[str, K] = {}
        """Type URL -> what the stream knows of it, in the order in which additions go out."""

    def subscriptions(self) -> Mapping[str, Subscription]:
        """Return what the stream wants: type URL -> (wildcard, names)."""
        return {type_url: kind.interest.subscription for type_url, kind in self._types.items()}

    def resources(self, type_url: str) -> list[ResourceStatus]:
        """Return how each resource of a type stands that the client holds, was sent, asked for by name or rejected, by name."""
        kind = self._types.get(type_url)
        return resource_statuses(kind.interest) if kind else []

    def deadline_s(self) -> float | None:
        """Return when `poll` has something to do even if nothing happens, in the time that it is given; None for never."""
        ready = [kind for kind in self._types.values() if not self.one_in_flight or not kind.in_flight]
        return min((at_s for kind in ready for at_s in kind.interest.waiting.values()), default=None)

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

    def _add(self, kind: K, now_s: float) -> None:
        """Enter a type that the client asks for the first time."""
        self._types[kind.type_url] = kind
        self._types = dict(sorted(self._types.items(), key=lambda item: send_rank(item[0])))
        self.ledger.asked(kind.type_url, now_s)
