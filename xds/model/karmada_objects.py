"""Karmada's objects that share services among clusters, as msgspec structs of just the fields we use."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from xds.model.objects import KubernetesObject, Name, Port


class ClusterSelector(Struct, frozen=True, rename="camel", kw_only=True):
    """Names a cluster."""

    name: Name


class SharedPort(Struct, frozen=True, rename="camel", kw_only=True):
    """A port of the Service that is shared."""

    port: Port
    name: str = ""


class ClusterRange(Struct, frozen=True, rename="camel", kw_only=True):
    """`spec.range`, which came before `consumerClusters`."""

    cluster_names: list[str] = []


class MultiClusterServiceSpec(Struct, frozen=True, rename="camel", kw_only=True):
    """`spec` of a MultiClusterService; a list of clusters that is empty means all of them."""

    types: list[Literal["CrossCluster", "LoadBalancer"]]
    ports: list[SharedPort] = []
    """Empty: all."""
    provider_clusters: list[ClusterSelector] = []
    consumer_clusters: list[ClusterSelector] = []
    range: ClusterRange = ClusterRange()
    service_provision_clusters: list[str] = []
    """Deprecated, like the next one."""
    service_consumption_clusters: list[str] = []

    @property
    def is_cross_cluster(self) -> bool:
        """Whether clusters reach each other's endpoints; the other type is about load balancers outside."""
        return "CrossCluster" in self.types

    @property
    def providers(self) -> list[str]:
        """Clusters whose endpoints are shared."""
        return [one.name for one in self.provider_clusters] or self.service_provision_clusters

    @property
    def consumers(self) -> list[str]:
        """Clusters whose clients may use them."""
        return [one.name for one in self.consumer_clusters] or self.service_consumption_clusters or self.range.cluster_names


class MultiClusterService(KubernetesObject, frozen=True, rename="camel", kw_only=True):
    """networking.karmada.io MultiClusterService: shares the Service of its own name (fleet-wide object)."""

    spec: MultiClusterServiceSpec
