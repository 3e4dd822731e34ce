"""Conditions of MemberClusters: what is known of a cluster is told where its owner looks, by one replica of all.

`Connected` says how fresh what we know of it is, `Problems` whether anything is wrong with it. What an object of the cluster
lacks is not among these.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final, Protocol

from xds.discovery.live.api_server import UnreachableError
from xds.errors import XdsError
from xds.mcs.campaign import Campaign, LeaseClient
from xds.mcs.conditions import dated, stamped
from xds.mcs.plan import plain
from xds.model.events import MemberState, ObjectKey
from xds.model.objects import Condition, MemberCluster
from xds.problems import Problem, worst_first

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from xds.model.members import Member

LEASE_NAME: Final = "isthmus-members"
GATHER_S: Final = 1.0
RETRY_S: Final = 30.0
SHOWN: Final = 3
"""Problems in a message."""
STATUS: Final = {MemberState.CONNECTED: "True", MemberState.SYNCING: "Unknown"}


class Client(LeaseClient, Protocol):
    """Writes to the hub."""

    async def apply(self, key: ObjectKey, body: dict[str, Any], *, is_status: bool) -> None:
        """Make an object, or its status, be as given (server-side apply).

        Raises:
            XdsError: that fails.
        """
        ...


def conditions_of(member: Member, problems: Iterable[Problem]) -> tuple[Condition, ...]:
    """Return the conditions of a member.

    Args:
        member: as it is known.
        problems: everything that is wrong anywhere.
    """
    connected = Condition(
        type="Connected", status=STATUS.get(member.state, "False"), reason=str(member.state), message=member.reason
    )
    # Those of its objects have a cluster in their reference: there may be thousands.
    own = sorted((one for one in problems if one.is_about(member.name) and not (one.ref and one.ref.cluster)), key=worst_first)
    if not own:
        return connected, Condition(type="Problems", status="False", reason="None")
    more = f" (and {len(own) - SHOWN} more)" if len(own) > SHOWN else ""
    message = "; ".join(f"{one.code}: {one.message}" for one in own[:SHOWN]) + more
    return connected, Condition(type="Problems", status="True", reason=own[0].code, message=message)


class MemberConditions:
    """Writes them to the hub.

    Args:
        client: how.
        identity: of this replica among all.
        members: returns the members by name.
        declared: returns the MemberClusters that the hub has.
        problems: returns what is wrong.
        on_problems: called when `problems()` may have changed.
    """

    def __init__(
        self,
        client: Client,
        identity: str,
        *,
        members: Callable[[], Mapping[str, Member]],
        declared: Callable[[], Iterable[MemberCluster]],
        problems: Callable[[], Iterable[Problem]],
        on_problems: Callable[[], None],
    ) -> None:
        self._client = client
        self._members = members
        self._declared = declared
        self._problems = problems
        self._on_problems = on_problems
        self._campaign = Campaign(client, identity, LEASE_NAME, on_won=self.changed, on_error=on_problems)
        self._error: XdsError | None = None
        self._wake = asyncio.Event()

    def problems(self) -> Iterator[Problem]:
        """Yield what keeps us from writing."""
        error = self._campaign.error or self._error
        if error and not isinstance(error, UnreachableError):  # that one is told by who reads the hub
            hint = "let the control plane's user patch memberclusters/status, and write leases in isthmus-system"
            yield Problem("XDS0313", f"conditions of MemberClusters cannot be written: {error}", hint=hint)

    def changed(self) -> None:
        """Take into account that members or problems may have changed."""
        self._wake.set()

    async def run(self) -> None:
        """Write until cancelled; then the lease is given up. Without a MemberCluster there is nothing to ask the hub for."""
        while not any(True for _ in self._declared()):
            await self._wake.wait()
            self._wake.clear()
        self._wake.set()
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._campaign.run())
                tasks.create_task(self._write())
        finally:
            await self._campaign.resign()

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
            for item, wanted in [*self._due()] if self._campaign.leads else ():
                try:
                    await self._client.apply(ObjectKey(item.kind, "", item.metadata.name), _status(item, wanted), is_status=True)
                except UnreachableError as error:
                    self._error = error
                    break
                except XdsError as error:
                    self._error = error  # perhaps of this one alone: it may be gone, and be held
            if str(before) != str(self._error):
                self._on_problems()

    def _due(self) -> Iterator[tuple[MemberCluster, list[Condition]]]:
        """Yield what has other conditions than it should have."""
        members, problems = self._members(), [*self._problems()]
        for item in self._declared():
            if member := members.get(item.metadata.name):
                current = {one.type: one for one in item.status.conditions}
                wanted = dated(conditions_of(member, problems), item)
                if any(current.get(one.type) != one for one in wanted):
                    yield item, wanted


def _status(item: MemberCluster, wanted: Iterable[Condition]) -> dict[str, Any]:
    """Return the object with its status."""
    head = {"apiVersion": item.api_version, "kind": item.kind, "metadata": {"name": item.metadata.name}}
    return stamped({**head, "status": {"conditions": [plain(one) for one in wanted]}})
