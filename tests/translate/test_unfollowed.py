"""What some clients cannot do of a policy is told."""

from __future__ import annotations

import pytest
from fleet_world import endpoint, endpoint_slice, fleet_of, make, member, service

from xds.model.view import Role, View
from xds.translate.world import Translator

SPEC = {
    "targetRefs": [{"kind": "Service", "name": "web"}],
    "retry": {"attempts": 1},
    "timeoutSeconds": 3,
    "outlierDetection": {},
    "spillBelowHealthyPercent": 50,
}


@pytest.mark.parametrize(
    ("role", "message"),
    [
        (Role.SIDECAR, None),
        (Role.PROXYLESS, "do not follow retry, timeoutSeconds, outlierDetection, spillBelowHealthyPercent"),
    ],
)
def test_what_is_not_followed_is_told(role, message):
    web = [service("web"), endpoint_slice("web", [endpoint("10.1.0.1")])]
    fleet = fleet_of({"east": web}, member("east", "eu"), make("TrafficPolicy", "web", spec=SPEC))
    found = Translator(fleet).translate(View("east", region="eu", role=role, listen="127.0.0.1:15001")).problems
    assert [(one.code, message in one.message) for one in found] == ([("XDS0606", True)] if message else [])
