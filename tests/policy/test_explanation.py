"""Why requests go where they go, in terms of the objects as they are."""

import pytest
from fleet_world import book_of, endpoint, endpoint_slice, export, fleet_of, member, refresh, service, traffic_policy
from msgspec.structs import replace

from xds.model.events import FLEET, Upsert
from xds.model.service import ServiceKey
from xds.model.view import View
from xds.policy.explanation import explain

WEB = [service("web"), export("web"), endpoint_slice("web", [endpoint("10.1.0.1")])]


@pytest.fixture
def fleet():
    """Two clusters, and a policy."""
    named = traffic_policy("web", "web", strategy={"type": "FailOver"})
    return fleet_of({"east": WEB, "west": WEB}, member("east", "eu"), member("west", "us"), named)


def steps(fleet, book):
    return explain(fleet, book, fleet.services[ServiceKey("shop", "web", "east")], 80, View("east")).chain


def test_a_policy_has_one_version_in_all_that_is_told(fleet):
    book, named = book_of(fleet), traffic_policy("web", "web", strategy={"type": "FailOver"})
    fleet.apply([Upsert(FLEET, replace(named, metadata=replace(named.metadata, resource_version="7")))])
    versions = {ref.resource_version for step in steps(fleet, book) for ref in step.objects if ref.kind == "TrafficPolicy"}
    assert versions == {"7"}


def test_a_policy_that_is_not_accepted_any_more_is_told_with_what_is_in_force(fleet):
    book = book_of(fleet)
    fleet.apply([Upsert(FLEET, traffic_policy("web", "web", strategy={"type": "FailOver", "clusters": ["esat"]}))])
    refresh(book, fleet)
    assert [step.text for step in steps(fleet, book) if step.stage == "policy"] == [
        "TrafficPolicy shop/web is not accepted: there is no cluster 'esat'; the version that was accepted last is in force",
        "TrafficPolicy shop/web in the fleet governs, as one for Service shop/web",
    ]
