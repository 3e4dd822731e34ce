"""What differs between resource types on the wire, by the rules of xDS; any type not named here is an ordinary one."""

from __future__ import annotations

from xds.wire.type_urls import (
    CLUSTER,
    ENDPOINT,
    EXTENSION_CONFIG,
    LISTENER,
    ROUTE,
    SCOPED_ROUTE,
    SECRET,
    SHORT_NAMES,
    VIRTUAL_HOST,
)

LEGACY_WILDCARD = frozenset((LISTENER, CLUSTER, SCOPED_ROUTE))
"""An empty first request means everything (R1); for every other type it means nothing (R2). Envoy names no scoped routes."""

COMPLETE = frozenset((LISTENER, CLUSTER, SCOPED_ROUTE))
"""A state-of-the-world response carries the whole set; what it omits is deleted (R11)."""

EMPTY_IF_ABSENT = frozenset((VIRTUAL_HOST,))
"""That a name does not exist is said by a resource without a body: Envoy holds the request that waits for it until then, and
hears nothing in `removed_resources`, which are for virtual hosts that it has."""

NEVER_REMOVED = frozenset((SECRET, EXTENSION_CONFIG))
"""Not named in `removed_resources`: for extension configs Envoy rejects that; with a secret it ACKs it, and takes it for an
answer to whoever waits for the secret. Their parents drop the reference instead (R10)."""

WARMED_BY = {LISTENER: ROUTE}
"""A listener that was accepted replaces the one before it only when it has the routes that it refers to."""

REPLACING = frozenset((LISTENER,))
"""A new one may need what an old one must give up first (its address), so they go out together; Envoy removes before it adds."""

WAITS_FOR = {**WARMED_BY, CLUSTER: ENDPOINT}
"""What is warming waits for this."""

AWAITED_BY = {awaited: waiting for waiting, awaited in WAITS_FOR.items()}
WAITED_FOR = frozenset(AWAITED_BY)
"""A client's clusters or listeners wait for these, and go on without them if it rejects the response that they are part of."""

AWAITED = (CLUSTER,)
"""A resource that refers to new ones of these types waits until the client has accepted them (R24)."""

UNGATED = frozenset((CLUSTER, ENDPOINT, SECRET))
"""Never waits for the ACK of what it refers to: a cluster that is warming waits for its endpoints and secrets (R21)."""

REFERRERS = {CLUSTER: frozenset((LISTENER, ROUTE)), ROUTE: frozenset((LISTENER,)), ENDPOINT: frozenset((CLUSTER,))}
"""Type -> those whose resources refer to it: what a client that reconnects holds of them may be versions that we do not know."""

REMOVAL_ORDER = (LISTENER, SCOPED_ROUTE, ROUTE, "", SECRET, CLUSTER, ENDPOINT)
"""What refers to others goes before what it refers to (R24); "" stands for any other type."""

_SEND_RANK = {type_url: rank for rank, type_url in enumerate(SHORT_NAMES.values())}
_REMOVAL_RANK = {type_url: rank for rank, type_url in enumerate(REMOVAL_ORDER)}


def send_rank(type_url: str) -> tuple[int, str]:
    """Sort key of the order in which additions go out: that of SHORT_NAMES, then other types by URL (R24)."""
    return _SEND_RANK.get(type_url, len(_SEND_RANK)), type_url


def removal_rank(type_url: str) -> tuple[int, str]:
    """Sort key of the order in which removals go out: LDS, SRDS, RDS, other types, and CDS and EDS last (R24)."""
    return _REMOVAL_RANK.get(type_url, _REMOVAL_RANK[""]), type_url


FOLLOWERS = {CLUSTER: ENDPOINT}
"""Type -> the one whose resources must follow on a stream whenever a resource of this type that refers to them was sent.

Envoy warms a cluster anew on every update of it and waits for its endpoints, even if those did not change (R19, R20).
"""


def leaders(type_url: str) -> tuple[str, ...]:
    """Types after whose update Envoy may ask for this one again by a request that looks like one more ACK (state of the world).

    Endpoints for a cluster that warms (R20); a route configuration that one scope lets go and another one takes at once.
    """
    return {ENDPOINT: (CLUSTER,), ROUTE: (SCOPED_ROUTE,)}.get(type_url, ())
