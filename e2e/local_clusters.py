"""Real Kubernetes without containers: an etcd, an API server and a controller manager for each cluster, as our children.

There is no kubelet: nodes and pods are objects, and the tests write what a kubelet would report. Whatever happens to us, the
kernel ends the children with us.
"""

from __future__ import annotations

import base64
import os
import secrets
import shutil
import signal
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING

import component_commands as commands
import own_network
import yaml
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from interop_waiting import eventually
from kubeconfigs import write_kubeconfig
from kubernetes_api import KubernetesApi
from provider import Cluster, Provider

from xds.cli.demo.processes import Child, free_port

if TYPE_CHECKING:
    from pathlib import Path

    from kubernetes_build import Kubernetes

START_S = 90.0
"""On a machine that has other things to do; alone it takes about 5 s."""


class LocalProvider(Provider):
    """Clusters on 127.0.0.1, in a network of their own.

    Args:
        kubernetes: the programs.
        directory: where each cluster gets a directory of its own for data, certificates and logs.
    """

    reaches_pods = True

    def __init__(self, kubernetes: Kubernetes, directory: Path) -> None:
        own_network.enter()
        self._kubernetes = kubernetes
        self._directory = directory
        self._processes = ExitStack()

    async def start(self, number: int, name: str) -> LocalCluster:
        directory = self._directory / name
        directory.mkdir()
        began_s = time.monotonic()
        parts = _Parts(directory, self._processes)
        etcd_url, peer_url = f"http://127.0.0.1:{free_port()}", f"http://127.0.0.1:{free_port()}"
        data = directory / "etcd"
        etcd = parts.start("etcd", commands.etcd(self._kubernetes.etcd, data, client_url=etcd_url, peer_url=peer_url))
        port, token, certificates = free_port(), secrets.token_hex(16), directory / "certificates"
        key, tokens = directory / "service-accounts.pem", directory / "tokens.csv"
        key.write_bytes(_new_key())
        tokens.write_text(f'{token},admin,admin,"system:masters"\n')
        api_server = parts.start(
            "kube-apiserver",
            commands.api_server(
                self._kubernetes.api_server,
                etcd_url=etcd_url,
                port=port,
                certificates=certificates,
                services=f"10.{96 + number}.0.0/16",
                key=key,
                tokens=tokens,
            ),
        )
        authority = await eventually(lambda: _certificate(certificates / "apiserver.crt", api_server), timeout_s=START_S)
        server = f"https://127.0.0.1:{port}"
        kubeconfig = write_kubeconfig(directory / "admin.kubeconfig", name, server=server, authority=authority, token=token)
        cluster = LocalCluster(name, kubeconfig, KubernetesApi(kubeconfig), api_server, etcd, data)
        await cluster.restart()
        controllers = commands.controller_manager(self._kubernetes.controller_manager, kubeconfig=kubeconfig, key=key)
        cluster.controllers = parts.start("kube-controller-manager", controllers)
        print(f"cluster {name}: API server ready after {time.monotonic() - began_s:.1f} s")
        return cluster

    async def stop(self) -> None:
        self._processes.close()


class LocalCluster(Cluster):
    """A cluster whose API server and etcd are children of ours."""

    def __init__(self, name: str, kubeconfig: Path, api: KubernetesApi, api_server: Child, etcd: Child, data: Path) -> None:
        super().__init__(name, kubeconfig, api)
        self.api_server = api_server
        self.controllers: Child | None = None
        self._etcd = etcd
        self._data = data

    def pause(self) -> None:
        os.kill(self.api_server.pid, signal.SIGSTOP)

    def resume(self) -> None:
        os.kill(self.api_server.pid, signal.SIGCONT)

    def kill(self) -> None:
        self.api_server.kill()

    async def lose_everything(self) -> None:
        """Go on with an etcd that has no data."""
        self.api_server.kill()
        self._etcd.kill()
        shutil.rmtree(self._data)
        self._etcd.start()
        await self.restart()

    def back_up(self, to: Path) -> None:
        """Copy what etcd holds, as it is on its disk when it stops."""
        self._etcd.kill()
        shutil.copytree(self._data, to)
        self._etcd.start()

    async def restore(self, backup: Path) -> None:
        """Go on with what was backed up."""
        self.api_server.kill()
        self._etcd.kill()
        shutil.rmtree(self._data)
        shutil.copytree(backup, self._data)
        self._etcd.start()
        await self.restart()
        self._restart_controllers()

    async def change_certificate(self) -> None:
        """Go on with a certificate that another authority has signed."""
        self.api_server.kill()
        certificates = self._data.parent / "certificates"
        shutil.rmtree(certificates)
        self.api_server.start()
        file = certificates / "apiserver.crt"
        authority = await eventually(lambda: _certificate(file, self.api_server), timeout_s=START_S)
        token = yaml.safe_load(self.kubeconfig.read_text())["users"][0]["user"]["token"]
        write_kubeconfig(self.kubeconfig, self.name, server=self.api.url, authority=authority, token=token)
        self.api = KubernetesApi(self.kubeconfig)
        await self.restart()
        self._restart_controllers()

    def _restart_controllers(self) -> None:
        """As operators must: what they know is no longer so."""
        assert self.controllers
        self.controllers.kill()
        self.controllers.start()

    async def restart(self) -> None:
        if not self.api_server.pid:
            self.api_server.start()
        await eventually(self._is_ready, timeout_s=START_S, every_s=0.1)

    async def _is_ready(self) -> bool:
        self.api_server.check()
        return await self.api.answers()


class _Parts:
    """Starts a cluster's processes."""

    def __init__(self, directory: Path, processes: ExitStack) -> None:
        self._directory = directory
        self._processes = processes

    def start(self, name: str, command: tuple[str, ...]) -> Child:
        """Start one, to end with the provider: without grace, since a paused process hears no other signal."""
        child = Child(name, command, self._directory / f"{name}.log")
        self._processes.callback(child.kill)
        child.start()
        return child


def _new_key() -> bytes:
    # The API server reads elliptic keys in this form alone.
    return ec.generate_private_key(ec.SECP256R1()).private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())


def _certificate(file: Path, api_server: Child) -> str:
    """Return in base64 what the API server has signed for itself; "" if it has not yet."""
    api_server.check()
    return base64.b64encode(file.read_bytes()).decode() if file.exists() else ""
