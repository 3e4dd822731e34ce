"""Why requests go where they go, in terms of the objects as they are."""

from fleet_world import book_of, endpoint, endpoint_slice, export, fleet_of, member, service, traffic_policy
from msgspec.structs import replace

from xds.model.events import FLEET, Upsert
from xds.model.service import ServiceKey
from xds.model.view import View
from xds.policy.explanation import explain


def test_a_policy_has_one_version_in_all_that_is_told():
    named = traffic_policy("web", "web", strategy={"type": "FailOver"})
    web = [service("web"), export("web"), endpoint_slice("web", [endpoint("10.1.0.1")])]
    fleet = fleet_of({"east": web, "west": web}, member("east", "eu"), member("west", "us"), named)
    book = book_of(fleet)
    judged = replace(named, metadata=replace(named.metadata, resource_version="7"))
    fleet.apply([Upsert(FLEET, judged)])
    steps = explain(fleet, book, fleet.services[ServiceKey("shop", "web", "east")], 80, View("east")).chain
    versions = {ref.resource_version for step in steps for ref in step.objects if ref.kind == "TrafficPolicy"}
    assert versions == {"7"}
