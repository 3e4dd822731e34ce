"""What the book says of capacities."""

from __future__ import annotations

from fleet_world import endpoint, endpoint_slice, export, fleet_of, make, member, service

from xds.policy.book import PolicyBook


def test_capacities_that_are_not_declared_are_told():
    annotations = {"traffic.isthmus.dev/endpoint-capacity": "100"}
    declared = make(
        "Service",
        "web",
        metadata={"annotations": annotations},
        spec={"clusterIP": "10.96.0.1", "ports": [{"port": 80, "name": "http"}]},
    )
    slices = [endpoint_slice("web", [endpoint("10.1.0.1")])]
    clusters = {
        "east": [declared, export("web"), *slices],
        "west": [service("web"), export("web"), endpoint_slice("web", [endpoint("10.2.0.1")])],
    }
    tiers = [{"name": "all", "places": [{"clusters": ["*"]}], "weighBy": "Capacity"}]
    refs = [{"group": "multicluster.x-k8s.io", "kind": "ServiceImport", "name": "web"}]
    policy = make("TrafficPolicy", "web", spec={"targetRefs": refs, "tiers": tiers})
    fleet = fleet_of(clusters, member("east", "eu"), member("west", "us"), policy)
    book = PolicyBook()
    book.refresh(fleet)
    (problem,) = book.problems()
    assert (problem.code, problem.message) == (
        "XDS0605",
        "web.shop.svc.clusterset.local has no capacity in west, so its places weigh by their endpoints",
    )
