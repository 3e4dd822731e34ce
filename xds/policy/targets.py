"""What TrafficPolicies target: what each is about, where it says so, and which of the Services that it names there are not."""

from __future__ import annotations

from collections import defaultdict
from functools import lru_cache
from typing import TYPE_CHECKING

from xds.model.events import FLEET
from xds.model.service import CLUSTERSET
from xds.policy.acceptance import TARGET_NOT_FOUND, Fault
from xds.policy.subjects import Subject
from xds.problems import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from xds.model.service import Service, ServiceKey
    from xds.model.traffic_objects import TargetRef, TrafficPolicy


def targeted(cluster: str, item: TrafficPolicy) -> Iterator[Subject]:
    """Yield what a policy that a cluster, or FLEET, holds is about."""
    namespace = item.metadata.namespace
    for ref in item.spec.target_refs:
        yield Subject(cluster, ref.kind, namespace, ref.name, ref.port or 0)
    match item.spec.default_for:
        case "Namespace":
            yield Subject(cluster, "", namespace)
        case "Fleet":
            yield Subject(FLEET)


def field_of(item: TrafficPolicy, subject: Subject) -> str:
    """Return where a policy says that it is about something."""
    if not subject.kind:
        return "spec.defaultFor"
    named = [(ref.kind, ref.name, ref.port or 0) for ref in item.spec.target_refs]
    asked = (subject.kind, subject.name, subject.port)
    return f"spec.targetRefs[{named.index(asked)}]" if asked in named else "spec.targetRefs"


class KnownServices:
    """The services that policies may name, as `refresh` was told last."""

    def __init__(self) -> None:
        self._named: dict[tuple[str, str], list[Service]] = {}
        """(namespace, name) -> services of that name, whoever has them."""
        self._names: dict[str, frozenset[str]] = {}
        """Namespace -> the names of its services; the same object while they are the same."""

    def refresh(self, services: Mapping[ServiceKey, Service]) -> None:
        """Take which services there are."""
        named: dict[tuple[str, str], list[Service]] = defaultdict(list)
        for key, service in services.items():
            named[key.namespace, key.name].append(service)
        self._named, self._names = named, _by_namespace(named, self._names)

    def missing(self, cluster: str, item: TrafficPolicy) -> Iterator[tuple[TargetRef, Fault]]:
        """Yield what a policy that a cluster, or FLEET, holds names and that there is not, and what to say of it."""
        namespace = item.metadata.namespace
        for index, ref in enumerate(item.spec.target_refs):
            at = f"spec.targetRefs[{index}]"
            found = [one for one in self._named.get((namespace, ref.name), ()) if _is_meant(one.key, ref, cluster)]
            if not found:
                where = f" in {cluster}" if cluster and ref.kind == "Service" else ""
                hint = _near(ref.name, self._names.get(namespace, frozenset())) or self._elsewhere(ref)
                yield ref, Fault(f"{at}.name", f"there is no {ref.kind} {namespace}/{ref.name}{where}", hint, TARGET_NOT_FOUND)
            elif ref.port and not any(port.number == ref.port for one in found for port in one.ports):
                ports = ", ".join(sorted({str(port.number) for one in found for port in one.ports}, key=int))
                message = f"{ref.kind} {namespace}/{ref.name} has no port {ref.port}"
                yield ref, Fault(f"{at}.port", message, f"it has {ports}" if ports else "", TARGET_NOT_FOUND)

    def _elsewhere(self, ref: TargetRef) -> str:
        """Return a hint; an object that says no namespace is in `default`."""
        there = sorted(namespace for namespace, found in self._names.items() if ref.name in found)
        if there:
            return f"a policy is about Services of its own namespace; there is one in {' and in '.join(there[:3])}"
        return "create it, or export it, or take it out of the list"


def _by_namespace(named: Iterable[tuple[str, str]], before: Mapping[str, frozenset[str]]) -> dict[str, frozenset[str]]:
    found: dict[str, set[str]] = defaultdict(set)
    for namespace, name in named:
        found[namespace].add(name)
    now = {one: frozenset(names) for one, names in found.items()}
    return {one: before[one] if before.get(one) == names else names for one, names in now.items()}


@lru_cache(4096)
def _near(name: str, names: frozenset[str]) -> str:
    """Return a hint; it costs a look at every name, and policies may wait for long for what they name."""
    return did_you_mean(name, names - {name})


def _is_meant(key: ServiceKey, ref: TargetRef, cluster: str) -> bool:
    if ref.kind == "ServiceImport":
        return key.scope == CLUSTERSET
    return key.scope == cluster if cluster else key.scope != CLUSTERSET
