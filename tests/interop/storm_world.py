"""What the storm changes: services and listeners as plain records, and the resources that follow from them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import storm_resources as made

from xds.cli.demo.places import Place, Pod
from xds.snapshot.resource import Resource
from xds.wire import CLUSTER, ENDPOINT, LISTENER, ROUTE

GROUPS = ("a", "b", "c")
"""Each service has a pair of pods in each of these zones; which of them it uses changes."""
PODS_PER_GROUP = 2
RDS, INLINE, TCP = "rds", "inline", "tcp"


@dataclass(eq=False)
class Service:
    """A service: its cluster and its endpoints, whose names change with their generations."""

    name: str
    network: int
    """Its pods have addresses 127.0.<network>.x."""
    generation: int = 0
    claim_generation: int = 0
    connect_timeout_ms: int = 1000
    groups: tuple[str, ...] = GROUPS
    cluster_fault: str = ""
    endpoints_fault: str = ""

    @property
    def cluster(self):
        return f"{self.name}-{self.generation}"

    @property
    def claim(self):
        """What its endpoints are called."""
        return f"{self.name}-{self.claim_generation}"

    @property
    def pods(self):
        return tuple(pod for pod in self.all_pods if pod.place.zone in self.groups)

    @property
    def all_pods(self):
        """Every backend that runs for it."""
        numbered = enumerate((zone, number) for zone in GROUPS for number in range(PODS_PER_GROUP))
        return tuple(Pod(Place(self.name, zone), self.network, index) for index, (zone, _) in numbered)


@dataclass(eq=False)
class Listener:
    """A listener with what it leads to; the routes of an RDS listener are called after it."""

    name: str
    port: int
    kind: str
    services: list[Service]
    revision: int = 0
    routes_generation: int = 0
    routes_revision: int = 0
    fault: str = ""
    routes_fault: str = ""
    validated: bool = True
    """Whether Envoy rejects an inline listener without its clusters."""
    keeps: bool = False
    """Whether its clients keep their connections."""

    @property
    def route_config(self):
        return f"{self.name}-routes-{self.routes_generation}"

    @property
    def clusters(self):
        """Host -> cluster, as pairs."""
        return tuple((host_of(service), service.cluster) for service in self.services)


def host_of(service):
    return f"{service.name}.test"


@dataclass
class Wing:
    """Services that always exist, and the listeners that always lead to them."""

    services: list[Service]
    kept: Listener | None = None
    brief: list[Listener] = field(default_factory=list)

    @property
    def listeners(self):
        return [self.kept, *self.brief]


@dataclass
class StormWorld:
    """Everything that exists now."""

    backend_port: int
    services: dict[str, Service] = field(default_factory=dict)
    listeners: dict[str, Listener] = field(default_factory=dict)

    def wanted(self):
        """Return (type URL, name) -> how it is made, fault included: specs that compare."""
        result = {}
        for service in self.services.values():
            result.update(self._of_service(service))
        for listener in self.listeners.values():
            result.update(self._of_listener(listener))
        return result

    def _of_service(self, service):
        fields = {"claim": service.claim, "connect_timeout_ms": service.connect_timeout_ms}
        pods = {"pods": service.pods, "port": self.backend_port}
        return {
            (CLUSTER, service.cluster): Spec(made.cluster, service.cluster, service.cluster_fault, fields),
            (ENDPOINT, service.claim): Spec(made.assignment, service.claim, service.endpoints_fault, pods),
        }

    def _of_listener(self, listener):
        where = {"port": listener.port, "revision": listener.revision}
        leads_to = {
            RDS: {"route_config": listener.route_config},
            INLINE: {"clusters": listener.clusters, "validated": listener.validated},
            TCP: {"target": listener.services[0].cluster},
        }
        fields = where | leads_to[listener.kind]
        result = {(LISTENER, listener.name): Spec(LISTENERS[listener.kind], listener.name, listener.fault, fields)}
        if listener.kind == RDS:
            name, table = listener.route_config, {"clusters": listener.clusters, "revision": listener.routes_revision}
            result[ROUTE, name] = Spec(made.routes, name, listener.routes_fault, table)
        return result


LISTENERS = {RDS: made.rds_listener, INLINE: made.inline_listener, TCP: made.tcp_listener}


@dataclass(frozen=True)
class Spec:
    """How a resource is made; two that compare equal make the same."""

    make: Callable[..., Resource]
    name: str
    fault: str
    fields: Mapping[str, object]

    def resource(self, host):
        """Return the resource for a proxy whose listeners are on this address."""
        own = {"host": host} if self.make in LISTENERS.values() else {}
        return self.make(self.name, fault=self.fault, **self.fields, **own)
