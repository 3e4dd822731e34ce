"""Quarantine: what three nodes of a view reject and none accepts gives way to what was accepted before."""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from xds.problems import Ref
from xds.protocol import Encoder, Nack
from xds.quarantine import NODES, REJECTIONS, Quarantine
from xds.snapshot.resource import Resource
from xds.snapshot.store import SnapshotStore

A = "type/A"


def res(name, content, *, revision="1"):
    return Resource.of(A, name, content.encode(), origins=(Ref("east", "Service", "shop", name, revision),))


class View:
    """One view between a translation made by hand and the store, as `xds.views` has it."""

    def __init__(self):
        self.store = SnapshotStore()
        self.claimed = {}
        self.quarantine = Quarantine(self.store, lambda _view, _url, name: self.claimed.get(name, ()))
        self.encoder = Encoder("test")
        self.translated = {}
        self.translate()

    def translate(self, **contents):
        """Translate everything anew; None removes a resource."""
        self.translated = {name: found for name, found in {**self.translated, **contents}.items() if found is not None}
        made = {name: res(name, content) for name, content in self.translated.items()}
        known = self.served.keys() | self.quarantine.left_out("v", A) if self.store.is_live("v") else set()
        self.publish(self.quarantine.screened("v", {A: {**dict.fromkeys(known - made.keys()), **made}}))

    def publish(self, changes):
        self.store.publish("v", changes, at_s=0.0, trigger="test")

    @property
    def served(self):
        return {name: found.body.decode() for name, found in self.store.current("v").resources(A).items()}

    def nack(self, node, name, content, *, error="", beside=()):
        resources = (res(name, content), *(res(other, "good") for other in beside))
        blamed = tuple(found.name for found in resources)
        self.publish(self.quarantine.rejected("v", node, Nack(A, "1", error or f"{name} is bad", resources, (), 5.0, blamed)))

    def ack(self, **contents):
        resources = [res(name, content) for name, content in contents.items()]
        self.publish(self.quarantine.accepted("v", self.encoder.delta(A, resources, (), above=0)))

    @property
    def quarantined(self):
        return {found.resource.name: found.resource.body.decode() for _, found in self.quarantine.quarantined()}


@pytest.fixture
def view():
    made = View()
    made.translate(web="1", db="1")
    made.ack(web="1", db="1")
    made.translate(web="2")
    return made


def three(view, name="web", content="2", **more):
    for node in ("a", "b", "c"):
        view.nack(node, name, content, **more)


def test_the_third_node_takes_it_from_all_and_what_was_accepted_comes_back(view):
    view.nack("a", "web", "2")
    view.nack("a", "web", "2")
    view.nack("b", "web", "2")
    assert view.served == {"web": "2", "db": "1"}
    view.nack("c", "web", "2")
    assert view.served == {"web": "1", "db": "1"}
    ((_, found),) = view.quarantine.quarantined()
    assert (list(found.nodes), found.error, found.since_s) == (["a", "b", "c"], "web is bad", 5.0)
    assert found.kept.body == b"1"


def test_what_a_node_accepted_stays(view):
    view.ack(web="2")
    three(view)
    assert view.served["web"] == "2"


def test_a_node_that_accepts_it_late_frees_it_for_good(view):
    three(view)
    view.ack(web="2")
    assert view.served["web"] == "2"
    three(view)
    assert (view.served["web"], view.quarantined) == ("2", {})


def test_a_late_ack_of_what_was_there_before_frees_nothing(view):
    three(view)
    view.ack(web="1", db="1")
    view.ack(web="1")
    assert view.served["web"] == "1"


def test_it_is_left_out_if_nothing_of_the_name_was_ever_accepted(view):
    view.translate(new="1")
    three(view, "new", "1")
    assert "new" not in view.served
    assert view.quarantine.left_out("v", A) == {"new"}
    view.translate(db="2")
    assert "new" not in view.served
    view.translate(new="2")
    assert (view.served["new"], view.quarantined) == ("2", {})


def test_it_stays_until_translation_makes_something_else(view):
    three(view)
    view.translate(db="2")
    assert view.served == {"web": "1", "db": "2"}
    view.translate(web="3")
    assert (view.served["web"], view.quarantined) == ("3", {})
    view.nack("d", "web", "2")
    three(view, content="2")
    assert view.served["web"] == "3", "nodes that are late reject what is no longer there"
    three(view, content="3")
    assert view.served["web"] == "1"


def test_what_is_removed_is_forgotten(view):
    view.translate(new="1")
    three(view, "new", "1")
    three(view)
    view.translate(new=None, web=None)
    assert (view.served, view.quarantined) == ({"db": "1"}, {})
    view.translate(web="2")
    assert view.served["web"] == "2"


def test_a_newer_version_of_the_object_is_named(view):
    three(view)
    view.publish(view.quarantine.screened("v", {A: {"web": res("web", "2", revision="9")}}))
    ((_, found),) = view.quarantine.quarantined()
    assert found.resource.origins[0].resource_version == "9"
    assert view.served["web"] == "1"


def test_being_part_of_a_rejected_response_is_no_blame(view):
    three(view, error="something is bad", beside=["db"])
    assert view.served["web"] == "2"
    three(view, error="web is bad", beside=["db"])
    assert view.served == {"web": "1", "db": "1"}


def test_what_clients_hold_from_before_our_time_comes_back_if_it_is_known():
    view = View()
    view.translate(web="1")
    view.translate(web="2")
    view.claimed = {"web": [res("web", "1").version, ""]}
    three(view)
    assert view.served["web"] == "1"


@pytest.mark.parametrize("held", ["0", "2"])
def test_what_clients_hold_and_we_do_not_know_or_is_the_very_content_is_not_taken_away(held):
    view = View()
    view.translate(web="2")
    view.claimed = {"web": [res("web", held).version]}
    three(view)
    view.claimed = {}
    three(view)
    assert (view.served, view.quarantined) == ({"web": "2"}, {})


def test_nodes_are_bounded_and_views_are_forgotten(view):
    for number in range(NODES + 10):
        view.nack(str(number), "web", "2")
    ((_, found),) = view.quarantine.quarantined()
    assert len(found.nodes) == NODES
    view.quarantine.forget("v")
    view.quarantine.forget("v")
    assert view.quarantined == {}


class QuarantineMachine(RuleBasedStateMachine):
    """Whatever happens, the rule holds: three rejected it, none accepted it, and what is served instead was accepted."""

    names = st.sampled_from("xy")
    contents = st.sampled_from("1234")

    @initialize()
    def begin(self):
        self.view = View()
        self.rejected, self.accepted, self.ever = {}, set(), set()
        """Of the present content: name -> nodes; names. Of anything: (name, content)."""

    @rule(name=names, content=st.none() | contents)
    def translate(self, name, content):
        if self.view.translated.get(name) != content:
            self.rejected.pop(name, None)
            self.accepted.discard(name)
        if content is None:
            self.ever = {(known, old) for known, old in self.ever if known != name}
        self.view.translate(**{name: content})

    @rule(name=names, content=contents, node=st.sampled_from("abcde"))
    def nack(self, name, content, node):
        self.view.nack(node, name, content)
        if self.view.translated.get(name) == content and name not in self.accepted:
            self.rejected.setdefault(name, set()).add(node)

    @rule(name=names, content=contents)
    def ack(self, name, content):
        self.view.ack(**{name: content})
        self.ever.add((name, content))
        if self.view.translated.get(name) == content:
            self.accepted.add(name)

    @invariant()
    def the_rule_holds(self):
        for name, content in self.view.translated.items():
            served = self.view.served.get(name)
            if served != content:
                assert self.view.quarantined[name] == content
                assert len(self.rejected[name]) >= REJECTIONS
                assert name not in self.accepted
                assert served is None or (name, served) in self.ever
            else:
                assert name not in self.view.quarantined
        assert self.view.served.keys() <= self.view.translated.keys()
        assert self.view.quarantined.keys() <= self.view.translated.keys()


QuarantineMachine.TestCase.settings = settings(max_examples=100, stateful_step_count=30, deadline=None)
TestQuarantine = QuarantineMachine.TestCase
