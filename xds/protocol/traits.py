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

WARMED_BY = {LISTENER: ROUTE}
"""A listener that was accepted replaces the one before it only when it has the routes that it refers to."""

REPLACING = frozenset((LISTENER,))
"""A new one may need what an old one must give up first (its address), so they go out together; Envoy removes before it adds."""

AWAITED = (CLUSTER,)
"""A resource that refers to new ones of these types waits until the client has accepted them (R24)."""

UNGATED = frozenset((CLUSTER, ENDPOINT, SECRET))
"""Never waits for anything: a cluster that is warming waits for its endpoints and secrets (R21)."""

REFERRERS = {CLUSTER: frozenset((LISTENER, ROUTE)), ROUTE: frozenset((LISTENER,)), ENDPOINT: frozenset((CLUSTER,))}
"""Type -> those whose resources refer to it: what a client that reconnects holds of them may be versions that we do not know."""

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
