"""EndpointSlices that belong to no Service: what is wrong with their labels."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Final

from xds.model.events import ref_of
from xds.model.slices import SERVICE_NAME_LABEL
from xds.problems import Problem, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from xds.model.objects import EndpointSlice
    from xds.model.service import ServiceKey

GUESSES: Final = 20
"""How many wrong names are compared with the right ones: it takes milliseconds where a namespace has thousands."""


def unowned_slices(owners: Mapping[ServiceKey, Iterable[EndpointSlice]], services: Iterable[ServiceKey]) -> Iterator[Problem]:
    """Yield a problem for each slice of a Service that does not exist.

    Args:
        owners: what slices say they belong to (its name is "" if they do not say it), with those slices.
        services: all services.
    """
    names: dict[tuple[str, str], list[str]] = defaultdict(list)
    for key in services if owners else ():
        names[key.scope, key.namespace].append(key.name)
    for number, owner in enumerate(sorted(owners)):
        if owner.name:
            message = f"there is no Service {owner.namespace}/{owner.name} in {owner.scope}; its endpoints are not served"
            near = did_you_mean(owner.name, names[owner.scope, owner.namespace]) if number < GUESSES else ""
            hint = near or "fix the label, or add the Service"
        else:
            message, hint = "says of no Service that it belongs to it; its endpoints are not served", "add the label"
        for item in owners[owner]:
            yield Problem("XDS0216", message, ref_of(owner.scope, item), f'metadata.labels["{SERVICE_NAME_LABEL}"]', hint)
