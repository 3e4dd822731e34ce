"""How a member's API server is reached, as it is said now: by a kubeconfig file, or by what the hub registers."""

from __future__ import annotations

import asyncio
import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from xds.discovery.live.kubeconfig import read_kubeconfig
from xds.discovery.registry.kubeconfigs import NAME
from xds.errors import ConfigurationError

if TYPE_CHECKING:
    from pathlib import Path

    from xds.discovery.live.kubeconfig import Context
    from xds.discovery.registry.registrations import Registration


@dataclass(frozen=True, slots=True)
class Credentials:
    """A kubeconfig, and which of its contexts."""

    content: dict[str, Any]
    context: str
    digest: bytes
    """Changes with the content."""
    directory: Path | None = None
    """Where its relative paths begin."""


class Access(Protocol):
    """Says how to reach one API server."""

    async def credentials(self) -> Credentials:
        """Return what is said now.

        Raises:
            ConfigurationError: nothing that can be used.
        """
        ...

    @property
    def origin(self) -> str:
        """Where it is said, for people."""
        ...


@dataclass(frozen=True, slots=True)
class FileAccess:
    """By a context of a kubeconfig file, which may change."""

    context: Context

    async def credentials(self) -> Credentials:
        """Return what the file says now.

        Raises:
            ConfigurationError: it cannot be read, or is no kubeconfig.
        """
        found = await asyncio.to_thread(read_kubeconfig, self.context.file)
        return Credentials(found.content, self.context.name, found.digest, found.directory)

    @property
    def origin(self) -> str:
        """File and context."""
        return f"context {self.context.name} of {self.context.file}"


class RegisteredAccess:
    """By a registration, which may change.

    Args:
        registration: the first one.
        hub: how the hub itself is reached, for registrations that go through it.
    """

    def __init__(self, registration: Registration, hub: Access) -> None:
        self.registration = registration
        self._hub = hub

    async def credentials(self) -> Credentials:
        """Return what is registered now.

        Raises:
            ConfigurationError: the hub's own kubeconfig cannot be used.
        """
        kubeconfig = self.registration.kubeconfig
        if kubeconfig is None:
            return _behind(await self._hub.credentials(), self.registration.path)
        digest = hashlib.blake2b(msgspec.json.encode(kubeconfig, order="sorted"), digest_size=16).digest()
        return Credentials(kubeconfig, NAME, digest)

    @property
    def origin(self) -> str:
        """The registration, e.g. `Secret isthmus/east of the hub`."""
        ref = self.registration.origin
        return f"{ref.kind} {f'{ref.namespace}/' if ref.namespace else ''}{ref.name} of the hub"


def _behind(hub: Credentials, path: str) -> Credentials:
    """Return the hub's credentials for an API server that it stands in front of."""
    contexts = {one["name"]: one.get("context") for one in hub.content["contexts"]}
    name = (contexts.get(hub.context) or {}).get("cluster")
    clusters = [
        {**one, "cluster": {**one["cluster"], "server": f"{one['cluster']['server'].rstrip('/')}{path}"}}
        for one in hub.content["clusters"]
        if one["name"] == name and isinstance(one.get("cluster"), dict) and isinstance(one["cluster"].get("server"), str)
    ]
    if not clusters:
        raise ConfigurationError(f"the hub's context {hub.context!r} has no cluster with a server")
    digest = hashlib.blake2b(hub.digest + path.encode(), digest_size=16).digest()
    return Credentials({**hub.content, "clusters": clusters}, hub.context, digest, hub.directory)
