"""What TrafficPolicies target: what each is about, where it says so, and which of the Services that it names there are not."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from xds.model.events import FLEET
from xds.model.service import CLUSTERSET, ServiceKey
from xds.policy.acceptance import TARGET_NOT_FOUND, Fault
from xds.policy.subjects import Subject
from xds.problems import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from xds.model.fleet import Fleet
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


def missing(cluster: str, item: TrafficPolicy, fleet: Fleet) -> Iterator[tuple[TargetRef, Fault]]:
    """Yield what a policy that a cluster, or FLEET, holds names and that there is not, and what to say of it."""
    namespace = item.metadata.namespace
    for index, ref in enumerate(item.spec.target_refs):
        at = f"spec.targetRefs[{index}]"
        found = [service for key in _meant(ref, namespace, cluster, fleet) if (service := fleet.services.get(key))]
        if not found:
            where = f" in {cluster}" if cluster and ref.kind == "Service" else ""
            hint = _near(ref.name, fleet.names.get(namespace, frozenset())) or _elsewhere(ref, fleet.names)
            yield ref, Fault(f"{at}.name", f"there is no {ref.kind} {namespace}/{ref.name}{where}", hint, TARGET_NOT_FOUND)
        elif ref.port and not any(port.number == ref.port for one in found for port in one.ports):
            ports = ", ".join(sorted({str(port.number) for one in found for port in one.ports}, key=int))
            message = f"{ref.kind} {namespace}/{ref.name} has no port {ref.port}"
            yield ref, Fault(f"{at}.port", message, f"it has {ports}" if ports else "", TARGET_NOT_FOUND)


def _meant(ref: TargetRef, namespace: str, cluster: str, fleet: Fleet) -> Iterator[ServiceKey]:
    """Yield the keys of the services that a policy of a cluster, or FLEET, means, if there are such."""
    if ref.kind == "ServiceImport":
        yield ServiceKey(namespace, ref.name, CLUSTERSET)
        return
    for scope in [cluster] if cluster else [name for name in fleet.clusters if name != FLEET]:
        yield ServiceKey(namespace, ref.name, scope)


def _elsewhere(ref: TargetRef, names: Mapping[str, frozenset[str]]) -> str:
    """Return a hint; an object that says no namespace is in `default`."""
    there = sorted(namespace for namespace, found in names.items() if ref.name in found)
    if there:
        return f"a policy is about Services of its own namespace; there is one in {' and in '.join(there[:3])}"
    return "create it, or export it, or take it out of the list"


@lru_cache(4096)
def _near(name: str, names: frozenset[str]) -> str:
    """Return a hint; it costs a look at every name, and policies may wait for long for what they name."""
    return did_you_mean(name, names - {name})
