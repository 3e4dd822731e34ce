"""One API server as a user's kubeconfig reaches it: objects read, applied and deleted, and errors that say what to do."""

from __future__ import annotations

import base64
from contextlib import asynccontextmanager
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

import msgspec

from xds.discovery.live.api_server import ApiServer, UnreachableError
from xds.discovery.live.collection import Refusal
from xds.discovery.live.kubeconfig import read_kubeconfig, user_of
from xds.discovery.live.resources import NOT_FOUND
from xds.discovery.live.writing import APPLY, CONFLICT
from xds.discovery.remote.objects import MANAGER, is_ours, path_of, plural, title, unclaimed
from xds.errors import ChangedError, ConfigurationError, XdsError
from xds.problems import did_you_mean

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from xds.discovery.live.kubeconfig import Context
    from xds.discovery.remote.objects import Object

UNAUTHORIZED: Final = 401
FORBIDDEN: Final = 403
_MODIFIED: Final = "the object has been modified"
"""What API servers say of another `resourceVersion`; a field that somebody else owns is a conflict, too."""
INVISIBLE: Final = ("managedFields", "resourceVersion", "generation")
"""What changes in an object's metadata though it says the same."""


class RemoteError(XdsError):
    """A cluster does not do what a command needs: which one, what about, and the remedy."""


class Outcome(StrEnum):
    """What became of an object."""

    CREATED = "created"
    CHANGED = "changed"
    UNCHANGED = "unchanged"
    DELETED = "deleted"
    ABSENT = "not there"
    FOREIGN = "left, xdsctl did not make it"
    IN_USE = "left, something else is in it"


@dataclass(frozen=True, slots=True)
class Place:
    """A context of a kubeconfig file, and what people call the cluster behind it."""

    title: str
    """`cluster east`, `the hub`."""
    context: Context


def current_context(file: Path, name: str = "") -> str:
    """Return the name of a context: the one asked for, or the file's current one.

    Raises:
        ConfigurationError: the file cannot be used, or has no such context.
    """
    found = read_kubeconfig(file)
    wanted = name or str(found.content.get("current-context") or "")
    if wanted not in found.contexts:
        hint = did_you_mean(wanted, found.contexts) or f"there are {', '.join(found.contexts) or 'none'}"
        what = f"no context {wanted!r}" if wanted else "no current context; choose one with --context"
        raise ConfigurationError(f"{file} has {what}; {hint}")
    return wanted


class Target:
    """A connection for one command.

    Args:
        title: what people call the cluster.
        server: the connection.
        is_dry: whether nothing may be changed; what would become of it is told nevertheless.
    """

    def __init__(self, title: str, server: ApiServer, *, is_dry: bool = False) -> None:
        self.title = title
        self.server = server
        self.is_dry = is_dry

    async def get(self, item: Object) -> Object | None:
        """Return an object as it is now; None if it is not there."""
        try:
            return _decoded(await self._ask("GET", path_of(item)))
        except Refusal as error:
            if error.status == NOT_FOUND:
                return None
            raise self._refused(error, "get", item) from error

    async def apply(self, item: Object) -> Outcome:
        """Make an object be as given, by server-side apply; what somebody else has made is not marked as ours.

        Raises:
            RemoteError: the server refuses, or cannot be reached.
        """
        found = await self.get(item)
        if found is not None and item["kind"] == "Namespace":
            return Outcome.UNCHANGED  # there is nothing in it that we would have to change
        if found is None and self.is_dry:
            return Outcome.CREATED
        after = await self._applied(item, found)
        if found is None:
            return Outcome.CREATED
        return Outcome.UNCHANGED if _said(after) == _said(found) else Outcome.CHANGED

    async def compare_and_set(self, item: Object, version: str) -> str:
        """Make an object be as given if nobody has changed it; return its `resourceVersion` then.

        Args:
            item: it.
            version: its `resourceVersion` as it was read; "": it was not there. Server-side apply cannot insist on that, so that
                one who makes it between our look and our write is not noticed.

        Raises:
            ChangedError: it has another version, or is or is not there.
            RemoteError: the server refuses, or cannot be reached.
        """
        found = await self.get(item)
        if (found["metadata"]["resourceVersion"] if found else "") != version:
            raise ChangedError(f"{self.title}: somebody else has changed {title(item)}")
        wanted = {**item, "metadata": {**item["metadata"], "resourceVersion": version}} if found else item
        return str((await self._applied(wanted, found))["metadata"]["resourceVersion"])

    async def _applied(self, item: Object, found: Object | None) -> Object:
        """Apply an object over what was found; return what comes of it."""
        wanted = item if found is None or is_ours(found) else unclaimed(item)
        query = (("fieldManager", MANAGER), *((("dryRun", "All"),) if self.is_dry else ()))
        try:
            return _decoded(await self._ask("PATCH", path_of(item), wanted, query, content_type=APPLY))
        except Refusal as error:
            if error.status == CONFLICT and _MODIFIED in error.message:
                raise ChangedError(f"{self.title}: somebody else has changed {title(item)}") from error
            raise self._refused(error, "patch", item) from error

    async def delete(self, item: Object, version: str = "") -> Outcome:
        """Delete an object if `xdsctl` has made it.

        Args:
            item: it.
            version: the only `resourceVersion` that is to be deleted; "": any.

        Raises:
            ChangedError: it has another version.
            RemoteError: the server refuses, or cannot be reached.
        """
        found = await self.get(item)
        if found is None:
            return Outcome.ABSENT
        if not is_ours(found):
            return Outcome.FOREIGN
        if not self.is_dry:
            conditions = {"uid": found["metadata"]["uid"], **({"resourceVersion": version} if version else {})}
            options = {"apiVersion": "v1", "kind": "DeleteOptions", "preconditions": conditions}
            try:
                await self._ask("DELETE", path_of(item), options)
            except Refusal as error:
                if error.status == CONFLICT and version:
                    raise ChangedError(f"{self.title}: somebody else has changed {title(item)}") from error
                if error.status != NOT_FOUND:
                    raise self._refused(error, "delete", item) from error
        return Outcome.DELETED

    async def names(self, path: str) -> list[str]:
        """Return the names of some objects of a collection, enough to tell whether there are others than a few.

        Raises:
            RemoteError: the server refuses, or cannot be reached.
        """
        return [item["metadata"]["name"] for item in await self.items(path, limit=10)]

    async def items(self, path: str, *, limit: int = 0) -> list[Object]:
        """Return the objects of a collection.

        Args:
            path: of the collection.
            limit: of how many; 0: all.

        Raises:
            RemoteError: the server refuses, or cannot be reached.
        """
        try:
            found = _decoded(await self._ask("GET", path, query=(("limit", str(limit)),) if limit else ()))
        except Refusal as error:
            what = path.rpartition("/")[2]
            if error.status == NOT_FOUND:
                raise RemoteError(f"{self.title} knows no {what}; apply {_crd(path)}") from error
            raise RemoteError(f"{self.title}: {what} cannot be listed: {error}; use an administrator's context") from error
        items: list[Object] = found["items"] or []
        return items

    async def _ask(
        self,
        method: str,
        path: str,
        body: Any = None,
        query: tuple[tuple[str, str], ...] = (),
        *,
        content_type: str = "application/json",
    ) -> bytes:
        try:
            if method == "GET":
                return await self.server.get(path, query)
            return await self.server.send(method, path, body, query, content_type=content_type)
        except UnreachableError as error:
            raise RemoteError(f"{self.title}: {error}; is its kubeconfig the right one?") from error

    def _refused(self, error: Refusal, verb: str, item: Object) -> RemoteError:
        group, _, _ = item["apiVersion"].rpartition("/")
        resource = f"{plural(item)}.{group}" if group else plural(item)
        remedy = "look at the API server's log"
        if error.status == UNAUTHORIZED:
            remedy = "its kubeconfig's credentials are not accepted; renew them"
        elif "being terminated" in error.message:
            remedy = "wait until that is gone, and try again"
        elif error.status == FORBIDDEN:
            rights = "`create` and `patch`" if verb == "patch" else f"`{verb}`"
            remedy = f"the right to {rights} {resource} is missing, or one that is to be granted; use an administrator's context"
        elif error.status == NOT_FOUND:
            remedy = f"it knows no {resource}; apply {_crd(resource)}"
        elif error.status == CONFLICT:
            remedy = "somebody else has set that field; change it there, or delete the object, and try again"
        what = {"patch": "applied", "get": "read", "delete": "deleted"}[verb]
        return RemoteError(f"{self.title}: {title(item)} cannot be {what}: {error}; {remedy}")


@asynccontextmanager
async def connected(place: Place, *, is_dry: bool = False) -> AsyncIterator[Target]:
    """Connect to a cluster.

    Raises:
        ConfigurationError: the kubeconfig cannot be used.
    """
    found = read_kubeconfig(place.context.file)
    # Inline certificates go to files that stay until the process ends: `kubernetes.aio` uses those of equal content again.
    server = await ApiServer.connect(found.content, context=place.context.name, base_path=found.directory)
    try:
        yield Target(place.title, server, is_dry=is_dry)
    finally:
        await server.close()


def cluster_of(context: Context) -> dict[str, Any]:
    """Return the cluster part of a context, with nothing in it that would have to be read here.

    Raises:
        ConfigurationError: the kubeconfig, or a file that it refers to, cannot be used.
    """
    found = read_kubeconfig(context.file)
    user_of(found.content, context.name)  # which says what is missing
    by_name = {key: {one["name"]: one[key[:-1]] for one in found.content[key]} for key in ("contexts", "clusters")}
    cluster: dict[str, Any] = by_name["clusters"][by_name["contexts"][context.name]["cluster"]]
    if file := cluster.get("certificate-authority"):
        try:
            authority = (found.directory / file).read_bytes()
        except OSError as error:
            raise ConfigurationError(f"cannot read {file}, which {context.file} refers to: {error.strerror}") from error
        cluster = {**cluster, "certificate-authority-data": base64.b64encode(authority).decode()}
    kept = ("server", "certificate-authority-data", "tls-server-name", "insecure-skip-tls-verify", "proxy-url")
    return {key: cluster[key] for key in kept if key in cluster}


def _crd(resource: str) -> str:
    ours = next((name for name in ("memberclusters", "trafficoverrides") if name in resource), "")
    return f"deploy/crds/{ours}.yaml" if ours else "what defines it"


def _decoded(body: bytes) -> Object:
    found: Object = msgspec.json.decode(body)
    return found


def _said(item: Object) -> Object:
    """Return an object without what changes though it says the same."""
    return {**item, "metadata": {key: value for key, value in item["metadata"].items() if key not in INVISIBLE}}
