"""What one client may take of the server, and how long."""

from __future__ import annotations

from dataclasses import dataclass

AGE_SPREAD = 0.1
"""A connection's streams end at its maximum age or up to this part of it later, so that clients come back one by one."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What transport and streams allow."""

    request_bytes: int = 32 * 1024 * 1024
    """The largest request: a reconnecting delta Envoy names all that it holds, more than gRPC's default of 4 MiB (R38)."""
    keepalive_s: float = 30
    """Idle time after which we ask a client whether it is still there."""
    keepalive_timeout_s: float = 10
    """How long it may take to answer."""
    max_age_s: float = 0
    """Age at which a connection is told to go and its streams end, so that clients spread over replicas anew; 0: never."""
    streams_per_connection: int = 10_000
    """Open at once. Without ADS, Envoy opens one stream a cluster (R39); for more it opens another connection."""
    waiting_streams: int = 20_000
    """Opened at once and not taken up yet. From 1,000 on gRPC would turn away some, and all from 3,000 on: a crowd that lost its
    replica would come back only after its pauses, although a moment later there is time for it."""
    first_request_s: float = 30
    """How long a stream may be silent at its beginning."""
    first_syncs: int = 64
    """How many streams are written what they ask for the first time at once; the others wait for their turn."""
    first_sync_s: float = 2
    """After so long, a client that does not take what it is written no longer counts as one of them."""
    names: int = 200_000
    """Names that a stream may subscribe to, all types together; and as many that its client may say it holds."""
    name_chars: int = 2_048
    """Length of such a name."""
    version_chars: int = 256
    """Length of a version that a client says it holds; ours are digests."""
    node_bytes: int = 256 * 1024
    """Size of what a client says of itself; we keep it as long as the stream, in a form that takes several times as much."""
    types: int = 64
    """Types that a stream may ask for."""
    type_url_chars: int = 512
    """Length of a type URL."""
    report_clusters: int = 20_000
    """Clusters of one load report; we remember no more of all clients together."""
    report_entries: int = 50_000
    """Localities and categories of dropped requests in one load report, all clusters together: half a second of work."""

    def options(self) -> list[tuple[str, int]]:
        """Return gRPC's channel arguments."""
        return [
            ("grpc.max_receive_message_length", self.request_bytes),
            ("grpc.max_concurrent_streams", self.streams_per_connection),
            ("grpc.server.max_pending_requests", self.waiting_streams),
            ("grpc.server.max_pending_requests_hard_limit", self.waiting_streams + 1),
            ("grpc.keepalive_time_ms", round(self.keepalive_s * 1000)),
            ("grpc.keepalive_timeout_ms", round(self.keepalive_timeout_s * 1000)),
            ("grpc.keepalive_permit_without_calls", 1),
            ("grpc.http2.max_pings_without_data", 0),
            ("grpc.http2.max_ping_strikes", 0),  # by default clients that ping more often than every 300 s are cut off
            ("grpc.so_reuseport", 0),  # a second server on the port must fail, not share the proxies
            *self._age_options(),
        ]

    def _age_options(self) -> list[tuple[str, int]]:
        """Have gRPC announce that a connection goes away (GOAWAY) before its streams end.

        gRPC changes the time by up to 10 % either way; with this one the announcement comes between 82 % and 100 % of the age,
        so a client whose stream we end has to open its next one elsewhere. What is still open 50 % later is cut off.
        """
        if not self.max_age_s:
            return []
        announced_ms = round(self.max_age_s / 1.1 * 1000)
        return [("grpc.max_connection_age_ms", announced_ms), ("grpc.max_connection_age_grace_ms", round(self.max_age_s * 500))]
