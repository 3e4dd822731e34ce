"""The hub: the API server whose objects say which clusters there are. It is no member unless it is registered as one."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

import msgspec
from msgspec.structs import replace

from xds.discovery.live.api_server import UnreachableError
from xds.discovery.live.collection import Refusal
from xds.discovery.live.member import FORBIDDEN, MemberSource
from xds.discovery.live.resources import NOT_FOUND
from xds.discovery.registry import registry_objects as registry
from xds.discovery.registry.registrations import Hub, Registered, registered
from xds.model.events import FLEET, Delete, MemberState, Upsert
from xds.model.kinds import KINDS, Level
from xds.model.objects import MemberCluster
from xds.problems import Problem
from xds.undecodable import UNDECODABLE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from xds.discovery.live.api_server import ApiServer
    from xds.discovery.live.fleet_wide import FleetWide
    from xds.discovery.registry.registrations import SecretName
    from xds.errors import ConfigurationError
    from xds.model.events import Event
    from xds.model.kinds import Kind

LOOK_S: Final = 10.0
"""How often Secrets are read that others refer to."""
GATHER_S: Final = 0.05
FLEET_WIDE: Final = tuple(kind for kind in KINDS.values() if Level.FLEET in kind.level)
"""Kinds that are passed on to the model."""
READ: Final[tuple[tuple[str, Kind], ...]] = (
    *((kind.name, kind) for kind in FLEET_WIDE),
    ("own secrets", registry.OWN_SECRET),
    ("Istio's secrets", registry.ISTIO_SECRET),
    ("karmada", registry.KARMADA),
    ("flomesh", registry.FLOMESH),
    ("erie_canal", registry.ERIE_CANAL),
    ("kubefed", registry.KUBEFED),
    ("profiles", registry.PROFILE),
)
"""What is read of the hub, each kind by a source of its own, since some share a name."""
_SECRETS = msgspec.json.Decoder(registry.Secret)


class HubSource:
    """Reads the registries.

    Args:
        fleet_wide: gets what is fleet-wide.
        on_synced: called when that has been told, as far as the hub can be reached.
        on_registered: gets what is registered, and whether that is all, whenever that changes.
        on_problems: called when `problems()` may have changed.
        plugins: access providers of ClusterProfiles -> `exec` of a kubeconfig's user.
    """

    def __init__(
        self,
        fleet_wide: FleetWide,
        on_synced: Callable[[], None],
        on_registered: Callable[[Registered, bool], None],
        on_problems: Callable[[], None],
        plugins: Mapping[str, Mapping[str, Any]],
    ) -> None:
        self._fleet_wide = fleet_wide
        self._on_synced = on_synced
        self._on_registered = on_registered
        self._on_problems = on_problems
        self._plugins = plugins
        self._sources = {
            what: MemberSource("the hub", (kind,), self._take, self._touch, fleet_wide.of(kind.name)) for what, kind in READ
        }
        self._secrets: dict[SecretName, registry.Secret | None] = {}
        self._forbidden: dict[SecretName, str] = {}
        """Secrets that we may not read -> why, in the server's words."""
        self._registered: tuple[Registered, bool] | None = None
        self._is_told = False
        self._wake = asyncio.Event()

    @property
    def is_unauthorized(self) -> bool:
        """Whether the hub does not accept our credentials: they may have expired."""
        return any(source.is_unauthorized for source in self._sources.values())

    @property
    def is_synced(self) -> bool:
        """Whether everything was told once."""
        return all(source.is_synced for source in self._sources.values())

    @property
    def failure(self) -> str:
        """Why it cannot be kept up with; "" if it can."""
        return next((source.failure for source in self._sources.values() if source.failure), "")

    def source(self, what: str) -> MemberSource:
        """Return what keeps up with one of `READ`."""
        return self._sources[what]

    def problems(self) -> Iterator[Problem]:
        """Yield what is wrong with the hub and what it registers; what every source says is said once."""
        found = [problem for source in self._sources.values() for problem in source.problems()]
        yield from {problem.about or problem.message: problem for problem in reversed(found)}.values()
        for (namespace, name), why in sorted(self._forbidden.items()):
            message = f"the hub does not let us read Secret {namespace}/{name}: {why}"
            yield Problem("XDS0302", message, hint="let the control plane's user get it; the rest is served")
        if self._registered:
            yield from self._registered[0].problems

    def cannot_begin(self, error: ConfigurationError) -> None:
        """Take into account that there is no way to connect: nobody needs to wait for the hub."""
        for source in self._sources.values():
            source.cannot_begin(error)
        self._tell_synced()

    async def run(self, server: ApiServer) -> None:
        """Read over one connection until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            for source in self._sources.values():
                tasks.create_task(source.run(server))
            tasks.create_task(self._register(server))

    def _take(self, events: list[Event]) -> None:
        """Pass on what is fleet-wide, and look at everything anew."""
        changes = [event for event in events if isinstance(event, (Upsert, Delete)) and event.key.kind in KINDS]
        self._fleet_wide.take([replace(one, cluster=FLEET) for one in changes])
        self._touch()

    def _touch(self) -> None:
        self._wake.set()
        if all(one.state is MemberState.STALE for one in self._sources.values()):
            self._tell_synced()  # whoever asks it for Secrets waits for long
        self._on_problems()

    def _tell_synced(self) -> None:
        if not self._is_told and all(one.is_synced or one.state is MemberState.STALE for one in self._sources.values()):
            self._is_told = True
            self._on_synced()

    async def _register(self, server: ApiServer) -> None:
        """Tell what is registered, whenever that changes."""
        while True:
            forbidden = self._forbidden.copy()
            await self._read_secrets(server, self._registered[0].secrets if self._registered else ())
            found = registered(self._hub())
            if found.needed:
                await self._read_secrets(server, found.needed)
                found = registered(self._hub())
            for name in self._secrets.keys() - found.secrets:
                del self._secrets[name]
            for name in self._forbidden.keys() - found.secrets:
                del self._forbidden[name]
            told = found, self.is_synced
            if told != self._registered:
                self._registered = told
                self._on_registered(*told)
                self._on_problems()
            elif self._forbidden != forbidden:
                self._on_problems()
            self._tell_synced()
            try:
                async with asyncio.timeout(LOOK_S):
                    await self._wake.wait()
            except TimeoutError:
                pass
            await asyncio.sleep(GATHER_S)
            self._wake.clear()

    def _hub(self) -> Hub:
        return Hub(
            members=[item for item in self._fleet_wide.of("MemberCluster") if isinstance(item, MemberCluster)],
            labelled=(*self._of("own secrets"), *self._of("Istio's secrets")),
            karmada=self._of("karmada"),
            flomesh=self._of("flomesh"),
            erie_canal=self._of("erie_canal"),
            kubefed=self._of("kubefed"),
            profiles=self._of("profiles"),
            secrets=dict(self._secrets),
            plugins=self._plugins,
        )

    def _of(self, what: str) -> tuple[Any, ...]:
        return tuple(item for collection in self._sources[what].collections.values() for item in collection.objects.values())

    async def _read_secrets(self, server: ApiServer, names: Iterable[SecretName]) -> None:
        """Read Secrets; one that cannot be read stays as it was."""
        for namespace, name in sorted(names):
            try:
                body = await server.get(f"/api/v1/namespaces/{namespace}/secrets/{name}")
                self._secrets[namespace, name] = _SECRETS.decode(body)
            except Refusal as error:
                if error.status == FORBIDDEN:
                    self._forbidden[namespace, name] = error.message
                    continue
                if error.status == NOT_FOUND:
                    self._secrets[namespace, name] = None
            except (UnreachableError, *UNDECODABLE):
                continue
            self._forbidden.pop((namespace, name), None)
