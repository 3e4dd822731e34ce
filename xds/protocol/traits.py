"""What differs between resource types on the wire, by the rules of xDS; any type not named here is an ordinary one."""

from __future__ import annotations

from xds.wire.type_urls import CLUSTER, ENDPOINT, LISTENER, PREFIX, ROUTE, SECRET, SHORT_NAMES

EXTENSION_CONFIG = PREFIX + "envoy.config.core.v3.TypedExtensionConfig"

LEGACY_WILDCARD = frozenset((LISTENER, CLUSTER))
"""An empty first request means everything (R1); for every other type it means nothing (R2)."""

COMPLETE = frozenset((LISTENER, CLUSTER))
"""A state-of-the-world response carries the whole set; what it omits is deleted (R11)."""

NEVER_REMOVED = frozenset((SECRET, EXTENSION_CONFIG))
"""Envoy rejects `removed_resources` for these; their parents drop the reference instead (R10)."""

REMOVAL_ORDER = (LISTENER, ROUTE, SECRET, CLUSTER, ENDPOINT)
"""What refers to others goes before what it refers to (R24)."""

_SEND_RANK = {type_url: rank for rank, type_url in enumerate(SHORT_NAMES.values())}
_REMOVAL_RANK = {type_url: rank for rank, type_url in enumerate((*REMOVAL_ORDER[:2], "", *REMOVAL_ORDER[2:]))}


def send_rank(type_url: str) -> tuple[int, str]:
    """Sort key of the order in which additions go out: CDS, EDS, LDS, RDS, SDS, then other types by URL (R24)."""
    return _SEND_RANK.get(type_url, len(_SEND_RANK)), type_url


def removal_rank(type_url: str) -> tuple[int, str]:
    """Sort key of the order in which removals go out: LDS, RDS, other types, and CDS and EDS last (R24)."""
    return _REMOVAL_RANK.get(type_url, _REMOVAL_RANK[""]), type_url


def followers(type_url: str) -> tuple[str, ...]:
    """Types whose resources must follow on a stream whenever a resource of this type that refers to them was sent.

    Envoy warms a cluster anew on every update of it and waits for its endpoints, even if those did not change (R19, R20).
    """
    return (ENDPOINT,) if type_url == CLUSTER else ()


def leaders(type_url: str) -> tuple[str, ...]:
    """Types that this one follows."""
    return (CLUSTER,) if type_url == ENDPOINT else ()
