"""GlobalTrafficPolicies of Flomesh -> policies.

Differences from FSM are on purpose (`docs/failover.md`): tiers spill in proportion to what is healthy, where FSM stays until the
last endpoint is gone; targets of FailOver are tried in their order; a weight of 0 is 0; and what an application answered is
tried again only for requests that may be sent twice.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from xds.model.events import ref_of
from xds.model.flomesh import DEFAULT_WEIGHT, Share
from xds.model.traffic_objects import OWN, PlaceSpec, RetrySpec, WeightSpec
from xds.policy.notes import DIFFERS, Note
from xds.policy.policies import MOST_RUNGS, ClusterSettings, Policy, RouteSettings, Rung, Selector, at_most

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from xds.model.flomesh import GatewayTarget, Remote
    from xds.model.service import Locality

_OWN: Final = Selector(PlaceSpec(clusters=[OWN]))
_OWN_CLUSTER: Final = Rung("own cluster", (_OWN,))
_ALONE: Final = ClusterSettings()
_THROUGH_GATEWAYS: Final = ClusterSettings(through_gateways=True)
_RETRIES: Final = RetrySpec().attempts


def read(remote: Remote) -> Policy | None:
    """Return what the policy of a cluster says of one name; None where it has none."""
    given = remote.policy
    if given is None:
        return None
    others: Iterable[GatewayTarget | Share] = given.shares if given.item.spec.targets else remote.targets.values()
    elsewhere = [one for one in others if one.cluster != remote.key.scope]
    route = RouteSettings(keeps_path=True)
    match given.lb_type:
        case "Locality":
            rungs, route = [_OWN_CLUSTER], RouteSettings()
        case "FailOver":
            rungs = [*at_most((_OWN_CLUSTER, *_in_order(elsewhere, is_ordered=bool(given.item.spec.targets))))]
            retry = RetrySpec(attempts=max(_RETRIES, len(rungs) - 1))
            route = RouteSettings(retry, keeps_path=True, retries_errors=True)
        case "ActiveActive":
            weights = [_weight(one.locality, one.weight if isinstance(one, Share) else None) for one in elsewhere]
            own = WeightSpec(cluster=OWN, weight=given.own_weight)
            selectors = (_OWN, *(_gateway_at(one.locality) for one in elsewhere))
            rungs = [Rung("active", selectors, weights=(own, *weights))]
    ref = ref_of(remote.key.scope, given.item)
    cluster = _THROUGH_GATEWAYS if given.leads_elsewhere and remote.targets else _ALONE
    return Policy(name=str(ref), rungs=tuple(rungs), cluster=cluster, route=route, origin=ref)


def notes(remote: Remote) -> Iterator[Note]:
    """Yield what is to be said of the policy of a cluster for one name."""
    given = remote.policy
    number = len([one for one in given.shares if one.cluster != remote.key.scope]) if given else 0
    if given and given.lb_type == "FailOver" and number >= MOST_RUNGS:
        message = f"are {number}, and there can be {MOST_RUNGS} tiers: the last one has all that are too many"
        yield Note(DIFFERS, "spec.targets", message, "list fewer")


def _in_order(others: list[GatewayTarget | Share], *, is_ordered: bool) -> list[Rung]:
    """Return a tier for each target that a policy lists; one for all that are imported where it lists none."""
    if is_ordered:
        return [Rung(str(one.key), (_gateway_at(one.locality),)) for one in others]
    return [Rung("every other cluster", tuple(_gateway_at(one.locality) for one in others))]


def _gateway_at(at: Locality) -> Selector:
    spec = PlaceSpec(clusters=[at.cluster], regions=[at.region], zones=[at.zone])
    return Selector(spec, gateways=True)


def _weight(at: Locality, weight: int | None) -> WeightSpec:
    return WeightSpec(cluster=at.cluster, region=at.region, zone=at.zone, weight=DEFAULT_WEIGHT if weight is None else weight)
