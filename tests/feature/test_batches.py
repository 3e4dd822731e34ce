"""Why a batch waits until nothing has changed for a while: what belongs together is not told together.

Each of these things takes two changes. Were the first one served at once, clients would be worse off until the second.
"""

from __future__ import annotations

import pytest
from fleet_world import endpoint, endpoint_slice, export, service, traffic_policy

from xds.model.events import FLEET, Delete, ObjectKey, Upsert
from xds.model.view import Intercept, View
from xds.wire import CLUSTER, ENDPOINT, LISTENER, unpack

VIEW = View(cluster="east", region="r-east", namespace="shop", intercept=Intercept.TRANSPARENT, listen="0.0.0.0:15001")
WEB, NEW, SET = "web.shop.svc.cluster.local:80", "new.shop.svc.cluster.local:80", "new.shop.svc.clusterset.local:80"
WINDOWS = pytest.mark.parametrize("is_at_once", [False, True], ids=["held off", "at once"])


@pytest.fixture
def told(running, soon):
    """Return a function that tells a control plane one thing after the other, and returns what a view was given meanwhile."""

    async def told(is_at_once, *steps):
        window = {"quiet_s": 0, "max_delay_s": 0} if is_at_once else {"quiet_s": 0.25, "max_delay_s": 1}
        async with running(**window) as plane:
            plane.pipeline.acquire(VIEW)
            batches = plane.timings["translate"]
            for number, events in enumerate(steps, 1):
                before = batches.count
                plane.pipeline.take(events)
                if number == 1 and is_at_once:
                    await soon(lambda before=before: batches.count > before)
            if not is_at_once:
                await soon(lambda: batches.count)
            return plane.pipeline.history(VIEW)

    return told


def addresses(snapshot, name):
    """Return the endpoints of a service in a snapshot; None if it is not there."""
    if name not in snapshot.resources(CLUSTER):
        return None
    message = unpack(ENDPOINT, snapshot.resources(ENDPOINT)[name].body)
    return {one.endpoint.address.socket_address.address for group in message.endpoints for one in group.lb_endpoints}


@WINDOWS
async def test_a_service_that_is_deleted_and_made_anew_is_there_all_the_time(told, is_at_once):
    anew = service("web", {"http-80": 80}, clusterIP="10.96.0.9")
    history = await told(is_at_once, [Delete("east", ObjectKey("Service", "shop", "web"))], [Upsert("east", anew)])
    assert any(addresses(one, WEB) is None for one in history) is is_at_once


@WINDOWS
async def test_a_service_is_known_when_it_has_endpoints(told, is_at_once):
    """Until it is known, its address is connected to as if there were no sidecar; then 503 would be the answer."""
    one = endpoint_slice("new", [endpoint("10.1.0.9")])
    history = await told(is_at_once, [Upsert("east", service("new", clusterIP="10.96.0.9"))], [Upsert("east", one)])
    assert addresses(history[-1], NEW) == {"10.1.0.9"}
    listeners = [unpack(LISTENER, one.resources(LISTENER)["outbound"].body) for one in history]
    known = [any(chain.name == NEW for chain in listener.filter_chains) for listener in listeners]
    assert any(known and not addresses(one, NEW) for one, known in zip(history, known, strict=True)) is is_at_once


@WINDOWS
async def test_a_service_is_given_to_nobody_before_the_policy_that_keeps_it_from_him(told, is_at_once):
    new = [Upsert("west", item) for item in (service("new"), export("new"), endpoint_slice("new", [endpoint("10.2.0.9")]))]
    targets = [{"group": "multicluster.x-k8s.io", "kind": "ServiceImport", "name": "new"}]
    policy = traffic_policy("new", targetRefs=targets, sovereignty=[{"clusters": ["west"]}])
    history = await told(is_at_once, new, [Upsert(FLEET, policy)])
    assert any("10.2.0.9" in (addresses(one, SET) or ()) for one in history) is is_at_once
