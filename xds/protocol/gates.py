"""Gates: what may not go out yet, so that nothing a client uses is missing at any moment (make before break; R24, R25, R26).

- A resource that names a cluster which is new to the stream waits until the client has accepted that cluster. Envoy holds the
  ACK back until the cluster is warm, so it is the signal that requests may be routed there.
- A removal waits until the client has accepted what stopped using the name. What uses what is said by `Resource.refs`.

Each wait is one resource's, and ends after WAIT_S in any case; a type that nobody asked for, a NACK or a client that never
answers holds nothing up. Endpoints and secrets never wait: a cluster that is warming waits for them (R21).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from xds.protocol.holdings import Claim
from xds.protocol.traits import AWAITED, REFERRERS, REPLACING, UNGATED, WARMED_BY

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from xds.protocol.interest import Look
    from xds.protocol.stream import Kind
    from xds.snapshot.resource import Resource
    from xds.snapshot.snapshot import Snapshot

WAIT_S: Final = 5.0
"""Enough for a cluster to become warm; after it, a stale client is worse than a moment's 503."""


class Gates:
    """Those of one stream, at the moment of one poll.

    Args:
        kinds: the stream's types by URL.
        snapshot: what there is.
        now_s: the time.
    """

    def __init__(self, kinds: Mapping[str, Kind], snapshot: Snapshot, now_s: float) -> None:
        self._kinds = kinds
        self._snapshot = snapshot
        self._now_s = now_s
        self._unaccepted: dict[str, frozenset[str]] = {}

    def hold_back(self, kind: Kind, resource: Resource, deadlines: Mapping[str, float]) -> bool:
        """Return whether a resource has to wait for what it refers to, and have it looked at again if so.

        A client that has nothing of the type yet gets everything at once: its first sync.
        """
        if not resource.refs or not kind.synced or kind.type_url in UNGATED:
            return False
        if all(self._unanswered(url).isdisjoint(resource.refs.get(url, ())) for url in AWAITED):
            return False
        return self._wait(kind, resource.name, deadlines)

    def released(self, kind: Kind, names: Iterable[str], look: Look) -> list[str]:
        """Return which removals may go; the others wait because the client may still use the names, and are looked at again."""
        if kind.type_url in REPLACING and kind.interest.waiting:
            return [name for name in names if not self._wait(kind, name, look.deadlines)]
        used = self._used(kind)
        return [name for name in names if not ((used is None or name in used) and self._wait(kind, name, look.deadlines))]

    def _wait(self, kind: Kind, name: str, deadlines: Mapping[str, float]) -> bool:
        deadline_s = deadlines.get(name, self._now_s + WAIT_S)
        if deadline_s <= self._now_s:
            return False
        kind.interest.waiting[name] = deadline_s
        return True

    def _unanswered(self, type_url: str) -> frozenset[str]:
        """Return names that are new to the client and were sent a short while ago; it has neither accepted nor rejected them."""
        found = self._unaccepted.get(type_url)
        if found is None:
            kind = self._kinds.get(type_url)
            before = kind.interest.client.before if kind else {}
            found = self._unaccepted[type_url] = frozenset(
                resource.name
                for response, sent_at_s in (kind.in_flight.values() if kind else ())
                if sent_at_s > self._now_s - WAIT_S
                for resource in response.resources
                if before.get(resource.name, resource) is None
            )
        return found

    def _used(self, kind: Kind) -> set[str] | None:
        """Return names of a type that the client may still use, though there is something else now; None: perhaps all of them."""
        referrers = REFERRERS.get(kind.type_url, frozenset())
        if kind.reconnected and not self._kinds.keys() >= referrers:
            return None  # what it came with may use them, and it has not said yet what that is
        used: set[str] = set()
        for other in self._kinds.values():
            self._settle(other)
            for held in other.lingering(self._snapshot.resources(other.type_url)):
                if not isinstance(held, Claim):
                    used |= held.refs.get(kind.type_url, frozenset())
                elif other.type_url in referrers:
                    return None
        return used

    def _settle(self, kind: Kind) -> None:
        """Forget what was replaced, once what replaced it has all that it needs to take over."""
        replaced, needed_url = kind.interest.client.replaced, WARMED_BY.get(kind.type_url, "")
        if not replaced:
            return
        needed = self._kinds[needed_url].interest.client if needed_url in self._kinds else None
        for name in tuple(replaced):
            now = kind.interest.client.held.get(name)
            names = frozenset() if now is None or isinstance(now, Claim) else now.refs.get(needed_url, frozenset())
            if needed is None or all(other in needed.held and other not in needed.before for other in names):
                del replaced[name]
