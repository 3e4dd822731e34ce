"""What an incremental and a state-of-the-world stream have in common: their types, their ledger, and how changes reach them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from xds.protocol.ledger import Ledger
from xds.protocol.traits import send_rank

if TYPE_CHECKING:
    from collections.abc import Mapping

    from xds.protocol.encoder import Encoder
    from xds.protocol.interest import Interest, Subscription
    from xds.snapshot.snapshot import ChangeSet

RESPONSE_BYTES = 3_500_000
"""Where a response is split: Go gRPC clients refuse messages over 4 MiB (R38)."""


class Kind(Protocol):
    """One type of a stream."""

    type_url: str
    interest: Interest


K = TypeVar("K", bound=Kind)


class Stream(Generic[K]):
    """A stream as the server's hub sees it.

    Args:
        encoder: shared by the streams of a server.
        response_bytes: responses that may be split are split at about this size; a single larger resource goes out alone.
    """

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
