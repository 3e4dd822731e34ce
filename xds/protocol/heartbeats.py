"""Heartbeats: resources that a client drops after a while unless it hears that they still hold (R30).

A heartbeat is a resource without a body and with exactly the version that the client has. Delta alone: in the state of the world
a TTL needs a wrapper that no client we know announces together with TTLs. Virtual hosts have none: without a body they mean that
there is no such host.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from xds.protocol.traits import EMPTY_IF_ABSENT
from xds.snapshot.resource import Resource

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from xds.protocol.holdings import Holdings

BEATS: Final = 3
"""Heartbeats within a TTL: two may be late."""


class Heartbeats:
    """Those of one type of a stream."""

    __slots__ = ("_client", "_type_url", "due_s")

    def __init__(self, type_url: str, client: Holdings) -> None:
        self._type_url = type_url
        self._client = client
        self.due_s: dict[str, float] = {}
        """Name -> when its next heartbeat is due."""

    def begin(self, resources: Sequence[Resource], now_s: float) -> None:
        """Count the time to live of these from now on; those without one live for ever."""
        if resources and self._type_url not in EMPTY_IF_ABSENT:
            self.due_s.update({r.name: now_s + r.ttl_s / BEATS for r in resources if r.ttl_s is not None})

    def claimed(self, names: Iterable[str], now_s: float) -> None:
        """Have those prolonged at once that the client came with: how long it has had them is unknown."""
        held = self._client.held
        self.due_s.update({n: now_s for n in names if isinstance(r := held.get(n), Resource) and r.ttl_s is not None})

    def due(self, now_s: float) -> list[Resource]:
        """Return what the client has and has to be told to keep, sorted by name; each counts as told."""
        names = sorted([name for name, at_s in self.due_s.items() if at_s <= now_s]) if self.due_s else []
        for name in names:
            del self.due_s[name]
        held = [resource for name in names if isinstance(resource := self._client.held.get(name), Resource)]
        self.begin(held, now_s)
        # What is not accepted yet has another version for the client, or none.
        return [resource for resource in held if resource.ttl_s is not None and resource.name not in self._client.before]
