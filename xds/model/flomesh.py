"""What Flomesh's objects of one name in one cluster come to: its gateways, its policy, what it exports. A pure function.

A cluster key is `region/zone/group/name`; the name is the cluster's own. FSM uses an import only where a policy says so: without
one, and with `Locality`, clients stay in their own cluster even if it has no endpoint.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

from xds.model.events import ref_of
from xds.model.imports import NO_SERVICE, invalid
from xds.model.local import canonical_address
from xds.model.objects import Service
from xds.model.protocols import protocol_of
from xds.model.service import Locality, Port, Protocol
from xds.problems import Problem, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from xds.model import flomesh_objects as flomesh
    from xds.model.members import Member
    from xds.model.objects import KubernetesObject
    from xds.model.service import ServiceKey

_LABEL: Final = r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?"
_HOST: Final = re.compile(rf"({_LABEL}\.)*(?=[^.]*[a-z]){_LABEL}", re.IGNORECASE)
"""The last part is no number, as in what was meant to be an IP address."""
MAX_PORT: Final = 65_535
DEFAULT_WEIGHT: Final = 100
"""FSM's, of what has none."""
DEFAULT_GROUP: Final = "default"
_PATH: Final = re.compile(r"/[!-~]*")


class ClusterKey(NamedTuple):
    """How Flomesh names a cluster."""

    region: str
    zone: str
    group: str
    name: str

    def __str__(self) -> str:
        return "/".join(self)


@dataclass(frozen=True, slots=True)
class GatewayTarget:
    """The HTTP gateway of a cluster that exports a port."""

    key: ClusterKey
    cluster: str
    """The member's name; "": it is no member."""
    host: str
    """What it is called."""
    address: str
    """Where it is: an IP address, or a name to resolve."""
    port: int
    path: str
    """Under which the service is found there."""
    region: str = ""
    """Where the cluster is: as its member says, else as the key does."""

    @property
    def locality(self) -> Locality:
        """Where what answers is."""
        return _locality(self.key, self.cluster, self.region)


@dataclass(frozen=True, slots=True)
class Share:
    """One cluster of a policy."""

    key: ClusterKey
    cluster: str
    """The member's name; "": it is no member."""
    weight: int | None
    """None: not said. 0 means none of the traffic here, where FSM reads it as 100."""
    region: str = ""
    """Where the cluster is: as its member says, else as the key does."""

    @property
    def locality(self) -> Locality:
        """Where its gateway is."""
        return _locality(self.key, self.cluster, self.region)


@dataclass(frozen=True, slots=True)
class Policy:
    """A GlobalTrafficPolicy, without what cannot be used."""

    item: flomesh.GlobalTrafficPolicy
    lb_type: flomesh.LbType
    shares: tuple[Share, ...]
    """What it says of single clusters; without any `targets`, every cluster that is imported from."""
    own_weight: int = DEFAULT_WEIGHT
    """Of the endpoints of the clients' own cluster, if all are active."""

    @property
    def leads_elsewhere(self) -> bool:
        """Whether anything of the import is used."""
        return self.lb_type != "Locality"


@dataclass(frozen=True, slots=True)
class Remote:
    """One name in one cluster."""

    key: ServiceKey
    gateways: Mapping[int, tuple[GatewayTarget, ...]]
    """Port of the import -> where it leads."""
    policy: Policy | None
    exports: tuple[flomesh.FlomeshExport, ...]
    ports: tuple[Port, ...] = ()
    """Those of the import."""
    imports: tuple[flomesh.FlomeshImport, ...] = ()

    @property
    def targets(self) -> dict[ClusterKey, GatewayTarget]:
        """The clusters that are imported from, in the order of the import, with one of the gateways of each."""
        found: dict[ClusterKey, GatewayTarget] = {}
        for one in (target for targets in self.gateways.values() for target in targets):
            found.setdefault(one.key, one)
        return found

    @property
    def mentioned(self) -> Iterator[str]:
        """The names of the clusters that it is about."""
        yield from (target.key.name for targets in self.gateways.values() for target in targets)
        yield from (share.key.name for share in (self.policy.shares if self.policy else ()))


@dataclass(frozen=True, slots=True)
class RemoteInput:
    """What `build_remote` looks at; of each kind FSM's object comes before ErieCanal's."""

    key: ServiceKey
    exports: tuple[flomesh.FlomeshExport, ...]
    imports: tuple[flomesh.FlomeshImport, ...]
    policies: tuple[flomesh.GlobalTrafficPolicy, ...]
    service: KubernetesObject | None
    known: Mapping[str, Member]
    """The members by each of their names."""


def build_remote(given: RemoteInput) -> tuple[Remote, tuple[Problem, ...]]:
    """Return what the objects come to, and what is wrong with them."""
    return _Builder(given).build()


def parse_cluster_key(text: str) -> ClusterKey | None:
    """Return the parts of a cluster key; None if it does not have four."""
    parts = text.split("/")
    return ClusterKey(*parts) if len(parts) == 4 and all(parts) else None


def _locality(key: ClusterKey, member: str, region: str) -> Locality:
    name = key.name if key.group == DEFAULT_GROUP else f"{key.name}.{key.group}"
    return Locality(region, key.zone, member or name)


def _http_port(port: flomesh.FlomeshImportPort) -> Port:
    """Return a port of an import, which is HTTP whatever it is called: a gateway takes nothing else."""
    protocol = protocol_of(port.app_protocol, port.name)
    return Port(port.port, port.name, protocol if protocol.is_http else Protocol.HTTP)


class _Builder:
    def __init__(self, given: RemoteInput) -> None:
        self.given = given
        self.problems: list[Problem] = []

    def build(self) -> tuple[Remote, tuple[Problem, ...]]:
        given = self.given
        for export in given.exports:
            self.check_export(export)
        gateways: dict[int, tuple[GatewayTarget, ...]] = {}
        ports: dict[int, Port] = {}
        for item in given.imports:
            for port, targets in self.imported(item):
                ports.setdefault(port.number, port)
                gateways[port.number] = self.distinct(item, port.number, (*gateways.get(port.number, ()), *targets))
        policy = self.policy(gateways) if given.policies else None
        listed = tuple(ports[number] for number in sorted(ports))
        return Remote(given.key, gateways, policy, given.exports, listed, given.imports), tuple(self.problems)

    def distinct(self, item: KubernetesObject, port: int, targets: tuple[GatewayTarget, ...]) -> tuple[GatewayTarget, ...]:
        """Return the gateways of which each has an address of its own: by that alone Envoy tells them apart."""
        found: dict[tuple[str, int], GatewayTarget] = {}
        for target in dict.fromkeys(targets):
            owner = found.setdefault((target.address, target.port), target)
            if owner is not target:
                where = f"{target.address} port {target.port}"
                message = f"port {port} of '{target.key}' is at {where}, where that of '{owner.key}' is; it is left out"
                self.problem("XDS0240", item, "spec.ports", message, "give each cluster's gateway an address or port of its own")
        return tuple(found.values())

    def problem(self, code: str, item: KubernetesObject, field: str, message: str, hint: str) -> None:
        self.problems.append(Problem(code, message, ref_of(self.given.key.scope, item), field, hint))

    def cluster_key(self, item: KubernetesObject, field: str, text: str) -> ClusterKey | None:
        """Return the parts of a cluster key, or note what is wrong with it."""
        found = parse_cluster_key(text)
        if found is None:
            message = f"is {text!r}; expected region/zone/group/cluster" if text else "is missing"
            self.problem("XDS0232", item, field, message, "write the cluster's key in full, e.g. default/default/default/c1")
        return found

    def member(self, key: ClusterKey) -> str:
        known = self.given.known.get(key.name)
        return known.name if known else ""

    def region(self, key: ClusterKey) -> str:
        known = self.given.known.get(key.name)
        return (known.region if known else "") or key.region

    # Exports

    def check_export(self, item: flomesh.FlomeshExport) -> None:
        for index, text in enumerate(item.spec.target_clusters):
            self.cluster_key(item, f"spec.targetClusters[{index}]", text)
        key, service = self.given.key, self.given.service
        name = f"{key.namespace}/{key.name}"
        if isinstance(service, Service) and not invalid(service):
            self.check_rules(item, name, service)
        elif invalid(service) == NO_SERVICE:
            message, hint = f"there is no Service {name} in {key.scope} to export", "create the Service, or delete the export"
            self.problem("XDS0204", item, "", message, hint)
        else:
            message, hint = "an ExternalName service cannot be exported", "export a ClusterIP or headless Service"
            self.problem("XDS0212", item, "", message, hint)

    def check_rules(self, item: flomesh.FlomeshExport, name: str, service: Service) -> None:
        ports = [port.port for port in service.spec.ports if port.protocol == "TCP"]
        for index, rule in enumerate(item.spec.rules):
            if rule.port_number not in ports:
                wrong = f"Service {name} has no TCP port {rule.port_number}" if rule.port_number else "is missing"
                hint = f"it has {', '.join(map(str, ports)) or 'none'}"
                self.problem("XDS0236", item, f"spec.rules[{index}].portNumber", wrong, hint)

    # Imports

    def imported(self, item: flomesh.FlomeshImport) -> Iterator[tuple[Port, list[GatewayTarget]]]:
        """Yield each port of an import that can be used, and where it leads."""
        for index, port in enumerate(item.spec.ports):
            at = f"spec.ports[{index}]"
            if port.protocol == "TCP":
                targets = [self.target(item, f"{at}.endpoints[{place}]", one) for place, one in enumerate(port.endpoints)]
                yield _http_port(port), [target for target in targets if target]
            else:
                message = f"is {port.protocol!r}: a gateway takes HTTP alone; the port is left out"
                self.problem("XDS0230", item, f"{at}.protocol", message, "import an HTTP port, whose protocol is TCP")

    def target(self, item: flomesh.FlomeshImport, at: str, endpoint: flomesh.ImportEndpoint) -> GatewayTarget | None:
        """Return a gateway that can be used."""
        key = self.cluster_key(item, f"{at}.clusterKey", endpoint.cluster_key)
        target = endpoint.target
        address = canonical_address(target.ip) or canonical_address(target.host) or target.host
        wrong: tuple[str, str] | None = None
        if not (canonical_address(address) or _HOST.fullmatch(address)):
            given = f"ip {target.ip!r} and host {target.host!r}" if target.ip or target.host else "neither ip nor host"
            wrong = "", f"has {given}: no address to connect to; it is left out"
        elif not 1 <= target.port <= MAX_PORT:
            given = f"is {target.port}" if target.port else "is missing"
            wrong = ".port", f"{given}; expected 1 to {MAX_PORT}; it is left out"
        elif target.path and (not _PATH.fullmatch(target.path) or any(bad in target.path for bad in "?#")):
            wrong = ".path", f"is {target.path!r}, which is no path of a URL; it is left out"
        if wrong:
            hint = "set gatewayHost and gatewayPort of the exporting cluster, from which FSM writes it"
            self.problem("XDS0231", item, f"{at}.target{wrong[0]}", wrong[1], hint)
        if wrong or key is None:
            return None
        path = target.path or "/"
        return GatewayTarget(key, self.member(key), target.host or address, address, target.port, path, self.region(key))

    # Policies

    def policy(self, gateways: Mapping[int, tuple[GatewayTarget, ...]]) -> Policy:
        item, *others = self.given.policies
        for other in others:
            message = f"{item.kind} of that name counts; this one is ignored"
            self.problem("XDS0237", other, "", message, "delete one of them")
        if item.spec.lb_type != "Locality" and not self.given.imports:
            key = self.given.key
            message = (
                f"there is no import of {key.namespace}/{key.name} in {key.scope}, so there is nowhere else to send requests"
            )
            self.problem("XDS0235", item, "", message, "export the Service in another cluster, or delete the policy")
        imported = {target.key for targets in gateways.values() for target in targets}
        shares = [self.share(item, index, target, imported) for index, target in enumerate(item.spec.targets)]
        found = tuple(share for share in shares if share)
        if item.spec.lb_type != "Locality":
            self.check_names(gateways)
        return Policy(item, item.spec.lb_type, found, self.own_weight(item, found, imported))

    def check_names(self, gateways: Mapping[int, tuple[GatewayTarget, ...]]) -> None:
        """Note gateways that are used and called by name."""
        named = {one.address: one for targets in gateways.values() for one in targets if not canonical_address(one.address)}
        for name, target in named.items():
            message = f"the gateway of '{target.key}' is called {name}: clients resolve it, and begin anew with each change here"
            self.problem("XDS0243", self.given.imports[0], "spec.ports", message, "give its ip, if that does not change")

    def own_weight(self, item: flomesh.GlobalTrafficPolicy, shares: tuple[Share, ...], imported: set[ClusterKey]) -> int:
        """Return what the clients' own cluster weighs; something is left to send requests to."""
        said = [one.weight for one in shares if one.cluster == self.given.key.scope and one.weight is not None]
        weight = said[0] if said else DEFAULT_WEIGHT
        others = any(one.weight != 0 and one.key in imported for one in shares) or (imported and not item.spec.targets)
        if weight or others or item.spec.lb_type != "ActiveActive":
            return weight
        message = f"leave nobody to send requests to; {self.given.key.scope}, where they come from, gets them"
        self.problem("XDS0242", item, "spec.targets", message, "give a cluster that is imported from a weight above 0")
        return DEFAULT_WEIGHT

    def share(
        self, item: flomesh.GlobalTrafficPolicy, index: int, target: flomesh.PolicyTarget, imported: set[ClusterKey]
    ) -> Share | None:
        at = f"spec.targets[{index}]"
        key = self.cluster_key(item, f"{at}.clusterKey", target.cluster_key)
        if key is None:
            return None
        self.check_known(item, f"{at}.clusterKey", key, imported)
        weight = target.weight
        if weight is not None and weight < 0:
            message = f"is {weight}; it counts as if it was not given"
            self.problem("XDS0234", item, f"{at}.weight", message, "give a weight of 0 or more")
            weight = None
        elif weight == 0 and item.spec.lb_type == "ActiveActive":
            message = "is 0, so the cluster gets no requests; FSM would read it as 100"
            self.problem("XDS0238", item, f"{at}.weight", message, "nothing has to be done if the cluster is to be drained")
        return Share(key, self.member(key), weight, self.region(key))

    def check_known(self, item: KubernetesObject, field: str, key: ClusterKey, imported: set[ClusterKey]) -> None:
        """Note a key that no import has, unless it may be that of a member that is not imported from."""
        is_imported_otherwise = any(one.name == key.name for one in imported)
        if key in imported or (self.member(key) and not is_imported_otherwise):
            return
        keys = sorted(map(str, imported))
        near = did_you_mean(str(key), keys) or did_you_mean(key.name, self.given.known)
        hint = near or (f"there are {', '.join(keys)}" if keys else "nothing is imported")
        self.problem("XDS0233", item, field, f"is '{key}', which no import and no member has", hint)
