"""TrafficPolicy: in which order, and with what weights, clients use the places that a service runs in.

And TrafficOverride: what an operator does to that in an emergency, in objects of its own, so that nothing that keeps policies as
they are written reverts it.

`deploy/crds/trafficpolicies.yaml` says the same to API servers. Where a policy stands says whose clients it governs: those of the
cluster that holds it, or, on the hub or at the top of a directory, those of every cluster.
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

from xds.model.labels import LabelSelector  # noqa: TC001 - msgspec reads annotations
from xds.model.objects import Condition, KubernetesObject, Name, NamespaceName, Port

OWN = "@own"
"""Stands for where the client is."""
ANY = "*"
"""Stands for every cluster."""

PlaceName = Annotated[str, Meta(max_length=63)]
"""Of a cluster, an RFC 1123 label, or of a region or zone, as a node's label has it."""
PlaceNames = Annotated[list[PlaceName], Meta(max_length=64)]
Percent = Annotated[int, Meta(ge=1, le=100)]
Seconds = Annotated[float, Meta(ge=0, le=86_400)]
Gate = Literal["Open", "Closed", "Manual"]
StrategyType = Literal[
    "Nearest", "Locality", "FailOver", "ActiveActive", "SameCityActiveActive", "TwoSitesThreeCenters", "RemoteDR"
]


class TargetRef(Struct, frozen=True, rename="camel", kw_only=True, omit_defaults=True):
    """One service that a policy is about, in the policy's own namespace (GEP-713)."""

    group: Literal["", "multicluster.x-k8s.io"] = ""
    kind: Literal["Service", "ServiceImport"]
    name: Name
    port: Port | None = None
    """None: all."""


class PlaceSpec(Struct, frozen=True, rename="camel", kw_only=True, omit_defaults=True):
    """Places: what holds for all fields that are given."""

    clusters: PlaceNames = []
    """Members by name; `@own`, or `*` for all."""
    regions: PlaceNames = []
    zones: PlaceNames = []
    providers: PlaceNames = []
    cluster_selector: LabelSelector | None = None
    """By the labels of their MemberClusters."""


class WeightSpec(Struct, frozen=True, rename="camel", kw_only=True, omit_defaults=True):
    """The weight of a place; one that names more counts before one that names less."""

    cluster: PlaceName = ""
    region: PlaceName = ""
    zone: PlaceName = ""
    weight: Annotated[int, Meta(ge=0, le=1_000_000)]
    """Relative to the others of the tier; 0: none of it."""


Weights = Annotated[list[WeightSpec], Meta(max_length=64)]


class TierSpec(Struct, frozen=True, rename="camel", kw_only=True, omit_defaults=True):
    """One tier: an endpoint belongs to the first that takes its place."""

    name: Annotated[str, Meta(min_length=1, max_length=63)]
    places: Annotated[list[PlaceSpec], Meta(min_length=1, max_length=16)]
    """One of them is enough."""
    weigh_by: Literal["Endpoints", "Capacity"] = "Endpoints"
    """What a place weighs: its endpoints, or what they can bear, by the annotation of their Services."""
    weights: Weights = []
    """What places weigh instead; then one that none names is not in this tier."""
    gate: Gate = "Open"
    """Closed: never used. Manual: not used until an override opens it."""


class StrategySpec(Struct, frozen=True, rename="camel", kw_only=True, omit_defaults=True):
    """Tiers by the name of what they are for; `xdsctl policy expand` prints them."""

    type: StrategyType
    clusters: PlaceNames = []
    """FailOver: in this order after the own; ActiveActive: these alone."""
    weights: Weights = []
    """ActiveActive: what the places weigh."""
    primary: PlaceName = ""
    """TwoSitesThreeCenters, RemoteDR: the region that serves."""
    remote: PlaceName = ""
    """TwoSitesThreeCenters, RemoteDR: the region that takes over."""
    gate: Gate = "Manual"
    """Of the remote region."""


class OutlierSpec(Struct, frozen=True, rename="camel", kw_only=True, omit_defaults=True):
    """Which endpoints a client takes out of use by what it sees itself."""

    consecutive_local_failures: Annotated[int, Meta(ge=0, le=1000)] = 5
    """Connections that fail in a row; 0: never."""
    consecutive_server_errors: Annotated[int, Meta(ge=0, le=1000)] = 0
    """Answers 5xx in a row; 0: never, since an application may mean them."""
    consecutive_gateway_errors: Annotated[int, Meta(ge=0, le=1000)] = 0
    """Answers 502, 503 and 504 in a row, which are more often those of a proxy in front of a dead application; 0: never."""
    interval_seconds: Annotated[float, Meta(ge=0.001, le=3600)] = 5
    base_ejection_seconds: Annotated[float, Meta(ge=0.001, le=3600)] = 5
    max_ejection_seconds: Annotated[float, Meta(ge=0.001, le=86_400)] = 60
    max_ejection_percent: Annotated[int, Meta(ge=0, le=100)] = 100


class HealthCheckSpec(Struct, frozen=True, rename="camel", kw_only=True, omit_defaults=True):
    """A question that clients ask every endpoint themselves."""

    path: Annotated[str, Meta(max_length=1024)] = ""
    """Of an HTTP GET that has to answer 200; "", and on ports that do not speak HTTP: a TCP connection is enough."""
    interval_seconds: Annotated[float, Meta(ge=0.001, le=3600)] = 10
    timeout_seconds: Annotated[float, Meta(ge=0.001, le=3600)] = 2
    unhealthy_threshold: Annotated[int, Meta(ge=1, le=100)] = 3
    healthy_threshold: Annotated[int, Meta(ge=1, le=100)] = 2


class RetrySpec(Struct, frozen=True, rename="camel", kw_only=True, omit_defaults=True):
    """What is tried again."""

    attempts: Annotated[int, Meta(ge=0, le=10)] = 2
    """Beside the first; 0: nothing is."""
    per_try_timeout_seconds: Seconds | None = None


class TrafficPolicySpec(Struct, frozen=True, rename="camel", kw_only=True, omit_defaults=True):
    """`spec` of a TrafficPolicy."""

    target_refs: Annotated[list[TargetRef], Meta(max_length=16)] = []
    default_for: Literal["", "Namespace", "Fleet"] = ""
    """Instead of targets: all services of the policy's namespace, or all that there are."""
    strategy: StrategySpec | None = None
    tiers: Annotated[list[TierSpec], Meta(max_length=16)] = []
    """Instead of a strategy."""
    spill_below_healthy_percent: Percent | None = None
    """A tier passes on what its endpoints cannot bear once fewer than these are healthy; None: 72, as Envoy does (1/1.4)."""
    panic_below_healthy_percent: Annotated[int, Meta(ge=0, le=100)] = 0
    """Once fewer are healthy in all tiers together, unhealthy ones are used too; 0: never."""
    sovereignty: Annotated[list[PlaceSpec], Meta(max_length=16)] = []
    """Places that are never used, whatever fails; that holds whatever more specific policies say."""
    outlier_detection: OutlierSpec | None = None
    health_check: HealthCheckSpec | None = None
    retry: RetrySpec | None = None
    timeout_seconds: Seconds | None = None
    """Of a whole request; None or 0: none, so that streams live."""
    slow_start_seconds: Seconds | None = None
    """How long an endpoint that is new gets less."""
    fail_back_after_seconds: Seconds | None = None
    """How long a place has to be well before what it lost comes back."""


class PolicyCondition(Condition, frozen=True, rename="camel", kw_only=True):
    """One entry of `status.conditions` of a TrafficPolicy."""

    observed_generation: int = 0
    """Of the policy, when it was judged."""


class TrafficPolicyStatus(Struct, frozen=True, rename="camel", kw_only=True):
    """`status` of a TrafficPolicy."""

    conditions: list[PolicyCondition] = []


class TrafficPolicy(KubernetesObject, frozen=True, rename="camel", kw_only=True, omit_defaults=True):
    """traffic.isthmus.dev/v1alpha1 TrafficPolicy."""

    spec: TrafficPolicySpec
    status: TrafficPolicyStatus = TrafficPolicyStatus()


class DrainSpec(Struct, frozen=True, rename="camel", kw_only=True, omit_defaults=True):
    """A place that is to get no requests; what holds for all fields that are given."""

    cluster: str = ""
    region: str = ""
    zone: str = ""
    services: Annotated[list[str], Meta(max_length=256)] = []
    """`NAMESPACE/NAME`; none: every service."""
    steps: Annotated[int, Meta(ge=1, le=1000)] = 1
    step: Annotated[int, Meta(ge=0, le=1000)] = 1
    """How many of the steps have been made: of each the place gets as much less."""


class GateSpec(Struct, frozen=True, rename="camel", kw_only=True, omit_defaults=True):
    """A tier whose gate is Manual and that is open now."""

    cluster: str = ""
    """That holds the policy; "" for a fleet-wide one."""
    namespace: NamespaceName
    policy: Name
    tier: Annotated[str, Meta(min_length=1, max_length=63)]


class TrafficOverrideSpec(Struct, frozen=True, rename="camel", kw_only=True, omit_defaults=True):
    """`spec` of a TrafficOverride: one of the two."""

    drain: DrainSpec | None = None
    open: GateSpec | None = None
    reason: Annotated[str, Meta(max_length=1024)] = ""
    """For people."""


class TrafficOverride(KubernetesObject, frozen=True, rename="camel", kw_only=True, omit_defaults=True):
    """traffic.isthmus.dev/v1alpha1 TrafficOverride (fleet-wide object)."""

    spec: TrafficOverrideSpec
