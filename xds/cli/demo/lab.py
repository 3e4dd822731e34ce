"""Everything that the demo runs: manifests, backends, the control plane, Envoys and their clients."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

from xds.cli.demo import manifests as written
from xds.cli.demo.backends import Backends
from xds.cli.demo.control_plane import ControlPlaneProcess
from xds.cli.demo.envoy import EnvoyProcess
from xds.cli.demo.manifests import Manifests
from xds.cli.demo.places import Cluster, Place, Selection, World
from xds.cli.demo.processes import free_port
from xds.cli.demo.traffic import Client
from xds.cli.node import NodeFlags

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

EAST = Cluster("east", "eu-east", ("east-a", "east-b"))
WEST = Cluster("west", "eu-west", ("west-a", "west-b"))
PODS_PER_ZONE = 3


@dataclass(frozen=True, slots=True)
class Proxy:
    """One Envoy, and the port where its clients find it."""

    name: str
    place: Place
    region: str
    role: str = "sidecar"
    intercept: str = "explicit"
    port: int = field(default_factory=free_port)

    @property
    def listen(self) -> str:
        """Where a sidecar's `outbound` listener listens: not on port 15001, because several sidecars share this machine."""
        address = "0.0.0.0" if self.intercept == "transparent" else "127.0.0.1"  # noqa: S104 - as redirected connections need it
        return f"{address}:{self.port}"

    @property
    def authority(self) -> str:
        """The Host header that leads to the demo's service."""
        return written.GATEWAY_HOST if self.role == "gateway" else written.HOST

    @property
    def node(self) -> NodeFlags:
        """What the Envoy says of itself."""
        said = {"gateway": written.GATEWAY} if self.role == "gateway" else {"intercept": self.intercept, "listen": self.listen}
        place = {"cluster": self.place.cluster, "region": self.region, "zone": self.place.zone}
        return NodeFlags(self.name, role=self.role, namespace=written.NAMESPACE, **place, **said)


def sidecar(cluster: Cluster) -> Proxy:
    """Return a sidecar in the first zone of a cluster."""
    return Proxy(f"sidecar-{cluster.name}", cluster.places[0], cluster.region)


def gateway() -> Proxy:
    """Return a gateway in the cluster that has the Gateway object."""
    return Proxy("gateway", EAST.places[0], EAST.region, role="gateway")


class Lab:
    """Starts everything on entering the context and ends it on leaving.

    Args:
        directory: where manifests, bootstraps and logs are written.
        envoy: the Envoy binary.
        proxies: which Envoys; the default is a sidecar in each cluster and a gateway.
        delta: whether the Envoys speak the incremental variant of xDS.
        delay_s: how long a backend takes to answer.
    """

    def __init__(
        self, directory: Path, envoy: Path, proxies: Sequence[Proxy] = (), *, delta: bool = True, delay_s: float = 0.0
    ) -> None:
        self.directory = directory
        self.proxies = tuple(proxies) or (sidecar(EAST), sidecar(WEST), gateway())
        self.delta = delta
        self.world = World.of((EAST, WEST), pods_per_zone=PODS_PER_ZONE)
        self.backends = Backends(free_port(), delay_s=delay_s)
        gateways = [proxy.port for proxy in self.proxies if proxy.role == "gateway"]
        self.manifests = Manifests(
            directory / "clusters", backend_port=self.backends.port, gateway_port=gateways[0] if gateways else 0
        )
        self.control_plane = ControlPlaneProcess(self.manifests.directory, directory / "control-plane.log")
        self.clients = tuple(Client(proxy.name, proxy.port, proxy.authority) for proxy in self.proxies)
        self.envoys: dict[str, EnvoyProcess] = {}
        self._binary = envoy
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            self.manifests.write(self.world)
            stack.callback(self.backends.close)
            await self.backends.start(self.world.pods)
            stack.enter_context(self.control_plane)
            self.envoys = {proxy.name: self._envoy(proxy) for proxy in self.proxies}
            await self.control_plane.wait_ready()
            for envoy in self.envoys.values():
                stack.enter_context(envoy)
            await asyncio.gather(*(envoy.wait_ready() for envoy in self.envoys.values()))
            self._stack = stack.pop_all()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    def _envoy(self, proxy: Proxy) -> EnvoyProcess:
        from xds.cli.envoy_bootstrap import envoy_bootstrap  # slow to import: done while the control plane starts

        xds_address = self.control_plane.xds_address
        bootstrap = envoy_bootstrap(proxy.node, xds_address, admin_address="127.0.0.1:0", delta=self.delta)
        return EnvoyProcess(proxy.name, bootstrap, self.directory, self._binary)

    def check(self) -> None:
        """Return if every process runs.

        Raises:
            ChildError: one has ended.
        """
        for child in (self.control_plane, *self.envoys.values()):
            child.check()

    def show(self, world: World) -> None:
        """Write the manifests of a world; backends stay as they are."""
        self.world = world
        self.manifests.write(world)

    def turn_not_ready(self, selection: Selection) -> None:
        """Write manifests that say that these pods are not ready."""
        self.show(self.world.not_ready(selection))

    def stop(self, selection: Selection) -> None:
        """Stop these pods as a well-behaved pod stops."""
        self.backends.stop(self.world.select(selection))

    def kill(self, selection: Selection) -> None:
        """End these pods as a crash does; the manifests do not know it yet."""
        self.backends.kill(self.world.select(selection))

    async def restore(self) -> None:
        """Start a new pod for each that is not ready, and write manifests that say so."""
        world = self.world.restored()
        await self.backends.start(pod for pod in world.pods if not self.backends.running(pod))
        self.show(world)
