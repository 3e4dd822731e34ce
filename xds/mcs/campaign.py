"""The campaign for a lease: reads it, takes it and keeps it over one API server."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, Protocol

import msgspec

from xds.errors import XdsError
from xds.mcs.lease import RENEW_S, Candidate, Lease
from xds.undecodable import UNDECODABLE

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

NAMESPACE: Final = "isthmus-system"
"""Of all our leases."""


class LeaseClient(Protocol):
    """Reads and writes leases of one API server; both raise XdsError if that fails."""

    async def read_lease(self, namespace: str, name: str) -> bytes | None:
        """Return the lease as JSON, None if there is none."""
        ...

    async def write_lease(self, namespace: str, name: str, body: bytes, *, is_new: bool) -> bool:
        """Create or replace the lease; False if somebody else was quicker."""
        ...


class Campaign:
    """Of one replica for one lease.

    Args:
        client: how it is read and written.
        identity: of this replica among all.
        name: of the lease.
        on_won: called when this replica may write from now on.
        on_error: called when `error` has changed.
    """

    def __init__(
        self, client: LeaseClient, identity: str, name: str, *, on_won: Callable[[], None], on_error: Callable[[], None]
    ) -> None:
        self.error: XdsError | None = None
        """Why the lease cannot be had."""
        self._client = client
        self._candidate = Candidate(identity, name, NAMESPACE)
        self._on_won = on_won
        self._on_error = on_error

    @property
    def leads(self) -> bool:
        """Whether this replica may write."""
        return self._candidate.leads(asyncio.get_running_loop().time())

    async def run(self, write: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Get the lease and keep it until cancelled, then give it up.

        Args:
            write: runs beside it, and writes while this replica leads.
        """
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._keep())
                tasks.create_task(write())
        finally:
            await self._resign()

    async def _keep(self) -> None:
        while True:
            led, before = self.leads, self.error
            try:
                await self._renew(release=False)
            except XdsError as error:
                self.error = error
            else:
                self.error = None
            if str(before) != str(self.error):
                self._on_error()
            if self.leads and not led:
                self._on_won()
            await asyncio.sleep(RENEW_S)

    async def _resign(self) -> None:
        """Give it up, so that others need not wait."""
        if self.leads:
            try:
                async with asyncio.timeout(2):
                    await self._renew(release=True)
            except (XdsError, TimeoutError):
                pass  # others wait until it is over

    async def _renew(self, *, release: bool) -> None:
        began_s, candidate = asyncio.get_running_loop().time(), self._candidate
        found = await self._client.read_lease(candidate.namespace, candidate.name)
        try:
            current = msgspec.json.decode(found, type=Lease) if found is not None else None
        except UNDECODABLE as error:
            raise XdsError(f"what the server answers is no Lease: {error}") from error
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        wanted = candidate.wanted(current, asyncio.get_running_loop().time(), now, release=release)
        if wanted is not None:
            body = msgspec.json.encode(wanted)
            is_written = await self._client.write_lease(candidate.namespace, candidate.name, body, is_new=current is None)
            if is_written and not release:
                candidate.renewed(began_s)
