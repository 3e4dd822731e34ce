"""The storm itself: changes drawn from a seed, in bursts, with what is hard for a proxy in every one of them.

What always exists comes in two wings. In one half of the storm clusters, routes and listeners of the first wing move, while
resources of the second are spoilt and mended; in the other half it is the other way round. A spoilt resource leaves its proxy
with what it had, so what it had must not be taken away meanwhile: no server could make up for that.

Nor could it for this: an Envoy that has ACKed a new listener still serves the connections of the old one by the old one's
routes. So the clients of listeners that change together with the clusters they name do not keep their connections, and the routes
of clients that do are renamed while their clusters rest.
"""

import random
from dataclasses import dataclass

from storm_changes import KINDS
from storm_resources import FAULTS
from storm_world import INLINE, RDS, TCP, Listener, Service, StormWorld, Wing

CHANGES = 500
BURST = 5
PAUSES_S = (0, 0, 0.002, 0.02, 0.1, 0.15, 0.25, 0.4)
"""Between publications; the shortest leave no time for an ACK."""
CALM_S = 2.0
"""How long something is left alone before it is spoilt: what it was has arrived then. Also the pause between the halves."""
SPOILT = 4
"""Resources spoilt at a time, at most."""


@dataclass(frozen=True)
class Step:
    """One publication: the world has changed already."""

    changes: tuple[str, ...]
    pause_s: float


def new_wing(name, network, port_of):
    """Return a wing: services behind routes, behind a listener's own routes, and behind TCP."""
    first, second, third = services = [Service(f"{name}{number}", network + number) for number in range(3)]
    return Wing(
        services,
        kept=Listener(f"{name}-kept", port_of(), RDS, [first, second], keeps=True),
        brief=[
            Listener(f"{name}-rds", port_of(), RDS, [first, second]),
            Listener(f"{name}-inline", port_of(), INLINE, [second, third]),
            Listener(f"{name}-tcp", port_of(), TCP, [first]),
        ],
    )


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
        self.moving, self.resting = self.wings
        self.world = StormWorld(backend_port, services, listeners)
        self.guests: list[Service] = []
        self.guest_listeners: list[Listener] = []
        self.spoilt: list[tuple[object, str]] = []
        """(record, attribute) of each fault in place."""
        self.weights = {"moves": 5, "touches": 5, "spoils": 1, "visits": 4}
        self.named = 0
        self.clock_s = 0.0
        """Pauses so far."""
        self._marks: dict[object, float] = {}

    def steps(self, changes=CHANGES):
        """Yield publications until there were so many changes; the last one leaves nothing spoilt."""
        for wings in (self.wings, self.wings[::-1]):
            self.moving, self.resting = wings
            left = changes // 2
            while left > 0:
                burst = [self.change() for _ in range(self.random.randint(1, BURST))]
                done = tuple(text for text in burst if text)
                left -= len(done)
                if done:
                    yield self._step(done, self.random.choice(PAUSES_S))
            yield self._step(tuple(self.mend_all()), CALM_S)

    def change(self):
        """Make one change; return what it was, or "" if there was nothing to do it to."""
        kind = self.random.choices(list(self.weights), list(self.weights.values()))[0]
        either = self.random.choice(self.wings)
        subjects = {"moves": self.moving, "touches": either, "spoils": self.resting, "visits": self.moving}
        return self.random.choice(KINDS[kind])(self, subjects[kind]) or ""

    def _step(self, changes, pause_s):
        self.clock_s += pause_s
        return Step(changes, pause_s)

    def spoil(self, record, attribute, type_url):
        """Spoil something unless it has just been changed or enough is spoilt; then something is mended."""
        if len(self.spoilt) >= SPOILT or not (self.is_whole(record) and self.is_calm(record)):
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

    def mark(self, record):
        """Remember that something important of a record was changed just now."""
        self._marks[record] = self.clock_s

    def is_calm(self, record):
        return self.clock_s - self._marks.get(record, -CALM_S) >= CALM_S

    def forget(self, record):
        self.spoilt = [(one, attribute) for one, attribute in self.spoilt if one is not record]

    def new_name(self, kind):
        self.named += 1
        return f"{kind}{self.named}"
