"""What of Istio's DestinationRules is not followed here (XDS0611), and what has another effect than with Istio (XDS0610)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from xds.model.istio_objects import OWN_DOMAIN, LoadBalancer, RuleTraffic, host_of
from xds.policy.destination_rules import NETWORK_LABEL, is_followed, parse_duration, unusable
from xds.policy.hints import Exports, apart_note
from xds.policy.istio_places import Parts, is_region, label_of, labelled, missing
from xds.policy.notes import DIFFERS, NO_TARGET, NOT_FOLLOWED, Note
from xds.problems import all_known, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from msgspec import Struct

    from xds.model.istio_objects import DestinationRule, Distribute, LocalityLbSetting, OutlierDetection
    from xds.policy.acceptance import Known
    from xds.policy.istio_places import Named

_LOCALITY: Final = "spec.trafficPolicy.loadBalancer.localityLbSetting"
_OUTLIERS: Final = "spec.trafficPolicy.outlierDetection"
_SPEC: Final = {"subsets": "subsets"}
_TRAFFIC: Final = {
    "connectionPool": "connection_pool",
    "tls": "tls",
    "tunnel": "tunnel",
    "proxyProtocol": "proxy_protocol",
    "retryBudget": "retry_budget",
    "portLevelSettings": "port_level_settings",
}
_BALANCER: Final = {
    "simple": "simple",
    "consistentHash": "consistent_hash",
    "warmup": "warmup",
    "warmupDurationSecs": "warmup_duration_secs",
}
"""What is not read: as Istio calls it -> the attribute."""


class Surroundings(NamedTuple):
    """What is known around a rule."""

    known: Known | None
    """None: which places there are is told otherwise."""
    exists: bool
    """Whether its service exists."""
    exports: Exports
    """What there is in other clusters."""
    node_only: bool = False
    """Its service is used on the client's node alone."""


def notes(cluster: str, item: DestinationRule, around: Surroundings) -> Iterator[Note]:
    """Yield what is to be said of a rule.

    Args:
        cluster: that holds it.
        item: the object.
        around: what is known around it.
    """
    yield from _unread(item)
    if item.service is None:
        yield from _aimless(item)
        return
    if not around.exists:
        kind, namespace, name = item.service.kind, item.service.namespace, item.service.name
        where = f" in {cluster}" if kind == "Service" else ""
        yield Note(NO_TARGET, "spec.host", f"there is no {kind} {namespace}/{name}{where}", "create it, or export it")
    elif item.service.kind == "Service":
        yield from apart_note("Istio", "spec.host", item.service[:2], around.exports)
    if item.spec.export_to is not None and "*" not in item.spec.export_to:
        message = "says for the clients of which namespaces it is; here it is for all clients in its cluster"
        yield Note(DIFFERS, "spec.exportTo", message)
    if item.locality is not None and around.node_only:
        yield Note(NOT_FOLLOWED, _LOCALITY, "has no effect beside internalTrafficPolicy: Local of its Service")
    elif item.locality is not None:
        yield from _of_locality(item.locality, _Places.of(item.locality, around.known), has_outliers=item.outliers is not None)
    elif item.outliers is not None:
        message = "makes Istio prefer the client's zone and region, too; here it does not change the order of places"
        yield Note(DIFFERS, _OUTLIERS, message, "say which places are preferred in localityLbSetting, or in a TrafficPolicy")
    if item.outliers is not None:
        yield from _of_outliers(item.outliers)


def unread(item: DestinationRule) -> list[str]:
    """Return the fields of a rule that are not read."""
    traffic = item.spec.traffic_policy or RuleTraffic()
    parts: tuple[tuple[str, Struct, dict[str, str]], ...] = (
        ("spec", item.spec, _SPEC),
        ("spec.trafficPolicy", traffic, _TRAFFIC),
        ("spec.trafficPolicy.loadBalancer", traffic.load_balancer or LoadBalancer(), _BALANCER),
    )
    return [f"{path}.{name}" for path, part, names in parts for name, field in names.items() if getattr(part, field)]


def _unread(item: DestinationRule) -> Iterator[Note]:
    if found := unread(item):
        first, *others = found
        rest = f"; neither {'is' if len(others) == 1 else 'are'} {', '.join(others)}" if others else ""
        yield Note(NOT_FOLLOWED, first, f"is not followed{rest}", "localityLbSetting and outlierDetection are")


def _aimless(item: DestinationRule) -> Iterator[Note]:
    """Yield why nothing follows from a rule of which something could."""
    if item.locality is None and item.outliers is None:
        return
    host, namespace = item.spec.host, item.metadata.namespace
    found = host_of(host, namespace)
    if found is None:
        known = f"NAME, NAME.NAMESPACE.{OWN_DOMAIN} or …clusterset.local"
        yield Note(
            NOT_FOLLOWED, "spec.host", f"{host!r} names no Service, so nothing follows from the rule", f"hosts are {known}"
        )
    elif found.namespace != namespace:
        message = (
            f"is in namespace {found.namespace!r}, and the rule in {namespace!r}: Istio would apply it to the clients there; "
            "here policies are for all clients of a cluster, so nothing follows from it"
        )
        yield Note(NOT_FOLLOWED, "spec.host", message, f"put the rule into {found.namespace!r}, or write a TrafficPolicy there")
    else:
        message = "chooses some clients; here policies are for all clients of a cluster, so nothing follows from the rule"
        yield Note(NOT_FOLLOWED, "spec.workloadSelector", message, "take it out, or write a TrafficPolicy")


class _Places(NamedTuple):
    """What a setting names that there is not, and what was probably meant."""

    missing: frozenset[Named]
    known: Known | None

    @staticmethod
    def of(setting: LocalityLbSetting, known: Known | None) -> _Places:
        return _Places(missing(setting, known) if known else frozenset(), known)

    def note(self, at: str, named: Named | None, consequence: str = "") -> Iterator[Note]:
        """Yield that a place is missing, if it is."""
        if named is not None and named in self.missing:
            what, name = named
            yield Note(NOT_FOLLOWED, at, f"there is no {what.rpartition('/')[2]} {name!r}{consequence}", self.hint([named]))

    def hint(self, places: Iterable[Named | None]) -> str:
        """Return what was probably meant by the first of some places that is missing."""
        for what, name in (one for one in places if one and one in self.missing and self.known):
            assert self.known is not None, "else nothing would be missing"
            there = self.known.names(what)
            return did_you_mean(name, there) or all_known(what.rpartition("/")[2], there)
        return ""


def _of_locality(setting: LocalityLbSetting, places: _Places, *, has_outliers: bool) -> Iterator[Note]:
    if setting.enabled is False:
        return
    if setting.distribute:
        yield from _of_distribution(setting, setting.distribute, places)
        return
    if not has_outliers:
        message = "Istio would not fail over without outlierDetection; here the readiness of endpoints is enough"
        yield Note(DIFFERS, _LOCALITY, message)
    if setting.failover_priority:
        yield from _of_labels(setting.failover_priority, places)
        if setting.failover:
            message = "is not followed beside failoverPriority: places with equally many labels are one tier"
            yield Note(NOT_FOLLOWED, f"{_LOCALITY}.failover", message, "use one of them, or a TrafficPolicy with these tiers")
        return
    yield from _of_failover(setting, places)


def _of_distribution(setting: LocalityLbSetting, entries: list[Distribute], places: _Places) -> Iterator[Note]:
    for index, entry in enumerate(entries):
        at = f"{_LOCALITY}.distribute[{index}]"
        to = [(part := Parts.of(text)) and part.named for text in entry.to]
        if why := unusable(entry, places.missing):
            yield Note(NOT_FOLLOWED, at, f"{why}, so the entry is left out", places.hint(to))
            continue
        start = Parts.of(entry.from_)
        yield from places.note(
            f"{at}.from", start and start.named, ", so the entry is for no clients but those that say they are there"
        )
        for named in dict.fromkeys(to):
            yield from places.note(f"{at}.to", named, ", so its share goes to the others")
    for field, other in (("failover", setting.failover), ("failoverPriority", setting.failover_priority)):
        if other:
            message, hint = "has no effect beside distribute, as with Istio", "a TrafficPolicy can have both: tiers with weights"
            yield Note(NOT_FOLLOWED, f"{_LOCALITY}.{field}", message, hint)


def _of_failover(setting: LocalityLbSetting, places: _Places) -> Iterator[Note]:
    seen: set[str] = set()
    for index, entry in enumerate(setting.failover or ()):
        at = f"{_LOCALITY}.failover[{index}]"
        for field, name in (("from", entry.from_), ("to", entry.to)):
            if not is_region(name):
                yield Note(NOT_FOLLOWED, f"{at}.{field}", f"{name!r} is no region, so the entry is left out")
            else:
                yield from places.note(f"{at}.{field}", ("region", name))
        if entry.from_ in seen:
            yield Note(NOT_FOLLOWED, at, f"an entry before is for clients in {entry.from_!r} already, and counts")
        seen.add(entry.from_)


def _of_labels(priorities: list[str], places: _Places) -> Iterator[Note]:
    asked: dict[str, str] = {}
    for index, priority in enumerate(priorities):
        key, value = label_of(priority)
        at = f"{_LOCALITY}.failoverPriority[{index}]"
        if key == NETWORK_LABEL:
            yield Note(DIFFERS, at, "endpoints of other networks are not used at all: no gateway leads there")
        elif not is_followed(priority):
            message = f"{priority!r} is not known of endpoints here, so it is left out of the order"
            hint = "region, zone and cluster are known, and the client's own node; for labels of clusters use a TrafficPolicy"
            yield Note(NOT_FOLLOWED, at, message, hint)
        elif asked.setdefault(key, value) != value:
            message = f"{priority!r} is not followed, nor is what comes after it: a label before asks for another {key}"
            yield Note(NOT_FOLLOWED, at, message, "ask for each label once, or use a TrafficPolicy")
            return
        else:
            yield from places.note(at, labelled(priority), ", so no endpoint has this label")


def _of_outliers(given: OutlierDetection) -> Iterator[Note]:
    at = f"{_OUTLIERS}.maxEjectionPercent"
    if not given.max_ejection_percent:  # Istio cannot tell 0 from nothing
        message = (
            "is not given: Istio would eject at most 10 % of the endpoints, so most of a dead region would stay in use; "
            "here all that fail may be ejected"
        )
        yield Note(DIFFERS, at, message, "set it to have fewer ejected")
    elif given.max_ejection_percent < 100:
        message = (
            f"is {given.max_ejection_percent}: of a region whose endpoints all fail, the others stay in use until they are no "
            "longer ready"
        )
        yield Note(DIFFERS, at, message, "100 lets clients leave a dead region by what they see themselves")
    if given.consecutive_errors:
        hint = "use consecutiveGatewayErrors, or consecutive5xxErrors"
        yield Note(NOT_FOLLOWED, f"{_OUTLIERS}.consecutiveErrors", "has no effect, as with Istio", hint)
    if given.consecutive_local_origin_failures and not given.split_external_local_origin_errors:
        message, hint = "has no effect, as with Istio", "set splitExternalLocalOriginErrors"
        yield Note(NOT_FOLLOWED, f"{_OUTLIERS}.consecutiveLocalOriginFailures", message, hint)
    for field, text in (("interval", given.interval), ("baseEjectionTime", given.base_ejection_time)):
        if text and parse_duration(text) is None:
            yield Note(
                NOT_FOLLOWED, f"{_OUTLIERS}.{field}", f"{text!r} is no duration above 0; Istio's default counts", "e.g. 30s"
            )
