"""The writer of conditions: what we make of the objects of one kind is told in them, by one replica of all, when it changes."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol

from xds.discovery.live.api_server import UnreachableError
from xds.errors import XdsError
from xds.mcs.campaign import Campaign, LeaseClient
from xds.mcs.conditions import dated, stamped
from xds.mcs.plan import plain
from xds.model.events import ObjectKey
from xds.problems import Problem

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from xds.mcs.conditions import WithConditions
    from xds.model.objects import Condition

    States = Iterable[tuple[WithConditions, Iterable[Condition]]]
    """Objects, each with the conditions that it should have; their times are the writer's to say."""

GATHER_S: Final = 1.0
RETRY_S: Final = 30.0


class Client(LeaseClient, Protocol):
    """Writes to one API server."""

    async def apply(self, key: ObjectKey, body: dict[str, Any], *, is_status: bool) -> None:
        """Make an object, or its status, be as given (server-side apply).

        Raises:
            XdsError: that fails.
        """
        ...


class Subject(NamedTuple):
    """What is written."""

    lease: str
    """Whose holder writes."""
    what: str
    """The objects, for people: `MemberClusters`."""
    resource: str
    """What the control plane's user has to be allowed to patch."""


class StatusWriter:
    """Of one API server, for one kind of objects.

    Args:
        client: how.
        identity: of this replica among all.
        subject: what.
        states: returns the objects that there are, and the conditions they should have.
        on_problems: called when `problems()` may have changed.
    """

    def __init__(
        self, client: Client, identity: str, subject: Subject, states: Callable[[], States], on_problems: Callable[[], None]
    ) -> None:
        self._client = client
        self._subject = subject
        self._states = states
        self._on_problems = on_problems
        self._campaign = Campaign(client, identity, subject.lease, on_won=self.changed, on_error=on_problems)
        self._error: XdsError | None = None
        self._wake = asyncio.Event()

    def problems(self) -> Iterable[Problem]:
        """Yield what keeps us from writing."""
        error = self._campaign.error or self._error
        if error and not isinstance(error, UnreachableError):  # that one is told by who reads there
            hint = f"let the control plane's user patch {self._subject.resource}, and write leases in isthmus-system"
            yield Problem("XDS0313", f"conditions of {self._subject.what} cannot be written: {error}", hint=hint)

    def changed(self) -> None:
        """Take into account that objects or what is made of them may have changed."""
        self._wake.set()

    async def run(self) -> None:
        """Write until cancelled; then the lease is given up. Without an object there is nothing to ask the API server for."""
        while not any(True for _ in self._states()):
            await self._wake.wait()
            self._wake.clear()
        self._wake.set()
        await self._campaign.run(self._write)

    async def _write(self) -> None:
        while True:
            try:
                async with asyncio.timeout(RETRY_S if self._error else None):
                    await self._wake.wait()
            except TimeoutError:
                pass
            self._wake.clear()
            await asyncio.sleep(GATHER_S)
            before, self._error = self._error, None
            for item, wanted in self._due() if self._campaign.leads else ():
                key = ObjectKey(item.kind, item.metadata.namespace, item.metadata.name)
                try:
                    await self._client.apply(key, _status(item, wanted), is_status=True)
                except UnreachableError as error:
                    self._error = error
                    break
                except XdsError as error:  # what is wrong with one is no reason to leave the others as they are
                    self._error = self._error or error
            if str(before) != str(self._error):
                self._on_problems()

    def _due(self) -> list[tuple[WithConditions, list[Condition]]]:
        """Return what has other conditions than it should have."""
        found = []
        for item, conditions in self._states():
            current = {one.type: one for one in item.status.conditions}
            wanted = dated(conditions, item)
            if any(current.get(one.type) != one for one in wanted):
                found.append((item, wanted))
        return found


def _status(item: WithConditions, wanted: Iterable[Condition]) -> dict[str, Any]:
    """Return the object with its status."""
    metadata = {"name": item.metadata.name, **({"namespace": item.metadata.namespace} if item.metadata.namespace else {})}
    head = {"apiVersion": item.api_version, "kind": item.kind, "metadata": metadata}
    return stamped({**head, "status": {"conditions": [plain(one) for one in wanted]}})
