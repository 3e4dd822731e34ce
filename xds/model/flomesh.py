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


@dataclass(frozen=True, slots=True)
class Share:
    """One cluster of a policy."""

    key: ClusterKey
    cluster: str
    """The member's name; "": it is no member."""
    weight: int | None
    """None: not said. 0 means none of the traffic here, where FSM reads it as 100."""


@dataclass(frozen=True, slots=True)
class Policy:
    """A GlobalTrafficPolicy, without what cannot be used."""

    item: flomesh.GlobalTrafficPolicy
    lb_type: flomesh.LbType
    shares: tuple[Share, ...]
    """None: every cluster that is imported from."""


@dataclass(frozen=True, slots=True)
class Remote:
    """One name in one cluster."""

    key: ServiceKey
    gateways: Mapping[int, tuple[GatewayTarget, ...]]
    """Port of the import -> where it leads."""
    policy: Policy | None
    exports: tuple[flomesh.FlomeshExport, ...]

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


class _Builder:
    def __init__(self, given: RemoteInput) -> None:
        self.given = given
        self.problems: list[Problem] = []

    def build(self) -> tuple[Remote, tuple[Problem, ...]]:
        given = self.given
        for export in given.exports:
            self.check_export(export)
        gateways: dict[int, tuple[GatewayTarget, ...]] = {}
        for item in given.imports:
            for number, targets in self.imported(item):
                gateways[number] = tuple(dict.fromkeys((*gateways.get(number, ()), *targets)))
        policy = self.policy(gateways) if given.policies else None
        return Remote(given.key, gateways, policy, given.exports), tuple(self.problems)

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

    def imported(self, item: flomesh.FlomeshImport) -> Iterator[tuple[int, list[GatewayTarget]]]:
        """Yield each port of an import that can be used, and where it leads."""
        for index, port in enumerate(item.spec.ports):
            at = f"spec.ports[{index}]"
            if port.protocol == "TCP":
                targets = [self.target(item, f"{at}.endpoints[{place}]", one) for place, one in enumerate(port.endpoints)]
                yield port.port, [target for target in targets if target]
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
        if wrong:
            hint = "set gatewayHost and gatewayPort of the exporting cluster, from which FSM writes it"
            self.problem("XDS0231", item, f"{at}.target{wrong[0]}", wrong[1], hint)
        if wrong or key is None:
            return None
        return GatewayTarget(key, self.member(key), target.host or address, address, target.port, target.path or "/")

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
        return Policy(item, item.spec.lb_type, tuple(share for share in shares if share))

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
        return Share(key, self.member(key), weight)

    def check_known(self, item: KubernetesObject, field: str, key: ClusterKey, imported: set[ClusterKey]) -> None:
        """Note a key that no import has, unless it may be that of a member that is not imported from."""
        is_imported_otherwise = any(one.name == key.name for one in imported)
        if key in imported or (self.member(key) and not is_imported_otherwise):
            return
        keys = sorted(map(str, imported))
        near = did_you_mean(str(key), keys) or did_you_mean(key.name, self.given.known)
        hint = near or (f"there are {', '.join(keys)}" if keys else "nothing is imported")
        self.problem("XDS0233", item, field, f"is '{key}', which no import and no member has", hint)
