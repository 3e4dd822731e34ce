"""The same clusters by kind, for people who have Docker: E2E_PROVIDER=kind."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
from typing import TYPE_CHECKING

from interop_waiting import eventually
from kubernetes_api import KubernetesApi
from provider import Cluster, Provider

if TYPE_CHECKING:
    from pathlib import Path

PREFIX = "isthmus-e2e-"
CREATE_S = 300
_WITHOUT_KUBELETS = {
    "controllerManager": {"extraArgs": {"controllers": "*,-node-lifecycle-controller,-pod-garbage-collector-controller"}}
}
"""The tests' own nodes have no kubelet; these controllers would take their pods for lost."""


class KindProvider(Provider):
    """Clusters in containers.

    Args:
        directory: for kubeconfigs.
    """

    reaches_pods = False  # they are on Docker's network

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._names: list[str] = []

    @staticmethod
    def missing() -> str:
        """Return why kind cannot be used here; "" if it can."""
        absent = [name for name in ("kind", "docker") if shutil.which(name) is None]
        return f"no {' and no '.join(absent)}" if absent else ""

    async def start(self, number: int, name: str) -> KindCluster:
        kind_name, kubeconfig = f"{PREFIX}{name}", self._directory / f"{name}.kubeconfig"
        await run("kind", "delete", "cluster", "--name", kind_name)  # what an interrupted run has left
        self._names.append(kind_name)
        config = {
            "kind": "Cluster",
            "apiVersion": "kind.x-k8s.io/v1alpha4",
            "networking": {"serviceSubnet": f"10.{96 + number}.0.0/16", "podSubnet": f"10.{64 + number}.0.0/16"},
            "kubeadmConfigPatches": [json.dumps({"kind": "ClusterConfiguration", **_WITHOUT_KUBELETS})],
        }
        create = ("kind", "create", "cluster", "--name", kind_name, "--config", "-", "--kubeconfig", str(kubeconfig))
        await run(*create, text=json.dumps(config))
        kubeconfig.write_text(await run("kind", "get", "kubeconfig", "--name", kind_name))
        cluster = KindCluster(name, kubeconfig, KubernetesApi(kubeconfig))
        await cluster.restart()
        return cluster

    async def stop(self) -> None:
        for name in self._names:
            await run("kind", "delete", "cluster", "--name", name)


class KindCluster(Cluster):
    """A cluster whose API server is a static pod in a container: its kubelet starts it again when it ends."""

    def pause(self) -> None:
        self._signal("STOP")

    def resume(self) -> None:
        self._signal("CONT")

    def kill(self) -> None:
        self._signal("KILL")

    async def restart(self) -> None:
        await eventually(self.api.answers, timeout_s=CREATE_S, every_s=0.5)

    def _signal(self, name: str) -> None:
        container = f"{PREFIX}{self.name}-control-plane"
        subprocess.run(("docker", "exec", container, "pkill", f"-{name}", "-x", "kube-apiserver"), check=True)


async def run(*command: str, text: str = "") -> str:
    """Run a command, and return what it prints."""

    def call() -> subprocess.CompletedProcess[str]:
        return subprocess.run(command, input=text, check=False, capture_output=True, text=True, timeout=CREATE_S)

    done = await asyncio.to_thread(call)
    assert done.returncode == 0, f"{' '.join(command)}: {done.stderr}"
    return done.stdout
