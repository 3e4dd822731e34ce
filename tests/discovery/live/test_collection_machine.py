"""A collection and an API server, joined by a wire that breaks: in whatever order, what was told is what there is in the end."""

from __future__ import annotations

import contextlib

import msgspec
from fake_store import Answer, Store
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from xds.discovery.live.collection import Collection, Refusal
from xds.model.events import Upsert
from xds.model.kinds import KINDS

NAMES = st.sampled_from("abcde")
PORTS = st.integers(80, 82)
NOT_VALID = 0
STEPS = 100


class Wire:
    """Carries requests and answers one at a time, and checks that nothing is told without need."""

    def __init__(self, store, *, page, streams_lists):
        self.store = store
        self.collection = Collection("east", KINDS["Service"], "v1", page=page, streams_lists=streams_lists)
        self.told = {}
        self.watch = None
        self.has_past = False
        """The server was restored since the last list began."""
        self.is_overtaken = False
        """The restored server was at the known version again, with another past, before it was asked for its version."""

    def take(self, events):
        for event in events:
            if isinstance(event, Upsert):
                assert self.told.get(event.key) != event.object, "told twice"
                self.told[event.key] = event.object
            else:
                del self.told[event.key]

    def ask(self, status=200):
        request = self.collection.request(300)
        query = dict(request.query)
        if request.is_list and "continue" not in query:
            self.has_past = self.is_overtaken = False
        elif self.has_past and self.store.version >= int(self.collection.version or 0):
            self.is_overtaken = True
        assert not (self.has_past and request.is_watch and not self.is_overtaken), "watches the future"
        if status != 200:
            self.collection.refused(status, "")
        elif request.is_watch:
            self.open(self.store.watch("Service", query))
        else:
            answer = self.store.list_page("Service", query)
            if answer.status == 200:
                self.take(self.collection.take_page(answer.body))
            else:
                self.collection.refused(answer.status, "")

    def open(self, watch):
        if isinstance(watch, Answer):
            self.collection.refused(watch.status, "")
        else:
            self.watch = watch

    def carry(self, count):
        """Carry up to so many lines of the watch; return whether there was one."""
        lines = self.watch.lines()
        self.watch._waiting = lines[count:]
        for line in lines[:count]:
            try:
                self.take(self.collection.take_line(line))
            except Refusal as refusal:
                self.collection.refused(refusal.status, refusal.message)
                self.watch = None
                break
        return bool(lines)

    def cut(self):
        self.watch = None
        self.collection.disconnected()

    def settle(self):
        """Carry everything until the collection watches and there is nothing new."""
        for _ in range(STEPS):
            if self.watch is None:
                self.ask()
            elif not self.carry(STEPS):
                if self.collection.synced and not self.collection.request(1).is_list:
                    return
                self.watch.bookmark()  # a minute passes
        raise AssertionError("does not settle")


class CollectionMachine(RuleBasedStateMachine):
    @initialize(page=st.integers(1, 4), streams_lists=st.booleans(), content=st.dictionaries(NAMES, PORTS))
    def begin(self, page, streams_lists, content):
        self.store = Store()
        self.good: dict[str, set[int]] = {}
        for name, port in content.items():
            self.put(name, port)
        self.saved = self.store.save()
        self.wire = Wire(self.store, page=page, streams_lists=streams_lists)

    # What happens to the server

    @rule(name=NAMES, port=PORTS | st.just(NOT_VALID))
    def put(self, name, port):
        self.good.setdefault(name, set()).add(port)
        self.store.put("Service", name, spec={"ports": [{"port": port}]})

    @rule(name=NAMES)
    def delete(self, name):
        if ("shop", name) in self.store.objects("Service"):
            self.store.delete("Service", name)

    @rule()
    def change_something_else(self):
        self.store.put("Node", "n1")

    @rule()
    def compact(self):
        self.store.compact()

    @rule()
    def back_up(self):
        self.saved = self.store.save()

    @rule()
    def restore(self):
        """The server stops; what comes up in its place is older."""
        self.store.restore(self.saved)
        self.wire.has_past = True
        self.wire.cut()

    @rule(what=st.sampled_from(("known", "refused", "ignored")))
    def upgrade(self, what):
        self.store.streamed_lists = what
        self.cut(lines=0)

    # What happens on the wire

    @rule()
    def ask(self):
        if self.wire.watch is None:
            self.wire.ask()

    @rule(status=st.sampled_from((400, 401, 403, 410, 422, 429, 500, 503)))
    def be_refused(self, status):
        if self.wire.watch is None:
            self.wire.ask(status)

    @precondition(lambda self: self.wire.watch)
    @rule(lines=st.integers(1, 4))
    def carry(self, lines):
        self.wire.carry(lines)

    @precondition(lambda self: self.wire.watch)
    @rule()
    def bookmark(self):
        self.wire.watch.bookmark()

    @rule(lines=st.integers(0, 3))
    def cut(self, lines):
        if self.wire.watch:
            self.wire.carry(lines)
        self.wire.cut()

    @rule(body=st.sampled_from((b"", b"{}", b'{"items":[]}', b'{"type":"ADDED","object":{"met')))
    def garble(self, body):
        with contextlib.suppress(Refusal, msgspec.DecodeError):
            if self.wire.watch or self.wire.collection.request(1).is_watch:
                self.wire.collection.take_line(body)
            else:
                self.wire.collection.take_page(body)
            raise AssertionError("taken")
        self.wire.watch = None
        self.wire.collection.list_anew()

    @rule()
    def list_anew(self):
        """As a safety net, from time to time."""
        self.wire.watch = None
        self.wire.collection.list_anew()

    @rule()
    def settle(self):
        self.wire.settle()
        self.compare()

    # What must hold

    @invariant()
    def collection_holds_what_it_told(self):
        if hasattr(self, "wire"):
            assert self.wire.collection.objects == self.wire.told

    def compare(self):
        if self.wire.is_overtaken:
            # Versions that were passed twice tell nothing of the past between; only the next list does.
            self.list_anew()
            self.wire.settle()
        items = {name: item for (_, name), item in self.store.objects("Service").items()}
        ports = {name: item["spec"]["ports"][0]["port"] for name, item in items.items()}
        told = {key.name: item for key, item in self.wire.told.items()}
        assert told.keys() <= ports.keys()
        for name, port in ports.items():
            if port != NOT_VALID:
                assert told[name].spec.ports[0].port == port
                assert told[name].metadata.resource_version == items[name]["metadata"]["resourceVersion"]
            elif name in told:  # its last good version
                assert told[name].spec.ports[0].port in self.good[name] - {NOT_VALID}
        assert {problem.ref.name for problem in self.wire.collection.problems} == {
            name for name, port in ports.items() if port == NOT_VALID
        }
        fresh = Wire(self.store, page=3, streams_lists=True)
        fresh.settle()
        assert fresh.told == {key: item for key, item in self.wire.told.items() if ports[key.name] != NOT_VALID}

    def teardown(self):
        if hasattr(self, "wire"):
            self.wire.settle()
            self.compare()


TestCollection = CollectionMachine.TestCase
