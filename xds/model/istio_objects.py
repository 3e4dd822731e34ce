"""Istio's DestinationRule: how clients use the endpoints of one host. It is read as it is, and never written.

`istio/api: networking/v1alpha3/destination_rule.proto`. Of what is not followed we read no more than that it is there, so that it
can be named.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from msgspec import Struct, field

from xds.model.objects import KubernetesObject

OWN_DOMAIN = "svc.cluster.local"
NODE_LABEL = "kubernetes.io/hostname"
CLUSTERSET_DOMAIN = "svc.clusterset.local"


class Distribute(Struct, frozen=True, rename="camel", kw_only=True):
    """Where the requests of clients at one place go: places are `REGION/ZONE/SUBZONE`, and `*` is all."""

    from_: str = field(default="", name="from")
    to: dict[str, int] = {}
    """Place -> percent."""


class Failover(Struct, frozen=True, rename="camel", kw_only=True):
    """Which region is next for the clients of one."""

    from_: str = field(default="", name="from")
    to: str = ""


class LocalityLbSetting(Struct, frozen=True, rename="camel", kw_only=True):
    """`spec.trafficPolicy.loadBalancer.localityLbSetting`."""

    enabled: bool | None = None
    """None: true."""
    distribute: list[Distribute] | None = None
    """Before the others, if there is any."""
    failover: list[Failover] | None = None
    failover_priority: list[str] | None = None
    """Labels, `KEY` or `KEY=VALUE`, that an endpoint shares with the client: the more of the first, the better."""


class LoadBalancer(Struct, frozen=True, rename="camel", kw_only=True):
    """`spec.trafficPolicy.loadBalancer`."""

    locality_lb_setting: LocalityLbSetting | None = None
    simple: Any = None
    consistent_hash: Any = None
    warmup: Any = None
    warmup_duration_secs: Any = None


class OutlierDetection(Struct, frozen=True, rename="camel", kw_only=True):
    """`spec.trafficPolicy.outlierDetection`; None is Istio's default, and so is 0 of a percentage."""

    consecutive_5xx_errors: int | None = field(default=None, name="consecutive5xxErrors")
    consecutive_gateway_errors: int | None = None
    consecutive_errors: int | None = None
    """Without effect in Istio, too."""
    split_external_local_origin_errors: bool = False
    consecutive_local_origin_failures: int | None = None
    interval: str | None = None
    base_ejection_time: str | None = None
    max_ejection_percent: int | None = None
    min_health_percent: int | None = None


class RuleTraffic(Struct, frozen=True, rename="camel", kw_only=True):
    """`spec.trafficPolicy`."""

    load_balancer: LoadBalancer | None = None
    outlier_detection: OutlierDetection | None = None
    connection_pool: Any = None
    tls: Any = None
    tunnel: Any = None
    proxy_protocol: Any = None
    retry_budget: Any = None
    port_level_settings: Any = None


class DestinationRuleSpec(Struct, frozen=True, rename="camel", kw_only=True):
    """`spec` of a DestinationRule."""

    host: str = ""
    traffic_policy: RuleTraffic | None = None
    subsets: Any = None
    export_to: list[str] | None = None
    workload_selector: Any = None


class DestinationRule(KubernetesObject, frozen=True, rename="camel", kw_only=True):
    """networking.istio.io DestinationRule."""

    spec: DestinationRuleSpec = DestinationRuleSpec()

    @property
    def locality(self) -> LocalityLbSetting | None:
        """Which places clients are to prefer, if it says so."""
        traffic = self.spec.traffic_policy
        return traffic.load_balancer.locality_lb_setting if traffic and traffic.load_balancer else None

    @property
    def outliers(self) -> OutlierDetection | None:
        """Which endpoints clients are to take out of use, if it says so."""
        return self.spec.traffic_policy.outlier_detection if self.spec.traffic_policy else None

    @property
    def looks_at_nodes(self) -> bool:
        """Whether clients on different nodes may be governed differently."""
        priorities = (self.locality.failover_priority if self.locality else None) or ()
        return any(one.partition("=")[0] == NODE_LABEL for one in priorities)

    @property
    def service(self) -> Host | None:
        """The service of its own namespace that is governed by it; None if nothing follows from it.

        In other namespaces it would be for the clients there, and with a selector for some of them: policies are for all clients
        of a cluster.
        """
        found = host_of(self.spec.host, self.metadata.namespace)
        if found is None or found.namespace != self.metadata.namespace or self.spec.workload_selector:
            return None
        return found if self.locality is not None or self.outliers is not None else None


class Host(NamedTuple):
    """The service that a host name means."""

    namespace: str
    name: str
    kind: str
    """`Service`, the cluster's own, or `ServiceImport`, that of the cluster set."""


def host_of(host: str, namespace: str) -> Host | None:
    """Return which service a host means; None for one outside the clusters, a wildcard, or what Istio does not know either.

    Args:
        host: `NAME`, `NAME.NAMESPACE.svc.cluster.local` or `…clusterset.local`.
        namespace: in which a short name is looked for.
    """
    if host and "." not in host and "*" not in host:
        return Host(namespace, host, "Service")
    for domain, kind in ((OWN_DOMAIN, "Service"), (CLUSTERSET_DOMAIN, "ServiceImport")):
        parts = host.removesuffix(f".{domain}").split(".")
        if host.endswith(f".{domain}") and len(parts) == 2 and all(parts) and "*" not in host:
            return Host(parts[1], parts[0], kind)
    return None
