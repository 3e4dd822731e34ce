"""The ledger: per type of a stream, what was sent, ACKed and rejected, and when."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping

    from xds.protocol.encoder import Response
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
    """The names in the response that was rejected last."""
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
    """What was in it; the client may have applied some of it."""
    removed: tuple[str, ...]
    at_s: float


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


class Ledger:
    """The statuses of one stream's types, in the order in which the client first asked for them."""

    def __init__(self) -> None:
        self.types: dict[str, TypeStatus] = {}

    def asked(self, type_url: str, now_s: float) -> None:
        """Record the first request of a type."""
        self.types[type_url] = TypeStatus(State.NOT_SENT, now_s)

    def sent(self, response: Response, now_s: float, *, state: State = State.STALE) -> None:
        """Record a response, before it is written (R16); `state` is ERROR while other content stays rejected."""
        status = self.types[response.type_url]
        status.responses += 1
        status.sent_nonce, status.sent_version = response.nonce, response.version
        _enter(status, state, now_s)

    def held_already(self, type_url: str, now_s: float, *, version: str = "") -> None:
        """Record that nothing was sent because the client holds everything, as it said in its first request (R17, R19a)."""
        status = self.types[type_url]
        if status.state is State.NOT_SENT:
            status.acked_version = version
            _enter(status, State.SYNCED, now_s)

    def acked(self, response: Response, state: State, since_s: float) -> None:
        """Record an ACK; state and since when follow from what else is in flight or rejected."""
        status = self.types[response.type_url]
        status.acks += 1
        status.acked_nonce, status.acked_version = response.nonce, response.version
        _enter(status, state, since_s)
        if state is State.STALE:  # now since the response that is the oldest in flight
            status.since_s = since_s

    def nacked(self, nack: Nack) -> None:
        """Record a NACK."""
        status = self.types[nack.type_url]
        status.nacks += 1
        status.nacked_nonce, status.nack_error, status.nack_at_s = nack.nonce, nack.error, nack.at_s
        status.nack_names = (*(resource.name for resource in nack.resources), *nack.removed)
        _enter(status, State.ERROR, nack.at_s)

    def stale(self, type_url: str) -> None:
        """Record a request whose nonce is not that of a response in flight."""
        self.types[type_url].stale_nonces += 1


def _enter(status: TypeStatus, state: State, now_s: float) -> None:
    if status.state is not state:
        status.state, status.since_s = state, now_s
