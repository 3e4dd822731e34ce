"""Whatever is published, however messages cross: a model Envoy has the clusters that it routes to, with hosts (R24 to R27)."""

from __future__ import annotations

from collections import deque

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test
from model_envoy import Envoy, referred
from protocol_script import resource, type_url

from xds.protocol import DeltaStream, Encoder, SotwStream
from xds.snapshot.store import SnapshotStore

VIEW = "view"
KINDS = ("cds", "eds", "lds", "rds")

clusters = st.dictionaries(st.sampled_from("abcd"), st.sampled_from(("1", "2", "1x", "2x", "1y")), min_size=1)
"""Name -> digit of the content, and what the name of its endpoints ends with."""
picks = st.integers(0, 255)
traffic = st.lists(st.sampled_from(("up", "down", "poll")), max_size=12)


def world_of(contents, pick, bad):
    """Return kind -> name -> content: routes and listeners that refer to nothing that is missing, one of them spoilt."""
    names = sorted(contents)
    subset = [name for position, name in enumerate(names) if pick >> position & 1] or names[:1]
    other = [name for name in names if name not in subset] or subset
    routes = {"r1": f"{pick % 2}.{'+'.join(subset)}", "r2": f"{pick % 3}.{'+'.join(other)}"}
    listeners = {"l": f"{pick % 2}.{('r1', 'r2')[pick >> 4 & 1]}"}
    if pick & 32:
        listeners["m" if pick & 64 else "n"] = "1.r2" if pick & 128 else f"1.{other[0]}"
    claims = {name: f"{name}{content[1:]}" for name, content in contents.items()}
    world = {"cds": {name: f"{content[0]}.{claims[name]}" for name, content in contents.items()}, "lds": listeners}
    world["eds"] = dict.fromkeys(claims.values(), f"{1 + (pick >> 3 & 1)}.")
    world["rds"] = {name: routes[name] for name in routes if any(name in referred(content) for content in listeners.values())}
    if bad:
        kind, position = bad
        name = sorted(world[kind])[position % len(world[kind])]
        world[kind][name] = f"9.{world[kind][name].partition('.')[2]}"
    return world


def made(kind, name, content):
    """Return the resource with its refs."""
    names = sorted(referred(content))
    target = "eds:" if kind == "cds" else "rds:" if names and names[0].startswith("r") else "cds:"
    return resource(kind, name, f"{content}>{target}{','.join(names)}" if names else content)


class MakeBeforeBreak(RuleBasedStateMachine):
    delta = True
    spoils = False

    @initialize(contents=clusters, pick=picks, blames=st.booleans(), settles=st.booleans(), bursts=st.booleans())
    def begin(self, contents, pick, blames, settles, bursts):
        self.now_s, self.encoder = 0.0, Encoder("isthmus")
        self.settles, self.bursts = settles and self.delta, bursts
        self.store = SnapshotStore()
        self.store.publish(VIEW, {}, at_s=0, trigger="")
        self.envoy = Envoy(delta=self.delta, blames=blames)
        self.excused: set[str] = set()
        self.unsure = False
        self.open()
        self.publish(contents, pick, None, ())

    def open(self):
        self.stream = (DeltaStream if self.delta else SotwStream)(self.encoder)
        self.stream.earlier = lambda: self.store.history(VIEW)
        self.down: deque = deque()

    @rule(
        contents=clusters,
        pick=picks,
        bad=st.none() | st.tuples(st.sampled_from(("cds", "eds", "lds", "rds")), picks),
        traffic=traffic,
    )
    def publish(self, contents, pick, bad, traffic):
        world = world_of(contents, pick, bad if self.spoils else None)
        current = self.store.current(VIEW)
        changes = {}
        for kind in KINDS:
            gone = dict.fromkeys(current.resources(type_url(kind)).keys() - world[kind].keys())
            changes[type_url(kind)] = {**gone, **{name: made(kind, name, content) for name, content in world[kind].items()}}
        self.stream.on_change(self.store.publish(VIEW, changes, at_s=0, trigger=""))
        self.flow(traffic)

    @rule(traffic=traffic)
    def flow(self, traffic):
        for step in traffic:
            if step == "up" and self.envoy.up:
                self.server_receives()
            elif step == "down" and self.down:
                self.client_receives()
            elif step == "poll":
                self.server_polls()

    @rule(traffic=traffic)
    def reconnect(self, traffic):
        self.open()
        self.envoy.connect()
        # State of the world: unless a snapshot has the version of what the client holds, the first set leaves out what is gone.
        self.unsure |= not self.delta and not all(self.is_known(kind) for kind in ("cds", "lds"))
        self.flow(traffic)

    def is_known(self, kind):
        """Return whether a snapshot had the version of what the client holds."""
        held = self.envoy.versions[kind].get("", "")
        return not held or any(one.type_version(type_url(kind)) == held for one in self.store.history(VIEW))

    def server_receives(self):
        request = self.envoy.up.popleft()
        self.stream.on_request(request, self.now_s)
        if self.settles:
            self.stream.settle(request.type_url, self.store.current(VIEW), self.now_s)
        if not self.bursts:
            self.server_polls()

    def server_polls(self):
        synced = {url: kind.synced for url, kind in self.stream._types.items()}
        for response in self.stream.poll(self.store.current(VIEW), self.now_s):
            self.down.append((response, synced[response.type_url]))

    def client_receives(self):
        response, synced = self.down.popleft()
        before = self.envoy.unserved()
        self.envoy.receive(response)
        self.excused &= self.envoy.unserved()
        if not synced:  # a first sync goes out at once
            self.excused |= self.envoy.unserved() - before
        assert self.spoils or self.unsure or self.envoy.unserved() <= self.excused, (
            "requests go to clusters that cannot serve them"
        )

    def teardown(self):
        if not hasattr(self, "envoy"):
            return
        for _ in range(500):
            while self.envoy.up:
                self.server_receives()
            self.server_polls()
            if self.down:
                self.client_receives()
            elif self.envoy.warming:  # what never gets endpoints becomes warm without them, after 15 s
                self.now_s += 15
                self.unsure = True  # the server waits 5 s for it, no longer
                self.envoy.wait_no_longer()
            elif (deadline_s := self.stream.deadline_s()) is not None:
                self.now_s = deadline_s
            else:
                break
        else:
            raise AssertionError("client and server never come to rest")
        self.agree()

    def agree(self):
        spoilt: set[str] = set()
        for kind, has in (("cds", self.envoy.clusters), ("rds", self.envoy.routes), ("lds", self.envoy.listeners)):
            available = self.store.current(VIEW).resources(type_url(kind))
            wanted = {name: r.body.decode().partition("=")[2] for name, r in available.items()}
            if kind == "rds":
                wanted = {name: wanted[name] for name in self.envoy.wanted("rds") if name in wanted}
            held = {
                name: has[name] for name in has if kind != "rds" or name in wanted
            }  # a spoilt listener's predecessor keeps routes
            spoilt |= {name for name, content in wanted.items() if content.startswith("9") or referred(content) & spoilt}
            assert {n: c for n, c in held.items() if n not in spoilt} == {n: c for n, c in wanted.items() if n not in spoilt}, (
                kind
            )


@pytest.mark.timeout(900)  # a failure is worth the minutes that it takes to make it small
@pytest.mark.parametrize("spoils", [False, True], ids=["good", "spoilt"])
@pytest.mark.parametrize("variant", ["delta", "sotw"])
def test_make_before_break(variant, spoils):
    machine = type("Machine", (MakeBeforeBreak,), {"delta": variant == "delta", "spoils": spoils})
    # A model of Envoy on every step is slow; in all four variants this takes as long as one of the other machines.
    run_state_machine_as_test(machine, settings=settings(max_examples=settings().max_examples // 2, stateful_step_count=20))
