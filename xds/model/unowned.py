"""EndpointSlices that belong to no Service: what is wrong with their labels."""

from __future__ import annotations

from typing import TYPE_CHECKING

from xds.model.events import ref_of
from xds.model.local import SERVICE_NAME_LABEL
from xds.problems import Problem, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from xds.model.events import ObjectKey
    from xds.model.objects import EndpointSlice
    from xds.model.service import ServiceKey


def unowned_slices(owner: ServiceKey, slices: Iterable[EndpointSlice], keys: Iterable[ObjectKey]) -> Iterator[Problem]:
    """Yield a problem for each slice of a Service that does not exist.

    Args:
        owner: what the slices say they belong to; its name is "" if they do not say it.
        slices: the slices.
        keys: all objects of the cluster.
    """
    names = [key.name for key in keys if key.kind == "Service" and key.namespace == owner.namespace]
    if owner.name:
        message = f"there is no Service {owner.namespace}/{owner.name} in {owner.scope}; its endpoints are not served"
        hint = did_you_mean(owner.name, names) or "fix the label, or add the Service"
    else:
        message, hint = "says of no Service that it belongs to it; its endpoints are not served", "add the label"
    for item in slices:
        yield Problem("XDS0216", message, ref_of(owner.scope, item), f'metadata.labels["{SERVICE_NAME_LABEL}"]', hint)
