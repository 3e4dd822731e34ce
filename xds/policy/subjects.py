"""What policies are about: services, ports of them, namespaces, or everything."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from xds.model.events import FLEET

if TYPE_CHECKING:
    from collections.abc import Iterator

    from xds.model.service import ServiceKey


FLOMESH: Final = "GlobalTrafficPolicy"
RULE: Final = "DestinationRule"
NODE_ONLY: Final = "internalTrafficPolicy"
CILIUM: Final = "Cilium"
WEIGHTS: Final = "weights of exports"
"""Of the exported service, for clients anywhere."""
OF_SERVICES: Final = {"Service": (FLOMESH, RULE, NODE_ONLY, CILIUM), "ServiceImport": (RULE,)}
"""What other systems say for the clients of a cluster, the one that governs first: a rule takes account of the Service's own."""


class Subject(NamedTuple):
    """What a policy is about, as one cluster's, or the fleet's, policies say it. Fields that are "" or 0 mean all."""

    holder: str
    kind: str = ""
    namespace: str = ""
    name: str = ""
    port: int = 0
    system: str = ""
    """Whose policy it is: "" for a TrafficPolicy, or the name of another system's."""

    def __str__(self) -> str:
        """Return it for people."""
        if self.kind:
            return f"{self.kind} {self.namespace}/{self.name}" + (f" port {self.port}" if self.port else "")
        return f"the default of namespace {self.namespace!r}" if self.namespace else "the default of the fleet"


def subjects_of(key: ServiceKey, port: int, cluster: str) -> Iterator[Subject]:
    """Yield what policies for a service port may be about, the most specific first."""
    kind = "Service" if key.scope else "ServiceImport"
    holders = (cluster, FLEET) if cluster else (FLEET,)
    for number in (port, 0):
        for holder in holders:
            yield Subject(holder, kind, key.namespace, key.name, number)
    for system in OF_SERVICES[kind] if cluster else ():
        yield Subject(cluster, kind, key.namespace, key.name, system=system)
    if not key.scope:
        yield Subject(FLEET, kind, key.namespace, key.name, system=WEIGHTS)
    for holder in holders:
        yield Subject(holder, "", key.namespace)
    yield Subject(FLEET)
