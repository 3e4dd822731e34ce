"""The hub knows exactly the streams that a change concerns, and keeps nothing of those that left."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from xds.server.hub import Hub
from xds.snapshot.snapshot import ChangeSet

CDS, EDS = "cds", "eds"


class Listener:
    """A subscriber, whom the hub itself tells nothing."""

    def on_change(self, _):
        raise AssertionError


def joined(hub, view, **wants):
    listener = Listener()
    hub.join(view, listener)
    for url, names in wants.items():
        hub.subscribe(listener, url, None if names is None else frozenset(names))
    return listener


def change(view="v", **names):
    return ChangeSet(view, {url: frozenset(found) for url, found in names.items()})


def test_a_change_concerns_those_that_named_it():
    hub = Hub()
    a, *_ = joined(hub, "v", eds="ab"), joined(hub, "v", eds="b"), joined(hub, "v", eds="c")
    assert hub.interested(change(eds="a")) == {a}


def test_wildcard_hears_of_names_that_nobody_named():
    hub = Hub()
    everything = joined(hub, "v", cds=None)
    assert hub.interested(change(cds="new")) == {everything}
    assert hub.interested(change(eds="new")) == set()


def test_another_view_is_another_world():
    hub = Hub()
    here, _ = joined(hub, "here", eds="a"), joined(hub, "there", eds="a")
    assert hub.interested(change("here", eds="a")) == {here}


def test_moving_to_another_view_takes_the_subscriptions_along():
    hub = Hub()
    moved = joined(hub, "old", cds=None, eds="a")
    hub.join("new", moved)
    assert hub.interested(change("old", eds="a")) == set()
    assert hub.interested(change("new", cds="x")) == hub.interested(change("new", eds="a")) == {moved}


def test_equal_subscriptions_share_one_group():
    hub = Hub()
    names = [str(number) for number in range(1000)]
    for _ in range(50):
        joined(hub, "v", eds=names)
    index = hub._indexes["v", EDS]
    assert len(index.groups) == 1
    assert sum(map(len, index.by_name.values())) == 1000


def test_leaving_twice_is_fine_and_leaves_nothing():
    hub = Hub()
    gone = joined(hub, "v", cds=None, eds="ab")
    hub.leave(gone)
    hub.leave(gone)
    assert hub.interested(change(cds="a", eds="ab")) == set()
    assert (hub._indexes, hub._seats) == ({}, {})


NAMES = st.frozensets(st.sampled_from("abcde"))
VIEWS = st.sampled_from(("v", "w"))
TYPES = st.sampled_from((CDS, EDS))
CHANGES = st.builds(ChangeSet, VIEWS, st.dictionaries(TYPES, NAMES.filter(bool)))


class HubMachine(RuleBasedStateMachine):
    """The hub against the naive model: look at every stream for every change."""

    listeners = Bundle("listeners")

    def __init__(self):
        super().__init__()
        self.hub = Hub()
        self.model = {}

    @rule(target=listeners, view=VIEWS)
    def join(self, view):
        listener = Listener()
        self.hub.join(view, listener)
        self.model[listener] = (view, {})
        return listener

    @rule(listener=listeners, type_url=TYPES, names=st.none() | NAMES)
    def subscribe(self, listener, type_url, names):
        self.hub.subscribe(listener, type_url, names)
        self.model[listener][1][type_url] = names

    @rule(listener=listeners, view=VIEWS)
    def move(self, listener, view):
        self.hub.join(view, listener)
        self.model[listener] = (view, self.model[listener][1])

    @rule(listener=consumes(listeners))
    def leave(self, listener):
        self.hub.leave(listener)
        del self.model[listener]

    @rule(said=CHANGES)
    def publish(self, said):
        expected = {listener for listener, (view, wants) in self.model.items() if self.concerns(said, view, wants)}
        assert self.hub.interested(said) == expected

    @staticmethod
    def concerns(said, view, wants):
        return view == said.view and any(
            wants[url] is None or wants[url] & names for url, names in said.names.items() if url in wants
        )

    @invariant()
    def holds_only_what_is_wanted(self):
        groups = {
            (view, url, names) for view, wants in self.model.values() for url, names in wants.items() if names is None or names
        }
        held = {(view, url, names) for (view, url), index in self.hub._indexes.items() for names in index.groups}
        assert held == groups


HubMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
TestHubAgainstModel = HubMachine.TestCase


@given(st.lists(NAMES, min_size=1, max_size=6), NAMES.filter(bool))
def test_the_index_finds_the_groups_whose_names_meet_the_change(subscriptions, changed):
    hub = Hub()
    listeners = [joined(hub, "v", eds=names) for names in subscriptions]
    expected = {one for one, names in zip(listeners, subscriptions, strict=True) if names & changed}
    assert hub.interested(change(eds=changed)) == expected
