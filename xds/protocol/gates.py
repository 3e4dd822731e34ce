"""Gates: what may not go out yet, so that nothing a client uses is missing at any moment (make before break; R24, R25, R26).

- A resource that names a cluster which is new to the stream waits until the client has accepted that cluster. Envoy holds the
  ACK back until the cluster is warm, so it is the signal that requests may be routed there.
- A removal waits until the client has accepted what stopped using the name. What uses what is said by `Resource.refs`.
- Listeners wait for each other: one that is new, or that goes, waits while another does: it may want or give up an address.

Each wait is one resource's, and ends after WAIT_S in any case; a type that nobody asked for, a NACK or a client that never
answers holds nothing up. Endpoints and secrets never wait: a cluster that is warming waits for them (R21).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from xds.protocol.holdings import Claim
from xds.protocol.traits import AWAITED, REFERRERS, REPLACING, UNGATED, WARMED_BY
from xds.protocol.traits import followers as follower_types

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from xds.protocol.interest import Look
    from xds.protocol.kind import Kind
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
        aggregated: whether the client may still ask for types that it has not asked for yet.
    """

    def __init__(self, kinds: Mapping[str, Kind], snapshot: Snapshot, now_s: float, *, aggregated: bool) -> None:
        self._kinds = kinds
        self._snapshot = snapshot
        self._now_s = now_s
        self._aggregated = aggregated
        self._fresh: dict[str, frozenset[str]] = {}

    def hold_back(self, kind: Kind, resource: Resource, deadlines: Mapping[str, float]) -> bool:
        """Return whether a resource has to wait for what it refers to, and have it looked at again if so.

        A client that has nothing of the type yet gets everything at once: its first sync.
        """
        if not resource.refs or not kind.synced or kind.type_url in UNGATED:
            return False
        if not any(self._lacks(kind, url, resource.refs.get(url)) for url in AWAITED):
            return False
        return self.wait(kind, resource.name, deadlines)

    def released(self, kind: Kind, names: Iterable[str], look: Look) -> list[str]:
        """Return which removals may go; the others wait because the client may still use the names, and are looked at again."""
        if kind.type_url in REPLACING and kind.interest.waiting:
            return [name for name in names if not self.wait(kind, name, look.deadlines)]
        used = self._used(kind)
        return [name for name in names if not ((used is None or name in used) and self.wait(kind, name, look.deadlines))]

    def wait(self, kind: Kind, name: str, deadlines: Mapping[str, float]) -> bool:
        """Have a name looked at again, and return True, unless it has waited long enough."""
        deadline_s = deadlines.get(name, self._now_s + WAIT_S)
        if deadline_s <= self._now_s:
            return False
        kind.interest.waiting[name] = deadline_s
        return True

    def _lacks(self, kind: Kind, type_url: str, names: frozenset[str] | None) -> bool:
        """Return whether the client is about to get some of these names, and has not accepted them yet."""
        if not names:
            return False
        other = self._kinds.get(type_url)
        if other is None:  # a client that reconnects asks for its types in any order (R18)
            return self._aggregated and kind.reconnected
        client = other.interest.client
        followers = [self._kinds[url] for url in follower_types(type_url) if url in self._kinds]
        if not client.before and not other.interest.pending and not any(follower.in_flight for follower in followers):
            return False
        return any(self._is_new(other, name) or self._follower_is_new(client.held.get(name), followers) for name in names)

    def _is_new(self, kind: Kind, name: str) -> bool:
        """Return whether the client is to get a name that it does not have, and has not said yet that it has it, or rejects it.

        What was sent a while ago counts as accepted.
        """
        client = kind.interest.client
        if name in client.withheld:
            return False
        if name not in client.held:  # not sent yet, or it was gone and is back
            return name in self._snapshot.resources(kind.type_url) and kind.interest.wants(name)
        if name not in client.before or name not in self._sent_lately(kind):
            return False
        return client.before[name] is None or any(name in response.removed for response, _ in kind.in_flight.values())

    def _follower_is_new(self, held: Resource | Claim | None, followers: list[Kind]) -> bool:
        """Return whether a cluster's first endpoints are unanswered: were they rejected, it would be warm without any."""
        if held is None or isinstance(held, Claim):
            return False
        return any(
            follower.interest.client.before.get(name, held) is None and name in self._sent_lately(follower)
            for follower in followers
            for name in held.refs.get(follower.type_url, ())
        )

    def _sent_lately(self, kind: Kind) -> frozenset[str]:
        """Return the names in responses that the client has not answered, and need not have answered yet."""
        found = self._fresh.get(kind.type_url)
        if found is None:
            lately = [response.names for response, sent_at_s in kind.in_flight.values() if sent_at_s > self._now_s - WAIT_S]
            found = self._fresh[kind.type_url] = frozenset().union(*lately)
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
        """Forget what was replaced, once what replaced it has all that it needs to take over, and its connections are gone."""
        client, needed_url = kind.interest.client, WARMED_BY.get(kind.type_url, "")
        if client.replaced:
            client.replaced = [
                replaced
                for replaced in client.replaced
                if replaced.until_s > self._now_s or not self._has_taken_over(client.held.get(replaced.name), needed_url)
            ]

    def _has_taken_over(self, held: Resource | Claim | None, needed_url: str) -> bool:
        if held is None or isinstance(held, Claim) or needed_url not in self._kinds:
            return True
        needed = self._kinds[needed_url].interest.client
        return all(name in needed.held and name not in needed.before for name in held.refs.get(needed_url, ()))
