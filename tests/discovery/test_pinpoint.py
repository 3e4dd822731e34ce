"""Problems of later stages say in which line the field stands that they are about."""

import json

import pytest

from xds.discovery.pinpoint import pinpointed
from xds.model.events import ObjectKey
from xds.problems import Problem, Ref

POLICIES = """\
# two of them
apiVersion: traffic.isthmus.dev/v1alpha1
kind: TrafficPolicy
metadata:
  name: web
spec:
  targetRefs:
  - kind: Service
    name: web
---
apiVersion: v1
kind: List
items:
- apiVersion: traffic.isthmus.dev/v1alpha1
  kind: TrafficPolicy
  metadata: {name: api, namespace: shop}
  spec:
    tiers: [{name: one,
             places: [{clusters: [east]}, {clusters:
               [west]}]}]
"""
WEB, API = Ref("", "TrafficPolicy", "default", "web"), Ref("", "TrafficPolicy", "shop", "api")
PLACES = {WEB: "p.yaml:2", API: "p.yaml:11"}


def placed(problem, text=POLICIES):
    places = {("", ObjectKey(ref.kind, ref.namespace, ref.name)): place for ref, place in PLACES.items()}
    (found,) = pinpointed([problem], lambda identity: places.get(identity, ""), {"p.yaml": text and text.encode()}.get)
    return found.source


@pytest.mark.parametrize(
    ("ref", "field", "line"),
    [
        (WEB, "spec.targetRefs[0].name", 9),
        (WEB, "spec.targetRefs[0].port", 8),
        (WEB, "spec.strategy.primary", 6),
        (WEB, "", 2),
        (WEB, 'metadata.annotations["a/b.c"]', 4),
        (API, "spec.tiers[0].places[1].clusters[0]", 20),
        (API, "spec.tiers[0].places[0]", 19),
        (API, "spec", 17),
    ],
)
def test_the_line_is_that_of_the_field_or_of_what_is_around_it(ref, field, line):
    assert placed(Problem("XDS0601", "m", ref, field)) == f"p.yaml:{line}"


def test_what_is_not_known_stays_as_it_was():
    assert placed(Problem("XDS0601", "m", WEB, "spec", source="q.yaml:7")) == "q.yaml:7"
    assert placed(Problem("XDS0601", "m", Ref("", "TrafficPolicy", "shop", "other"), "spec")) == ""
    assert placed(Problem("XDS0301", "m")) == ""


@pytest.mark.parametrize("text", [None, "", "a: [", "a: 1\n"])
def test_a_file_that_has_changed_meanwhile_leaves_the_place_of_the_object(text):
    assert placed(Problem("XDS0601", "m", WEB, "spec"), text) == "p.yaml:2"


def test_json_has_lines_too():
    item = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web", "namespace": "shop"}, "spec": {"ports": []}}
    text = json.dumps(item, indent=1)
    problem = Problem("XDS0206", "m", Ref("east", "Service", "shop", "web"), "spec.ports")
    (found,) = pinpointed([problem], lambda _: "a.json:1", {"a.json": text.encode()}.get)
    assert found.source == "a.json:9"
