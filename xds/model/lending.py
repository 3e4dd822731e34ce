"""Lending: what other clusters have is given to a cluster's clients under the name of its own service.

By a MultiClusterService, by a policy that names the Service, and through gateways, in this order: each adds to what came before.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from xds.model.gateways import leads_elsewhere, with_gateways
from xds.model.service import CLUSTERSET, ServiceKey
from xds.model.sharing import share
from xds.model.widening import Targets, widened

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from collections.abc import Set as AbstractSet

    from xds.model.membership import Membership
    from xds.model.remotes import Remotes
    from xds.model.service import Service
    from xds.model.sharing import Sharings
    from xds.problems import Problem


class Lending:
    """Finds what is given to whom.

    Args:
        own: what each cluster has of its own, as it is at any time.
        services: as they are told; those of the cluster set are lent.
        membership: who is a member.
        sharings: what MultiClusterServices say.
        remotes: what Flomesh's objects come to.
    """

    def __init__(
        self,
        own: Mapping[ServiceKey, Service],
        services: Mapping[ServiceKey, Service],
        membership: Membership,
        sharings: Sharings,
        remotes: Remotes,
    ) -> None:
        self.targets = Targets()
        """Which Services policies name."""
        self._own = own
        self._services = services
        self._membership = membership
        self._sharings = sharings
        self._remotes = remotes
        self._problems: dict[ServiceKey, tuple[Problem, ...]] = {}
        """Of services that are shared, beside those that they have alone."""

    def given(self, key: ServiceKey) -> Service | None:
        """Return what clients in a cluster are given under its service's name; None if there is nothing."""
        found = self._shared(key)
        if found is not None and self.targets.has(key.namespace, key.name, key.scope):
            found = widened(found, self._services.get(ServiceKey(key.namespace, key.name, CLUSTERSET)))
        remote = self._remotes.found.get(key)
        if remote is None or not leads_elsewhere(remote) or key.scope not in self._membership.members:
            return found
        return with_gateways(found, remote, self._membership.members)

    def depending(self, own: AbstractSet[ServiceKey], merged: Iterable[ServiceKey]) -> set[ServiceKey]:
        """Return the clusters' services that are given otherwise when others change.

        Args:
            own: clusters' own services that have changed.
            merged: services of the cluster set that have.
        """
        found, members = set(own), self._membership.members
        for namespace, name in {(key.namespace, key.name) for key in merged} & self.targets.names:
            found.update(ServiceKey(namespace, name, one) for one in members if self.targets.has(namespace, name, one))
        for namespace, name in {(key.namespace, key.name) for key in own} & self._sharings.names:
            if sharing := self._sharings.of(namespace, name):
                found.update(ServiceKey(namespace, name, cluster) for cluster in members if sharing.consumes(cluster))
        return found

    def problems(self) -> Iterator[Problem]:
        """Yield what is wrong with what is shared."""
        for found in self._problems.values():
            yield from found

    def _shared(self, key: ServiceKey) -> Service | None:
        """Return a cluster's own service, with what a MultiClusterService gives it."""
        own, sharing = self._own.get(key), self._sharings.of(key.namespace, key.name)
        self._problems.pop(key, None)
        if own is None or sharing is None or not sharing.consumes(key.scope):
            return own
        members = self._membership.members
        keys = {name: ServiceKey(key.namespace, key.name, name) for name in members if name != key.scope}
        others = {name: self._own[other] for name, other in keys.items() if other in self._own}
        told = {name for name in members if self._membership.source(name)[1]}
        service, problems = share(own, sharing, others, told)
        if problems:
            self._problems[key] = problems
        return service
