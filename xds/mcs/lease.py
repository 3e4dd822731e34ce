"""A lease: which replica writes in a cluster (coordination.k8s.io/v1). No I/O.

Clocks of machines differ, so nobody compares `renewTime` with the time: a lease is over once it has been seen unchanged for its
duration, by the watcher's own monotonic clock. Who holds it stops writing well before others may take it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from msgspec import Struct, field

DURATION_S: Final = 15
RENEW_S: Final = 5.0
"""How often the holder renews it, and others look."""
SAFE_S: Final = 10.0
"""Without a renewal for so long, the holder writes no more."""


class LeaseSpec(Struct, frozen=True, rename="camel", kw_only=True, omit_defaults=True):
    """`spec` of a Lease."""

    holder_identity: str | None = None
    lease_duration_seconds: int | None = None
    acquire_time: str | None = None
    renew_time: str | None = None
    lease_transitions: int | None = None


class LeaseMeta(Struct, frozen=True, rename="camel", kw_only=True, omit_defaults=True):
    """`metadata` of a Lease."""

    name: str = ""
    namespace: str = ""
    resource_version: str = ""


class Lease(Struct, frozen=True, rename="camel", kw_only=True):
    """The object."""

    api_version: str = "coordination.k8s.io/v1"
    kind: str = "Lease"
    metadata: LeaseMeta = field(default_factory=LeaseMeta)
    spec: LeaseSpec = field(default_factory=LeaseSpec)


@dataclass(slots=True)
class Candidate:
    """One replica's view of the lease of one cluster.

    Args:
        identity: of this replica, unique among all.
        name: of the lease.
        namespace: of the lease.
    """

    identity: str
    name: str
    namespace: str
    _seen: LeaseSpec | None = None
    _seen_at_s: float = float("-inf")
    _renewed_at_s: float = float("-inf")

    def leads(self, now_s: float) -> bool:
        """Return whether this replica may write now."""
        return now_s - self._renewed_at_s < SAFE_S

    def wanted(self, current: Lease | None, now_s: float, now: str, *, release: bool = False) -> Lease | None:
        """Return the lease to write, over the version that was read; None if it is another's.

        Args:
            current: as read just now; None if there is none.
            now_s: the monotonic time.
            now: the time, RFC 3339 with microseconds.
            release: give it up, so that another replica need not wait.
        """
        spec = current.spec if current else LeaseSpec()
        if spec != self._seen:
            self._seen, self._seen_at_s = spec, now_s
        is_ours = spec.holder_identity == self.identity
        if release:
            self._renewed_at_s = float("-inf")
            return self._with(current, LeaseSpec(lease_transitions=spec.lease_transitions, renew_time=now)) if is_ours else None
        is_over = now_s - self._seen_at_s >= (spec.lease_duration_seconds or DURATION_S)
        if spec.holder_identity and not is_ours and not is_over:
            return None
        wanted = LeaseSpec(
            holder_identity=self.identity,
            lease_duration_seconds=DURATION_S,
            acquire_time=spec.acquire_time if is_ours else now,
            renew_time=now,
            lease_transitions=(spec.lease_transitions or 0) + (not is_ours),
        )
        return self._with(current, wanted)

    def renewed(self, since_s: float) -> None:
        """Take into account that what was wanted is written; the request began at a time."""
        self._renewed_at_s = since_s

    def _with(self, current: Lease | None, spec: LeaseSpec) -> Lease:
        version = current.metadata.resource_version if current else ""
        return Lease(metadata=LeaseMeta(name=self.name, namespace=self.namespace, resource_version=version), spec=spec)
