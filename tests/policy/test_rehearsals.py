"""What is rehearsed is what comes: `simulate` of a failure says what `explain` says once the endpoints have failed."""

from __future__ import annotations

import pytest
from fleet_strategies import CLUSTERS, DRAINING, READY, said, worlds
from fleet_world import make
from hypothesis import given, reject
from hypothesis import strategies as st
from msgspec import structs

from xds.admin.explanations import by_place
from xds.model.events import FLEET, Synced, Upsert
from xds.model.fleet import Fleet
from xds.model.objects import EndpointSlice
from xds.model.service import Health
from xds.policy.book import PolicyBook
from xds.policy.explanation import explain
from xds.policy.failures import FailureError, parsed
from xds.policy.simulation import Loads, Rehearsal, World

OVERRIDES = (
    {"drain": {"cluster": "east", "steps": 4, "step": 2}},
    {"drain": {"zone": "a", "steps": 3, "step": 1}},
    {"drain": {"region": "eu"}},
    {"open": {"namespace": "shop", "policy": "web", "tier": "all"}},
)
DOWN = (
    *(f"cluster={name}" for name in CLUSTERS),
    *("zone=a", "zone=b", "region=eu", "region=us"),
    *("endpoints=100%@shop/web", "endpoints=100%@east", "endpoints=100%@west/a"),
)


def failing(fleet, failure):
    """Return the events of all endpoints that a failure is about becoming unready."""
    down = {
        address
        for key, found in fleet.services.items()
        if failure.service in ("", f"{key.namespace}/{key.name}")
        for endpoints in found.endpoints.values()
        for one in endpoints
        if failure.is_at(one.locality)
        for address in one.addresses
    }
    return [
        Upsert(name, structs.replace(item, endpoints=[unready(one, down) for one in item.endpoints or ()]))
        for name, cluster in fleet.clusters.items()
        for item in cluster.of(EndpointSlice)
    ]


def unready(one, down):
    gone = structs.replace(one.conditions, ready=False, serving=False, terminating=False)
    return structs.replace(one, conditions=gone) if down.intersection(one.addresses) else one


@given(
    worlds(clashes=False, states=(READY, READY, DRAINING)),
    said(),
    st.sets(st.sampled_from(range(4)), max_size=2),
    st.sampled_from(DOWN),
)
def test_a_failure_that_was_rehearsed_does_what_the_rehearsal_said(world, states, overridden, down):
    fleet = world.fleet()
    overrides = [make("TrafficOverride", f"o{number}", spec=OVERRIDES[number]) for number in sorted(overridden)]
    fleet.apply([*(Upsert(FLEET, item) for item in overrides), *states, *(Synced(name) for name in (FLEET, *CLUSTERS))])
    before = World(fleet.told())
    try:
        failure = parsed(down, before.known)
    except FailureError:
        reject()
    outcomes = Rehearsal(before, before, Loads()).outcomes([failure])
    real, book = Fleet(), PolicyBook()
    real.apply(fleet.told())
    book.refresh(real)
    real.apply(failing(fleet, failure))
    for one in outcomes:
        was = before.fleet.services[one.service.key].endpoints[one.port]
        # A gateway does not tell how it is, and an endpoint that drains is not missed when it goes.
        if all(
            endpoint.health is Health.HEALTHY and not endpoint.gateway for endpoint in was if failure.is_at(endpoint.locality)
        ):
            found = explain(real, book, real.services[one.service.key], one.port, one.view).forecast
            assert by_place(found.shares) == pytest.approx(by_place(one.after.shares)), (one.service.key, one.port, one.view)
            assert found.unserved == pytest.approx(one.after.unserved)
