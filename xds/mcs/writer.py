"""The writer of one cluster: while this replica holds the cluster's lease, what `xds.mcs.plan` says is written there.

It is driven by levels, not by edges: whatever was lost, the plan is made again, for the names that changed at once and for all
from time to time, and says what is still missing.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final, Protocol

import structlog

from xds.errors import XdsError
from xds.mcs.addresses import Addresses, allocate
from xds.mcs.campaign import Campaign, LeaseClient
from xds.mcs.conditions import stamped
from xds.mcs.plan import Put, plan
from xds.mcs.world import names_of
from xds.model import exports
from xds.model.cluster import CLUSTER_ID
from xds.model.events import Upsert
from xds.model.objects import EndpointSlice, ServiceImport
from xds.model.slices import MCS_SERVICE_LABEL, owner_of
from xds.problems import Problem

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from xds.mcs.plan import Write
    from xds.mcs.world import Name, World
    from xds.model.events import Delete, ObjectKey
    from xds.ranges import Network

LEASE_NAME: Final = "isthmus-mcs"
GATHER_S: Final = 0.05
"""Changes of a name that come together are planned once."""
AGAIN_S: Final = 300.0
"""How often everything is planned anew."""
RETRY_S: Final = (1.0, 30.0)
"""How long a name waits after a write of it failed, at first and at most."""
AT_ONCE: Final = 8
"""Names that are written at a time."""
ADDRESSED: Final = frozenset(("Service", *exports.EXPORTS, "ServiceImport", "Namespace"))
"""What addresses of a range depend on; of slices, of which most is told, they do not."""
PLANS: Final = 32
"""After so many plans others have their turn in the event loop."""

_log = structlog.get_logger()


class Client(LeaseClient, Protocol):
    """Writes to one API server; every method raises XdsError if that fails."""

    async def apply(self, key: ObjectKey, body: dict[str, Any], *, is_status: bool) -> None:
        """Make an object, or its status, be as given (server-side apply)."""
        ...

    async def delete(self, key: ObjectKey) -> None:
        """Delete an object; it may be gone already."""
        ...


class Writer:
    """Writes in one cluster.

    Args:
        cluster: where.
        client: how.
        world: returns what is known now, or None as long as nothing is known of the cluster itself.
        identity: of this replica among all.
        on_problems: called when `problems()` may have changed.
        ranges: where clusterset IPs are from, one range of a family; none: they are those of derived Services.
    """

    def __init__(
        self,
        cluster: str,
        client: Client,
        world: Callable[[], World | None],
        *,
        identity: str,
        on_problems: Callable[[], None],
        ranges: Sequence[Network] = (),
    ) -> None:
        self.cluster = cluster
        self.written = 0
        """Writes since the start."""
        self._client = client
        self._world = world
        self._campaign = Campaign(client, identity, LEASE_NAME, on_won=self._take_over, on_error=on_problems)
        self._on_problems = on_problems
        self._ranges = ranges
        self._addresses: Addresses | None = None
        self._is_outdated = True
        """Whether addresses have to be given anew."""
        self._dirty: set[Name] = set()
        self._everything = True
        self._failed: dict[Name, tuple[str, float]] = {}
        """(namespace, name) -> why a write of it failed, and how long it waits."""
        self._wake = asyncio.Event()

    @property
    def leads(self) -> bool:
        """Whether this replica may write."""
        return self._campaign.leads

    def problems(self) -> Iterator[Problem]:
        """Yield what keeps us from writing."""
        hint = "let the control plane's user write it, or do without --mcs for this cluster"
        if self._campaign.error:
            yield Problem("XDS0305", f"the lease of cluster {self.cluster!r} cannot be had: {self._campaign.error}", hint=hint)
        for (namespace, name), (error, _) in sorted(self._failed.items()):
            message = f"what {namespace}/{name} needs in cluster {self.cluster!r} cannot be written: {error}"
            yield Problem("XDS0305", message, hint=hint)
        if self._addresses:
            yield from self._addresses.problems(self.cluster)

    def touch(self, event: Upsert | Delete) -> None:
        """Take into account that an object of any cluster changed."""
        names = touched_by(event)
        self._is_outdated = self._is_outdated or self._may_move_addresses(event)
        if names is None:
            self._everything = True
        else:
            self._dirty |= names
        if names != set():
            self._wake.set()

    def look_again(self) -> None:
        """Take into account that anything may have changed."""
        self._everything = self._is_outdated = True
        self._wake.set()

    async def run(self) -> None:
        """Write until cancelled; then the lease is given up."""
        await self._campaign.run(self._write)

    def _take_over(self) -> None:
        _log.info("writing in cluster", cluster=self.cluster)
        self._everything = True
        self._wake.set()

    async def _write(self) -> None:
        while True:
            try:
                async with asyncio.timeout(min([AGAIN_S, *(wait_s for _, wait_s in self._failed.values())])):
                    await self._wake.wait()
            except TimeoutError:
                self._dirty |= self._failed.keys()
                self._everything = self._everything or not self._failed
            await asyncio.sleep(GATHER_S)
            self._wake.clear()
            world = self._world()
            if world is None:
                continue
            self._dirty |= self._give_addresses(world)
            if not self.leads:
                continue
            names = names_of(world.clusters, self.cluster) if self._everything else self._dirty
            self._dirty, self._everything = set(), False
            given = self._addresses.given if self._addresses else None
            slots = asyncio.Semaphore(AT_ONCE)
            async with asyncio.TaskGroup() as tasks:
                for number, name in enumerate(sorted(names), 1):
                    if not number % PLANS:
                        await asyncio.sleep(0)
                    if writes := list(plan(world, self.cluster, *name, given)):
                        tasks.create_task(self._carry_out(name, writes, slots))
                    else:
                        self._succeeded(name)

    def _may_move_addresses(self, event: Upsert | Delete) -> bool:
        key, given = event.key, self._addresses.given if self._addresses else {}
        if isinstance(event, Upsert) and isinstance(event.object, ServiceImport):  # mostly as we have written it
            return tuple(event.object.spec.ips) != given.get((key.namespace, key.name))
        return key.kind in ADDRESSED

    def _give_addresses(self, world: World) -> set[Name]:
        """Give addresses anew if they may be others now, and return the imports that have others."""
        if not (self._ranges and self._is_outdated):
            return set()
        old = self._addresses or Addresses({})
        self._addresses = new = allocate(world, self.cluster, self._ranges, old.given)
        self._is_outdated = False
        if (new.lacking, new.overlaps) != (old.lacking, old.overlaps):
            self._on_problems()
        return {name for name in old.given.keys() | new.given.keys() if old.given.get(name) != new.given.get(name)}

    async def _carry_out(self, name: Name, writes: list[Write], slots: asyncio.Semaphore) -> None:
        async with slots:
            try:
                for write in writes:
                    if not self.leads:
                        return
                    if isinstance(write, Put):
                        await self._client.apply(write.key, stamped(write.body), is_status=write.is_status)
                    else:
                        await self._client.delete(write.key)
                    self.written += 1
            except XdsError as error:
                _, wait_s = self._failed.get(name, ("", RETRY_S[0] / 2))
                self._failed[name] = str(error), min(2 * wait_s, RETRY_S[1])
                self._on_problems()
            else:
                self._succeeded(name)

    def _succeeded(self, name: Name) -> None:
        if self._failed.pop(name, None):
            self._on_problems()


def touched_by(event: Upsert | Delete) -> set[Name] | None:
    """Return the (namespace, name) of the exported services that an object may be about; None for any."""
    key = event.key
    match key.kind:
        case "Service" | "ServiceImport" | exports.MCS_EXPORT | exports.FLEET_EXPORT:
            found = {(key.namespace, key.name), (key.namespace, key.name.removeprefix("clusterset-"))}
            if isinstance(event, Upsert) and (stands_for := event.object.metadata.labels.get(MCS_SERVICE_LABEL)):
                found.add((key.namespace, stands_for))
            return found
        case "EndpointSlice":
            if not isinstance(event, Upsert) or not isinstance(event.object, EndpointSlice):
                return None
            owner = owner_of(event.object)
            return {(key.namespace, owner.exported or owner.service)}
        case "Namespace" | "MemberCluster":
            return None
        case "ClusterProperty":
            return None if key.name == CLUSTER_ID else set()
    return set()
