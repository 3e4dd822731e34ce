"""Writes to one member's API server: what the MCS implementation needs (`xds.mcs.writer.Client`)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec

from xds.discovery.live.api_server import UnreachableError
from xds.discovery.live.collection import Refusal
from xds.discovery.live.resources import NOT_FOUND
from xds.errors import XdsError

if TYPE_CHECKING:
    from collections.abc import Callable

    from xds.discovery.live.api_server import ApiServer
    from xds.discovery.live.member import MemberSource
    from xds.model.events import ObjectKey

FIELD_MANAGER: Final = "isthmus"
APPLY: Final = "application/apply-patch+yaml"
CONFLICT: Final = 409
LEASES: Final = "/apis/coordination.k8s.io/v1/namespaces/{}/leases"


class WriteError(XdsError):
    """A write that the API server refused: why, in its own words."""


class MemberWriter:
    """Writes to a member by whatever connection it has.

    Args:
        member: returns what keeps up with it; None before that begins.
    """

    def __init__(self, member: Callable[[], MemberSource | None]) -> None:
        self._member = member

    async def apply(self, key: ObjectKey, body: dict[str, Any], *, is_status: bool) -> None:
        """Make an object, or its status, be as given, by server-side apply; what others have set beside it stays.

        Raises:
            WriteError: the server refuses.
            UnreachableError: it cannot be reached.
        """
        path, version = self._path(key)
        group, _, _ = str(body["apiVersion"]).rpartition("/")
        document = {**body, "apiVersion": f"{group}/{version}" if group else version}
        query = (("fieldManager", FIELD_MANAGER), ("force", "true"))
        await self._send("PATCH", f"{path}/status" if is_status else path, document, query, content_type=APPLY)

    async def delete(self, key: ObjectKey) -> None:
        """Delete an object; it may be gone already.

        Raises:
            WriteError: the server refuses.
            UnreachableError: it cannot be reached.
        """
        path, _ = self._path(key)
        try:
            await self._send("DELETE", path)
        except WriteError as error:
            if not isinstance(error.__cause__, Refusal) or error.__cause__.status != NOT_FOUND:
                raise

    async def read_lease(self, namespace: str, name: str) -> bytes | None:
        """Return a Lease as JSON, None if there is none.

        Raises:
            WriteError: the server refuses.
            UnreachableError: it cannot be reached.
        """
        try:
            return await self._connected().get(f"{LEASES.format(namespace)}/{name}")
        except Refusal as error:
            if error.status == NOT_FOUND:
                return None
            raise WriteError(str(error)) from error

    async def write_lease(self, namespace: str, name: str, body: bytes, *, is_new: bool) -> bool:
        """Create a Lease, or replace the version that the body names; False if somebody else was quicker.

        Raises:
            WriteError: the server refuses.
            UnreachableError: it cannot be reached.
        """
        path = LEASES.format(namespace)
        document = msgspec.json.decode(body)
        try:
            if is_new:
                await self._send("POST", path, document)
            else:
                await self._send("PUT", f"{path}/{name}", document)
        except WriteError as error:
            if isinstance(error.__cause__, Refusal) and error.__cause__.status == CONFLICT:
                return False
            raise
        return True

    def _path(self, key: ObjectKey) -> tuple[str, str]:
        """Return the path of an object, and the version that it is served in."""
        member = self._member()
        served = member.served.get(key.kind) if member else None
        if served is None:
            raise WriteError(f"the cluster has no {key.kind}; install its CRD")
        return f"{served.in_namespace(key.namespace)}/{key.name}", served.version

    def _connected(self) -> ApiServer:
        member = self._member()
        if member is None or member.server is None:
            raise UnreachableError("there is no connection to the cluster")
        return member.server

    async def _send(
        self,
        method: str,
        path: str,
        body: Any = None,
        query: tuple[tuple[str, str], ...] = (),
        *,
        content_type: str = "application/json",
    ) -> bytes:
        try:
            return await self._connected().send(method, path, body, query, content_type=content_type)
        except Refusal as error:
            raise WriteError(str(error)) from error
