"""The overrides of a hub, read and written one at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec

from xds.discovery.remote.objects import is_ours, path_of
from xds.discovery.remote.target import Outcome, RemoteError, connected
from xds.model.traffic_objects import TrafficOverride

if TYPE_CHECKING:
    from xds.discovery.remote.objects import Object
    from xds.discovery.remote.target import Place

API_VERSION: Final = "traffic.isthmus.dev/v1alpha1"
KIND: Final = TrafficOverride.__name__


async def read_overrides(hub: Place) -> list[TrafficOverride]:
    """Return the overrides that are there; one that cannot be read is left out, as `serve` does.

    Raises:
        RemoteError: the server refuses, or cannot be reached.
        ConfigurationError: the kubeconfig cannot be used.
    """
    async with connected(hub) as target:
        items = await target.items(path_of(_named("")).rstrip("/"))
    found = []
    for item in items:
        try:
            found.append(msgspec.convert({**item, "apiVersion": API_VERSION, "kind": KIND}, TrafficOverride))
        except msgspec.ValidationError:
            continue
    return found


async def apply_override(hub: Place, document: Object, version: str | None = None) -> str:
    """Make an override be as given, and return its `resourceVersion` then, "" if that does not matter.

    Args:
        hub: where it is.
        document: it.
        version: its `resourceVersion` as it was read, "" if it was not there; None: it does not matter.

    Raises:
        ChangedError: it has another one.
        RemoteError: as above.
        ConfigurationError: as above.
    """
    async with connected(hub) as target:
        if version is not None:
            return await target.compare_and_set(document, version)
        await target.apply(document)
        return ""


async def delete_override(hub: Place, name: str, last: Object | None = None, version: str | None = None) -> None:
    """Delete an override that `xdsctl` has made; it may be gone already.

    Args:
        hub: where it is.
        name: of it.
        last: what it is made to be before, so that it does nothing any longer even where a control plane holds the deletion, as
            it does if a hub loses many objects at once.
        version: with `last`, its `resourceVersion` as it was read; None: it does not matter.

    Raises:
        ChangedError: it has another one.
        RemoteError: as above, or somebody else has made it, who might make it again.
        ConfigurationError: as above.
    """
    async with connected(hub) as target:
        found = await target.get(_named(name)) if last is not None else None
        left = ""
        if last is not None and found is not None and is_ours(found):
            left = await target.compare_and_set(last, found["metadata"]["resourceVersion"] if version is None else version)
        if await target.delete(_named(name), left) is Outcome.FOREIGN:
            remedy = f"delete it where it is kept, or by kubectl delete trafficoverride {name}"
            raise RemoteError(f"the hub: xdsctl did not make {KIND} {name}; {remedy}")


def _named(name: str) -> dict[str, Any]:
    return {"apiVersion": API_VERSION, "kind": KIND, "metadata": {"name": name}}
