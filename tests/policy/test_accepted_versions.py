"""What is in force survives restarts: a bad version changes nothing, whoever reads it, and a policy that is gone is forgotten."""

from __future__ import annotations

from itertools import count

import pytest
from fleet_world import endpoint, endpoint_slice, export, make, member, service
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from xds.discovery.saved_world import FLEET_WIDE, SavedWorld
from xds.model.events import FLEET, Delete, ObjectKey, Remember, Synced, Upsert
from xds.model.fleet import Fleet
from xds.model.service import ServiceKey
from xds.model.view import View
from xds.policy.book import PolicyBook
from xds.policy.simulation import World

MEMBERS = ("east", "west", "south")
HOLDERS = (FLEET, "east")
TARGET = [{"kind": "Service", "name": "web"}]
SLICES = {name: endpoint_slice("web", [endpoint(f"10.{number}.0.1")]) for number, name in enumerate(MEMBERS, 1)}
SPECS = {
    "plain": {"targetRefs": TARGET},
    "west first": {"targetRefs": TARGET, "tiers": [{"name": "one", "places": [{"clusters": ["west"]}]}]},
    "south first": {"targetRefs": TARGET, "tiers": [{"name": "one", "places": [{"clusters": ["south"]}]}]},
    "a typo": {"targetRefs": TARGET, "tiers": [{"name": "one", "places": [{"clusters": ["wets"]}]}]},
    "fail over": {"targetRefs": TARGET, "strategy": {"type": "FailOver"}},
    "a typo elsewhere": {"targetRefs": [{"kind": "Service", "name": "api"}], "sovereignty": [{"clusters": ["wets"]}]},
    "two things at once": {"targetRefs": TARGET, "defaultFor": "Namespace"},
    "another target": {"targetRefs": [{"kind": "Service", "name": "gone"}]},
    "a default": {"defaultFor": "Namespace"},
}


def policy(name, spec, *, uid="1", version=1):
    metadata = {"uid": uid, "resourceVersion": str(version), "creationTimestamp": f"2026-01-01T00:00:0{len(name)}Z"}
    return make("TrafficPolicy", name, metadata=metadata, spec=SPECS[spec] | {"timeoutSeconds": version})


class Replica:
    """What follows from events, as far as policies are concerned."""

    def __init__(self, *events):
        self.fleet, self.book = Fleet(), PolicyBook()
        self.take(*events)

    def take(self, *events):
        self.fleet.apply(events)
        self.book.remember(events)
        self.book.refresh(self.fleet)

    def in_force(self):
        found = {identity: entry.in_force and entry.in_force[0] for identity, entry in self.book.entries()}
        return found, [self.book.accepted(one) for one in HOLDERS], [*self.book.problems()]


class Truth:
    """The objects of a fleet, and two control planes that follow them: one of them restarts."""

    def __init__(self, saved):
        self.saved = saved
        self.versions, self.uids = count(1), count(1)
        self.objects = {}
        self.steady = Replica()
        self.restarted = Replica()
        self.tell(Upsert("east", service("web")), *(Upsert(FLEET, member(name)) for name in MEMBERS))

    def tell(self, *events):
        for event in events:
            if isinstance(event, Upsert):
                self.objects[event.cluster, event.key] = event.object
            else:
                del self.objects[event.cluster, event.key]
        self.steady.take(*events)
        self.restarted.take(*events)

    def put(self, holder, name, spec):
        before = self.objects.get((holder, ObjectKey("TrafficPolicy", "shop", name)))
        uid = before.metadata.uid if before else str(next(self.uids))
        self.tell(Upsert(holder, policy(name, spec, uid=uid, version=next(self.versions))))

    def drop(self, holder, name):
        key = ObjectKey("TrafficPolicy", "shop", name)
        if (holder, key) in self.objects:
            self.tell(Delete(holder, key))

    def join(self, name):
        self.tell(Upsert(FLEET, member(name)))

    def leave(self, name):
        """Take a member out of the fleet, with all its objects."""
        keys = [(cluster, key) for cluster, key in self.objects if cluster == name]
        declared = (FLEET, ObjectKey("MemberCluster", "", name))
        self.tell(*(Delete(*one) for one in [*keys, *([declared] if declared in self.objects else [])]))

    def restart(self):
        events = []
        for cluster in HOLDERS:
            file = cluster or FLEET_WIDE
            objects = [item for (holder, _), item in self.objects.items() if holder == cluster]
            self.saved.save(file, objects, {}, 1.0, accepted=self.restarted.book.accepted(cluster))
            found = self.saved.load(file)
            events += [Remember(cluster, accepted=tuple(found.accepted)), *(Upsert(cluster, item) for item in found.objects)]
        assert self.saved.problems == {}
        self.restarted = Replica(*events)


names = st.sampled_from(("a", "bb"))
steps = st.one_of(
    st.tuples(st.just("put"), st.sampled_from(HOLDERS), names, st.sampled_from(sorted(SPECS))),
    st.tuples(st.just("put"), st.sampled_from(HOLDERS), names, st.sampled_from(sorted(SPECS))),
    st.tuples(st.just("drop"), st.sampled_from(HOLDERS), names),
    st.tuples(st.sampled_from(("join", "leave")), st.sampled_from(MEMBERS)),
    st.tuples(st.just("restart")),
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(steps, max_size=30))
def test_any_history_comes_to_the_same_with_restarts(tmp_path, history):
    truth = Truth(SavedWorld(tmp_path))
    for name, *arguments in history:
        getattr(truth, name)(*arguments)
        assert truth.restarted.in_force() == truth.steady.in_force()


@pytest.fixture
def truth(tmp_path):
    return Truth(SavedWorld(tmp_path))


def accepted(truth):
    return {item.metadata.name: int(item.spec.timeout_seconds) for item in truth.restarted.book.accepted("east")}


def test_what_was_accepted_stays_in_force_over_restarts(truth):
    truth.put("east", "a", "west first")
    for bad in ("a typo", "two things at once"):
        truth.put("east", "a", bad)
        truth.restart()
        truth.restart()
        assert accepted(truth) == {"a": 1}
    truth.put("east", "a", "plain")
    truth.restart()
    assert accepted(truth) == {"a": 4}


def test_a_member_that_goes_takes_nothing_out_of_force(truth):
    truth.put("east", "a", "south first")
    truth.leave("south")
    truth.restart()
    assert accepted(truth) == {"a": 1}
    (problem,) = truth.restarted.book.problems()
    assert (problem.code, "stays in force" in problem.message) == ("XDS0601", True)


def test_the_accepted_version_stays_whatever_becomes_of_what_it_names(truth):
    truth.put("east", "a", "plain")
    truth.put("east", "a", "another target")
    assert accepted(truth) == {"a": 1}
    truth.tell(Delete("east", ObjectKey("Service", "shop", "web")))
    truth.restart()
    assert accepted(truth) == {"a": 1}, "of two that govern nothing it is still the one that was accepted"
    truth.put("east", "a", "west first")
    assert accepted(truth) == {"a": 3}, "it names nothing new that is not there"
    truth.tell(Upsert("east", service("gone")))
    truth.put("east", "a", "another target")
    assert accepted(truth) == {"a": 4}


def test_a_policy_whose_target_never_was_there_can_be_edited(truth):
    truth.put("east", "a", "another target")
    truth.put("east", "a", "another target")
    assert accepted(truth) == {"a": 2}


def test_a_service_that_an_accepted_version_names_is_widened_after_a_restart_as_before(truth):
    exports = [
        found
        for name in ("east", "west")
        for found in (Upsert(name, service("web")), Upsert(name, export("web")), Upsert(name, SLICES[name]))
    ]
    truth.tell(*exports)
    truth.put("east", "a", "fail over")
    truth.put("east", "a", "a typo elsewhere")
    truth.restart()
    truth.restarted.take(*exports)
    key, view = ServiceKey("shop", "web", "east"), View("east")
    for replica in (truth.steady, truth.restarted):
        tiers = replica.book.rank(replica.fleet.services[key], 80, view).tiers
        assert [[one.locality.cluster for one in tier.shares] for tier in tiers] == [["east"], ["west"]]


def test_a_policy_that_is_deleted_is_forgotten(truth):
    truth.put("east", "a", "plain")
    truth.drop("east", "a")
    truth.put("east", "a", "a typo")
    truth.restart()
    assert accepted(truth) == {}


@pytest.mark.parametrize("spec", ["a typo", "plain"])
def test_one_that_was_made_again_while_we_were_away_is_another(spec):
    before, now = policy("a", "plain"), policy("a", spec, uid="2", version=2)
    replica = Replica(Remember("east", accepted=(before,)), Upsert("east", now), Upsert("east", service("web")))
    assert replica.book.accepted("east") == (() if spec == "a typo" else (now,))


def test_one_that_was_deleted_while_we_were_away_does_not_come_back():
    replica = Replica(Remember("east", accepted=(policy("a", "plain"),)), Upsert("east", service("web")))
    replica.take(Upsert("east", policy("a", "a typo", version=2)))
    assert replica.book.accepted("east") == ()


def test_what_is_remembered_is_saved_again_before_anything_is_in_force():
    book = PolicyBook()
    book.remember([Remember("east", accepted=(policy("a", "plain"),))])
    assert book.accepted("east") == (policy("a", "plain"),)
    assert book.told() == [Remember("east", accepted=(policy("a", "plain"),))]


def test_a_rehearsal_begins_with_what_is_in_force(truth):
    truth.put("east", "a", "west first")
    truth.put("east", "a", "a typo")
    replica = truth.restarted
    world = World([*replica.fleet.told(), *replica.book.told(), Synced(FLEET)])
    assert world.book.accepted("east") == replica.book.accepted("east")
