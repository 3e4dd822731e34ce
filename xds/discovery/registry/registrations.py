"""Registrations: what each registry says of its clusters, in one shape. Pure.

Where several register one name, the first of this order counts: MemberCluster, our labelled Secret, Istio's, Karmada, Flomesh,
ErieCanal, KubeFed, ClusterProfile.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

from xds.discovery.registry.kubeconfigs import CredentialError, Kubeconfig, decoded, of_parts, of_text
from xds.discovery.registry.registry_objects import CLUSTER_LABEL, ISTIO_LABEL
from xds.errors import XdsError
from xds.model.events import FLEET, ref_of
from xds.problems import Problem

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from xds.discovery.registry import registry_objects as registry
    from xds.model.objects import KubernetesObject, MemberCluster, SecretRef
    from xds.problems import Ref

KUBECONFIG_KEY: Final = "kubeconfig"
KARMADA_PROXY: Final = "/apis/cluster.karmada.io/v1alpha1/clusters/{}/proxy"
PROFILE_FIELDS: Final[tuple[str, ...]] = ("server", "tls-server-name", "certificate-authority-data", "proxy-url", "extensions")
"""The last one has what the plugin needs to know of the cluster (KEP-4322)."""
_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")

SecretName = tuple[str, str]
"""(namespace, name)."""


@dataclass(frozen=True, slots=True)
class Registration:
    """A cluster that is to be a member."""

    name: str
    origin: Ref
    kubeconfig: Kubeconfig | None
    """None: by the hub's own credentials, at `path` of its API server."""
    path: str = ""
    region: str = ""
    zones: tuple[str, ...] = ()
    evicted: str = ""
    """Why workloads are to leave it; "" if they are not."""


@dataclass(frozen=True, slots=True)
class Hub:
    """What the hub holds."""

    members: Iterable[MemberCluster] = ()
    labelled: Iterable[registry.Secret] = ()
    """Secrets with one of the labels."""
    karmada: Iterable[registry.KarmadaCluster] = ()
    flomesh: Iterable[registry.FlomeshCluster] = ()
    erie_canal: Iterable[registry.FlomeshCluster] = ()
    kubefed: Iterable[registry.KubeFedCluster] = ()
    profiles: Iterable[registry.ClusterProfile] = ()
    secrets: Mapping[SecretName, registry.Secret | None] = field(default_factory=dict)
    """Those that others refer to, as far as they were fetched; None for one that does not exist."""
    plugins: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Access provider of ClusterProfiles -> the `exec` part of a kubeconfig's user, from our own configuration."""


@dataclass(frozen=True, slots=True)
class Registered:
    """What became of it."""

    clusters: Mapping[str, Registration]
    """By name."""
    problems: tuple[Problem, ...]
    needed: frozenset[SecretName]
    """Secrets that must be fetched first."""
    secrets: frozenset[SecretName] = frozenset()
    """All that others refer to, fetched or not."""
    unusable: frozenset[tuple[str, str]] = frozenset()
    """(cluster, object that registers it), where the object is there, but says nothing by which to reach it, or not yet."""
    declared: frozenset[str] = frozenset()
    """The names of MemberClusters, whether these say how to reach the cluster or not."""
    networks: Mapping[str, str] = field(default_factory=dict)
    """What they say of the cluster's network."""


def registered(hub: Hub) -> Registered:
    """Return the clusters that the hub's objects register; what cannot be used is left out with a problem."""
    return _Registrar(hub).result()


class _NotFetchedError(XdsError):
    """A Secret has to be fetched first."""


class _Registrar:
    def __init__(self, hub: Hub) -> None:
        self.hub = hub
        self.problems: list[Problem] = []
        self.needed: set[SecretName] = set()
        self.secrets: set[SecretName] = set()
        self.unusable: set[tuple[str, str]] = set()
        self.named: dict[str, SecretName] = {}
        """MemberCluster -> the Secret that it names."""

    def result(self) -> Registered:
        hub = self.hub
        ways: tuple[tuple[Iterable[KubernetesObject], Callable[[Any], Iterator[Registration]]], ...] = (
            (hub.members, self.member),
            ([one for one in hub.labelled if CLUSTER_LABEL in one.metadata.labels], self.secret),
            ([one for one in hub.labelled if one.metadata.labels.get(ISTIO_LABEL) == "true"], self.istio),
            (hub.karmada, self.karmada),
            (hub.flomesh, self.flomesh),
            (hub.erie_canal, self.flomesh),
            (hub.kubefed, self.kubefed),
            (hub.profiles, self.profile),
        )
        clusters: dict[str, Registration] = {}
        for items, read in ways:
            for item in sorted(items, key=lambda one: (one.metadata.namespace, one.metadata.name)):
                try:
                    for found in read(item):
                        self.enter(found, clusters)
                except _NotFetchedError:
                    self.unusable.add((item.metadata.name, str(ref_of(FLEET, item))))
                except CredentialError as error:
                    labels = item.metadata.labels if item.kind == "Secret" else {}
                    self.problem(item, str(error), labels.get(CLUSTER_LABEL, item.metadata.name))
        return Registered(
            clusters,
            tuple(self.problems),
            needed=frozenset(self.needed),
            secrets=frozenset(self.secrets),
            unusable=frozenset(self.unusable),
            declared=frozenset(item.metadata.name for item in hub.members),
            networks={item.metadata.name: item.spec.network for item in hub.members},
        )

    def enter(self, found: Registration, clusters: dict[str, Registration]) -> None:
        if not _LABEL.fullmatch(found.name):
            message = f"{found.name!r} is no name of a cluster: expected at most 63 of a-z, 0-9 and '-'"
            self.problems.append(Problem("XDS0306", message, found.origin, hint="rename it; it is left out"))
        elif found.name in clusters:
            first = clusters[found.name].origin
            message = f"cluster {found.name!r} is registered already, by {first}; this registration is ignored"
            self.problems.append(Problem("XDS0306", message, found.origin, hint="remove one of them, or rename it"))
        else:
            clusters[found.name] = found

    def problem(self, item: KubernetesObject, message: str, name: str) -> None:
        """Note why an object says nothing by which a cluster could be reached."""
        ref = ref_of(FLEET, item)
        self.unusable.add((name, str(ref)))
        hint = "the cluster is left out; if it is a member already, it goes on with what was registered before"
        self.problems.append(Problem("XDS0306", message, ref, hint=hint))

    # One way each

    def member(self, item: MemberCluster) -> Iterator[Registration]:
        ref = item.spec.kubeconfig_secret
        if ref is not None:
            self.named[item.metadata.name] = (ref.namespace, ref.name)
            text = self.value(self.fetched(ref, ref.namespace), ref.key or KUBECONFIG_KEY)
            yield Registration(item.metadata.name, ref_of(FLEET, item), of_text(text))

    def secret(self, item: registry.Secret) -> Iterator[Registration]:
        name = item.metadata.labels[CLUSTER_LABEL]
        if self.named.get(name) == (item.metadata.namespace, item.metadata.name):
            return  # one registration in two objects, as `xdsctl clusters join` makes them
        yield Registration(name, ref_of(FLEET, item), of_text(self.value(item, KUBECONFIG_KEY)))

    def istio(self, item: registry.Secret) -> Iterator[Registration]:
        for name in sorted(item.data):
            try:
                yield Registration(name, ref_of(FLEET, item), of_text(self.value(item, name)))
            except CredentialError as error:
                self.problem(item, f"data.{name}: {error}", name)

    def karmada(self, item: registry.KarmadaCluster) -> Iterator[Registration]:
        spec, name = item.spec, item.metadata.name
        zones = tuple(spec.zones) or ((spec.zone,) if spec.zone else ())
        evicting = [str(taint) for taint in spec.taints if taint.effect == "NoExecute"]
        evicted = f"Karmada evicts what runs there ({', '.join(evicting)})" if evicting else ""
        base = Registration(name, ref_of(FLEET, item), None, region=spec.region, zones=zones, evicted=evicted)
        for one in item.status.conditions:
            if one.type == "Ready" and one.status != "True":
                message = f"Karmada takes cluster {name!r} for not ready ({one.reason or one.status})"
                self.problems.append(Problem("XDS0312", message, base.origin, hint="by that alone no traffic moves"))
        if spec.sync_mode == "Pull" or spec.secret_ref is None or not spec.api_endpoint:
            yield replace(base, path=KARMADA_PROXY.format(name))
        else:
            secret = self.fetched(spec.secret_ref, spec.secret_ref.namespace)
            kubeconfig = of_parts(
                {
                    "server": spec.api_endpoint,
                    "certificate-authority-data": "" if spec.insecure_skip_tls_verification else secret.data.get("caBundle", ""),
                    "insecure-skip-tls-verify": spec.insecure_skip_tls_verification,
                    "proxy-url": spec.proxy_url,
                },
                {"token": self.value(secret, "token").decode(errors="replace").strip()},
            )
            yield replace(base, kubeconfig=kubeconfig)

    def flomesh(self, item: registry.FlomeshCluster) -> Iterator[Registration]:
        spec = item.spec
        if not spec.kubeconfig:
            if spec.is_in_cluster:
                return
            raise CredentialError("spec.kubeconfig is missing, so its API server cannot be reached")
        origin, kubeconfig = ref_of(FLEET, item), of_text(spec.kubeconfig)
        yield Registration(item.metadata.name, origin, kubeconfig, region=_named(spec.region), zones=_named_zones(spec.zone))

    def kubefed(self, item: registry.KubeFedCluster) -> Iterator[Registration]:
        spec = item.spec
        if spec.secret_ref is None:
            raise CredentialError("spec.secretRef is missing, so there are no credentials")
        secret = self.fetched(spec.secret_ref, item.metadata.namespace)
        kubeconfig = of_parts(
            {
                "server": spec.api_endpoint,
                "certificate-authority-data": spec.ca_bundle or secret.data.get("ca.crt", ""),
                "insecure-skip-tls-verify": "*" in spec.disabled_tls_validations,
                "proxy-url": spec.proxy_url,
            },
            {"token": self.value(secret, "token").decode(errors="replace").strip()},
        )
        origin, status = ref_of(FLEET, item), item.status
        yield Registration(item.metadata.name, origin, kubeconfig, region=status.region, zones=tuple(status.zones))

    def profile(self, item: registry.ClusterProfile) -> Iterator[Registration]:
        offered = [*item.status.access_providers, *item.status.credential_providers]
        usable = [one for one in offered if one.name in self.hub.plugins]
        if not usable:
            names = ", ".join(one.name for one in offered) or "none"
            raise CredentialError(f"no plugin is configured for its access providers ({names}); set registry.plugins")
        cluster, plugin = usable[0].cluster, {"provideClusterInfo": True, **self.hub.plugins[usable[0].name]}
        kept = {key: cluster[key] for key in PROFILE_FIELDS if key in cluster}
        properties = {one.name: one.value for one in item.status.properties}
        region, zone = (properties.get(f"topology.kubernetes.io/{part}", "") for part in ("region", "zone"))
        zones = (zone,) if zone else ()
        origin = ref_of(FLEET, item)
        yield Registration(item.metadata.name, origin, of_parts(kept, {"exec": plugin}), region=region, zones=zones)

    # Secrets

    def fetched(self, ref: SecretRef, namespace: str) -> registry.Secret:
        """Return a Secret.

        Raises:
            _NotFetchedError: it has to be fetched first.
            CredentialError: it does not exist.
        """
        name = (namespace or "default", ref.name)
        self.secrets.add(name)
        if name not in self.hub.secrets:
            self.needed.add(name)
            raise _NotFetchedError
        found = self.hub.secrets[name]
        if found is None:
            raise CredentialError(f"there is no Secret {'/'.join(name)}, which has its credentials")
        return found

    def value(self, secret: registry.Secret, key: str) -> bytes:
        meta = secret.metadata
        if key not in secret.data:
            known = ", ".join(sorted(secret.data)) or "none"
            raise CredentialError(f"Secret {meta.namespace}/{meta.name} has no key {key!r}; it has {known}")
        return decoded(secret.data[key], f"data.{key} of Secret {meta.namespace}/{meta.name}")


def _named(text: str) -> str:
    """Return a region; `default` is what Flomesh calls none."""
    return "" if text == "default" else text


def _named_zones(text: str) -> tuple[str, ...]:
    return (name,) if (name := _named(text)) else ()
