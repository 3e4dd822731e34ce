"""Services that Karmada's MultiClusterService shares: a consumer's own service, with the endpoints of the providers.

Karmada itself copies the providers' EndpointSlices into the consumers. Here endpoints of a cluster that tells of itself are taken
from there; copies count for clusters that do not.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

from xds.model.events import FLEET, ref_of
from xds.model.karmada_objects import MultiClusterService
from xds.model.service import Service, ServiceKey
from xds.model.union import union
from xds.problems import Problem, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Container, Iterator, Mapping
    from collections.abc import Set as AbstractSet

    from xds.model.events import ObjectKey
    from xds.model.members import Member
    from xds.model.membership import Membership
    from xds.model.objects import KubernetesObject
    from xds.model.service import Endpoint, Port


@dataclass(frozen=True, slots=True)
class Sharing:
    """What one MultiClusterService says, its clusters by their members' names."""

    item: MultiClusterService
    providers: frozenset[str] | None
    """None: all."""
    consumers: frozenset[str] | None

    @staticmethod
    def of(item: MultiClusterService, known: Mapping[str, Member]) -> Sharing | None:
        """Return what it shares; None for one of the other type, which is about load balancers outside.

        Args:
            item: the object.
            known: the members by each of their names.
        """
        if not item.spec.is_cross_cluster:
            return None

        def members(names: list[str]) -> frozenset[str] | None:
            return frozenset(known[name].name if name in known else name for name in names) if names else None

        return Sharing(item, members(item.spec.providers), members(item.spec.consumers))

    def provides(self, cluster: str) -> bool:
        """Return whether a cluster's endpoints are shared."""
        return self.providers is None or cluster in self.providers

    def consumes(self, cluster: str) -> bool:
        """Return whether a cluster's clients may use them."""
        return self.consumers is None or cluster in self.consumers

    def has(self, port: Port) -> bool:
        """Return whether a port is shared."""
        ports = self.item.spec.ports
        return not ports or any(one.port == port.number for one in ports)

    def problems(
        self, members: Mapping[str, Member], services: Mapping[ServiceKey, Service], reading: Container[str] = ()
    ) -> Iterator[Problem]:
        """Yield what is wrong with the object as the fleet stands.

        Args:
            members: by name.
            services: what each cluster has of its own.
            reading: clusters that may have more.
        """
        ref, meta = ref_of(FLEET, self.item), self.item.metadata
        for role, field, named in (("provider", "Provider", self.providers), ("consumer", "Consumer", self.consumers)):
            at = f"spec.{field.lower()}Clusters"
            for name in sorted(named or ()):
                if name not in members:
                    hint = did_you_mean(name, members) or "register the cluster, or take it out of the list"
                    yield Problem("XDS0218", f"{role} {name!r} is no member of the fleet", ref, at, hint)
                elif name not in reading and ServiceKey(meta.namespace, meta.name, name) not in services:
                    message = f"there is no Service {meta.namespace}/{meta.name} in {name}, a {role}"
                    hint = "create it there, as Karmada does when it works, or let spec.scope of the MemberCluster take it"
                    yield Problem("XDS0218", message, ref, at, hint)
        having = (name in reading or ServiceKey(meta.namespace, meta.name, name) in services for name in members)
        if self.providers is None and not any(having):
            message = f"there is no Service {meta.namespace}/{meta.name} in any cluster"
            yield Problem("XDS0218", message, ref, hint="create the Service, or delete the MultiClusterService")
        networks = {members[name].network for name in members if self.provides(name) or self.consumes(name)}
        if len(networks) > 1:
            message = (
                f"its clusters are in networks {', '.join(sorted(networks))}; clients reach endpoints of their own network alone"
            )
            yield Problem("XDS0209", message, ref, hint="no gateway leads there; they are left out for those clients")


def _unserved(item: MultiClusterService) -> Iterator[Problem]:
    """Yield what is passed over of an object as it is."""
    if "LoadBalancer" in item.spec.types:
        message, hint = (
            "is of the type LoadBalancer, which is not served: it shares nothing",
            "add CrossCluster to share endpoints",
        )
        if item.spec.is_cross_cluster:
            message = "its type LoadBalancer is not served; what it shares by its type CrossCluster is"
            hint = "nothing has to be done: a load balancer outside is Karmada's"
        yield Problem("XDS0219", message, ref_of(FLEET, item), "spec.types", hint)


class Sharings:
    """All MultiClusterServices of the fleet.

    Args:
        membership: by whose names they name clusters.
    """

    def __init__(self, membership: Membership) -> None:
        self._items: dict[tuple[str, str], MultiClusterService] = {}
        self._membership = membership

    @property
    def names(self) -> AbstractSet[tuple[str, str]]:
        """(namespace, name) that one has."""
        return self._items.keys()

    def put(self, key: ObjectKey, item: KubernetesObject | None) -> None:
        """Take one as it is now, None for one that is gone."""
        if isinstance(item, MultiClusterService):
            self._items[key.namespace, key.name] = item
        else:
            self._items.pop((key.namespace, key.name), None)

    def of(self, namespace: str, name: str) -> Sharing | None:
        """Return how the Services of a name are shared; None if they are not."""
        item = self._items.get((namespace, name))
        return Sharing.of(item, self._membership.known) if item else None

    def __iter__(self) -> Iterator[Sharing]:
        """Yield how Services are shared, by namespace and name."""
        for name in sorted(self._items):
            if sharing := self.of(*name):
                yield sharing

    def naming(self, clusters: AbstractSet[str]) -> Iterator[tuple[str, str]]:
        """Yield (namespace, name) of those that name one of some clusters."""
        for name, item in self._items.items():
            if not clusters.isdisjoint((*item.spec.providers, *item.spec.consumers)):
                yield name

    def problems(self, services: Mapping[ServiceKey, Service]) -> Iterator[Problem]:
        """Yield what is wrong with the objects as the fleet stands.

        Args:
            services: what each cluster has of its own.
        """
        for sharing in self if FLEET in self._membership.synced else ():  # a member may be told after those who name it
            yield from sharing.problems(self._membership.members, services, self._membership.reading)
        for _, item in sorted(self._items.items()):
            yield from _unserved(item)


class Shared(NamedTuple):
    """A consumer's service, and what is wrong with it."""

    service: Service
    problems: tuple[Problem, ...]


def share(own: Service, sharing: Sharing, others: Mapping[str, Service], told: Container[str]) -> Shared:
    """Return a consumer's service with what providers have.

    Args:
        own: what the consumer's cluster tells of it, copies included.
        sharing: says who provides; this cluster consumes.
        others: other cluster -> its own service of that name.
        told: clusters that tell of their endpoints themselves, so that copies of them do not count.
    """
    cluster = own.key.scope
    providers = {name: one for name, one in sorted(others.items()) if sharing.provides(name)}
    endpoints: dict[int, tuple[Endpoint, ...]] = {}
    problems: list[Problem] = []
    refs = {name: one.origins[0] for name, one in others.items()} | {cluster: own.origins[0]}
    for port in own.ports:
        local = own.endpoints[port.number]
        if not sharing.has(port):
            endpoints[port.number] = tuple(one for one in local if one.locality.cluster == cluster)
            continue
        parts: dict[str, list[Endpoint]] = {cluster: []}
        for one in local:
            runs_in = one.locality.cluster
            is_copy_of_use = runs_in not in told and runs_in not in others and sharing.provides(runs_in)
            if runs_in == cluster or is_copy_of_use:
                parts.setdefault(runs_in, []).append(one)
        for name, service in providers.items():
            # As kube-proxy finds the endpoints of slices that were copied: by the port's name.
            number = next((other.number for other in service.ports if other.name == port.name), None)
            found = service.endpoints[number] if number is not None else ()
            parts[name] = [one for one in found if one.locality.cluster == name]
        joined = union(parts.items())
        endpoints[port.number] = joined.endpoints
        problems += joined.problems(own.key.fqdn, {name: refs.get(name, own.origins[0]) for name in parts})
    origins = {*own.origins, ref_of(FLEET, sharing.item), *(ref for one in providers.values() for ref in one.origins)}
    service = replace(
        own,
        endpoints=endpoints,
        has_copies=True,
        has_degraded=own.has_degraded or any(one.has_degraded for one in providers.values()),
        capacities={**own.capacities, **{name: one for other in providers.values() for name, one in other.capacities.items()}},
        origins=tuple(sorted(origins)),
    )
    return Shared(service, tuple(problems))
