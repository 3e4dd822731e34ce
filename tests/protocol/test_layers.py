"""What streams have in common is kept once, and each is as if it had a dictionary of its own."""

from __future__ import annotations

import gc
from weakref import ref

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from xds.protocol.layers import Ground, Layered

pytestmark = pytest.mark.usefixtures("short_layers")
NAMES = [f"n{number}" for number in range(12)]
VALUES = [object() for _ in range(3)]
contents = st.dictionaries(st.sampled_from(NAMES), st.sampled_from(VALUES), max_size=len(NAMES))
several = st.integers(0, 2)


class AsDictionaries(RuleBasedStateMachine):
    """Three that may rest on the same ground, beside three dictionaries."""

    def __init__(self):
        super().__init__()
        self.found = [Layered() for _ in range(3)]
        self.wanted = [{} for _ in range(3)]
        self.grounds = []

    @rule(which=several, name=st.sampled_from(NAMES), value=st.sampled_from(VALUES))
    def set_one(self, which, name, value):
        self.found[which][name] = self.wanted[which][name] = value

    @rule(which=several, name=st.sampled_from(NAMES), value=st.sampled_from(VALUES))
    def swap(self, which, name, value):
        assert self.found[which].swap(name, value) is self.wanted[which].get(name)
        self.wanted[which][name] = value

    @rule(which=several, name=st.sampled_from(NAMES))
    def pop(self, which, name):
        assert self.found[which].pop(name, None) is self.wanted[which].pop(name, None)

    @rule(which=several, name=st.sampled_from(NAMES), value=st.sampled_from(VALUES))
    def setdefault(self, which, name, value):
        assert self.found[which].setdefault(name, value) is self.wanted[which].setdefault(name, value)

    @rule(whom=st.sets(several, min_size=1), content=contents)
    def put(self, whom, content):
        for which in whom:
            self.found[which].put(content)
            self.wanted[which].update(content)

    @rule(whom=st.sets(several, min_size=1), names=st.sets(st.sampled_from(NAMES)))
    def drop(self, whom, names):
        for which in whom:
            there = names & self.wanted[which].keys()
            self.found[which].drop(there)
            self.wanted[which] = {name: value for name, value in self.wanted[which].items() if name not in there}

    @rule(whom=st.sets(several, min_size=1), content=contents)
    def rest_on(self, whom, content):
        ground = Ground(content)
        self.grounds.append((ground, dict(content)))
        for which in whom:
            self.found[which].rest_on(ground)
            self.wanted[which] = dict(content)

    @rule(which=several)
    def clear(self, which):
        self.found[which].clear()
        self.wanted[which].clear()

    @rule(which=several)
    def leave(self, which):
        self.found[which], self.wanted[which] = Layered(), {}

    @rule(which=several, names=st.sets(st.sampled_from(NAMES)))
    def among(self, which, names):
        found, wanted = self.found[which], self.wanted[which]
        assert found.among(names) == wanted.keys() & names
        assert {*found.lacking(names)} == names - wanted.keys()
        assert found.picked(names) == {name: wanted.get(name) for name in names}

    @invariant()
    def is_the_same(self):
        for found, wanted in zip(self.found, self.wanted, strict=True):
            assert found == wanted
            assert found.merged() == wanted
            assert len(found) == len(wanted)
            assert bool(found) is bool(wanted)
            for name in NAMES:
                assert (name in found) is (name in wanted)
                assert found.get(name) is wanted.get(name)
                assert found.get(name, NAMES) is wanted.get(name, NAMES)
        assert all(ground == content for ground, content in self.grounds)


TestAsDictionaries = AsDictionaries.TestCase


def test_who_changes_alike_goes_on_sharing():
    ground = Ground(dict.fromkeys(range(100), VALUES[0]))
    one, other = Layered(), Layered()
    for layered in (one, other):
        layered.rest_on(ground)
    for name in range(50):  # ten times as many as are kept over a ground
        one[name] = VALUES[1]
        other[name] = VALUES[1]
    assert one._ground is other._ground is not ground


def test_who_is_told_of_several_changes_at_once_shares_with_who_was_told_of_each():
    ground = Ground(dict.fromkeys(range(100), VALUES[0]))
    one, other = Layered(), Layered()
    for layered in (one, other):
        layered.rest_on(ground)
    for name in range(6):
        one[name] = VALUES[1]
    other.put(dict.fromkeys(range(6), VALUES[1]))
    assert one._ground is other._ground
    assert one == other == {name: VALUES[name < 6] for name in range(100)}


def test_who_is_told_the_same_by_degrees_shares_it():
    content = dict.fromkeys(range(100), VALUES[0])
    one, other = Layered(), Layered()
    one.put(content)
    other.put(content)
    assert one._ground is other._ground


def test_what_nobody_rests_on_is_let_go_of():
    ground = Ground(dict.fromkeys(range(100), VALUES[0]))
    one = Layered()
    one.rest_on(ground)
    one.put(dict.fromkeys(range(10), VALUES[1]))
    assert [len(heir) for heir in ground.heirs()] == [100]
    del one
    assert ground.heirs() == []


def test_a_ground_leads_to_nothing_that_leads_back():
    ground = Ground({"a": VALUES[0]})
    one = Layered()
    one.rest_on(ground.present)
    one.put(dict.fromkeys(range(10), VALUES[1]))
    heir = one._ground
    assert ground.absent.present == {}
    left = [ref(ground), ref(heir)]
    gc.disable()
    try:
        del ground, heir, one
        assert [one() for one in left] == [None, None]
    finally:
        gc.enable()


def test_a_ground_without_what_is_none():
    assert Ground({"a": 1}).present == {"a": 1}
    assert Ground({"a": 1, "b": None}).present == {"a": 1}
    assert Ground({"a": 1, "b": None}).absent == {"a": None, "b": None}
