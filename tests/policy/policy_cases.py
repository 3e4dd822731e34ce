"""Good and bad TrafficPolicies: API servers, by the CRD, and the code have to agree about them."""

from typing import Any, NamedTuple

from xds.model.members import Member

Spec = dict[str, Any]
MEMBERS = {
    "east": Member("east", "eu", ("eu-a", "eu-b"), provider="acme"),
    "middle": Member("middle", "eu", ("eu-b", "eu-c"), provider="acme"),
    "west": Member("west", "us", ("us-a",), provider="other", labels={"tier": "gold"}),
}
WEB = {"kind": "Service", "name": "web"}
OWN = {"name": "own", "places": [{"clusters": ["@own"]}]}
ANYWHERE = {"name": "anywhere", "places": [{"clusters": ["*"]}]}


class Bad(NamedTuple):
    """One policy that nobody may accept."""

    spec: Spec
    field: str
    """As the code names it."""
    says: str
    """In the message of the code, and in that of an API server."""


def of(**fields: Any) -> Spec:
    """Return the spec of a policy for one service."""
    return {"targetRefs": [WEB], **fields}


def strategy(kind: str, **fields: Any) -> Spec:
    """Return the spec of a policy for one service with a strategy."""
    return of(strategy={"type": kind, **fields})


def tier(**fields: Any) -> Spec:
    """Return the spec of a policy for one service with a second tier."""
    return of(tiers=[OWN, {**ANYWHERE, **fields}])


def place(**fields: Any) -> Spec:
    """Return the spec of a policy whose second tier has such places."""
    return tier(places=[fields])


def weighed(*weights: Spec, **fields: Any) -> Spec:
    """Return the spec of a policy whose second tier has weights."""
    return tier(weights=[*weights], **fields)


def requires(**requirement: Any) -> Spec:
    """Return the spec of a policy that selects members by such a requirement."""
    return place(clusterSelector={"matchExpressions": [requirement]})


GOOD: dict[str, Spec] = {
    "nothing-but-a-target": of(),
    "import-port": {"targetRefs": [{"group": "multicluster.x-k8s.io", "kind": "ServiceImport", "name": "web", "port": 80}]},
    "namespace-default": {"defaultFor": "Namespace", "retry": {"attempts": 0}, "timeoutSeconds": 2.5},
    "empty-fields": of(defaultFor="", tiers=[]),
    "nearest": strategy("Nearest"),
    "locality": strategy("Locality"),
    "fail-over": strategy("FailOver", clusters=["middle", "west"]),
    "fail-over-to-all": strategy("FailOver", clusters=["middle", "*"]),
    "active-active": strategy(
        "ActiveActive", clusters=["east", "west"], weights=[{"cluster": "east", "weight": 3}, {"weight": 1}]
    ),
    "same-city": strategy("SameCityActiveActive"),
    "centers": strategy("TwoSitesThreeCenters", primary="eu", remote="us"),
    "remote": strategy("RemoteDR", primary="eu", remote="us", gate="Closed"),
    "tiers": of(
        tiers=[
            {"name": "own zone", "places": [{"zones": ["@own"]}], "weighBy": "Capacity"},
            {
                "name": "these",
                "places": [{"regions": ["eu"], "providers": ["acme"]}, {"clusters": ["west"]}],
                "weights": [
                    {"region": "eu", "zone": "eu-b", "weight": 3},
                    {"cluster": "west", "weight": 1},
                    {"region": "eu", "weight": 0},
                ],
            },
            {
                "name": "by label",
                "places": [{"clusterSelector": {"matchExpressions": [{"key": "tier", "operator": "In", "values": ["gold"]}]}}],
                "gate": "Closed",
            },
            {**ANYWHERE, "gate": "Manual"},
        ],
        spillBelowHealthyPercent=50,
        panicBelowHealthyPercent=10,
        sovereignty=[{"regions": ["us"], "providers": ["acme"]}],
        failBackAfterSeconds=300,
        slowStartSeconds=30,
    ),
    "checks": of(
        outlierDetection={
            "consecutiveServerErrors": 5,
            "consecutiveGatewayErrors": 3,
            "intervalSeconds": 0.5,
            "maxEjectionPercent": 50,
        },
        healthCheck={"path": "/healthz?full=1", "timeoutSeconds": 0.5},
        retry={"attempts": 1, "perTryTimeoutSeconds": 0.3},
    ),
}
BAD: dict[str, Bad] = {
    "no-target": Bad({"timeoutSeconds": 1}, "spec.targetRefs", "names no targets and is no default"),
    "empty-targets": Bad({"targetRefs": [], "defaultFor": ""}, "spec.targetRefs", "names no targets and is no default"),
    "target-and-default": Bad(of(defaultFor="Namespace"), "spec.targetRefs", "names targets and is a default"),
    "group-missing": Bad(
        {"targetRefs": [WEB, {"kind": "ServiceImport", "name": "web"}]},
        "spec.targetRefs[1].group",
        "ServiceImport is not of the group ''",
    ),
    "group-of-another": Bad(
        {"targetRefs": [{**WEB, "group": "multicluster.x-k8s.io"}]},
        "spec.targetRefs[0].group",
        "Service is not of the group 'multicluster.x-k8s.io'",
    ),
    "tiers-and-strategy": Bad({**strategy("Nearest"), "tiers": [OWN]}, "spec.tiers", "a policy has either tiers or a strategy"),
    "one-name": Bad(tier(name="own"), "spec.tiers[1].name", "two tiers have one name"),
    "first-closed": Bad(of(tiers=[{**OWN, "gate": "Closed"}]), "spec.tiers[0].gate", "the first tier is Closed"),
    "first-manual": Bad(of(tiers=[{**OWN, "gate": "Manual"}, ANYWHERE]), "spec.tiers[0].gate", "the first tier is Manual"),
    "place-of-nothing": Bad(place(), "spec.tiers[1].places[0]", "selects nothing"),
    "place-of-empty-lists": Bad(place(clusters=[], zones=[]), "spec.tiers[1].places[0]", "selects nothing"),
    "sovereignty-of-nothing": Bad(of(sovereignty=[{}]), "spec.sovereignty[0]", "selects nothing"),
    "selector-of-nothing": Bad(
        place(clusters=["*"], clusterSelector={}), "spec.tiers[1].places[0].clusterSelector", "selects every cluster"
    ),
    "in-without-values": Bad(
        requires(key="tier", operator="In"),
        "spec.tiers[1].places[0].clusterSelector.matchExpressions[0]",
        "In and NotIn need values",
    ),
    "exists-with-values": Bad(
        requires(key="tier", operator="Exists", values=["gold"]),
        "spec.tiers[1].places[0].clusterSelector.matchExpressions[0]",
        "Exists and DoesNotExist have none",
    ),
    "weights-0": Bad(
        weighed({"cluster": "east", "weight": 0}, {"weight": 0}), "spec.tiers[1].weights", "the weights sum to nothing"
    ),
    "one-place-twice": Bad(
        weighed({"cluster": "east", "weight": 1}, {"weight": 1}, {"cluster": "east", "zone": "", "weight": 2}),
        "spec.tiers[1].weights[2]",
        "two weights are of the same place",
    ),
    "weights-and-weigh-by": Bad(
        weighed({"weight": 1}, weighBy="Capacity"), "spec.tiers[1].weighBy", "a tier has either weights or weighBy"
    ),
    "strategy-weights-0": Bad(
        strategy("ActiveActive", weights=[{"cluster": "east", "weight": 0}]),
        "spec.strategy.weights",
        "the weights sum to nothing",
    ),
    "strategy-one-place-twice": Bad(
        strategy("ActiveActive", weights=[{"weight": 1}, {"weight": 2}]),
        "spec.strategy.weights[1]",
        "two weights are of the same place",
    ),
    "cluster-twice": Bad(
        strategy("FailOver", clusters=["west", "middle", "west"]), "spec.strategy.clusters[2]", "a cluster is named twice"
    ),
    "clusters-of-no-use": Bad(
        strategy("Locality", clusters=["west"]), "spec.strategy.clusters", "Locality has no use for clusters"
    ),
    "weights-of-no-use": Bad(
        strategy("FailOver", weights=[{"cluster": "west", "weight": 1}]),
        "spec.strategy.weights",
        "FailOver has no use for weights",
    ),
    "primary-of-no-use": Bad(
        strategy("SameCityActiveActive", primary="eu"), "spec.strategy.primary", "SameCityActiveActive has no use for primary"
    ),
    "remote-of-no-use": Bad(strategy("Nearest", remote="us"), "spec.strategy.remote", "Nearest has no use for remote"),
    "own-again": Bad(
        strategy("FailOver", clusters=["@own", "west"]), "spec.strategy.clusters", "FailOver begins with the client's own cluster"
    ),
    "after-all": Bad(
        strategy("FailOver", clusters=["*", "west"]), "spec.strategy.clusters", "FailOver reaches no cluster after '*'"
    ),
    "gate-of-no-use": Bad(strategy("FailOver", gate="Open"), "spec.strategy.gate", "FailOver has no gate"),
    "no-primary": Bad(strategy("RemoteDR", remote="us"), "spec.strategy.primary", "RemoteDR needs primary, the name of a region"),
    "no-remote": Bad(
        strategy("TwoSitesThreeCenters", primary="eu", remote=""),
        "spec.strategy.remote",
        "TwoSitesThreeCenters needs remote, the name of a region",
    ),
    "one-region": Bad(
        strategy("RemoteDR", primary="eu", remote="eu"), "spec.strategy.remote", "the remote region is the primary one"
    ),
    "no-path": Bad(of(healthCheck={"path": "healthz"}), "spec.healthCheck.path", "is not the path of a URL"),
    "path-of-two-lines": Bad(of(healthCheck={"path": "/a\n"}), "spec.healthCheck.path", "is not the path of a URL"),
}
MALFORMED: dict[str, Bad] = {
    "kind": Bad({"targetRefs": [{**WEB, "kind": "Services"}]}, "spec.targetRefs[0].kind", "did you mean 'Service'?"),
    "no-kind": Bad(
        {"targetRefs": [{"name": "web"}]}, "spec.targetRefs[0].kind", "is missing; it is one of Service, ServiceImport"
    ),
    "name": Bad({"targetRefs": [{**WEB, "name": "Web"}]}, "spec.targetRefs[0].name", "expected lower-case letters"),
    "port": Bad({"targetRefs": [{**WEB, "port": 0}]}, "spec.targetRefs[0].port", "is 0; expected an integer >= 1"),
    "17-targets": Bad({"targetRefs": [WEB] * 17}, "spec.targetRefs", "has 17 entries; expected at most 16"),
    "default": Bad({"defaultFor": "namespace"}, "spec.defaultFor", 'expected one of "", Namespace, Fleet'),
    "strategy": Bad(strategy("Failover"), "spec.strategy.type", "did you mean 'FailOver'?"),
    "gate": Bad(tier(gate="open"), "spec.tiers[1].gate", "did you mean 'Open'?"),
    "no-places": Bad(tier(places=[]), "spec.tiers[1].places", "is empty"),
    "no-tier-name": Bad(tier(name=""), "spec.tiers[1].name", "is empty"),
    "long-name": Bad(
        place(zones=["z" * 64]), "spec.tiers[1].places[0].zones[0]", "(64 characters); expected at most 63 characters"
    ),
    "text-for-a-list": Bad(place(clusters="east"), "spec.tiers[1].places[0].clusters", "is 'east'; expected a list"),
    "weight": Bad(weighed({"weight": -1}), "spec.tiers[1].weights[0].weight", "is -1; expected an integer >= 0"),
    "no-weight": Bad(weighed({"cluster": "east"}), "spec.tiers[1].weights[0].weight", "is missing"),
    "percent": Bad(weighed({"weight": "50%"}), "spec.tiers[1].weights[0].weight", "expected an integer; leave out the %"),
    "spill": Bad(of(spillBelowHealthyPercent=0), "spec.spillBelowHealthyPercent", "is 0; expected an integer >= 1"),
    "panic": Bad(of(panicBelowHealthyPercent=101), "spec.panicBelowHealthyPercent", "is 101; expected an integer <= 100"),
    "interval": Bad(
        of(healthCheck={"intervalSeconds": 0}), "spec.healthCheck.intervalSeconds", "is 0; expected a number >= 0.001"
    ),
    "unit": Bad(of(timeoutSeconds="30s"), "spec.timeoutSeconds", "expected a number; write it in seconds, without a unit"),
}
"""They do not validate; what the code says, and its hint."""


def document(name: str, spec: Spec, namespace: str = "shop") -> dict[str, Any]:
    """Return a policy as a manifest."""
    metadata = {"name": name, "namespace": namespace}
    return {"apiVersion": "traffic.isthmus.dev/v1alpha1", "kind": "TrafficPolicy", "metadata": metadata, "spec": spec}
