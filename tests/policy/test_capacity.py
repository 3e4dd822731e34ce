"""What the book says of capacities."""

from __future__ import annotations

from fleet_world import book_of, endpoint, endpoint_slice, export, fleet_of, make, member, service, traffic_policy

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
    (problem,) = book_of(fleet).problems()
    assert (problem.code, problem.message) == (
        "XDS0605",
        "web.shop.svc.clusterset.local has no capacity in west, so its places weigh by their endpoints",
    )


def test_what_is_not_declared_is_found_in_one_look_at_the_services(monkeypatch):
    names = [f"s{number}" for number in range(40)]
    tiers = [{"name": "all", "places": [{"clusters": ["*"]}], "weighBy": "Capacity"}]
    policies = [traffic_policy(name, name, tiers=tiers) for name in names]
    objects = [found for name in names for found in (service(name), endpoint_slice(name, [endpoint("10.1.0.1")]))]
    book = book_of(fleet_of({"east": [*objects, *policies]}, member("east", "eu")))
    asked = []
    candidates = PolicyBook.candidates
    monkeypatch.setattr(PolicyBook, "candidates", lambda *about: asked.append(about) or candidates(*about))
    assert [problem.code for problem in book.problems()] == ["XDS0605"] * len(names)
    assert len(asked) <= len(names)
