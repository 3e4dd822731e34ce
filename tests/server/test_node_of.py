"""What an Envoy says of itself arrives as plain values."""

from __future__ import annotations

import math

from google.protobuf import json_format

from xds.model.node import Node
from xds.server.node import node_of
from xds.wire import envoy


def test_everything_that_a_view_needs():
    message = json_format.ParseDict(
        {
            "id": "web-1",
            "cluster": "web",
            "locality": {"region": "eu", "zone": "eu-a"},
            "metadata": {"isthmus": {"cluster": "east", "labels": {"a": "b"}}, "list": [1, True, None, {"x": "y"}, []]},
            "user_agent_name": "envoy",
            "user_agent_build_version": {"version": {"major_number": 1, "minor_number": 40}},
            "client_features": ["f", "g"],
        },
        envoy.Node(),
    )
    assert node_of(message) == Node(
        id="web-1",
        workload="web",
        region="eu",
        zone="eu-a",
        metadata={"isthmus": {"cluster": "east", "labels": {"a": "b"}}, "list": [1, True, None, {"x": "y"}, []]},
        user_agent="envoy 1.40.0",
        features=frozenset("fg"),
    )


def test_nothing_but_an_id():
    assert node_of(envoy.Node(id="x")) == Node(id="x")


def test_a_proxyless_client_is_known_by_its_user_agent():
    assert node_of(envoy.Node(user_agent_name="gRPC Go", user_agent_version="1.80")).user_agent == "gRPC Go 1.80"


def test_numbers_that_json_lacks_are_no_reason_to_fail():
    message = envoy.Node(id="x")
    message.metadata.fields["n"].number_value = math.inf
    message.metadata.fields["empty"].SetInParent()
    assert node_of(message).metadata == {"n": math.inf, "empty": None}
