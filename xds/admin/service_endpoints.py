"""The endpoints of one service as its EndpointSlices tell them, with what proxies are told of each."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, NamedTuple

from xds.admin.answers import object_ref
from xds.model.events import ref_of
from xds.model.exports import EXPORTS
from xds.model.local import canonical_address
from xds.model.service import Locality, ServiceKey
from xds.model.slices import owner_of
from xds.wire import admin, envoy

if TYPE_CHECKING:
    from collections.abc import Iterator

    from xds.admin.state import ControlPlane
    from xds.model import objects
    from xds.model.service import Endpoint
    from xds.problems import Ref


class _Held(NamedTuple):
    """A slice."""

    holder: str
    """The cluster that has the object."""
    runs_in: str
    """The cluster that has the endpoints."""
    item: objects.EndpointSlice


class ServiceSlices:
    """The EndpointSlices of one name in all clusters.

    Args:
        plane: where to look.
        key: of the service of the cluster set.
    """

    def __init__(self, plane: ControlPlane, key: ServiceKey) -> None:
        self._plane = plane
        self._key = key
        imported = plane.imports.get(key)
        self._exporters = {one.cluster for one in imported.exports} if imported else set()
        self._copied = {one.cluster for one in imported.exports if one.export.kind not in EXPORTS} if imported else set()
        self._slices = [*self._own(), *self._copies()]

    def has(self, ref: Ref) -> bool:
        """Return whether an object is one of the slices."""
        named = (held for held in self._slices if held.item.metadata.name == ref.name)
        return ref.kind == "EndpointSlice" and any(ref.cluster in (held.holder, held.runs_in) for held in named)

    def by_locality(self) -> list[admin.LocalityEndpoints]:
        """Return the endpoints by cluster and zone."""
        found: dict[Locality, list[tuple[objects.SliceEndpoint, _Held, Endpoint | None]]] = defaultdict(list)
        served = self._served()
        for held in self._slices:
            for entry in held.item.endpoints or ():
                address = canonical_address(entry.addresses[0]) if entry.addresses else None
                endpoint = served.get((held.runs_in, address or ""))
                found[endpoint.locality if endpoint else self._locality(held, entry)].append((entry, held, endpoint))
        for entries in found.values():
            entries.sort(key=lambda one: (one[0].addresses, one[1].holder, one[1].item.metadata.name))
        return [
            admin.LocalityEndpoints(
                cluster=place.cluster,
                region=place.region,
                zone=place.zone,
                exported=place.cluster in self._exporters,
                endpoints=[_described(*one) for one in entries],
            )
            for place, entries in sorted(found.items(), key=lambda pair: (pair[0].cluster, pair[0].zone, pair[0].region))
        ]

    def _own(self) -> Iterator[_Held]:
        """Yield the slices of the Services of that name."""
        ids = {one.id: name for name, one in self._plane.members.items()}
        for member in sorted(self._plane.members.keys() & self._plane.clusters.keys()):
            for item in self._plane.clusters[member].slices.get((self._key.namespace, self._key.name), {}).values():
                source = owner_of(item).source
                yield _Held(member, ids.get(source, source) or member, item)

    def _copies(self) -> Iterator[_Held]:
        """Yield the copies of slices of exporters that are no members, as the first of those that have them tells them."""
        left = set(self._copied)
        for member in sorted(self._plane.members.keys() & self._plane.clusters.keys()):
            copies = self._plane.clusters[member].copies.get((self._key.namespace, self._key.name), {}).values()
            held = [_Held(member, source, item) for item in copies if (source := owner_of(item).source) in left]
            left -= {one.runs_in for one in held}
            yield from held

    def _served(self) -> dict[tuple[str, str], Endpoint]:
        """Return (cluster, address) -> what proxies are told: what a cluster says of its own counts."""
        found: dict[tuple[str, str], Endpoint] = {}
        for scope in (self._key.scope, *sorted(self._plane.members)):
            service = self._plane.services.get(ServiceKey(self._key.namespace, self._key.name, scope))
            for endpoint in (one for entries in service.endpoints.values() for one in entries) if service else ():
                for address in endpoint.addresses:
                    place = endpoint.locality.cluster, address
                    if place not in found or endpoint.locality.cluster == scope:
                        found[place] = endpoint
        return found

    def _locality(self, held: _Held, entry: objects.SliceEndpoint) -> Locality:
        """Return where an endpoint is that proxies are not told of."""
        member = self._plane.members.get(held.runs_in)
        place = (
            self._plane.clusters[held.runs_in].nodes.get(entry.node_name or "") if held.runs_in in self._plane.clusters else None
        )
        region = (place.region if place else "") or (member.region if member else "")
        return Locality(region, entry.zone or (place.zone if place else ""), held.runs_in)


def created_at(item: objects.KubernetesObject) -> envoy.Timestamp | None:
    """Return when an object was created; None where it does not tell, or in no way that is understood."""
    result = envoy.Timestamp()
    try:
        result.FromJsonString(item.metadata.creation_timestamp or "")
    except ValueError:
        return None
    return result


def _described(entry: objects.SliceEndpoint, held: _Held, endpoint: Endpoint | None) -> admin.EndpointDescription:
    conditions, target = entry.conditions, entry.target_ref
    ready = conditions.ready is not False
    return admin.EndpointDescription(
        addresses=entry.addresses,
        ports=sorted({port.port for port in held.item.ports or () if port.port}),
        ready=ready,
        serving=ready if conditions.serving is None else conditions.serving,
        terminating=bool(conditions.terminating),
        health=endpoint.health if endpoint else "",
        reasons=endpoint.reasons if endpoint else (),
        created_at=created_at(held.item),
        source=object_ref(ref_of(held.holder, held.item)),
        target=admin.ObjectRef(cluster=held.runs_in, kind=target.kind, namespace=target.namespace, name=target.name)
        if target and target.name
        else None,
        node=entry.node_name or "",
    )
