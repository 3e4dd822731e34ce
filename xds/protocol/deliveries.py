"""Deliveries: which response brought a name last, when it was sent and when the client answered it.

A name has no record of its own: a delivery is kept a response, with a set of names that all streams share which were sent the
same, so that a thousand streams that hold a thousand clusters cost little more than one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from collections.abc import Set as AbstractSet

KEPT: Final = 32
"""Deliveries beyond those of which some name is the newest, before they are looked through."""


@dataclass(slots=True)
class Delivery:
    """One response on one stream."""

    nonce: str
    names: frozenset[str]
    sent_at_s: float
    accepted_at_s: float | None = None


class Deliveries:
    """Those of one type of a stream, the oldest first."""

    __slots__ = ("_kept", "_limit")

    def __init__(self) -> None:
        self._kept: list[Delivery] = []
        self._limit = KEPT

    def sent(self, nonce: str, names: frozenset[str], now_s: float, known: Callable[[], Sequence[Mapping[str, object]]]) -> None:
        """Record a response.

        Args:
            nonce: of the response.
            names: that it brings or removes.
            now_s: the time.
            known: returns where names stand that may not be forgotten: the client has not let go of them.
        """
        if len(self._kept) >= self._limit:
            self._tidy(known())
        self._kept.append(Delivery(nonce, names, now_s))

    def accepted(self, nonce: str, now_s: float) -> None:
        """Record the ACK of a response."""
        for delivery in reversed(self._kept):  # it is nearly always the last
            if delivery.nonce == nonce:
                delivery.accepted_at_s = now_s
                return

    def newest(self, among: AbstractSet[str] | None = None) -> dict[str, Delivery]:
        """Return name -> the delivery that brought it last; of all names, or of those in a set."""
        found = ((delivery, delivery.names if among is None else delivery.names & among) for delivery in self._kept)
        return {name: delivery for delivery, names in found for name in names}

    def _tidy(self, known: Sequence[Mapping[str, object]]) -> None:
        """Forget deliveries of which every name was sent again since, or is gone."""
        sent_since: set[str] = set()
        kept: list[Delivery] = []
        for delivery in reversed(self._kept):
            newest = delivery.names - sent_since
            if any(name in part for name in newest for part in known):
                kept.append(delivery)
            sent_since |= newest
        self._kept = kept[::-1]
        self._limit = len(kept) + max(KEPT, len(kept))
