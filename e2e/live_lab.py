"""What the tests ask a control plane on live clusters, and the sidecar that it serves."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from interop_waiting import health_of
from shop import members

from xds.cli.demo.control_plane import XDSCTL, ControlPlaneProcess
from xds.cli.demo.manifests import replace_file

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from shop import Shop

    from xds.cli.demo.envoy import EnvoyProcess


@dataclass(frozen=True)
class Sidecar:
    """A real Envoy in cluster east."""

    envoy: EnvoyProcess
    port: int
    """Where applications send their requests."""

    @property
    def name(self) -> str:
        """Of the node."""
        return self.envoy.name

    async def health(self, shop: Shop) -> dict[str, str]:
        """Return address -> health, as Envoy knows the shop's endpoints."""
        return health_of(await self.envoy.hosts(f"{shop.name}:80"))

    async def knows(self, shop: Shop) -> bool:
        """Return whether it has exactly the pods that run."""
        return (await self.health(shop)).keys() == shop.addresses()


def serving(
    directory: Path, kubeconfigs: Iterable[Path], *, declared: bool = True, arguments: Sequence[str] = ()
) -> ControlPlaneProcess:
    """Return `xdsctl serve` on live clusters, to be entered.

    Args:
        directory: for its files.
        kubeconfigs: one a cluster.
        declared: whether a file has a MemberCluster of each.
        arguments: further ones of `serve`.
    """
    clusters = directory / "clusters" if declared else None
    if clusters:
        replace_file(clusters / "members.yaml", members())
    flags = [text for file in kubeconfigs for text in ("--kubeconfig", str(file))]
    return ControlPlaneProcess(clusters, directory / "control-plane.log", [*flags, *arguments])


async def states(plane: ControlPlaneProcess) -> dict[str, str]:
    """Return member -> state."""
    return {item["name"]: item["state"] for item in (await plane.admin("/v1/members"))["items"]}


async def is_as_a_fresh_start(plane: ControlPlaneProcess) -> None:
    """Fail unless the control plane knows the services that one knows which starts now, on the same kubeconfigs."""
    kubeconfigs = [Path(value) for flag, value in pairwise(plane.command) if flag == "--kubeconfig"]
    there = plane.log.parent / "fresh"
    there.mkdir()
    with serving(there, kubeconfigs) as fresh:
        await fresh.wait_ready()
        assert await services(plane) == await services(fresh)


async def services(plane: ControlPlaneProcess) -> dict[tuple[str, str], object]:
    """Return (cluster, name) -> what is told of it."""
    return {(item["cluster"], item["name"]): item for item in (await plane.admin("/v1/services"))["items"]}


async def xdsctl(plane: ControlPlaneProcess, *arguments: str) -> str:
    """Return what the command prints."""
    command = (*XDSCTL, *arguments, "--admin-address", plane.admin_address)
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    told, _ = await process.communicate()
    assert process.returncode == 0
    return told.decode()


async def run(*arguments: object, exits: int = 0) -> tuple[str, str]:
    """Run xdsctl without a control plane, and return what it says on stdout and stderr."""
    pipes = {"stdout": asyncio.subprocess.PIPE, "stderr": asyncio.subprocess.PIPE}
    process = await asyncio.create_subprocess_exec(*XDSCTL, *map(str, arguments), **pipes)
    out, err = (text.decode() for text in await process.communicate())
    assert process.returncode == exits, out + err
    return out, err
