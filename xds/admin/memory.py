"""About how much memory it takes to know a cluster: measured on some of its services, so that a scrape costs little."""

from __future__ import annotations

import gc
import sys
from enum import Enum
from types import BuiltinFunctionType, FunctionType, ModuleType
from typing import TYPE_CHECKING, Final, NamedTuple

from xds.model.events import ObjectKey
from xds.model.exports import EXPORTS
from xds.model.service import CLUSTERSET, ServiceKey

if TYPE_CHECKING:
    from collections.abc import Iterable

    from xds.admin.state import ControlPlane

SAMPLE: Final = 64
"""Services that are measured, of all clusters together; at least LEAST of each."""
LEAST: Final = 2
OF_A_SERVICE: Final = ("Service", *EXPORTS, "ServiceImport")
_SHARED = (type, ModuleType, FunctionType, BuiltinFunctionType, Enum)
"""What is there whether objects refer to it or not."""


class Memory(NamedTuple):
    """Bytes, estimated. Encoded resources and what libraries and the interpreter need come on top."""

    service: int
    """For a service: its objects, slices and what was made of them, but for the endpoints."""
    endpoint: int
    """For an endpoint."""
    cluster: int
    """For all services and endpoints of the cluster."""


def memory_of(plane: ControlPlane, cluster: str) -> Memory:
    """Return what is taken by what is known of a member's services."""
    known = plane.clusters.get(cluster)
    keys = sorted(key for key in plane.services if key.scope == cluster)
    if known is None or not keys:
        return Memory(0, 0, 0)
    number = min(len(keys), max(LEAST, SAMPLE // max(1, len(plane.members))))
    endpoints: list[object] = []
    others: list[object] = []
    measured = 0
    for key in (keys[index * len(keys) // number] for index in range(number)):
        name = (key.namespace, key.name)
        slices = known.slices.get(name, {}).values()
        told = [one for item in slices for one in item.endpoints or ()]
        services = [plane.services.get(ServiceKey(*name, scope)) for scope in (cluster, CLUSTERSET)]
        made = (one for found in services if found for held in found.endpoints.values() for one in held)
        measured += len(told)
        endpoints += [*told, *(one for one in made if one.locality.cluster == cluster)]
        others += [key, *slices, *services, *(known.items.get(ObjectKey(kind, *name)) for kind in OF_A_SERVICE)]
    seen: set[int] = set()
    endpoint = deep_bytes(endpoints, seen) // max(1, measured)
    service = deep_bytes(others, seen) // number
    number_of_endpoints = sum(len(item.endpoints or ()) for found in known.slices.values() for item in found.values())
    return Memory(service, endpoint, service * len(keys) + endpoint * number_of_endpoints)


def deep_bytes(roots: Iterable[object], seen: set[int]) -> int:
    """Return the bytes of objects and of all that they refer to, each counted once.

    Args:
        roots: where to begin.
        seen: ids of what was counted before; what is counted now is added.
    """
    total, waiting = 0, [one for one in roots if one is not None]
    while waiting:
        one = waiting.pop()
        if id(one) in seen or isinstance(one, _SHARED):
            continue
        seen.add(id(one))
        total += sys.getsizeof(one)
        waiting += gc.get_referents(one)
    return total
