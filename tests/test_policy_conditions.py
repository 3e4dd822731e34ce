"""What becomes of a policy is told in its condition Accepted: why it is not accepted, where, and what is in force instead."""

from __future__ import annotations

import pytest
from fleet_world import endpoint, endpoint_slice, export, make, member, service

from xds.model.events import FLEET, Delete, Synced, Upsert
from xds.model.fleet import Fleet, FleetChange
from xds.policy.book import PolicyBook
from xds.policy_conditions import CHARS, condition_of, states

WEB = {"kind": "Service", "name": "web"}


class World:
    def __init__(self):
        self.fleet, self.book = Fleet(), PolicyBook()
        shop = [service("web"), export("web"), endpoint_slice("web", [endpoint("10.1.0.1")])]
        self.take(*(Upsert("east", item) for item in shop), Upsert(FLEET, member("east")), Upsert(FLEET, member("west")))
        self.take(Synced(FLEET), Synced("east"))

    def take(self, *events):
        change = self.fleet.apply(events)
        self.book.refresh(self.fleet)
        return change

    def put(self, name="web", *, created="2026-01-01T00:00:00Z", generation=1, holder="east", **spec):
        metadata = {"creationTimestamp": created, "generation": generation, "uid": name}
        item = make("TrafficPolicy", name, metadata=metadata, spec={"targetRefs": [WEB], **spec})
        self.take(Upsert(holder, item))
        return item

    def told(self, item, holder="east"):
        entry = self.book.entry(holder, item)
        found = condition_of(entry)
        assert found.type == "Accepted"
        return found.status, found.reason, found.message


@pytest.fixture
def world():
    return World()


def one_tier(*clusters):
    return [{"name": "first", "places": [{"clusters": [*clusters]}]}]


def test_one_that_is_accepted(world):
    item = world.put(generation=7)
    assert world.told(item) == ("True", "Accepted", "")
    assert condition_of(world.book.entry("east", item)).observed_generation == 7


def test_a_typo_is_told_with_its_field_and_the_nearest_name_and_what_is_in_force(world):
    status, reason, message = world.told(world.put(tiers=one_tier("wets")))
    assert (status, reason) == ("False", "Invalid")
    assert message == (
        "spec.tiers[0].places[0].clusters[0]: there is no cluster 'wets' (did you mean 'west'?); nothing of it is in force"
    )
    world.put(tiers=one_tier("west"))
    _, _, message = world.told(world.put(tiers=one_tier("wets")))
    assert message.endswith("; the version that was accepted last stays in force")


def test_a_target_that_does_not_exist(world):
    status, reason, message = world.told(world.put(targetRefs=[{"kind": "Service", "name": "wbe"}]))
    assert (status, reason) == ("False", "TargetNotFound")
    assert message == "spec.targetRefs[0].name: there is no Service shop/wbe in east (did you mean 'web'?)"


def test_of_two_for_one_service_the_younger_is_in_conflict(world):
    older = world.put("older")
    younger = world.put("younger", created="2026-02-01T00:00:00Z")
    assert world.told(older)[:2] == ("True", "Accepted")
    status, reason, message = world.told(younger)
    assert (status, reason) == ("False", "Conflicted")
    assert "TrafficPolicy shop/older in east governs the same, which is older" in message
    both = [WEB, {"kind": "ServiceImport", "name": "web", "group": "multicluster.x-k8s.io"}]
    status, _, message = world.told(world.put("younger", created="2026-02-01T00:00:00Z", targetRefs=both))
    assert (status, message) == (
        "True",
        "Service shop/web is governed by TrafficPolicy shop/older in east",
    )


def test_what_is_wrong_otherwise_comes_before_targets_and_not_all_of_it_is_told(world):
    tiers = [{"name": f"t{index}", "places": [{"clusters": [f"nowhere-{index}"]}]} for index in range(9)]
    _, reason, message = world.told(world.put(targetRefs=[{"kind": "Service", "name": "gone"}], tiers=tiers))
    assert reason == "Invalid"
    assert "4 more faults; nothing of it is in force" in message
    world.take(*(Upsert(FLEET, member(f"{'far-' * 12}{index}")) for index in range(40)))  # all of which the hints name
    assert len(world.told(world.put(tiers=tiers))[2]) == CHARS


def test_one_that_was_made_again_or_never_judged_is_not_told_of_yet(world):
    item = world.put()
    assert [*states(world.book, "west", [item])] == []
    world.take(Delete("east", Upsert("east", item).key))
    assert [*states(world.book, "east", [item])] == []


def test_what_we_write_into_a_policy_changes_nothing(world):
    item = world.put()
    (told,) = (condition for _, (condition,) in states(world.book, "east", [item]))
    written = make(
        "TrafficPolicy",
        "web",
        metadata={"creationTimestamp": item.metadata.creation_timestamp, "uid": "web", "resourceVersion": "9", "generation": 1},
        spec={"targetRefs": [WEB]},
        status={"conditions": [{"type": told.type, "status": told.status, "reason": told.reason, "observedGeneration": 1}]},
    )
    assert world.take(Upsert("east", written)) == FleetChange()
    assert world.book.entry("east", written)
