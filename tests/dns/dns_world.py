"""Services and members made by hand, for tests of the DNS server."""

from dataclasses import dataclass, field

from xds.model.fleet import FleetChange
from xds.model.members import Member
from xds.model.service import Endpoint, Health, Locality, Port, Protocol, Service, ServiceKey

HTTP, GRPC = Port(80, "http", Protocol.HTTP), Port(90, "grpc", Protocol.HTTP2)


def labels(name):
    return tuple(name.rstrip(".").split("."))


def endpoint(*addresses, cluster="east", port=8080, **fields):
    return Endpoint(Locality("r", "z", cluster), addresses, port, fields.pop("health", Health.HEALTHY), **fields)


def clusterset_ip(name="web", namespace="shop", ports=(HTTP,), visible_in=("east", "west"), **vips):
    vips = vips or {"east": ("10.96.0.1",), "west": ("10.97.0.1",)}
    return Service(
        ServiceKey(namespace, name), ports, {port.number: () for port in ports}, vips, frozenset(visible_in), headless=False
    )


def headless(*endpoints, name="db", namespace="shop", ports=(HTTP,), visible_in=("east", "west")):
    held = {port.number: endpoints for port in ports}
    return Service(ServiceKey(namespace, name), ports, held, {}, frozenset(visible_in), headless=True)


@dataclass
class World:
    """A fleet as far as `xds.dns.zone` looks at it."""

    services: dict = field(default_factory=dict)
    members: dict = field(default_factory=lambda: {name: Member(name) for name in ("east", "west")})

    @classmethod
    def of(cls, *services):
        return cls({service.key: service for service in services})

    def put(self, key, service):
        """Return the change that replacing the service makes."""
        self.services.pop(key, None)
        if service:
            self.services[key] = service
        return FleetChange(services=frozenset({key}))
