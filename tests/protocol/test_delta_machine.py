"""A model incremental client and the real stream, joined by two wires: in whatever order, they agree in the end."""

from __future__ import annotations

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from protocol_script import decode, type_url
from protocol_world import BAD, KINDS, NAMES, STALE, Wires, World, changes, error_text, kinds, names, traffic, version

from xds.protocol import DeltaRequest, DeltaStream, Encoder
from xds.protocol.traits import NEVER_REMOVED
from xds.wire import short_name

pytestmark = [
    pytest.mark.timeout(900),  # a failure is worth the minutes that it takes to make it small; cut short, it looks flaky
    pytest.mark.usefixtures("short_layers"),
]
WILDCARD_KINDS = ("cds",)


class Subscribed:
    """What a client wants of one type, as it believes or as the server was told."""

    def __init__(self) -> None:
        self.wildcard = False
        self.names: frozenset[str] = frozenset()

    def wants(self, name: str) -> bool:
        return self.wildcard or name in self.names

    def apply(self, subscribe, unsubscribe) -> None:
        self.wildcard = (self.wildcard or "*" in subscribe) and "*" not in unsubscribe
        self.names = (self.names | frozenset(subscribe) - {"*"}) - frozenset(unsubscribe)


class DeltaMachine(RuleBasedStateMachine):
    @initialize(
        applies_good=st.booleans(),
        blames=st.booleans(),
        settles=st.booleans(),
        limit=st.sampled_from((60, 250, 3_500_000)),
        wanted=changes,
        first=st.dictionaries(kinds, names, max_size=3),
    )
    def connect_first(self, applies_good, blames, settles, limit, wanted, first):
        self.applies_good, self.blames, self.settles, self.limit = applies_good, blames, settles, limit
        self.world, self.encoder, self.now_s = World(), Encoder("isthmus"), 0.0
        self.wants = {kind: Subscribed() for kind in KINDS}
        self.held = {kind: {} for kind in KINDS}
        self.connect()
        self.change(wanted, ())
        for kind, add in first.items():
            self.say(kind, sorted(add), ())

    def connect(self):
        self.stream = DeltaStream(self.encoder, response_bytes=self.limit)
        self.wires = Wires()
        self.asked: set[str] = set()
        self.warming: set[str] = set()
        self.last_nonce = 0
        # What the server may know and did, to tell a needless response from one that a rule demands.
        self.told = {kind: Subscribed() for kind in KINDS}
        self.sent = {kind: {} for kind in KINDS}
        self.excused = {kind: set() for kind in KINDS}
        self.unanswered = {kind: set() for kind in KINDS}
        self.all_asked = dict.fromkeys(KINDS, False)

    # What happens in the world.

    @rule(wanted=changes, traffic=traffic)
    def change(self, wanted, traffic):
        self.stream.on_change(self.world.change(wanted))
        self.flow(traffic)

    @rule(wanted=changes, traffic=traffic)
    def lose_a_change_set(self, wanted, traffic):
        self.world.change(wanted)
        self.stream.resync()
        self.flow(traffic)

    # What the client says.

    @rule(
        kind=kinds,
        add=names,
        drop=names,
        star=st.sampled_from(("", "", "+", "-")),
        nonce=st.sampled_from(("", "", STALE, "x")),
        traffic=traffic,
    )
    def subscribe(self, kind, add, drop, star, nonce, traffic):
        add = [*sorted(add), *["*"] * (star == "+")]
        drop = [*sorted(drop), *["*"] * (star == "-")]
        self.say(kind, add, drop, nonce=nonce)
        self.flow(traffic)

    def say(self, kind, add, drop, *, nonce="", error=None, initial=None):
        if kind not in self.asked:
            nonce, error = "", None
            if not add and kind in WILDCARD_KINDS:
                self.wants[kind].apply(("*",), ())
        self.asked.add(kind)
        self.wants[kind].apply(add, drop)
        held = self.held[kind]
        self.held[kind] = {name: held[name] for name in held if self.wants[kind].wants(name)}
        if kind == "eds":
            self.warming = {name for name in self.warming if self.wants["eds"].wants(name)}
        self.wires.up.append(DeltaRequest(type_url(kind), tuple(add), tuple(drop), initial or {}, nonce, error))

    @rule(order=st.permutations(KINDS), gone=st.frozensets(kinds, max_size=1), wanted=st.none() | changes, traffic=traffic)
    def reconnect(self, order, gone, wanted, traffic):
        """As Envoy does: all names again in the first request of a type, with the versions that it holds."""
        self.connect()
        if wanted is not None:
            self.world.change(wanted)  # while nobody was connected
        for kind in order:
            wants = self.wants[kind]
            if kind in gone or not (wants.wildcard or wants.names):
                self.wants[kind], self.held[kind] = Subscribed(), {}
                continue
            initial = {name: version(kind, name, content) for name, content in self.held[kind].items()}
            add = sorted(wants.names)
            legacy = kind in WILDCARD_KINDS and not add
            self.say(kind, add if legacy or not wants.wildcard else [*add, "*"], (), initial=initial)
        self.flow(traffic)

    # What the wires and the server do.

    def flow(self, traffic):
        for step in traffic:
            if step == "poll":
                self.server_polls()
            elif step == "up" and self.wires.up:
                self.server_receives()
            elif step == "down" and self.wires.down:
                self.client_receives((), (), ride=False)

    @precondition(lambda self: self.wires.up)
    @rule()
    def server_receives(self):
        request = self.wires.up.popleft()
        kind = short_name(request.type_url)
        first = request.type_url not in self.stream.subscriptions()
        nack = self.stream.on_request(request, self.now_s)
        if self.settles:
            self.stream.settle(request.type_url, self.world.snapshot, self.now_s)
        told = self.told[kind]
        named_before = told.names
        subscribe = request.subscribe
        if first and not subscribe and kind in WILDCARD_KINDS:
            subscribe = ("*",)
        told.apply(subscribe, request.unsubscribe)
        if first:
            self.sent[kind] = {n: v for n, v in request.initial_versions.items() if told.wants(n)}
        excused = set(request.unsubscribe) & named_before | (set(subscribe) - (set(request.initial_versions) if first else set()))
        unanswered = self.unanswered[kind]
        unanswered |= excused - {"*"}
        if not told.wildcard:
            unanswered &= told.names
        if nack is not None:
            unanswered -= nack_names(nack)  # what a NACK names and rejects is not sent again
            excused |= nack_names(nack)
        self.excused[kind] |= set(NAMES) if "*" in excused else excused
        self.all_asked[kind] |= "*" in subscribe
        wants = self.stream.subscriptions()[request.type_url]
        assert (wants.wildcard, wants.names) == (told.wildcard, told.names)

    @rule()
    def server_polls(self):
        for response in self.stream.poll(self.world.snapshot, self.now_s):
            self.check(response)
            self.wires.down.append(response)

    def check(self, response):
        kind = short_name(response.type_url)
        pairs, removed = decode(response, "isthmus", delta=True)
        assert int(response.nonce) > self.last_nonce
        self.last_nonce = int(response.nonce)
        assert pairs or removed or self.all_asked[kind], "an empty response that nobody waits for (R16c)"
        self.all_asked[kind] = False
        sent, excused = self.sent[kind], self.excused[kind]
        for name, content in pairs:
            assert self.told[kind].wants(name), "an unwanted resource"
            assert sent.get(name) != version(kind, name, content) or name in excused, f"{kind} {name} again, needlessly (R16d)"
            sent[name] = version(kind, name, content)
            if kind == "cds":
                self.excused["eds"].add(name)
        self.unanswered[kind] -= {name for name, _ in pairs} | set(removed)
        for name in removed:
            assert response.type_url not in NEVER_REMOVED
            assert self.told[kind].wants(name)
            assert name in sent or name in excused, f"{kind} {name} removed again, needlessly"
            sent.pop(name, None)
        excused -= {name for name, _ in pairs} | set(removed)

    @precondition(lambda self: self.wires.down)
    @rule(add=names, drop=names, ride=st.booleans())
    def client_receives(self, add, drop, ride):
        response = self.wires.down.popleft()
        kind = short_name(response.type_url)
        pairs, removed = decode(response, "isthmus", delta=True)
        rejected = {name for name, content in pairs if content == BAD}
        if not rejected or self.applies_good:
            for name, content in pairs:
                if name not in rejected and self.wants[kind].wants(name):
                    self.held[kind][name] = content
            for name in removed:
                self.held[kind].pop(name, None)
        if kind == "cds":
            # Under a wildcard nothing is said of endpoints that do not exist; no client asks for endpoints like that.
            asked = self.wants["eds"].names if "eds" in self.asked else ()
            self.warming |= {name for name, _ in pairs if name in self.held["cds"] and name in asked}
        if kind == "eds":
            self.warming -= {name for name, _ in pairs} | set(removed)
        error = error_text(rejected, blames=self.blames) if rejected else None
        self.say(kind, sorted(add) if ride else (), sorted(drop) if ride else (), nonce=response.nonce, error=error)

    # What must hold.

    @invariant()
    def nothing_grows(self):
        for kind in self.stream._types.values():
            assert kind.interest.client.held.keys() <= {*NAMES}
            assert len(kind.in_flight) <= 64

    def teardown(self):
        if not hasattr(self, "stream"):
            return
        for _ in range(300):
            while self.wires.up:
                self.server_receives()
            self.server_polls()
            if not self.wires.down:
                if (deadline_s := self.stream.deadline_s()) is None:
                    break
                self.now_s = deadline_s
                continue
            self.client_receives((), (), ride=False)
        else:
            raise AssertionError("client and server never come to rest")
        for kind in KINDS:
            available = self.world.contents(kind)
            wanted = {n: c for n, c in available.items() if self.wants[kind].wants(n) and c != BAD}
            held = dict(self.held[kind])
            for name in held.keys() - wanted.keys():  # what cannot be applied, or cannot be removed, may stay as it was
                if available.get(name) == BAD or (name not in available and type_url(kind) in NEVER_REMOVED):
                    del held[name]
            assert held == wanted, (kind, held, wanted)
            answerable = (
                self.unanswered[kind] if type_url(kind) not in NEVER_REMOVED else self.unanswered[kind] & available.keys()
            )
            assert not answerable, f"{kind} {answerable} were never answered (R5, R6, R8)"
        assert not self.warming, f"clusters {self.warming} wait for endpoints (R20)"


def nack_names(nack) -> set[str]:
    return {resource.name for resource in nack.resources} | set(nack.removed)


TestDelta = DeltaMachine.TestCase
