"""A model state-of-the-world client and the real stream, joined by two wires: whatever happens, they agree in the end."""

from __future__ import annotations

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from protocol_script import decode, type_url
from protocol_world import BAD, KINDS, NAMES, STALE, Wires, World, changes, error_text, kinds, names, traffic, version

from xds.protocol import Encoder, SotwRequest, SotwStream
from xds.wire import short_name

pytestmark = [
    pytest.mark.timeout(900),  # a failure is worth the minutes that it takes to make it small; cut short, it looks flaky
    pytest.mark.usefixtures("short_layers"),
]
COMPLETE_KINDS = ("cds",)


class Asked:
    """What a client last said of one type."""

    def __init__(self) -> None:
        self.names: tuple[str, ...] = ()
        self.ever_named = False
        self.wildcard = False

    def replace(self, kind: str, new: tuple[str, ...]) -> None:
        self.names = new
        self.ever_named |= bool(new)
        self.wildcard = "*" in new or (kind in COMPLETE_KINDS and not self.ever_named)

    def wants(self, name: str) -> bool:
        return self.wildcard or name in self.names


class SotwMachine(RuleBasedStateMachine):
    @initialize(
        applies_good=st.booleans(),
        blames=st.booleans(),
        limit=st.sampled_from((60, 250, 3_500_000)),
        wanted=changes,
        first=st.dictionaries(kinds, names, max_size=3),
    )
    def connect_first(self, applies_good, blames, limit, wanted, first):
        self.applies_good, self.blames, self.limit = applies_good, blames, limit
        self.world, self.encoder, self.now_s = World(), Encoder("isthmus"), 0.0
        self.held = {kind: {} for kind in KINDS}
        self.accepted = dict.fromkeys(KINDS, "")
        self.connect()
        self.change(wanted, ())
        for kind, new in first.items():
            self.say(kind, sorted(new))

    def connect(self):
        self.stream = SotwStream(self.encoder, response_bytes=self.limit)
        self.wires = Wires()
        self.asked = {}
        self.warming: set[str] = set()
        self.nonce = dict.fromkeys(KINDS, "")
        self.last_nonce = 0
        # What the server was told and sent, to tell a needless response from one that a rule demands.
        self.told = {}
        self.sent = {kind: {} for kind in KINDS}
        self.excused = {kind: set() for kind in KINDS}
        self.unanswered = dict.fromkeys(KINDS, "")
        self.established = {kind: set() for kind in COMPLETE_KINDS}
        """Names in the last set that the client accepted, as far as the server knows: they may not be missing in later ones."""

    @rule(wanted=changes, traffic=traffic)
    def change(self, wanted, traffic):
        self.stream.on_change(self.world.change(wanted))
        self.flow(traffic)

    @rule(wanted=changes, traffic=traffic)
    def lose_a_change_set(self, wanted, traffic):
        self.world.change(wanted)
        self.stream.resync()
        self.flow(traffic)

    @rule(kind=kinds, new=names, star=st.booleans(), stale=st.sampled_from((None, None, "", STALE)), traffic=traffic)
    def subscribe(self, kind, new, star, stale, traffic):
        self.say(kind, (*sorted(new), *["*"] * star), nonce=stale)
        self.flow(traffic)

    @precondition(lambda self: self.asked)
    @rule(data=st.data())
    def ask_again(self, data):
        """Like Envoy when a cluster warms: the same names, version and nonce once more (R20)."""
        kind = data.draw(st.sampled_from(sorted(self.asked)))
        self.say(kind, self.asked[kind].names)

    def say(self, kind, new, *, nonce=None, error=None, claimed=None):
        asked = self.asked.setdefault(kind, Asked())
        asked.replace(kind, new)
        self.held[kind] = {name: c for name, c in self.held[kind].items() if asked.wants(name)}
        if kind == "eds":
            self.warming = {name for name in self.warming if asked.wants(name)}
        claimed = self.accepted[kind] if claimed is None else claimed
        nonce = self.nonce[kind] if nonce is None else nonce
        self.wires.up.append(SotwRequest(type_url(kind), tuple(new), claimed, nonce, error))

    @rule(order=st.permutations(KINDS), gone=st.frozensets(kinds, max_size=1), wanted=st.none() | changes, traffic=traffic)
    def reconnect(self, order, gone, wanted, traffic):
        """The first requests carry what the client holds of them (R19a), and nonces that mean nothing any more."""
        before, nonces = self.asked, self.nonce
        self.connect()
        if wanted is not None:
            self.world.change(wanted)  # while nobody was connected
        for kind in order:
            if kind in gone or kind not in before:
                self.held[kind], self.accepted[kind] = {}, ""
                continue
            asked = before[kind]
            pure = asked.wildcard and set(asked.names) <= {"*"}
            if not asked.wildcard and not asked.names and kind in COMPLETE_KINDS:
                self.held[kind], self.accepted[kind] = {}, ""
                continue  # an empty first request would be a wildcard
            # A set of which part was rejected has no version of its own; such a client had better say so.
            clean = pure and self.held_is_whole(kind)
            self.say(kind, asked.names, nonce=nonces[kind], claimed=self.accepted[kind] if clean else "")
        self.flow(traffic)

    def held_is_whole(self, kind):
        return self.accepted[kind] == self.version_of_held(kind)

    def version_of_held(self, kind):
        world = World()
        world.change({(kind, name): content for name, content in self.held[kind].items()})
        return world.snapshot.type_version(type_url(kind))

    def flow(self, traffic):
        for step in traffic:
            if step == "poll":
                self.server_polls()
            elif step == "up" and self.wires.up:
                self.server_receives()
            elif step == "down" and self.wires.down:
                self.client_receives((), star=False, ride=False)

    @precondition(lambda self: self.wires.up)
    @rule()
    def server_receives(self):
        request = self.wires.up.popleft()
        kind = short_name(request.type_url)
        first = kind not in self.told
        told = self.told.setdefault(kind, Asked())
        named_before = frozenset() if first else frozenset(told.names)
        was_wildcard = told.wildcard and not first
        wanted_before = {name for name in NAMES if told.wants(name)}
        unchanged = not first and (told.wildcard, set(told.names)) == self.after(kind, told, request.names)
        told.replace(kind, request.names)
        self.stream.on_request(request, self.now_s)
        wants = self.stream.subscriptions()[request.type_url]
        assert (wants.wildcard, wants.names) == (told.wildcard, frozenset(told.names) - {"*"})
        excused = self.excused[kind]
        excused |= set(request.names) - named_before
        if kind in COMPLETE_KINDS and (any(request.names) if first else self.may_hold(kind, set(request.names) - named_before)):
            excused |= {"*"}  # it may hold what is gone by now
        if told.wildcard and not was_wildcard:
            excused |= {*NAMES, "*"}
        if request.nonce and request.nonce == self.unanswered[kind] and not first:
            self.unanswered[kind] = ""
            if kind in COMPLETE_KINDS and request.error is None:
                self.established[kind] = self.in_set & wanted_before
            if request.error is not None:
                excused |= {*NAMES, "*"}
        elif unchanged and kind == "eds":
            excused |= set(NAMES)  # asking again (R20)
        self.sent[kind] = {n: v for n, v in self.sent[kind].items() if told.wants(n)}
        if kind in COMPLETE_KINDS:
            self.established[kind] = {n for n in self.established[kind] if told.wants(n)}

    def may_hold(self, kind, names):
        return bool(self.unanswered[kind] and names & self.in_set)

    def after(self, kind, told, new):
        other = Asked()
        other.ever_named = told.ever_named
        other.replace(kind, new)
        return other.wildcard, set(new)

    @rule()
    def server_polls(self):
        for response in self.stream.poll(self.world.snapshot, self.now_s):
            self.check(response)
            self.wires.down.append(response)

    def check(self, response):
        kind = short_name(response.type_url)
        pairs, _ = decode(response, "isthmus", delta=False)
        assert int(response.nonce) > self.last_nonce
        assert not self.unanswered[kind], "two responses in flight (R14)"
        self.unanswered[kind] = response.nonce
        self.last_nonce = int(response.nonce)
        told, sent, excused = self.told[kind], self.sent[kind], self.excused[kind]
        new = {name: version(kind, name, content) for name, content in pairs}
        assert all(told.wants(name) for name in new), "an unwanted resource"
        if kind in COMPLETE_KINDS:
            there = {n for n in self.world.contents(kind) if told.wants(n)}
            assert self.established[kind] & there <= new.keys(), "not the complete set (R11)"
            self.in_set = new.keys()
            assert new != sent or excused & {*new, "*"}, f"{kind} again, needlessly (R16d)"
            if kind == "cds":
                self.excused["eds"] |= {n for n in new if sent.get(n) != new[n] or n in excused}
            self.sent[kind] = new
        else:
            assert new, "an empty response that nobody waits for (R16c)"
            for name, ver in new.items():
                assert sent.get(name) != ver or name in excused, f"{kind} {name} again, needlessly (R16d)"
            sent.update(new)
        excused -= {*new, "*"}

    @precondition(lambda self: self.wires.down)
    @rule(new=names, star=st.booleans(), ride=st.booleans())
    def client_receives(self, new, star, ride):
        response = self.wires.down.popleft()
        kind = short_name(response.type_url)
        pairs, _ = decode(response, "isthmus", delta=False)
        asked = self.asked[kind]
        rejected = {name for name, content in pairs if content == BAD}
        before = dict(self.held[kind])
        if not rejected or self.applies_good:
            good = {name: content for name, content in pairs if name not in rejected and asked.wants(name)}
            kept = {name: c for name, c in before.items() if name in rejected} if kind in COMPLETE_KINDS else before
            self.held[kind] = {**kept, **good}
        if not rejected:
            self.accepted[kind] = response.version
        if kind == "cds" and "eds" in self.asked:
            held = self.held["cds"]
            self.warming &= held.keys()
            self.warming |= {n for n in held if held[n] != before.get(n) and self.asked["eds"].wants(n)}
        if kind == "eds":
            self.warming -= {name for name, _ in pairs}
        self.nonce[kind] = response.nonce
        error = error_text(rejected, blames=self.blames) if rejected else None
        self.say(kind, (*sorted(new), *["*"] * star) if ride else asked.names, error=error)

    @invariant()
    def nothing_grows(self):
        for kind in self.stream._types.values():
            assert kind.interest.client.held.keys() <= {*NAMES}

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
            self.client_receives((), star=False, ride=False)
        else:
            raise AssertionError("client and server never come to rest")
        for kind, asked in self.asked.items():
            available = {n: c for n, c in self.world.contents(kind).items() if asked.wants(n)}
            wanted = {n: c for n, c in available.items() if c != BAD}
            held = self.held[kind]
            if kind not in COMPLETE_KINDS:  # absence means nothing
                held = {n: c for n, c in held.items() if n in available}
            assert {n: c for n, c in held.items() if available.get(n) != BAD} == wanted, (kind, held, available, wanted)
        waiting = {n for n in self.warming if self.world.contents("eds").get(n, BAD) != BAD}
        assert not waiting, f"clusters {waiting} wait for endpoints (R20)"


TestSotw = SotwMachine.TestCase
