"""A fleet of three members with one service that they export differently, for tests of what describes it."""

from fleet_world import endpoint, endpoint_slice, export, fleet_of, make, member, node, service

from xds.model.fleet import Fleet

WEST_SINCE, EAST_SINCE = "2026-01-01T00:00:00Z", "2026-02-01T00:00:00Z"
SLICE_SINCE = "2026-03-01T00:00:00Z"
KEPT = {"sessionAffinity": "ClientIP", "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 600}}}


def described_fleet() -> Fleet:
    """West's export is the oldest, north exports a Service that it does not have, and south exports nothing."""
    east = [
        service("web", {"http": 80, "admin": 81}, trafficDistribution="PreferClose"),
        export("web", created=EAST_SINCE),
        endpoint_slice("web", [endpoint("10.1.0.1", zone="eu-1")], {"http": 8080, "admin": 8081}, creationTimestamp=SLICE_SINCE),
        make("ServiceImport", "web", spec={"ips": ["10.98.0.1"]}),
    ]
    west = [
        node("n1", "us-2", "us"),
        service("web", clusterIP="10.97.0.1", **KEPT),
        export("web", created=WEST_SINCE),
        endpoint_slice(
            "web",
            [
                endpoint("10.2.0.1", zone="us-1", target="web-a", ready=True),
                endpoint("10.2.0.2", zone="us-1", ready=False),
                endpoint("10.2.0.3", nodeName="n1", ready=False, serving=True, terminating=True),
            ],
        ),
    ]
    north = [export("web"), make("Service", "ext", spec={"type": "ExternalName"}), export("ext", created="yesterday")]
    south = [service("web"), endpoint_slice("web", [endpoint("10.4.0.1")])]
    members = member("east", "eu"), member("west", "us"), member("north"), member("south", zones=["s-1"])
    return fleet_of({"east": east, "west": west, "north": north, "south": south}, *members)
