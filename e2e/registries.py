"""Other systems' registries: the objects by which each registers one cluster at the hub, as its users have them."""

from __future__ import annotations

import base64
import json
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

import yaml
from workload import named

if TYPE_CHECKING:
    from pathlib import Path

    from kubernetes_api import KubernetesApi

Object = dict[str, Any]
NAME, NAMESPACE = "west", "default"
PROVIDER = "e2e"
"""The access provider of ClusterProfiles for which there is a plugin."""
PLUGIN_API = "client.authentication.k8s.io/v1"


@dataclass(frozen=True)
class Way:
    """How to reach the cluster: what a kubeconfig says."""

    text: str
    server: str
    authority: str
    token: str

    @classmethod
    def of(cls, kubeconfig: Path) -> Self:
        """Return what a file says."""
        text = kubeconfig.read_text()
        config = yaml.safe_load(text)
        cluster = config["clusters"][0]["cluster"]
        token = config["users"][0]["user"]["token"]
        return cls(text, cluster["server"], cluster["certificate-authority-data"], token)

    def as_nobody(self) -> Way:
        """Return a way with a token that is no good."""
        return Way(self.text.replace(self.token, "nobody"), self.server, self.authority, "nobody")


@dataclass(frozen=True)
class Place:
    """Where the cluster stands."""

    region: str
    zones: tuple[str, ...]


@dataclass
class Registry(ABC):
    """One registry at a hub.

    Args:
        api: of the hub.
        plugin: the file that holds what the plugin answers.
    """

    api: KubernetesApi
    plugin: Path
    refusal: str = field(init=False)
    """What is said of a registration without credentials."""

    @abstractmethod
    async def register_without_credentials(self) -> None:
        """Make what a user makes who forgets them."""

    @abstractmethod
    async def register(self, way: Way, place: Place) -> None:
        """Make the registration, or change it."""

    @abstractmethod
    async def delete(self) -> None:
        """Delete all that was made, if anything was."""


class Karmada(Registry):
    """A Cluster in push mode, and its Secret."""

    refusal = f"there is no Secret {NAMESPACE}/{NAME}, which has its credentials"

    async def register_without_credentials(self) -> None:
        await self.api.apply(self.cluster(apiEndpoint="https://127.0.0.1:1"))

    async def register(self, way: Way, place: Place) -> None:
        where = {"region": place.region, "zones": list(place.zones)}
        await self.api.apply(secret(token=way.token, caBundle=way.authority), self.cluster(apiEndpoint=way.server, **where))

    async def register_unverified(self, way: Way) -> None:
        """Make a registration that does without the server's certificate."""
        await self.api.apply(secret(token=way.token), self.cluster(apiEndpoint=way.server, insecureSkipTLSVerification=True))

    async def delete(self) -> None:
        await self.api.delete(self.cluster(), secret())

    @staticmethod
    def cluster(mode: str = "Push", **more: Any) -> Object:
        """Return the Cluster."""
        spec = {"syncMode": mode, "secretRef": {"namespace": NAMESPACE, "name": NAME}, **more}
        return named("cluster.karmada.io/v1alpha1", "Cluster", NAME, spec=spec)


class Flomesh(Registry):
    """A Cluster with a kubeconfig in it."""

    group = "multicluster.flomesh.io"
    refusal = "spec.kubeconfig is missing, so its API server cannot be reached"

    async def register_without_credentials(self) -> None:
        await self.api.apply(self.cluster())

    async def register(self, way: Way, place: Place) -> None:
        (zone,) = place.zones
        await self.api.apply(self.cluster(kubeconfig=way.text, region=place.region, zone=zone))

    async def delete(self) -> None:
        await self.api.delete(self.cluster())

    def cluster(self, **more: Any) -> Object:
        """Return the Cluster."""
        spec = {"gatewayHost": "10.2.0.1", "gatewayPort": 8081, **more}
        return named(f"{self.group}/v1alpha1", "Cluster", NAME, spec=spec)


class ErieCanal(Flomesh):
    """The same of an older group."""

    group = "flomesh.io"


class KubeFed(Registry):
    """A KubeFedCluster, whose controller writes where it stands, and its Secret."""

    refusal = f"there is no Secret {NAMESPACE}/{NAME}, which has its credentials"

    async def register_without_credentials(self) -> None:
        await self.api.apply(self.cluster("https://127.0.0.1:1"))

    async def register(self, way: Way, place: Place) -> None:
        cluster = self.cluster(way.server, caBundle=way.authority)
        await self.api.apply(secret(token=way.token), cluster)
        await self.api.patch_status(cluster, {"region": place.region, "zones": list(place.zones)})

    async def register_unverified(self, way: Way) -> None:
        """Make a registration that does without the server's certificate."""
        await self.api.apply(secret(token=way.token), self.cluster(way.server, disabledTLSValidations=["*"]))

    async def delete(self) -> None:
        await self.api.delete(self.cluster(), secret())

    @staticmethod
    def cluster(server: str = "", **more: Any) -> Object:
        """Return the KubeFedCluster."""
        spec = {"apiEndpoint": server, "secretRef": {"name": NAME}, **more}
        return named("core.kubefed.io/v1beta1", "KubeFedCluster", NAME, NAMESPACE, spec=spec)


class Profile(Registry):
    """A ClusterProfile, and what the plugin for its access provider answers."""

    refusal = "no plugin is configured for its access providers (other); set registry.plugins"

    async def register_without_credentials(self) -> None:
        await self.api.apply(self.profile())
        await self.api.patch_status(self.profile(), {"accessProviders": [{"name": "other"}]})

    async def register(self, way: Way, place: Place) -> None:
        self.answer(way.token)
        await self.show(way, place)

    async def show(self, way: Way, place: Place) -> None:
        """Make the object alone."""
        (zone,) = place.zones
        cluster = {"server": way.server, "certificate-authority-data": way.authority}
        where = {"topology.kubernetes.io/region": place.region, "topology.kubernetes.io/zone": zone}
        status = {
            "accessProviders": [{"name": "other"}, {"name": PROVIDER, "cluster": cluster}],
            "properties": [{"name": name, "value": value} for name, value in where.items()],
        }
        await self.api.apply(self.profile())
        await self.api.patch_status(self.profile(), status)

    def answer(self, token: str) -> None:
        """Let the plugin give a token from now on."""
        credential = {"apiVersion": PLUGIN_API, "kind": "ExecCredential", "status": {"token": token}}
        draft = self.plugin.with_suffix(".draft")
        draft.write_text(json.dumps(credential))
        draft.replace(self.plugin)

    async def delete(self) -> None:
        await self.api.delete(self.profile())

    @staticmethod
    def profile() -> Object:
        """Return the ClusterProfile, without its status."""
        spec = {"displayName": NAME, "clusterManager": {"name": "e2e"}}
        return named("multicluster.x-k8s.io/v1alpha1", "ClusterProfile", NAME, NAMESPACE, spec=spec)


def plugins(answer: Path) -> Object:
    """Return setting `registry.plugins` with a plugin that prints a file."""
    return {PROVIDER: {"apiVersion": PLUGIN_API, "command": "cat", "args": [str(answer)]}}


def secret(*, token: str = "", caBundle: str = "") -> Object:  # noqa: N803 - the key's name
    """Return the Secret of a registration; an authority is base64 already."""
    data = {"token": base64.b64encode(token.encode()).decode(), "caBundle": caBundle}
    return named("v1", "Secret", NAME, NAMESPACE, data={key: value for key, value in data.items() if value})
