"""Policies as values: what the tiers of a service are made by, whoever wrote it down."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from xds.model.traffic_objects import ANY, OWN, HealthCheckSpec, OutlierSpec, PlaceSpec, RetrySpec, WeightSpec

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from xds.model.members import Member
    from xds.model.service import Endpoint, Locality
    from xds.policy.tiers import Place
    from xds.problems import Ref

OVERPROVISIONING: Final = 140
"""Envoy's default, in percent, stated so that nobody has to know it: a tier spills below 1/1.4 = 71.4 % healthy."""


@dataclass(frozen=True, slots=True)
class Selector:
    """Places; `PlaceSpec` and what other systems' preferences need: the client's node, and all clusters but its own."""

    spec: PlaceSpec
    own_node: bool = False
    not_own_cluster: bool = False
    """Only those of other clusters than the client's."""
    gateways: bool = False
    """Gateways of the places, and no endpoints there that clients reach themselves."""

    def fits(self, endpoint: Endpoint, place: Place, members: Mapping[str, Member]) -> bool:
        """Return whether an endpoint is at one of the places, for a client at its own."""
        spec, at = self.spec, endpoint.locality
        if self.own_node and (not place.node or (endpoint.node, at.cluster) != (place.node, place.cluster)):
            return False
        if (self.not_own_cluster and at.cluster == place.cluster) or (self.gateways and not endpoint.gateway):
            return False
        return (
            (not spec.clusters or ANY in spec.clusters or named(spec.clusters, at.cluster, place.cluster))
            and (not spec.regions or named(spec.regions, at.region, place.region))
            and (not spec.zones or at.zone in spec.zones or (OWN in spec.zones and is_own_zone(at, place)))
            and self._fits_member(at.cluster, place.cluster, members)
        )

    def _fits_member(self, cluster: str, own: str, members: Mapping[str, Member]) -> bool:
        spec = self.spec
        if not spec.providers and spec.cluster_selector is None:
            return True
        # Of a cluster that is no member nothing is said, as of one without a MemberCluster: what lacks a label, it lacks, too.
        member = members.get(cluster)
        provider, labels = (member.provider, member.labels) if member else ("", {})
        own_provider = members[own].provider if own in members else ""
        return (not spec.providers or named(spec.providers, provider, own_provider)) and (
            spec.cluster_selector is None or spec.cluster_selector.matches(labels)
        )


def is_own_zone(at: Locality, place: Place) -> bool:
    """Return whether a locality is in the client's zone; zones of two regions may share a name."""
    return bool(place.zone) and (at.region, at.zone) == (place.region, place.zone)


def named(names: list[str], value: str, own: str) -> bool:
    """Return whether a value is among names, of which one may stand for the client's own."""
    return value in names or (OWN in names and bool(own) and value == own)


@dataclass(frozen=True, slots=True)
class Rung:
    """What one tier is made by."""

    name: str
    selectors: tuple[Selector, ...]
    by_capacity: bool = False
    weights: tuple[WeightSpec, ...] = ()
    closed: str = ""
    """Why nothing of it is used; "" if it is."""
    lapsed: bool = False
    """It had weights, and they would leave nobody."""


MOST_RUNGS: Final = 128
"""Envoy refuses a CLA with a priority above 128; the last is for what some clients would drop (`Place.drops_degraded`)."""


def at_most(rungs: Sequence[Rung]) -> tuple[Rung, ...]:
    """Return no more rungs than there can be tiers: the last one has all places of those that are too many."""
    *first, last = rungs[:MOST_RUNGS]
    if more := rungs[MOST_RUNGS:]:
        selectors = tuple(selector for one in (last, *more) for selector in one.selectors)
        last = replace(last, name=f"{last.name} and {len(more)} more", selectors=selectors)
    return (*first, last)


@dataclass(frozen=True, slots=True)
class ForClients:
    """Rungs for the clients at some places, where a policy is not the same for all."""

    region: str
    """"": any."""
    zone: str
    """"": any of the region."""
    rungs: tuple[Rung, ...]
    without_node: bool = False
    """Only those that do not say on which node they are."""

    def are_at(self, place: Place) -> bool:
        """Return whether clients at a place are meant."""
        return self.region in ("", place.region) and self.zone in ("", place.zone) and not (self.without_node and place.node)


@dataclass(frozen=True, slots=True)
class ClusterSettings:
    """What a policy says that stands in the cluster, so that it never follows from endpoints: a change warms it again."""

    outlier_detection: OutlierSpec | None = None
    """None: connections that fail, as `xds.translate.clusters` says."""
    health_check: HealthCheckSpec | None = None
    panic_percent: int = 0
    slow_start_s: float = 0.0
    through_gateways: bool = False
    """Gateways are used, each with a path of its own in front of a request's."""
    origin: Ref | None = None
    """Of the policy, if it says anything of this."""


@dataclass(frozen=True, slots=True)
class RouteSettings:
    """What a policy says that stands in routes."""

    retry: RetrySpec | None = None
    timeout_s: float = 0.0
    keeps_path: bool = False
    """Each try begins with the path that the client sent, where gateways want another one in front."""
    retries_errors: bool = False
    """What may be sent twice is tried again after every answer of 500 and above."""


@dataclass(frozen=True, slots=True, eq=False)
class Policy:
    """One policy; it is what it is, so that what was made by it can be kept by it."""

    name: str
    """For people, e.g. `TrafficPolicy shop/web in east`."""
    rungs: tuple[Rung, ...]
    """None: it leaves them to the default ladder."""
    by_client: tuple[ForClients, ...] = ()
    """Instead of these: the first that means a client counts."""
    otherwise: tuple[Rung, ...] = ()
    """Instead of these where their weights leave nobody; none: the weights count whatever they leave."""
    overprovisioning: int = OVERPROVISIONING
    """Percent (Envoy's `overprovisioning_factor`)."""
    sovereignty: tuple[Selector, ...] = ()
    """Places that are never used."""
    cluster: ClusterSettings = ClusterSettings()
    route: RouteSettings = RouteSettings()
    fail_back_s: float = 0.0
    origin: Ref | None = None
    """None: nobody wrote it."""
    needs_region: bool = field(init=False)
    needs_zone: bool = field(init=False)
    needs_node: bool = field(init=False)
    stays: bool = field(init=False)
    """No tier has places outside the client's own cluster."""
    stays_on_node: bool = field(init=False)
    """Nor outside its own node, where it says on which it is."""

    def forbids(self, endpoint: Endpoint, place: Place, members: Mapping[str, Member]) -> bool:
        """Return whether its sovereignty forbids an endpoint to the clients at a place."""
        return any(one.fits(endpoint, place, members) for one in self.sovereignty)

    def __post_init__(self) -> None:
        """Find out what of a client's place it depends on."""
        rungs = [*self.rungs, *(rung for one in self.by_client for rung in one.rungs)]
        selected = [one for rung in rungs for one in rung.selectors]
        selectors = [*selected, *self.sovereignty]
        weights = [one for rung in rungs for one in rung.weights]
        zone = any(OWN in one.spec.zones for one in selectors) or any(one.zone == OWN for one in weights)
        zone = zone or any(one.zone for one in self.by_client)
        region = any(OWN in one.spec.regions for one in selectors) or any(one.region == OWN for one in weights)
        region = region or any(one.region for one in self.by_client)
        object.__setattr__(self, "needs_zone", zone)
        object.__setattr__(self, "needs_region", zone or region)  # zones of two regions may share a name
        object.__setattr__(self, "needs_node", any(one.own_node for one in selectors))
        object.__setattr__(self, "stays", all(one.own_node or one.spec.clusters == [OWN] for one in selected))
        on_node = [one.own_node for rung in self.rungs for one in rung.selectors]
        object.__setattr__(self, "stays_on_node", bool(on_node) and all(on_node))

    def rungs_for(self, place: Place) -> tuple[Rung, ...]:
        """Return what the tiers of clients at a place are made by."""
        return next((one.rungs for one in self.by_client if one.are_at(place)), self.rungs)


OWN_NODE = Rung("own node", (Selector(PlaceSpec(), own_node=True),))
OWN_ZONE = Rung("own zone", (Selector(PlaceSpec(zones=[OWN])),))
OWN_CLUSTER = Rung("own cluster", (Selector(PlaceSpec(clusters=[OWN])),))
_SAME_REGION = Rung("same region", (Selector(PlaceSpec(regions=[OWN])),))
ANYWHERE = Rung("anywhere", (Selector(PlaceSpec(clusters=[ANY])),))
_IN_FRONT: Final = {
    "": (),
    "PreferSameZone": (OWN_ZONE,),
    # Kubernetes' own hints name the zone too, for clients on whose node there is none.
    "PreferSameNode": (OWN_NODE, OWN_ZONE),
}
NEAREST: Final = (OWN_CLUSTER, _SAME_REGION, ANYWHERE)
"""The default ladder."""


def default_rungs(distribution: str, *, spans: bool) -> tuple[Rung, ...]:
    """Return the default ladder.

    Args:
        distribution: `spec.trafficDistribution`, which puts rungs in front (KEP-3015); "" for none.
        spans: whether endpoints of other clusters count.
    """
    return (*_IN_FRONT[distribution], *(NEAREST if spans else (OWN_CLUSTER,)))


ALL_ALIKE: Final = replace(ANYWHERE, name="all alike")
NODE_ONLY: Final = ((OWN_NODE,), (ForClients("", "", (OWN_CLUSTER,), without_node=True),))
"""`internalTrafficPolicy: Local`: the client's node or nothing; for clients that do not say where they are, their cluster."""


NO_POLICY: Final = {
    (distribution, spans): Policy("no policy", default_rungs(distribution, spans=spans))
    for distribution in _IN_FRONT
    for spans in (False, True)
}
"""(trafficDistribution, whether endpoints of other clusters count) -> where no policy speaks.

A cluster's own service has its own endpoints, so its ladder ends there, unless another system copies those of other clusters
into it. What it is lent for a policy counts only if that policy is in force.
"""
