"""The storm itself: changes drawn from a seed, in bursts, with what is hard for a proxy in every one of them.

What always exists comes in two wings. In one half of the storm clusters, routes and listeners of the first wing move, while
resources of the second are spoilt and mended; in the other half it is the other way round. A spoilt resource leaves its proxy
with what it had, so what it had must not be taken away meanwhile: no server could make up for that.
"""

import random
from dataclasses import dataclass

from storm_resources import FAULTS
from storm_world import GROUPS, INLINE, RDS, TCP, Listener, Service, StormWorld

from xds.wire import CLUSTER, ENDPOINT, LISTENER, ROUTE

CHANGES = 500
BURST = 5
PAUSES_S = (0, 0, 0.002, 0.02, 0.1, 0.15, 0.25, 0.4)
"""Between publications; the shortest leave no time for an ACK."""
CALM_S = 2.0
"""Between the halves: what moved has arrived before it is spoilt."""
GUESTS = 8
"""Services that come and go, at most."""
SPOILT = 4
"""Resources spoilt at a time, at most."""


@dataclass(frozen=True)
class Step:
    """One publication: the world has changed already."""

    changes: tuple[str, ...]
    pause_s: float


@dataclass
class Wing:
    """What always exists, and is never without a way to its backends."""

    services: list[Service]
    listeners: list[Listener]

    def using(self, service, *kinds):
        return [listener for listener in self.listeners if service in listener.services and listener.kind in kinds]


def new_wing(name, network, port_of):
    """Return a wing: one service behind routes and TCP, one behind routes and a listener's own routes, one behind the latter."""
    first, second, third = (Service(f"{name}{number}", network + number) for number in range(3))
    ways = ((RDS, [first, second]), (INLINE, [second, third]), (TCP, [first]))
    return Wing([first, second, third], [Listener(f"{name}-{kind}", port_of(), kind, services) for kind, services in ways])


class Storm:
    """The changes of one storm.

    Args:
        seed: decides everything but the ports.
        backend_port: where every pod listens.
        port_of: gives a free port for a listener.
    """

    def __init__(self, seed, backend_port, port_of):
        self.random = random.Random(seed)
        self.port_of = port_of
        self.wings = [new_wing("north", 1, port_of), new_wing("south", 4, port_of)]
        services = {service.name: service for wing in self.wings for service in wing.services}
        listeners = {listener.name: listener for wing in self.wings for listener in wing.listeners}
        self.world = StormWorld(backend_port, services, listeners)
        self.guests: list[Service] = []
        self.guest_listeners: list[Listener] = []
        self.spoilt: list[tuple[object, str]] = []
        """(record, attribute) of each fault in place."""
        self.weights = {"moves": 5, "touches": 5, "spoils": 1, "visits": 4}
        self.named = 0

    def steps(self, changes=CHANGES):
        """Yield publications until there were so many changes; the last one leaves nothing spoilt."""
        moving, resting = self.wings
        for _ in range(2):
            left = changes // 2
            while left > 0:
                burst = [self.change(moving, resting) for _ in range(self.random.randint(1, BURST))]
                done = tuple(text for text in burst if text)
                left -= len(done)
                if done:
                    yield Step(done, self.random.choice(PAUSES_S))
            yield Step(tuple(self.mend_all()), CALM_S)
            moving, resting = resting, moving

    def change(self, moving, resting):
        """Make one change; return what it was, or "" if there was nothing to do it to."""
        kinds = (
            (MOVES, 5, moving),
            (TOUCHES, 5, self.random.choice((moving, resting))),
            (SPOILS, 1, resting),
            (VISITS, 4, moving),
        )
        table, _, subject = self.random.choices(kinds, [weight for _, weight, _ in kinds])[0]
        return self.random.choice(table)(self, subject) or ""

    def spoil(self, record, attribute, type_url):
        if len(self.spoilt) >= SPOILT or (record, attribute) in self.spoilt:
            return self.mend()
        setattr(record, attribute, self.random.choice(FAULTS[type_url]))
        self.spoilt.append((record, attribute))
        return f"spoil {attribute} of {record.name}: {getattr(record, attribute)}"

    def mend(self, index=0):
        if not self.spoilt:
            return ""
        record, attribute = self.spoilt.pop(index)
        setattr(record, attribute, "")
        return f"mend {attribute} of {record.name}"

    def mend_all(self):
        while self.spoilt:
            yield self.mend()

    def is_whole(self, *records):
        return not any(record is one for record in records for one, _ in self.spoilt)

    def forget(self, record):
        self.spoilt = [(one, attribute) for one, attribute in self.spoilt if one is not record]

    def new_name(self, kind):
        self.named += 1
        return f"{kind}{self.named}"


def move_cluster(storm, wing):
    """A new cluster with new endpoints takes over, the old ones go, all at once."""
    service = storm.random.choice(wing.services)
    service.generation += 1
    service.claim_generation = service.generation
    return f"move {service.name} to {service.cluster} with endpoints of its own"


def rename_cluster(storm, wing):
    service = storm.random.choice(wing.services)
    service.generation += 1
    return f"rename the cluster of {service.name} to {service.cluster}, endpoints stay {service.claim}"


def rename_claim(storm, wing):
    service = storm.random.choice(wing.services)
    service.claim_generation += 1
    return f"rename the endpoints of {service.cluster} to {service.claim}"


def return_cluster(storm, wing):
    """What has just been removed comes back."""
    service = storm.random.choice(wing.services)
    if not service.generation:
        return ""
    service.generation -= 1
    return f"rename the cluster of {service.name} back to {service.cluster}"


def rename_routes(storm, wing):
    listener = wing.listeners[0]
    listener.routes_generation += 1
    return f"rename the routes of {listener.name} to {listener.route_config}"


def move_everything(storm, wing):
    for service in wing.services:
        service.generation += 1
        service.claim_generation = service.generation
    for listener in wing.listeners:
        listener.revision += 1
    return f"{rename_routes(storm, wing)}, and move every cluster and listener beside it"


def rename_listener(storm, wing):
    """With its routes; the port stays, so the old one must go in the very message that brings the new one."""
    listener = storm.random.choice(wing.listeners)
    before, world = listener.name, storm.world
    del world.listeners[before]
    listener.name = storm.new_name(f"{before.rstrip('0123456789')}")
    world.listeners[listener.name] = listener
    return f"{before} is renamed to {listener.name}"


CLUSTER_MOVES = (move_cluster, move_cluster, rename_cluster, rename_claim, return_cluster)
MOVES = (*CLUSTER_MOVES, rename_routes, rename_listener, move_everything)


def touch_cluster(storm, wing):
    """The cluster warms again, its endpoints unchanged."""
    service = storm.random.choice(wing.services)
    if not storm.is_whole(service):
        return ""
    service.connect_timeout_ms = storm.random.randint(500, 2000)
    return f"connect_timeout of {service.cluster}: {service.connect_timeout_ms} ms"


def change_endpoints(storm, wing):
    service = storm.random.choice(wing.services)
    if not storm.is_whole(service):
        return ""
    service.groups = tuple(sorted(storm.random.sample(GROUPS, storm.random.randint(1, len(GROUPS)))))
    return f"endpoints of {service.claim}: {' '.join(service.groups)}"


def touch_both(storm, wing):
    service = storm.random.choice(wing.services)
    one = Wing([service], [])
    return storm.is_whole(service) and f"{touch_cluster(storm, one)} and {change_endpoints(storm, one)}"


def change_routes(storm, wing):
    wing.listeners[0].routes_revision += 1
    return f"revision {wing.listeners[0].routes_revision} of {wing.listeners[0].route_config}"


def change_listener(storm, wing):
    listener = storm.random.choice(wing.listeners)
    listener.revision += 1
    return f"revision {listener.revision} of {listener.name}"


TOUCHES = (touch_cluster, touch_cluster, change_endpoints, change_endpoints, touch_both, change_routes, change_listener)


def spoil_cluster(storm, wing):
    service = storm.random.choice([*wing.services, *storm.guests])
    return storm.spoil(service, "cluster_fault", CLUSTER) if storm.is_whole(service) else storm.mend()


def spoil_endpoints(storm, wing):
    service = storm.random.choice([*wing.services, *storm.guests])
    return storm.spoil(service, "endpoints_fault", ENDPOINT) if storm.is_whole(service) else storm.mend()


def spoil_routes(storm, wing):
    return storm.spoil(wing.listeners[0], "routes_fault", ROUTE)


def spoil_listener(storm, wing):
    return storm.spoil(storm.random.choice([*wing.listeners, *storm.guest_listeners]), "fault", LISTENER)


def mend_one(storm, wing):
    return storm.mend(storm.random.randrange(len(storm.spoilt))) if storm.spoilt else ""


SPOILS = (spoil_cluster, spoil_endpoints, spoil_routes, spoil_listener, mend_one, mend_one)


def guest_comes(storm, wing):
    if len(storm.guests) >= GUESTS:
        return guest_goes(storm, wing)
    guest = Service(storm.new_name("guest"), storm.random.randint(1, 6))
    storm.guests.append(guest)
    storm.world.services[guest.name] = guest
    host = storm.random.choice([wing.listeners[0], *storm.guest_listeners])
    if host.kind != TCP:
        host.services.append(guest)
    return f"{guest.name} comes, to {host.name}"


def guest_goes(storm, wing):
    if not storm.guests:
        return ""
    guest = storm.guests.pop(storm.random.randrange(len(storm.guests)))
    del storm.world.services[guest.name]
    storm.forget(guest)
    for listener in tuple(storm.world.listeners.values()):
        if guest in listener.services:
            listener.services.remove(guest)
            if not listener.services:
                _close(storm, listener)
    return f"{guest.name} goes"


def guest_moves(storm, wing):
    if not storm.guests:
        return ""
    return storm.random.choice(CLUSTER_MOVES)(storm, Wing(storm.guests, []))


def listener_opens(storm, wing):
    if not storm.guests or len(storm.guest_listeners) >= GUESTS:
        return listener_closes(storm, wing)
    kind = storm.random.choice((RDS, INLINE, TCP))
    listener = Listener(
        storm.new_name(f"visit-{kind}"), storm.port_of(), kind, [storm.random.choice(storm.guests)], validated=False
    )
    storm.guest_listeners.append(listener)
    storm.world.listeners[listener.name] = listener
    return f"{listener.name} opens"


def listener_closes(storm, wing):
    if not storm.guest_listeners:
        return ""
    listener = storm.random.choice(storm.guest_listeners)
    _close(storm, listener)
    return f"{listener.name} closes"


def listener_renamed(storm, wing):
    """With its routes, and to another port."""
    if not storm.guest_listeners:
        return ""
    listener = storm.random.choice(storm.guest_listeners)
    before = listener.name
    del storm.world.listeners[before]
    listener.name, listener.port = storm.new_name(f"visit-{listener.kind}"), storm.port_of()
    storm.world.listeners[listener.name] = listener
    return f"{before} is renamed to {listener.name}"


def listener_moves(storm, wing):
    if not storm.guest_listeners:
        return ""
    listener = storm.random.choice(storm.guest_listeners)
    listener.port = storm.port_of()
    return f"{listener.name} moves to another port"


def _close(storm, listener):
    storm.guest_listeners.remove(listener)
    del storm.world.listeners[listener.name]
    storm.forget(listener)


VISITS = (
    *(guest_comes, guest_comes, guest_goes, guest_moves, guest_moves),
    *(listener_opens, listener_opens, listener_closes, listener_renamed, listener_moves),
)

KINDS = {"moves": MOVES, "touches": TOUCHES, "spoils": SPOILS, "visits": VISITS}
