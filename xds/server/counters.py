"""What the server counted since it started, for metrics."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from xds.wire import SHORT_NAMES

_LABELS = {type_url: name for name, type_url in SHORT_NAMES.items()}


def label(type_url: str) -> str:
    """Return `cds` and the like, or `other`: clients may send any type URL, and labels must stay few."""
    return _LABELS.get(type_url, "other")


@dataclass(slots=True)
class Counters:
    """Totals that only rise; read them at any time from the event loop's thread."""

    streams_opened: Counter[str] = field(default_factory=Counter)
    """By kind, e.g. `ads delta`."""
    streams_closed: Counter[str] = field(default_factory=Counter)
    """By kind; opened less closed is what is open now."""
    requests: Counter[str] = field(default_factory=Counter)
    """By the type's label, as are all that follow."""
    responses: Counter[str] = field(default_factory=Counter)
    response_bytes: Counter[str] = field(default_factory=Counter)
    nacks: Counter[str] = field(default_factory=Counter)
    stale_nonces: Counter[str] = field(default_factory=Counter)
    rejected_nodes: int = 0
    """Streams refused, or left where they were, because their node cannot be given a view."""
    refused_streams: int = 0
    """Streams ended because of what the client sent, rejected nodes included."""
    aged_streams: int = 0
    """Streams ended because their connection had reached its maximum age."""
    publications: int = 0
    """Change sets published."""
    wakes: int = 0
    """Streams woken by them."""
