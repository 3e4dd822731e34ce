"""A model of an Envoy on an ADS stream, delta or state of the world, as far as what it has at any moment is concerned.

It subscribes to all clusters and listeners, to the endpoints of its clusters and the routes of its listeners; holds the ACK of
clusters back until they have endpoints, keeps a changed cluster or listener in force until the new one is warm, and rejects
content that begins with `9`, all else in the response being applied. Content says what a resource refers to: `1.a+b`; a cluster's
endpoints have its own name unless it says otherwise.
"""

from __future__ import annotations

from collections import deque

from protocol_script import decode, type_url

from xds.protocol import DeltaRequest, SotwRequest
from xds.wire import short_name


def referred(content: str) -> frozenset[str]:
    """Return the names that a content refers to."""
    return frozenset(content.partition(".")[2].split("+")) - {""}


def claim(name: str, content: str) -> str:
    """Return the name of a cluster's endpoints."""
    return next(iter(referred(content)), name)


class Envoy:
    """Messages go up into `up` and come down through `receive`; what it has survives a reconnect."""

    def __init__(self, *, delta: bool, blames: bool) -> None:
        self.delta = delta
        self.blames = blames
        self.clusters: dict[str, str] = {}
        """Active clusters; those that warm are in `warming` too, or only there."""
        self.listeners: dict[str, str] = {}
        self.routes: dict[str, str] = {}
        self.endpoints: dict[str, str] = {}
        self.versions = {kind: {} for kind in ("cds", "eds", "lds", "rds")}
        """kind -> name -> version of what it holds (delta), or "" -> that of the set (SotW)."""
        self.warming: dict[str, str] = {}
        self.hostless: set[str] = set()
        """Active clusters that were told that their endpoints do not exist, or rejected them, while they were warming."""
        self.warming_listeners: dict[str, str] = {}
        self.rejected: dict[str, set[str]] = {kind: set() for kind in self.versions}
        self.up: deque = deque()
        self.initialised = False
        """Once it has answered for clusters, it asks for listeners."""
        self.connect()

    def connect(self) -> None:
        """Begin a stream: everything that it had asked for in the first requests, with what it holds."""
        self.up.clear()
        self.parked: list[tuple[str, str, str | None]] = []
        """Nonce, version and error of the clusters' responses that it will answer, in this order, once all are warm."""
        self.asked: dict[str, frozenset[str]] = {}
        self.last: dict[str, tuple[str, str]] = {}
        if not self.warming:  # Envoy asks for no clusters while any is warming
            self.ask("cds")
        self.ask("eds")
        if self.initialised:
            self.ask("lds")
            self.ask("rds")

    def wanted(self, kind: str) -> frozenset[str]:
        """Return the names that it subscribes to; none for the wildcard types."""
        if kind == "eds":
            return frozenset([claim(*item) for known in (self.clusters, self.warming) for item in known.items()])
        if kind == "rds":
            listeners = [*self.listeners.values(), *self.warming_listeners.values()]
            return frozenset(name for content in listeners for name in referred(content) if name.startswith("r"))
        return frozenset()

    def ask(self, kind: str, *, nonce: str = "", error: str | None = None, always: bool = False) -> None:
        """Send a request of a type if there is something to say."""
        wanted, before = self.wanted(kind), self.asked.get(kind)
        if before is None and kind in ("eds", "rds") and not wanted:
            return
        if before == wanted and not nonce and not always:
            return
        self.asked[kind] = wanted
        url = type_url(kind)
        if not self.delta:
            version, last_nonce = self.last.get(kind, (self.versions[kind].get("", ""), ""))
            self.up.append(SotwRequest(url, tuple(sorted(wanted)), version, nonce or last_nonce, error))
            return
        if before is None:
            held = {name: version for name, version in self.versions[kind].items() if not wanted or name in wanted}
            self.up.append(DeltaRequest(url, tuple(sorted(wanted)), (), held))
        else:
            self.up.append(
                DeltaRequest(url, tuple(sorted(wanted - before)), tuple(sorted(before - wanted)), nonce=nonce, error=error)
            )

    def receive(self, response) -> None:
        """Apply a response, and answer it (for clusters perhaps later)."""
        kind = short_name(response.type_url)
        pairs, removed = decode(response, "isthmus", delta=self.delta)
        rejected = {name for name, content in pairs if content.startswith("9")}
        self.rejected[kind] = (self.rejected[kind] - {name for name, _ in pairs}) | rejected
        good = {name: content for name, content in pairs if name not in rejected}
        if not self.delta and kind in ("cds", "lds"):
            held = {"cds": {**self.clusters, **self.warming}, "lds": {**self.listeners, **self.warming_listeners}}[kind]
            removed = [name for name in held if name not in good and name not in rejected]
        getattr(self, f"apply_{kind}")(good, [*removed, *rejected] if kind == "eds" else removed)
        self.remember(kind, response, rejected, removed)
        error = None
        if rejected:
            error = f"cannot apply {', '.join(sorted(rejected))}" if self.blames else "validation failed"
        if kind == "cds":
            self.parked.append((response.nonce, response.version, error))
        else:
            self.answer(kind, response.nonce, response.version, error)
        for follower in ("eds", "rds"):
            self.ask(follower)
        if kind in ("cds", "eds") and not self.warming:
            self.unpark()

    def answer(self, kind: str, nonce: str, version: str, error: str | None) -> None:
        if not self.delta:
            accepted = self.last.get(kind, (self.versions[kind].get("", ""), ""))[0] if error else version
            self.last[kind] = (accepted, nonce)
        self.ask(kind, nonce=nonce, error=error)

    def unpark(self) -> None:
        """Answer the clusters that were waited for, or ask for what is new."""
        if "cds" not in self.asked:
            self.ask("cds")
        parked, self.parked = self.parked, []
        for nonce, version, error in parked:
            self.answer("cds", nonce, version, error)
        if (parked or self.versions["cds"]) and not self.initialised:
            self.initialised = True
            self.ask("lds")

    def remember(self, kind: str, response, rejected, removed) -> None:
        versions = self.versions[kind]
        if self.delta:
            wanted = self.wanted(kind)
            versions.update(
                {r.name: r.version for r in response.resources if r.name not in rejected and (not wanted or r.name in wanted)}
            )
            for name in removed:
                versions.pop(name, None)
        elif not rejected:
            versions[""] = response.version

    def apply_cds(self, good, removed) -> None:
        for name in removed:
            self.clusters.pop(name, None)
            self.warming.pop(name, None)
        for name, content in good.items():
            if {**self.clusters, **self.warming}.get(name) != content:
                self.warming[name] = content
        self.settle_endpoints()

    def apply_eds(self, good, removed) -> None:
        self.endpoints.update(good)
        self.hostless -= {name for name, content in self.clusters.items() if claim(name, content) in good}
        self.warm(good)
        self.hostless |= self.warm(removed)
        self.settle_endpoints()
        if not self.warming:
            self.unpark()

    def warm(self, claims) -> set[str]:
        """Put into force what waits for these endpoints; return the names of the clusters."""
        warm = {name for name, content in self.warming.items() if claim(name, content) in claims}
        self.clusters.update({name: self.warming.pop(name) for name in warm})
        self.hostless -= warm
        return warm

    def wait_no_longer(self) -> None:
        """Put into force what is warming, with the endpoints that are known: after 15 s."""
        self.hostless |= self.warm([claim(*item) for item in self.warming.items() if claim(*item) not in self.endpoints])
        self.warm(self.endpoints)
        self.settle_endpoints()
        self.ask("eds")
        self.unpark()

    def settle_endpoints(self) -> None:
        wanted = self.wanted("eds")
        for name in [name for name in self.endpoints if name not in wanted]:
            del self.endpoints[name]
            self.versions["eds"].pop(name, None)
        self.hostless &= self.clusters.keys()

    def apply_lds(self, good, removed) -> None:
        for name in removed:
            self.listeners.pop(name, None)
            self.warming_listeners.pop(name, None)
        for name, content in good.items():
            self.warming_listeners[name] = content
        self.settle_listeners()

    def apply_rds(self, good, removed) -> None:
        self.routes.update(good)
        self.settle_listeners(told_absent=removed)  # what has routes keeps them

    def settle_listeners(self, told_absent=()) -> None:
        """Put into force the listeners that have their routes, or were told that there are none."""
        for name, content in tuple(self.warming_listeners.items()):
            if all(route in self.routes or route in told_absent for route in referred(content) if route.startswith("r")):
                self.listeners[name] = self.warming_listeners.pop(name)
        wanted = self.wanted("rds")
        for name in [name for name in self.routes if name not in wanted]:
            del self.routes[name]
            self.versions["rds"].pop(name, None)

    def unserved(self) -> set[str]:
        """Return what requests are sent to in vain: missing routes (404), clusters that are not there or have no hosts (503)."""
        used = {name for content in self.listeners.values() for name in referred(content)}
        routes = {name for name in used if name.startswith("r")}
        used = used - routes | {name for route in routes for name in referred(self.routes.get(route, ""))}
        return (used - (self.clusters.keys() - self.hostless)) | (routes - self.routes.keys())
