"""Streams: whatever a client says and whatever happens meanwhile, the protocol keeps its invariants and comes to rest."""

from __future__ import annotations

from fuzz_draw import Draw
from protocol_script import decode, resource, type_url

from xds.protocol import DeltaRequest, DeltaStream, Encoder, SotwRequest, SotwStream
from xds.protocol.delta import IN_FLIGHT
from xds.protocol.gates import WAIT_S
from xds.protocol.traits import COMPLETE, NEVER_REMOVED
from xds.snapshot.store import SnapshotStore

VIEW = "view"
KINDS = ("cds", "eds", "lds", "rds", "sds", "srds", "vhds", "odd")
REFERRING = ("cds", "lds", "rds")
NAMES = ("a", "b", "c", "d")
ASKED = (*NAMES, "*", "", "é", "x" * 300, "a ", "../b")
CONTENTS = ("-", "1", "2", "3", "1>a", "2>b,c", "1>cds:a", "3>cds:d")
NONCES = ("", "0", "1", "-1", "99999999999999999999", "x", "²", "\x00", "1" * 500)
ERRORS = ("", "no", "a", "cannot apply 'a', b", "x" * 5000, "[({", "é")
OPERATIONS = 300


def run(data: bytes) -> None:
    """The first byte says which method and how small responses are; the others are what happens."""
    draw = Draw(data)
    choice = draw.byte()
    client = (Delta if choice & 1 else Sotw)((60, 250, 3_500_000)[choice // 2 % 3])
    for _ in range(OPERATIONS):
        if not draw.more:
            break
        client.operate(draw)
    client.come_to_rest()


class Client:
    """A client without manners, and what must hold on its stream."""

    def __init__(self, limit: int) -> None:
        self.encoder = Encoder("isthmus", cache_bytes=20_000)
        self.stream = self.open(limit)
        self.store: SnapshotStore[str] = SnapshotStore()
        self.store.publish(VIEW, {}, at_s=0, trigger="")
        self.now_s = 0.0
        self.last_nonce = 0
        self.unanswered: list = []

    def operate(self, draw: Draw) -> None:
        match draw.below(8):
            case 0 | 1:
                self.request(draw, draw.one_of((*NONCES, str(self.last_nonce))), draw.one_of((None, None, *ERRORS)))
            case 2:
                self.answer(draw, None)
            case 3:
                self.answer(draw, draw.one_of(ERRORS))
            case 4:
                self.change(draw)
            case 5:
                self.encoder.delta("other stream", (), (), above=self.encoder._last_nonce)
                self.stream.resync()
            case 6:
                self.now_s += draw.one_of((0.0, 0.1, 4.9, WAIT_S, 1e6))
            case _:
                self.poll()
        self.check()

    def change(self, draw: Draw) -> None:
        changes: dict = {}
        for _ in range(1 + draw.below(6)):
            kind, name, content = draw.one_of(KINDS), draw.one_of((*NAMES, "é", "../b")), draw.one_of(CONTENTS)
            content = content if kind in REFERRING else content.partition(">")[0]
            changes.setdefault(type_url(kind), {})[name] = None if content == "-" else resource(kind, name, content)
        change = self.store.publish(VIEW, changes, at_s=self.now_s, trigger="")
        if draw.below(4):
            self.stream.on_change(change)
        else:
            self.stream.resync()

    def poll(self) -> list:
        responses = self.stream.poll(self.store.current(VIEW), self.now_s)
        for response in responses:
            assert int(response.nonce) > self.last_nonce, "R16"
            self.last_nonce = int(response.nonce)
            self.check_response(response)
        self.unanswered += responses
        assert self.stream.poll(self.store.current(VIEW), self.now_s) == [], "something was left to say, and nothing happened"
        deadline_s = self.stream.deadline_s()
        assert deadline_s is None or self.now_s < deadline_s <= self.now_s + WAIT_S, "a stream that wakes for nothing"
        return responses

    def check(self) -> None:
        subscriptions = self.stream.subscriptions()
        for url, kind in self.stream._types.items():
            interest, wanted = kind.interest, subscriptions[url]
            client = interest.client
            assert len(kind.in_flight) <= (1 if self.stream.one_in_flight else IN_FLIGHT)
            for known in (client.held, client.before, client.withheld, interest.dirty, interest.owed, interest.waiting):
                assert wanted.wildcard or {*known} <= wanted.names, "something is remembered that nobody wants"
            self.stream.resources(url)
        assert self.encoder._cached_bytes <= 20_000

    def come_to_rest(self) -> None:
        """Accept everything from here on: the stream has nothing more to say soon, and knows what the client holds."""
        for _ in range(500):
            self.poll()
            self.check()
            while self.unanswered:
                self.accept(self.unanswered.pop(0))
            if not self.poll():
                deadline_s = self.stream.deadline_s()
                if deadline_s is None:
                    break
                self.now_s = deadline_s
        else:
            raise AssertionError("client and server never come to rest")
        for url, kind in self.stream._types.items():
            available, interest = self.store.current(VIEW).resources(url), kind.interest
            wanted = {name for name in available if interest.wants(name)} - interest.client.withheld.keys()
            assert wanted <= interest.client.held.keys(), "not everything was sent"


class Delta(Client):
    def open(self, limit: int) -> DeltaStream:
        return DeltaStream(self.encoder, response_bytes=limit)

    def request(self, draw: Draw, nonce: str, error: str | None) -> None:
        request = DeltaRequest(
            type_url(draw.one_of(KINDS)),
            tuple(draw.some_of(ASKED, 6)),
            tuple(draw.some_of(ASKED, 3)),
            {name: draw.one_of(("", "1", "x" * 300)) for name in draw.some_of(ASKED, 3)},
            nonce,
            error,
        )
        self.stream.on_request(request, self.now_s)

    def answer(self, draw: Draw, error: str | None) -> None:
        if self.unanswered:
            response = self.unanswered.pop(draw.below(len(self.unanswered)))
            subscribe = tuple(draw.some_of(ASKED, 3)) if draw.below(4) == 3 else ()
            self.stream.on_request(DeltaRequest(response.type_url, subscribe, nonce=response.nonce, error=error), self.now_s)

    def accept(self, response) -> None:
        self.stream.on_request(DeltaRequest(response.type_url, nonce=response.nonce), self.now_s)

    def check_response(self, response) -> None:
        wanted = self.stream.subscriptions()[response.type_url]
        pairs, removed = decode(response, "isthmus", delta=True)
        assert wanted.wildcard or {*[name for name, _ in pairs], *removed} <= wanted.names, "not asked for"
        assert not removed or response.type_url not in NEVER_REMOVED, "R10"


class Sotw(Client):
    def open(self, limit: int) -> SotwStream:
        self.names: dict[str, tuple[str, ...]] = {}
        return SotwStream(self.encoder, response_bytes=limit)

    def request(self, draw: Draw, nonce: str, error: str | None) -> None:
        url = type_url(draw.one_of(KINDS))
        self.names[url] = tuple(draw.some_of(ASKED, 6))
        version = draw.one_of(("", "1", self.store.current(VIEW).type_version(url)))
        self.stream.on_request(SotwRequest(url, self.names[url], version, nonce, error), self.now_s)

    def answer(self, draw: Draw, error: str | None) -> None:
        if self.unanswered:
            response = self.unanswered.pop(draw.below(len(self.unanswered)))
            if draw.below(4) == 3:
                self.names[response.type_url] = tuple(draw.some_of(ASKED, 3))
            self._say(response, error)

    def accept(self, response) -> None:
        self._say(response, None)

    def _say(self, response, error: str | None) -> None:
        url = response.type_url
        self.stream.on_request(SotwRequest(url, self.names[url], response.version, response.nonce, error), self.now_s)

    def check_response(self, response) -> None:
        wanted = self.stream.subscriptions()[response.type_url]
        pairs, _ = decode(response, "isthmus", delta=False)
        assert wanted.wildcard or {name for name, _ in pairs} <= wanted.names, "not asked for"
        assert pairs or response.type_url in COMPLETE, "R11: an empty response that means nothing"
