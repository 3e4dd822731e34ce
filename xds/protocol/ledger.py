"""The ledger: per type of a stream, and per resource, what was sent, ACKed and rejected, and when."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

from xds.protocol.holdings import UNCERTAIN, Claim

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Mapping
    from collections.abc import Set as AbstractSet

    from xds.protocol.encoder import Response
    from xds.protocol.holdings import Rejection
    from xds.protocol.interest import Interest
    from xds.snapshot.resource import Resource


class State(StrEnum):
    """How a type stands on a stream."""

    SYNCED = "SYNCED"
    """The client accepted the last response, or holds everything already."""
    STALE = "STALE"
    """A response waits for its ACK."""
    NOT_SENT = "NOT SENT"
    """Asked for; nothing was sent yet."""
    ERROR = "ERROR"
    """The client rejected something that has not changed since."""


@dataclass(slots=True)
class TypeStatus:
    """One type of one stream. A live record: the stream writes it, everybody else reads."""

    state: State
    since_s: float
    """When the state began, in the server's time."""
    sent_nonce: str = ""
    sent_version: str = ""
    acked_nonce: str = ""
    acked_version: str = ""
    nacked_nonce: str = ""
    nack_error: str | None = None
    """The text of the last NACK; None: there was none."""
    nack_at_s: float | None = None
    nack_names: tuple[str, ...] = ()
    """What was new in the response that was rejected last."""
    nack_blamed: tuple[str, ...] = ()
    """Which of them the NACK was found to mean; empty: that is still searched for."""
    responses: int = 0
    acks: int = 0
    nacks: int = 0
    stale_nonces: int = 0
    """Requests with a nonce other than that of a response in flight."""


@dataclass(frozen=True, slots=True)
class Nack:
    """A rejected response, for the log and the metrics."""

    type_url: str
    nonce: str
    error: str
    resources: tuple[Resource, ...]
    """What was new in it; the client may have applied some of it."""
    removed: tuple[str, ...]
    at_s: float
    blamed: tuple[str, ...] = ()
    """What is withheld because of it, sorted; empty if the error names nothing and the culprit is still searched for."""


@dataclass(frozen=True, slots=True)
class ResourceStatus:
    """One resource on one stream."""

    name: str
    state: State
    """NOT SENT: asked for by name, and there is no such resource, or it waits for others."""
    resource: Resource | None
    """What was sent last, or rejected; None if that was a removal, or is known by its version alone."""
    version: str = ""
    """Of what was sent last, or rejected, or claimed by the client."""
    accepted_version: str = ""
    """Of what the client accepted last, as far as it is known."""
    sent_at_s: float | None = None
    accepted_at_s: float | None = None
    """When the client accepted what was sent last."""
    error: str = ""
    """Why the client rejected it, in its own words."""
    rejected_at_s: float | None = None


class ResourcesOf(Protocol):
    """Asks one stream."""

    def __call__(self, type_url: str, among: AbstractSet[str] | None = None) -> list[ResourceStatus]:
        """Return how each resource of a type stands, or those of some names, by name."""


@dataclass(frozen=True, slots=True)
class StreamInfo:
    """A live stream, for people."""

    node_id: str
    view: Hashable
    peer: str
    kind: str
    """`delta` or `sotw`."""
    service: str
    """`ads`, or the short name of the type that the service is for, e.g. `eds`."""
    connected_at_s: float
    types: Mapping[str, TypeStatus]
    """Type URL -> how it stands; the stream's ledger itself."""
    resources: ResourcesOf
    """How the resources of a type stand."""
    withheld: Callable[[str], Mapping[str, Rejection]]
    """Called with a type URL, what the client rejected and is not sent again: name -> rejection. The stream's own record."""


class Ledger:
    """The statuses of one stream's types, in the order in which the client first asked for them."""

    def __init__(self) -> None:
        self.types: dict[str, TypeStatus] = {}
        self.stale_nonces = 0
        """Of all types."""
        self.on_ack: Callable[[Response], None] | None = None
        """Told of each response that the client accepted."""

    def asked(self, type_url: str, now_s: float) -> None:
        """Record the first request of a type."""
        self.types[type_url] = TypeStatus(State.NOT_SENT, now_s)

    def sent(self, response: Response, now_s: float, state: State) -> None:
        """Record a response, before it is written (R16); `state` is ERROR while other content stays rejected."""
        status = self.types[response.type_url]
        status.responses += 1
        status.sent_nonce, status.sent_version = response.nonce, response.version
        if status.state is not state:
            status.state, status.since_s = state, now_s

    def held_already(self, type_url: str, now_s: float, *, version: str = "") -> None:
        """Record that nothing was sent because the client holds everything, as it said in its first request (R17, R19a)."""
        status = self.types[type_url]
        if status.state is State.NOT_SENT:
            status.acked_version = version
            status.state, status.since_s = State.SYNCED, now_s

    def acked(self, response: Response, state: State, since_s: float) -> None:
        """Record an ACK; state and since when follow from what else is in flight or rejected."""
        status = self.types[response.type_url]
        status.acks += 1
        status.acked_nonce, status.acked_version = response.nonce, response.version
        if status.state is not state or state is State.STALE:  # then since the response that is the oldest in flight now
            status.state, status.since_s = state, since_s
        if self.on_ack:
            self.on_ack(response)

    def nacked(self, nack: Nack) -> None:
        """Record a NACK."""
        status = self.types[nack.type_url]
        status.nacks += 1
        status.nacked_nonce, status.nack_error, status.nack_at_s = nack.nonce, nack.error, nack.at_s
        status.nack_names = (*(resource.name for resource in nack.resources), *nack.removed)
        status.nack_blamed = nack.blamed
        if status.state is not State.ERROR:
            status.state, status.since_s = State.ERROR, nack.at_s

    def stale(self, type_url: str) -> None:
        """Record a request whose nonce is not that of a response in flight."""
        self.types[type_url].stale_nonces += 1
        self.stale_nonces += 1


def resource_statuses(interest: Interest, among: AbstractSet[str] | None = None) -> list[ResourceStatus]:
    """Return how each resource of one type of a stream stands, or those of some names, by name."""
    client = interest.client
    newest = client.deliveries.newest(among)
    known = (client.held, client.before, client.withheld, interest.subscription.names)
    names: set[str] = set().union(*known) if among is None else {name for name in among if any(name in part for part in known)}
    result: list[ResourceStatus] = []
    for name in sorted(names):
        rejection, held, before = client.withheld.get(name), client.held.get(name), client.before.get(name)
        unsettled = name in client.before and (held is not None or before is not UNCERTAIN)
        shown = rejection.resource if rejection else held
        if rejection:
            state = State.ERROR
        elif unsettled:
            state = State.STALE
        else:
            state = State.SYNCED if held else State.NOT_SENT
        accepted = before if unsettled else held
        delivery = newest.get(name)
        result.append(
            ResourceStatus(
                name=name,
                state=state,
                resource=None if isinstance(shown, Claim) else shown,
                version=shown.version if shown else "",
                accepted_version=accepted.version if accepted else "",
                sent_at_s=delivery.sent_at_s if delivery else None,
                accepted_at_s=delivery.accepted_at_s if delivery and not unsettled else None,
                error=rejection.error if rejection else "",
                rejected_at_s=rejection.at_s if rejection else None,
            )
        )
    return result
