"""What policies ask and some kinds of clients cannot do: told, rather than done in part and passed over in silence."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from xds.model.view import Role
from xds.policy.policies import OVERPROVISIONING
from xds.problems import Problem

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from xds.policy.policies import Policy

_CLIENTS: Final = {Role.PROXYLESS: "gRPC clients without a proxy", Role.GATEWAY: "gateways"}
_INSTEAD: Final = {
    Role.PROXYLESS: "they fail over a tier at a time, by what the control plane tells of health; use a sidecar for the rest",
    Role.GATEWAY: "the HTTPRoutes say how often a request is tried, and for how long",
}


def unfollowed(role: Role, policies: Iterable[Policy]) -> Iterator[Problem]:
    """Yield what clients of a role do not follow of policies, one problem for each policy."""
    if role not in _CLIENTS:
        return
    for policy in sorted(policies, key=lambda one: one.name):
        if policy.origin and (fields := [*_route_fields(policy), *(_cluster_fields(policy) if role is Role.PROXYLESS else ())]):
            message = f"{_CLIENTS[role]} do not follow {', '.join(fields)}"
            yield Problem("XDS0606", message, policy.origin, "spec", _INSTEAD[role])


def _route_fields(policy: Policy) -> Iterator[str]:
    if policy.route.retries_errors:
        yield "what FailOver says of answers of 500 and above"
    elif policy.route.retry is not None:
        yield "retry"
    if policy.route.timeout_s:
        yield "timeoutSeconds"


def _cluster_fields(policy: Policy) -> Iterator[str]:
    said = policy.cluster
    fields = {
        "outlierDetection": said.outlier_detection is not None,
        "healthCheck": said.health_check is not None,
        "panicBelowHealthyPercent": said.panic_percent > 0,
        "slowStartSeconds": said.slow_start_s > 0,
        "spillBelowHealthyPercent": policy.overprovisioning != OVERPROVISIONING,
    }
    yield from (name for name, is_said in fields.items() if is_said)
