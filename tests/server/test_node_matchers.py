"""Which nodes a CSDS request asks about."""

import pytest
from google.protobuf import json_format

from xds.model.node import Node
from xds.server.node_matchers import MATCHERS, UnsupportedMatcherError, node_match
from xds.wire import POOL, envoy

NODE = Node(
    id="Web-1",
    workload="web",
    region="eu",
    zone="eu-1",
    metadata={"isthmus": {"role": "sidecar", "canary": True, "weight": 3.0, "none": None}, "other": "text"},
    user_agent="envoy 1.40.0",
    features=frozenset(),
)


def matches(*matchers):
    request = json_format.ParseDict({"node_matchers": matchers}, envoy.ClientStatusRequest(), descriptor_pool=POOL)
    return node_match(request.node_matchers)(NODE)


def at(*path, **value):
    return {"path": [{"key": key} for key in path], "value": value}


def test_without_matchers_every_node_is_meant():
    assert matches()


@pytest.mark.parametrize(
    ("matcher", "fits"),
    [
        ({"exact": "Web-1"}, True),
        ({"exact": "web-1"}, False),
        ({"exact": "web-1", "ignore_case": True}, True),
        ({"prefix": "Web"}, True),
        ({"prefix": "eb"}, False),
        ({"suffix": "-1"}, True),
        ({"contains": "eb-"}, True),
        ({"contains": "EB-"}, False),
    ],
)
def test_ids(matcher, fits):
    assert matches({"node_id": matcher}) is fits


@pytest.mark.parametrize(
    ("metadata", "fits"),
    [
        (at("isthmus", "role", string_match={"exact": "sidecar"}), True),
        (at("isthmus", "role", string_match={"prefix": "gate"}), False),
        (at("isthmus", "canary", bool_match=True), True),
        (at("isthmus", "canary", bool_match=False), False),
        (at("isthmus", "weight", double_match={"exact": 3}), True),
        (at("isthmus", "canary", double_match={"exact": 1}), False),
        (at("isthmus", "none", null_match={}), True),
        (at("isthmus", "missing", null_match={}), False),
        (at("isthmus", "missing", present_match=True), False),
        (at("isthmus", "missing", present_match=False), True),
        (at("isthmus", present_match=True), True),
        (at("other", "deeper", present_match=True), False),
        (at("other", string_match={"exact": "text"}), True),
    ],
)
def test_metadata(metadata, fits):
    assert matches({"node_metadatas": [metadata]}) is fits


def test_any_matcher_is_enough_and_all_of_one_must_fit():
    role = at("isthmus", "role", string_match={"exact": "sidecar"})
    assert matches({"node_id": {"exact": "no"}}, {"node_id": {"prefix": "Web"}})
    assert not matches({"node_id": {"exact": "no"}, "node_metadatas": [role]})
    assert not matches({"node_metadatas": [role, at("other", bool_match=True)]})


@pytest.mark.parametrize(
    ("matcher", "words"),
    [
        ({"node_id": {"safe_regex": {"regex": ".*"}}}, "node_id safe_regex is not supported; use one of exact, prefix"),
        ({"node_id": {}}, "node_id without a pattern is not supported"),
        ({"node_metadatas": [at("a", list_match={"one_of": {"present_match": True}})]}, "list_match is not supported"),
        ({"node_metadatas": [at("a", double_match={"range": {"end": 1}})]}, "double_match is not supported"),
        ({"node_metadatas": [at("a")]}, "node_metadatas.value without a pattern"),
    ],
)
def test_what_is_not_evaluated_is_an_error_and_never_a_match(matcher, words):
    with pytest.raises(UnsupportedMatcherError, match=words):
        matches(matcher)


@pytest.mark.parametrize(
    ("matchers", "place"),
    [
        ([{"node_id": {"exact": "a"}}] * (MATCHERS + 1), "the request has 101"),
        ([{"node_metadatas": [at("a", present_match=True)] * 51}] * 2, "node_metadatas has 102"),
        ([{"node_metadatas": [at(*"a" * 101, present_match=True)]}], "node_metadatas.path has 101"),
        # The number is looked at first: what is in them is not.
        ([{"node_id": {"safe_regex": {"regex": "."}}}] * 101, "the request has 101"),
    ],
)
def test_too_many_are_refused_before_anything_is_made_of_them(matchers, place):
    with pytest.raises(UnsupportedMatcherError, match=f"node_matchers: {place}, more than 100; ask in several requests"):
        matches(*matchers)
    assert not matches(*[{"node_id": {"exact": "a"}}] * MATCHERS)
