"""Plays protocol scripts: what a client and the control plane do, and what the stream under test sends because of it.

A script is prose (lines that begin with `#`) and steps: one or more commands, `----`, the expected trace, a blank line.
Resources are written `type:name=content`; a cluster `cds:web=1` refers to the endpoints `web`, `cds:web=1>svc` to `svc`, a route
`rds:r=1>web,db` to clusters, a listener `lds:l=1>r` to routes and, without any, `lds:l=1>cds:web` to a cluster.

    delta [limit=BYTES]            a new incremental stream; the old one is gone
    sotw [limit=BYTES] [errors]    a new state-of-the-world stream; the client reads `resource_errors`
    snapshot cds:a=1 eds:a=1       the world is this and nothing else; the stream is told what changed
    change cds:a=2 eds:b=-         something changes or is removed (`-`)
    change untold cds:a=2          the stream is not told
    fleet CASE [ROLE]              the world is what `tests/translate/testdata/CASE` is translated to, for a client of that role;
                                   of real resources a trace has the names, and a line or more with what is inside
    replica                        another control plane with the same world, made anew, answers from the next stream on
    request TYPE ...               delta: `+name -name name=content` (subscribe, unsubscribe, initial version);
                                   sotw: names, or none; `version=current` names the snapshot's version, `version=X` is itself;
                                   both: `nonce=N`, `error="text"`; `held`: the initial versions, or the version, that the
                                   client was sent on this stream and those before it
    ack TYPE ... / nack TYPE ...   answers the oldest unanswered response of the type, or `nonce=N`; what else it says is
                                   written as for `request`; sotw: the names of the last request if none are given, `none`
                                   for an empty list
    pause / poll                   lets things gather until `poll`; otherwise the stream is polled after each command
    resync                         the stream looks at everything again
    tick SECONDS                   time passes
    status TYPE / wants            prints the ledger / the subscriptions
    resources TYPE                 prints the ledger of each resource
    deadline                       prints when the stream has something to do by itself

Every response in a trace is decoded from its bytes: `-> cds #3 a=1 b=2 -c` has nonce 3, resources a and b, and removes c, or says
by an error that there is no c;
`c=absent` is a resource without a body, `a=kept for 30 s as VERSION` a heartbeat. A resource `eds:a=1~30` has a TTL of 30 s.
"""

from __future__ import annotations

import shlex
from collections import defaultdict

import protocol_fleet

from xds.protocol import DeltaRequest, DeltaStream, Encoder, SotwRequest, SotwStream
from xds.protocol.traits import COMPLETE
from xds.snapshot.resource import Resource, content_version
from xds.snapshot.store import SnapshotStore
from xds.wire import SHORT_NAMES, envoy, short_name
from xds.wire.type_urls import PREFIX

VIEW = "view"


def type_url(name: str) -> str:
    return SHORT_NAMES.get(name) or PREFIX + name


def resource(kind: str, name: str, content: str) -> Resource:
    content, _, ttl = content.partition("~")
    content, _, referred = content.partition(">")
    target = {"cds": "eds", "rds": "cds", "lds": "rds"}.get(kind)
    if ":" in referred:
        target, _, referred = referred.partition(":")
    names = frozenset((referred or name * (kind == "cds")).split(",")) - {""}
    refs = {type_url(target): names} if names else {}
    return Resource.of(type_url(kind), name, f"{name}={content}".encode(), refs=refs, ttl_s=float(ttl) if ttl else None)


def toy(_type_url: str, body: bytes) -> tuple[str, str]:
    """Return name and content of a resource that a script made up."""
    name, _, content = body.decode().partition("=")
    return name, content


def real(type_url: str, body: bytes) -> tuple[str, str]:
    """Return the name that a translated resource carries inside; its content is shown apart."""
    return protocol_fleet.name_in(type_url, body), ""


def decode(response, encoder_name: str, *, delta: bool, understand=toy) -> tuple[list[tuple[str, str]], list[str]]:
    """Return (name, content) pairs and removed names, after checking the bytes against what the response says of itself."""
    if delta:
        message = envoy.DeltaDiscoveryResponse.FromString(response.body)
        full = [r for r in message.resources if r.HasField("resource")]
        named = [(r.name, r.resource) for r in full]
        assert [r.version for r in full] == [content_version(r.resource.value) for r in full]
        assert message.system_version_info == response.version
        removed = list(message.removed_resources)
        beats = [r for r in message.resources if r.name in response.heartbeats]
        assert not any(r.HasField("resource") for r in beats)
        empty = [r for r in message.resources if not r.HasField("resource") and r not in beats]
        assert [list(r.aliases) for r in empty] == [[r.name] for r in empty], "Envoy rejects one without alias"
    else:
        message = envoy.DiscoveryResponse.FromString(response.body)
        named = [(understand(r.type_url, r.value)[0], r) for r in message.resources]
        assert message.version_info == response.version
        beats: list = []
        removed, empty = [error.resource_name.name for error in message.resource_errors], []
        assert {error.error_detail.code for error in message.resource_errors} <= {5}, "NOT_FOUND"
    assert (message.type_url, message.nonce) == (response.type_url, response.nonce)
    assert message.control_plane.identifier == encoder_name
    assert {body.type_url for _, body in named} <= {message.type_url}, "R29: an Any of another type"
    pairs = [(name, understand(body.type_url, body.value)[1]) for name, body in named] + [(r.name, "absent") for r in empty]
    names = [name for name, _ in pairs] + removed
    assert len(names) == len(set(names)), f"R29: a name twice in {names}"
    assert response.content.keys() == set(names)
    return pairs + [(r.name, f"kept for {r.ttl.ToSeconds()} s as {r.version}") for r in beats], removed


class Player:
    """One control plane, one client, one stream."""

    def __init__(self) -> None:
        self.encoder = Encoder("isthmus")
        self.store = SnapshotStore()
        self.store.publish(VIEW, {}, at_s=0, trigger="")
        self.stream = None
        self.now_s = 0.0
        self.paused = False
        self.fleet: tuple[str, str] | None = None
        self.client: dict[str, dict[str, str]] = defaultdict(dict)
        """Type -> name -> version, as the client was sent them; those that it was told to drop are gone."""
        self.versions: dict[str, str] = {}
        """Type -> version of the last state-of-the-world response."""

    def play(self, line: str) -> list[str]:
        verb, *words = shlex.split(line)
        trace = getattr(self, f"do_{verb}")(*words) or []
        if self.stream is not None and not self.paused:
            trace += self.poll()
        return trace

    def poll(self) -> list[str]:
        responses = self.stream.poll(self.store.current(VIEW), self.now_s)
        return [line for response in responses for line in self.show(response)]

    def show(self, response) -> list[str]:
        pairs, removed = decode(response, "isthmus", delta=self.delta, understand=real if self.fleet else toy)
        assert int(response.nonce) > self.last_nonce, "R16: nonces must rise"
        self.last_nonce = int(response.nonce)
        kind = short_name(response.type_url)
        self.unanswered.setdefault(kind, []).append(response.nonce)
        self.remember(kind, response)
        words = [name if self.fleet else f"{name}={content}" for name, content in pairs] + [f"-{name}" for name in removed]
        inside = [line for r in response.resources for line in protocol_fleet.lines(r.type_url, r.body)] if self.fleet else []
        return [" ".join((f"-> {kind} #{response.nonce}", *(words or ["empty"]))), *inside]

    def remember(self, kind: str, response) -> None:
        held = self.client[kind]
        if response.type_url in COMPLETE and not self.delta:
            held.clear()
        held.update({resource.name: resource.version for resource in response.resources})
        for name in response.removed:
            held.pop(name, None)
        self.versions[kind] = response.version

    def connect(self, stream, *, delta: bool) -> None:
        self.stream, self.delta = stream, delta
        self.stream.earlier = lambda: self.store.history(VIEW)
        self.last_nonce = 0
        self.unanswered: dict[str, list[str]] = {}
        self.names: dict[str, tuple[str, ...]] = {}
        self.paused = False

    def do_delta(self, limit: str = "limit=3500000") -> None:
        self.connect(DeltaStream(self.encoder, response_bytes=int(limit.removeprefix("limit="))), delta=True)

    def do_sotw(self, *options: str) -> None:
        limit = next((option for option in options if option.startswith("limit=")), "limit=3500000")
        self.connect(SotwStream(self.encoder, response_bytes=int(limit.removeprefix("limit="))), delta=False)
        self.stream.reads_errors = "errors" in options

    def do_pause(self) -> None:
        self.paused = True

    def do_poll(self) -> None:
        self.paused = False

    def do_resync(self) -> None:
        self.stream.resync()

    def do_tick(self, seconds: str) -> None:
        self.now_s += float(seconds)

    def do_snapshot(self, *words: str) -> None:
        self.become(self.parse(words))

    def become(self, wanted: dict[str, dict[str, Resource | None]]) -> None:
        current = self.store.current(VIEW)
        gone = {url: dict.fromkeys(held.keys() - wanted.get(url, {}).keys()) for url, held in current.types.items()}
        self.publish({url: {**gone.get(url, {}), **wanted.get(url, {})} for url in {*gone, *wanted}})

    def do_change(self, *words: str) -> None:
        told = words[0] != "untold"
        self.publish(self.parse(words if told else words[1:]), told=told)

    def do_fleet(self, case: str, role: str = "") -> None:
        self.fleet = case, role
        self.become(protocol_fleet.translated(case, role))

    def do_replica(self) -> None:
        world = self.store.current(VIEW).types
        anew = {
            type_url: {
                name: Resource.of(type_url, name, bytes(bytearray(old.body)), refs=old.refs)
                for name, old in sorted(held.items(), reverse=True)
            }
            for type_url, held in reversed(world.items())
        }
        self.encoder, self.store, self.stream = Encoder("isthmus"), SnapshotStore(), None
        self.store.publish(VIEW, protocol_fleet.translated(*self.fleet) if self.fleet else anew, at_s=self.now_s, trigger="")

    def parse(self, words) -> dict[str, dict[str, Resource | None]]:
        result: dict[str, dict[str, Resource | None]] = {}
        for word in words:
            kind, _, rest = word.partition(":")
            name, _, content = rest.partition("=")
            result.setdefault(type_url(kind), {})[name] = None if content == "-" else resource(kind, name, content)
        return result

    def publish(self, changes, *, told: bool = True) -> None:
        change = self.store.publish(VIEW, changes, at_s=self.now_s, trigger="")
        if self.stream is not None and told:
            self.stream.on_change(change)

    def do_request(self, kind: str, *words: str) -> list[str]:
        return self.say(kind, words, nonce="", error=None)

    def do_ack(self, kind: str, *words: str) -> list[str]:
        return self.say(kind, words, nonce=self.oldest(kind, words), error=None)

    def do_nack(self, kind: str, *words: str) -> list[str]:
        return self.say(kind, words, nonce=self.oldest(kind, words), error="rejected")

    def oldest(self, kind: str, words) -> str:
        return "" if any(word.startswith("nonce=") for word in words) else self.unanswered[kind].pop(0)

    def say(self, kind: str, words, *, nonce: str, error: str | None) -> list[str]:
        plain = []
        for word in words:
            if word.startswith("nonce="):
                nonce = word.removeprefix("nonce=")
                self.unanswered[kind] = [other for other in self.unanswered.get(kind, []) if other != nonce]
            elif word.startswith("error="):
                error = word.removeprefix("error=")
            else:
                plain.append(word)
        make = self.delta_request if self.delta else self.sotw_request
        request = make(kind, plain, nonce, error)
        nack = self.stream.on_request(request, self.now_s)
        if self.delta:  # as the server does
            self.stream.settle(request.type_url, self.store.current(VIEW), self.now_s)
        if nack is None:
            return []
        return [
            f"rejected #{nack.nonce}: {' '.join(sorted([r.name for r in nack.resources] + list(nack.removed)))}: {nack.error}"
        ]

    def delta_request(self, kind: str, words, nonce: str, error: str | None) -> DeltaRequest:
        held = dict(word.split("=") for word in words if "=" in word)
        versions = {name: resource(kind, name, content).version for name, content in held.items()}
        if "held" in words:
            versions = dict(self.client[kind])
        return DeltaRequest(
            type_url(kind),
            tuple(word[1:] for word in words if word[0] == "+"),
            tuple(word[1:] for word in words if word[0] == "-"),
            versions,
            nonce,
            error,
        )

    def sotw_request(self, kind: str, words, nonce: str, error: str | None) -> SotwRequest:
        version = ""
        if words and words[0].startswith("version="):
            version = words[0].removeprefix("version=").replace("current", self.store.current(VIEW).type_version(type_url(kind)))
            words = words[1:]
        elif words and words[0] == "held":
            version, words = self.versions[kind], words[1:]
        names = () if words == ["none"] else tuple(words) or (self.names.get(kind, ()) if nonce else ())
        self.names[kind] = names
        return SotwRequest(type_url(kind), names, version, nonce, error)

    def do_status(self, kind: str) -> list[str]:
        status = self.stream.ledger.types[type_url(kind)]
        text = f"{status.state} since {status.since_s:g}s: {status.responses} sent, {status.acks} ACKs, {status.nacks} NACKs"
        if status.sent_nonce:
            text += f", last #{status.sent_nonce}"
        if status.acked_nonce:
            text += f", ACKed #{status.acked_nonce}"
        if status.nack_error is not None:
            names = " ".join(status.nack_names)
            text += f", rejected #{status.nacked_nonce} at {status.nack_at_s:g}s ({names}): {status.nack_error!r}"
        if status.stale_nonces:
            text += f", {status.stale_nonces} stale"
        return [text]

    def do_resources(self, kind: str) -> list[str]:
        result = []
        for status in self.stream.resources(type_url(kind)):
            text = f"{kind} {status.name} {status.state}"
            if status.resource is not None:
                text += f": {status.resource.body.decode().partition('=')[2]}"
            if status.sent_at_s is not None:
                text += f", sent at {status.sent_at_s:g}s"
            if status.accepted_at_s is not None:
                text += f", accepted at {status.accepted_at_s:g}s"
            if status.accepted_version not in ("", status.version):
                text += ", another version accepted before"
            if status.rejected_at_s is not None:
                text += f", rejected at {status.rejected_at_s:g}s: {status.error!r}"
            result.append(text)
        return result

    def do_deadline(self) -> list[str]:
        at_s = self.stream.deadline_s()
        return ["nothing to do by itself" if at_s is None else f"looks again at {at_s:g}s"]

    def do_wants(self) -> list[str]:
        found = self.stream.subscriptions()
        return [
            f"wants {short_name(url)}: {' '.join(('*',) * found[url].wildcard + tuple(sorted(found[url].names))) or 'nothing'}"
            for url in found
        ]


def play(text: str) -> str:
    """Return the script with the traces that really happen."""
    player = Player()
    result: list[str] = []
    commands: list[str] = []
    expecting = False
    for line in text.splitlines():
        if expecting and line.strip():
            continue  # an old expectation
        expecting = False
        result.append(line)
        if line == "----":
            trace = [shown for command in commands for shown in player.play(command)]
            result += trace or ["nothing"]
            commands, expecting = [], True
        elif line.strip() and not line.startswith("#"):
            commands.append(line)
    assert not commands, f"commands without ----: {commands}"
    return "\n".join(result).rstrip() + "\n"
