"""A cluster's own service that a policy names: it is given what other clusters export, so that its callers can fail over."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from typing import TYPE_CHECKING

from xds.model.events import FLEET
from xds.model.hints import is_global
from xds.model.istio_objects import DestinationRule
from xds.model.objects import Service
from xds.model.traffic_objects import TrafficPolicy
from xds.model.union import union

if TYPE_CHECKING:
    from collections.abc import Callable

    from xds.model.events import ObjectKey
    from xds.model.objects import KubernetesObject
    from xds.model.service import Endpoint
    from xds.model.service import Service as Served

Name = tuple[str, str]
"""(namespace, name) of a Service."""


class Targets:
    """Which Services policies name, those that are in force and others: whether one is, is found out later.

    What earlier versions of a policy named counts as well, until it is known which of them is in force (`keep`).
    """

    def __init__(self) -> None:
        self._named: dict[tuple[str, ObjectKey], frozenset[Name]] = {}
        """(holder, policy) -> what it names."""
        self._earlier: dict[tuple[str, ObjectKey], frozenset[Name]] = {}
        """What of that earlier versions alone name."""
        self._holders: dict[Name, list[str]] = defaultdict(list)

    def put(self, holder: str, key: ObjectKey, item: KubernetesObject | None) -> frozenset[Name]:
        """Take a policy as it is now, None for one that is gone; return the Services that are named otherwise than before."""
        named = named_by(item)
        earlier = self._named.get((holder, key), frozenset()) - named if isinstance(item, TrafficPolicy) else frozenset()
        if earlier:
            self._earlier[holder, key] = earlier
        else:
            self._earlier.pop((holder, key), None)
        return self._set(holder, key, named | earlier)

    def keep(self, in_force: Callable[[tuple[str, str, str]], TrafficPolicy | None]) -> dict[str, set[Name]]:
        """Forget what only versions of policies name that are not in force; return by holder what is named no longer."""
        gone: dict[str, set[Name]] = defaultdict(set)
        for (holder, key), earlier in [*self._earlier.items()]:
            unused = earlier - named_by(in_force((holder, key.namespace, key.name)))
            if unused:
                self._earlier[holder, key] = earlier - unused
                gone[holder] |= self._set(holder, key, self._named[holder, key] - unused)
            if not self._earlier[holder, key]:
                del self._earlier[holder, key]
        return gone

    def _set(self, holder: str, key: ObjectKey, named: frozenset[Name]) -> frozenset[Name]:
        """Take what a policy names, and return what it names otherwise than before."""
        before = self._named.pop((holder, key), frozenset())
        if named:
            self._named[holder, key] = named
        for name in before - named:
            self._holders[name].remove(holder)
            if not self._holders[name]:
                del self._holders[name]
        for name in named - before:
            self._holders[name].append(holder)
        return before ^ named

    def has(self, namespace: str, name: str, cluster: str) -> bool:
        """Return whether a policy for the clients of a cluster names a Service."""
        holders = self._holders.get((namespace, name), ())
        return cluster in holders or FLEET in holders

    @property
    def names(self) -> frozenset[Name]:
        """All that are named."""
        return frozenset(self._holders)


def named_by(item: KubernetesObject | None) -> frozenset[Name]:
    """Return the Services that a policy names; Istio and Cilium join those of one name over the clusters, so theirs do, too."""
    match item:
        case TrafficPolicy():
            return frozenset((item.metadata.namespace, ref.name) for ref in item.spec.target_refs if ref.kind == "Service")
        case DestinationRule():
            host = item.service
            return frozenset({(host.namespace, host.name)} if host and host.kind == "Service" else ())
        case Service() if is_global(item.metadata.annotations):
            return frozenset(((item.metadata.namespace, item.metadata.name),))
    return frozenset()


def widened(own: Served, exported: Served | None) -> Served:
    """Return a cluster's own service with the endpoints that other clusters export under its name, port by port.

    Args:
        own: what its cluster has, or is given otherwise.
        exported: the service of the cluster set; clashes of addresses in it have been told.
    """
    if exported is None:
        return own
    cluster = own.key.scope
    endpoints: dict[int, tuple[Endpoint, ...]] = {}
    given = {one.locality.cluster for found in own.endpoints.values() for one in found} | {cluster}
    for port in own.ports:
        others = [one for one in exported.endpoints.get(port.number, ()) if one.locality.cluster not in given]
        endpoints[port.number] = union(((cluster, own.endpoints[port.number]), ("", others))).endpoints
    return replace(
        own,
        endpoints=endpoints,
        widened_by=frozenset(one.locality.cluster for found in endpoints.values() for one in found) - given,
        has_degraded=own.has_degraded or exported.has_degraded,
        capacities={**exported.capacities, **own.capacities},
        origins=tuple(sorted({*own.origins, *exported.origins})),
    )
