"""The fleet is a function of the objects: however it got there, it equals one that is told everything at once."""

from __future__ import annotations

from collections import Counter

from fleet_events import ways
from fleet_strategies import CLUSTERS
from hypothesis import given
from hypothesis.strategies import booleans

from xds.model.fleet import Fleet


@given(ways(), booleans())
def test_any_way_leads_to_the_same_fleet(way, only_taken):
    world, batches = way
    fleet, fresh = Fleet(), world.fleet()
    for events in batches:
        (fleet.take if only_taken else fleet.apply)(events)
    if only_taken:
        change = fleet.apply(())
        assert change.services == fleet.services.keys()
    assert fleet.services == fresh.services
    assert fleet.members == fresh.members
    assert fleet.remotes == fresh.remotes
    assert Counter(fleet.problems()) == Counter(fresh.problems())
    assert fleet.synced
    for cluster in (*CLUSTERS, ""):
        assert list(fleet.visible(cluster)) == list(fresh.visible(cluster))


@given(ways())
def test_a_change_names_every_service_that_differs(way):
    _, batches = way
    fleet = Fleet()
    for events in batches:
        before = dict(fleet.services)
        change = fleet.apply(events)
        differing = {key for key in before.keys() | fleet.services.keys() if before.get(key) != fleet.services.get(key)}
        told = change.endpoints | change.services
        assert not change.endpoints & change.services
        # Origins alone change nothing that anybody is sent.
        assert {key for key in differing - told if not same_but_origins(before.get(key), fleet.services.get(key))} == set()
        for key in change.endpoints:
            assert before[key].ports == fleet.services[key].ports
            assert before[key].vips == fleet.services[key].vips


def same_but_origins(one, other):
    fields = ("key", "ports", "endpoints", "vips", "visible_in", "headless", "traffic_distribution")
    return one is not None and other is not None and all(getattr(one, name) == getattr(other, name) for name in fields)
