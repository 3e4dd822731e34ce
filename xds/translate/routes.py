"""Virtual hosts and routes: how a request finds its cluster, and when it is tried again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from xds.policy.policies import RouteSettings
from xds.wire import envoy, pack

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

IDEMPOTENT = "GET|HEAD|OPTIONS|TRACE|PUT|DELETE"
"""RFC 9110, 9.2.2."""

RETRIES = 2
"""Two, because the default ladder has three tiers and each retry leaves the tiers behind that were tried."""

RETRY_ALWAYS = "connect-failure,refused-stream"
"""The request never reached an application: safe for every method."""

RETRY_IDEMPOTENT = f"{RETRY_ALWAYS},reset,gateway-error"
RETRY_ERRORS = f"{RETRY_ALWAYS},5xx"

HOST_SELECTION_ATTEMPTS = 5
"""How often the load balancer is asked again when it names a host that was tried already."""


def retry_policy(retry_on: str, retries: int = RETRIES, per_try_s: float = 0.0) -> envoy.RetryPolicy:
    """Return the retries of a route: elsewhere each time, in the next tier where there is one."""
    hosts = envoy.RetryPolicy.RetryHostPredicate(
        name="envoy.retry_host_predicates.previous_hosts", typed_config=pack(envoy.PreviousHostsPredicate())
    )
    priorities = envoy.RetryPolicy.RetryPriority(
        name="envoy.retry_priorities.previous_priorities", typed_config=pack(envoy.PreviousPrioritiesConfig(update_frequency=1))
    )
    return envoy.RetryPolicy(
        retry_on=retry_on,
        num_retries=envoy.UInt32Value(value=retries),
        per_try_timeout=duration(per_try_s) if per_try_s else None,
        retry_host_predicate=[hosts],
        retry_priority=priorities,
        host_selection_retry_max_attempts=HOST_SELECTION_ATTEMPTS,
    )


def duration(seconds: float) -> envoy.Duration:
    """Return seconds as a message."""
    whole, rest = divmod(round(seconds * 1_000_000_000), 1_000_000_000)
    return envoy.Duration(seconds=whole, nanos=rest)


_ALWAYS = retry_policy(RETRY_ALWAYS)
_IDEMPOTENT = retry_policy(RETRY_IDEMPOTENT)
_IDEMPOTENT_METHOD = envoy.HeaderMatcher(
    name=":method", string_match=envoy.StringMatcher(safe_regex=envoy.RegexMatcher(regex=IDEMPOTENT))
)
DEFAULTS: Final = RouteSettings()
ORIGINAL_PATH: Final = "x-envoy-original-path"
"""Where Envoy keeps, and upstreams may read, the path of a request that is sent with another one."""
KEEP_PATH: Final = envoy.HeaderValueOption(
    header=envoy.HeaderValue(key=ORIGINAL_PATH, value="%REQ(:PATH)%"),
    append_action=envoy.HeaderValueOption.OVERWRITE_IF_EXISTS_OR_ADD,
)
"""What one try does to the path is still there in the next: each begins with this one."""


def retried_routes(
    match: envoy.RouteMatch, action: envoy.RouteAction, settings: RouteSettings = DEFAULTS
) -> Iterator[envoy.Route]:
    """Return the two routes of a match: idempotent methods are retried for more reasons than the others.

    A timeout of 0 lets streams live as long as they like.
    """
    always, idempotent = _ALWAYS, _IDEMPOTENT
    if (retry := settings.retry) is not None:
        counts = retry.attempts, retry.per_try_timeout_seconds or 0.0
        reasons = RETRY_ERRORS if settings.retries_errors else RETRY_IDEMPOTENT
        always, idempotent = retry_policy(RETRY_ALWAYS, *counts), retry_policy(reasons, *counts)
    timeout = duration(settings.timeout_s)
    for policy, headers in ((idempotent, [_IDEMPOTENT_METHOD]), (always, [])):
        route = envoy.Route(match=match, route=action)
        route.match.headers.extend(headers)
        route.route.retry_policy.CopyFrom(policy)
        route.route.timeout.CopyFrom(timeout)
        if settings.keeps_path:
            route.request_headers_to_add.append(KEEP_PATH)
        yield route


def service_host(
    cluster: str, domains: Iterable[str], settings: RouteSettings = DEFAULTS, kept_by: envoy.RouteAction.HashPolicy | None = None
) -> envoy.VirtualHost:
    """Return the virtual host that sends everything to one cluster and is named after it.

    Args:
        cluster: the cluster.
        domains: Host values.
        settings: what policies say.
        kept_by: what clients are kept to endpoints by.
    """
    match, action = envoy.RouteMatch(prefix="/"), envoy.RouteAction(cluster=cluster, hash_policy=[kept_by] if kept_by else ())
    return envoy.VirtualHost(name=cluster, domains=domains, routes=retried_routes(match, action, settings))
