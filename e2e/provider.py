"""What the tests ask of whatever runs their clusters."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from kubernetes_api import KubernetesApi


class Cluster(ABC):
    """One running cluster.

    Args:
        name: what the fleet calls it.
        kubeconfig: of its administrator.
        api: the same administrator's client.
    """

    def __init__(self, name: str, kubeconfig: Path, api: KubernetesApi) -> None:
        self.name = name
        self.kubeconfig = kubeconfig
        self.api = api

    @abstractmethod
    def pause(self) -> None:
        """Stop the API server in the midst of what it does (SIGSTOP): connections stay, nothing answers."""

    @abstractmethod
    def resume(self) -> None:
        """Let a paused API server go on."""

    @abstractmethod
    def kill(self) -> None:
        """End the API server as a crash does (SIGKILL)."""

    @abstractmethod
    async def restart(self) -> None:
        """Start the API server, if it does not run, where it was before; returns when it is ready."""


class Provider(ABC):
    """Runs clusters."""

    reaches_pods: bool
    """Whether addresses of pods lead to this machine, so that backends of the tests can be the pods."""

    @abstractmethod
    async def start(self, number: int, name: str) -> Cluster:
        """Return a new cluster; its `number` gives it address ranges of its own, and it is ready."""

    @abstractmethod
    async def stop(self) -> None:
        """End every cluster, whatever state it is in."""
