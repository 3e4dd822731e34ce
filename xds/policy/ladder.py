"""The default ladder, where no policy speaks: own cluster, then same region, then anywhere.

`spec.trafficDistribution` puts the own zone, or node and zone, in front (KEP-3015). A cluster's own service has its own
endpoints, so its ladder ends there, unless another system copies those of other clusters into it.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from typing import TYPE_CHECKING

from xds.model.events import Standing
from xds.model.service import Health
from xds.model.view import Role
from xds.policy.tiers import Place, Share, Tier

if TYPE_CHECKING:
    from collections.abc import Callable

    from xds.model.service import Endpoint, Locality, Service
    from xds.model.view import View

Rule = tuple[str, "Callable[[Endpoint, Place], bool]"]

_OWN_NODE: Rule = (
    "own node",
    lambda endpoint, place: bool(place.node) and (endpoint.node, endpoint.locality.cluster) == (place.node, place.cluster),
)
_OWN_ZONE: Rule = (
    "own zone",
    lambda endpoint, place: bool(place.zone) and (endpoint.locality.region, endpoint.locality.zone) == (place.region, place.zone),
)
_OWN_CLUSTER: Rule = ("own cluster", lambda endpoint, place: bool(place.cluster) and endpoint.locality.cluster == place.cluster)
_SAME_REGION: Rule = ("same region", lambda endpoint, place: bool(place.region) and endpoint.locality.region == place.region)
_ANYWHERE: Rule = ("anywhere", lambda _endpoint, _place: True)
_LAST: Rule = ("perhaps gone", lambda _endpoint, _place: False)


def rules(service: Service) -> tuple[Rule, ...]:
    """Return the rungs of the service's ladder: an endpoint belongs to the first that fits it."""
    rest = (_OWN_CLUSTER, _SAME_REGION, _ANYWHERE) if service.spans else (_OWN_CLUSTER,)
    match service.traffic_distribution:
        case "PreferSameNode":
            # Kubernetes' own hints name the zone too, for clients on whose node there is none.
            return (_OWN_NODE, _OWN_ZONE, *rest)
        case "PreferSameZone":
            return (_OWN_ZONE, *rest)
    return rest


def place_of(service: Service, view: View) -> Place:
    """Return what the tiers of the service depend on in a view, and no more, so that views share them."""
    prefers = service.traffic_distribution
    return Place(
        network=view.network,
        cluster=view.cluster,
        region=view.region if prefers or service.spans else "",
        zone=view.zone if prefers else "",
        node=view.node_name if prefers == "PreferSameNode" else "",
        drops_degraded=service.has_degraded and view.role is Role.PROXYLESS,
    )


def tiers(service: Service, port: int, place: Place) -> tuple[Tier, ...]:
    """Return the tiers of one port for clients at one place.

    Endpoints of another network are left out: nothing leads there. The fleet reports them (XDS0209).
    """
    ladder = rules(service)
    if place.drops_degraded:
        ladder = (*ladder, _LAST)
    groups: list[dict[Locality, list[Endpoint]]] = [defaultdict(list) for _ in ladder]
    for found in service.endpoints[port]:
        if found.network != place.network:
            continue
        endpoint = _as_seen_from(place, found) if service.has_degraded else found
        if endpoint is None:
            continue
        if place.drops_degraded and endpoint.health is Health.DEGRADED:
            index: int | None = len(ladder) - 1
            endpoint = replace(endpoint, health=Health.HEALTHY)
        else:
            index = next((index for index, (_, fits) in enumerate(ladder) if fits(endpoint, place)), None)
        if index is not None:
            groups[index][endpoint.locality].append(endpoint)
    return tuple(
        Tier(index, name, tuple(_share(locality, tuple(found)) for locality, found in sorted(groups[index].items())))
        for index, (name, _) in enumerate(ladder)
    )


def _as_seen_from(place: Place, endpoint: Endpoint) -> Endpoint | None:
    """Return an endpoint as clients at a place are to take it, None if not at all."""
    if endpoint.standing is Standing.FULL or endpoint.locality.cluster == place.cluster:
        return endpoint
    if endpoint.standing is Standing.REMOVED:
        return None
    return replace(endpoint, health=Health.DEGRADED) if endpoint.health is Health.HEALTHY else endpoint


def _share(locality: Locality, endpoints: tuple[Endpoint, ...]) -> Share:
    """Weigh a locality by its endpoints, healthy or not: Envoy discounts the unhealthy itself (locality weighting)."""
    draining = sum(endpoint.health is Health.DRAINING for endpoint in endpoints)
    counted = len(endpoints) - draining
    reasons = [f"{len(endpoints)} endpoint{'s' if len(endpoints) > 1 else ''}"]
    if draining:
        reasons.append(f"{draining} of them draining, not counted")
    if not counted:
        reasons.append("a locality that has endpoints keeps weight 1")
    return Share(locality, endpoints, max(1, counted), tuple(reasons))
