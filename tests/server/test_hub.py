"""The hub tells exactly the streams that a change concerns, and keeps nothing of those that left."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from xds.server.hub import Hub
from xds.snapshot.snapshot import ChangeSet

CDS, EDS = "cds", "eds"


class Listener:
    """A subscriber that writes down what it is told."""

    def __init__(self):
        self.changes = []
        self.wakes = 0

    def on_change(self, change):
        self.changes.append(change)

    def wake(self):
        self.wakes += 1


def hub():
    return Hub(Listener.wake)


def joined(hub, view, **wants):
    listener = Listener()
    hub.join(view, listener)
    hub.subscribe(listener, {url: (names is None, frozenset(names or ())) for url, names in wants.items()})
    return listener


def change(view="v", **names):
    return ChangeSet(view, {url: frozenset(found) for url, found in names.items()})


def test_a_change_reaches_those_that_named_it():
    server = hub()
    a, b, c = joined(server, "v", eds="ab"), joined(server, "v", eds="b"), joined(server, "v", eds="c")
    said = change(eds="a")
    assert server.publish(said) == 1
    assert (a.changes, a.wakes, b.changes, c.changes) == ([said], 1, [], [])


def test_a_stream_is_told_once_of_a_change_that_meets_it_often():
    server = hub()
    both = joined(server, "v", cds=None, eds="abc")
    server.publish(change(cds="xy", eds="abc"))
    assert (len(both.changes), both.wakes) == (1, 1)


def test_wildcard_hears_of_names_that_nobody_named():
    server = hub()
    everything = joined(server, "v", cds=None)
    assert server.publish(change(cds="new")) == 1
    assert server.publish(change(eds="new")) == 0
    assert everything.wakes == 1


def test_another_view_is_another_world():
    server = hub()
    here, there = joined(server, "here", eds="a"), joined(server, "there", eds="a")
    server.publish(change("here", eds="a"))
    assert (here.wakes, there.wakes) == (1, 0)


def test_moving_to_another_view_takes_the_subscriptions_along():
    server = hub()
    moved = joined(server, "old", cds=None, eds="a")
    server.join("new", moved)
    server.publish(change("old", eds="a"))
    assert moved.wakes == 0
    assert server.publish(change("new", cds="x")) + server.publish(change("new", eds="a")) == 2


def test_equal_subscriptions_share_one_group():
    server = hub()
    names = [str(number) for number in range(1000)]
    for _ in range(50):
        joined(server, "v", eds=names)
    index = server._indexes["v", EDS]
    assert len(index.groups) == 1
    assert sum(map(len, index.by_name.values())) == 1000


def test_leaving_twice_is_fine_and_leaves_nothing():
    server = hub()
    gone = joined(server, "v", cds=None, eds="ab")
    server.leave(gone)
    server.leave(gone)
    assert server.publish(change(cds="a", eds="ab")) == 0
    assert (server._indexes, server._seats) == ({}, {})


NAMES = st.frozensets(st.sampled_from("abcde"))
VIEWS = st.sampled_from(("v", "w"))
SUBSCRIPTIONS = st.dictionaries(st.sampled_from((CDS, EDS)), st.tuples(st.booleans(), NAMES))
CHANGES = st.builds(ChangeSet, VIEWS, st.dictionaries(st.sampled_from((CDS, EDS)), NAMES.filter(bool)))


class HubMachine(RuleBasedStateMachine):
    """The hub against the naive model: look at every stream for every change."""

    listeners = Bundle("listeners")

    def __init__(self):
        super().__init__()
        self.hub = hub()
        self.model = {}

    @rule(target=listeners, view=VIEWS)
    def join(self, view):
        listener = Listener()
        self.hub.join(view, listener)
        self.model[listener] = (view, {})
        return listener

    @rule(listener=listeners, wants=SUBSCRIPTIONS)
    def subscribe(self, listener, wants):
        self.hub.subscribe(listener, wants)
        self.model[listener] = (self.model[listener][0], wants)

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
        before = {listener: (len(listener.changes), listener.wakes) for listener in self.model}
        assert self.hub.publish(said) == len(expected)
        for listener, (changes, wakes) in before.items():
            more = listener in expected
            assert (len(listener.changes), listener.wakes) == (changes + more, wakes + more)

    @staticmethod
    def concerns(said, view, wants):
        return view == said.view and any(
            wants[url][0] or wants[url][1] & names for url, names in said.names.items() if url in wants
        )

    @invariant()
    def holds_only_what_is_wanted(self):
        groups = {
            (view, url, None if wildcard else names)
            for view, wants in self.model.values()
            for url, (wildcard, names) in wants.items()
            if wildcard or names
        }
        held = {(view, url, names) for (view, url), index in self.hub._indexes.items() for names in index.groups}
        assert held == groups


HubMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
TestHubAgainstModel = HubMachine.TestCase


@given(st.lists(NAMES, min_size=1, max_size=6), NAMES.filter(bool))
def test_the_index_finds_the_groups_whose_names_meet_the_change(subscriptions, changed):
    server = hub()
    listeners = [joined(server, "v", eds=names) for names in subscriptions]
    server.publish(change(eds=changed))
    assert [listener.wakes for listener in listeners] == [int(bool(names & changed)) for names in subscriptions]
