"""What Services and exports say for other systems -> policies, and what is to be said of the rest.

Cilium: `cilium/cilium: pkg/annotation/k8s.go`. Linkerd: `linkerd/linkerd2: pkg/k8s/labels.go`. Azure Fleet:
`Azure/fleet-networking: api/v1alpha1/serviceexport_types.go`.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple

from xds.model import hints
from xds.model.traffic_objects import ANY, PlaceSpec, WeightSpec
from xds.policy.notes import DIFFERS, KEPT, NOT_FOLLOWED, Note
from xds.policy.policies import ALL_ALIKE, ANYWHERE, NODE_ONLY, OWN_CLUSTER, Policy, Rung, Selector, default_rungs
from xds.problems import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from xds.model.service import Service
    from xds.problems import Ref

OTHER_CLUSTERS: Final = Rung("other clusters", (Selector(PlaceSpec(clusters=[ANY]), not_own_cluster=True),))
_PREFERENCES: Final[Mapping[str, tuple[Rung, ...]]] = {
    "local": (OWN_CLUSTER, ANYWHERE),
    "remote": (OTHER_CLUSTERS, OWN_CLUSTER),
}
AFFINITIES: Final = (*_PREFERENCES, "none")
MOST: Final = 1000
"""The largest weight of an export."""


class Exports(NamedTuple):
    """What there is of a service in other clusters, and whether it is exported."""

    own: bool
    """Its own cluster exports it."""
    others: bool
    """Some other cluster does."""
    apart: tuple[str, ...]
    """Other clusters that have a Service of its name and do not."""


def node_only(ref: Ref) -> Policy:
    """Return the policy of a Service with `internalTrafficPolicy: Local`."""
    rungs, by_client = NODE_ONLY
    return Policy(name=f"{ref} (internalTrafficPolicy)", rungs=rungs, by_client=by_client, origin=ref)


def cilium(given: Mapping[str, str], distribution: str, ref: Ref) -> Policy:
    """Return the policy of a Service that Cilium calls global."""
    rungs = _PREFERENCES.get(_affinity(given)) or (*default_rungs(distribution, spans=False)[:-1], ALL_ALIKE)
    return Policy(name=f"{ref} (Cilium)", rungs=rungs, origin=ref)


def weighted(given: Mapping[str, str], ref: Ref) -> Policy | None:
    """Return the policy of a service by the weights of its exports; None if they sum to nothing.

    Args:
        given: cluster -> what its export says, "" for nothing.
        ref: an export that says something.
    """
    found = {cluster: weight for cluster, text in given.items() if (weight := _weight(text)) is not None}
    weights = [WeightSpec(cluster=cluster, weight=found.get(cluster, 1)) for cluster in sorted(given)]
    if not any(one.weight for one in weights):
        return None
    rung = Rung("by the weights of the exports", ANYWHERE.selectors, weights=tuple(weights))
    return Policy(name=f"{ref} (weights of exports)", rungs=(rung,), origin=ref)


def notes(service: Service, exports: Exports) -> Iterator[Note]:
    """Yield what is to be said of a cluster's own service."""
    if hints.SESSION_AFFINITY in service.hints:
        message = (
            "proxies keep a client by a hash of its address for as long as its endpoint is there, whatever timeoutSeconds says; "
            "gRPC clients without a proxy are kept by channel"
        )
        yield Note(KEPT, hints.SESSION_AFFINITY, message, "nothing has to be done if that is good enough")
    yield from _of_cilium(service, exports)
    yield from _of_linkerd(service, exports)


def weight_notes(text: str, *, in_force: bool) -> Iterator[Note]:
    """Yield what is to be said of the weight of an export."""
    if text and _weight(text) is None:
        yield Note(NOT_FOLLOWED, annotation(hints.EXPORT_WEIGHT), f"{text!r} is no number from 0 to {MOST}; 1 counts")
    elif text and not in_force:
        message = "is 0 as that of every export, so that nothing would be left; none of the weights counts"
        yield Note(NOT_FOLLOWED, annotation(hints.EXPORT_WEIGHT), message, "give one export a weight above 0")


def annotation(key: str) -> str:
    """Return the field of an annotation."""
    return f'metadata.annotations["{key}"]'


def apart_note(system: str, field: str, service: tuple[str, str], exports: Exports) -> Iterator[Note]:
    """Yield that Services of one name are not joined where none is exported."""
    if exports.apart and not exports.others:
        names, (namespace, name) = ", ".join(exports.apart), service
        message = f"{system} would use the Services of this name in {names}, too; here only what clusters export, and none does"
        yield Note(NOT_FOLLOWED, field, message, f"create a ServiceExport {namespace}/{name} in {names}")


def _affinity(given: Mapping[str, str]) -> str:
    return given.get(hints.written(given, hints.AFFINITY), "none").casefold() or "none"


def _weight(text: str) -> int | None:
    return int(text) if re.fullmatch(r"[0-9]{1,4}", text) and int(text) <= MOST else None


def _of_cilium(service: Service, exports: Exports) -> Iterator[Note]:
    given = service.hints
    is_global, at = hints.is_global(given), hints.written(given, hints.GLOBAL)
    yield from _of_namespace(service, exports)
    if not (hints.is_true(given.get(at, "true")) or hints.is_false(given[at])):
        yield Note(NOT_FOLLOWED, annotation(at), f"{given[at]!r} counts as false, as with Cilium", "set it to true or false")
    yield from _of_affinity(given, is_global=is_global)
    if is_global:
        yield from apart_note("Cilium", annotation(at), (service.key.namespace, service.key.name), exports)
    yield from _of_sharing(service, exports)
    if hints.ALGORITHM in given:
        yield Note(NOT_FOLLOWED, annotation(hints.ALGORITHM), "is not followed: endpoints take turns")


def _of_namespace(service: Service, exports: Exports) -> Iterator[Note]:
    """Yield what follows from a Namespace of which Cilium shares nothing."""
    given, key = service.hints, hints.GLOBAL_NAMESPACE
    if key not in given:
        return
    says = f"its Namespace says {key}: {given[key]!r}"
    if not hints.is_false(given[key]):
        message = f"{says}, which Cilium takes for false; here a slip takes nothing away"
        yield Note(NOT_FOLLOWED, "metadata.namespace", message, "set it to true or false")
        return
    at = hints.written(given, hints.GLOBAL)
    if hints.is_true(given.get(at, "")):
        yield Note(NOT_FOLLOWED, annotation(at), f"has no effect, as with Cilium: {says}")
    if exports.own:
        message = f"{says}, so Cilium would not export it; here it is exported, so other clusters use its endpoints"
        yield Note(NOT_FOLLOWED, "metadata.namespace", message, "delete the ServiceExport")


def _of_affinity(given: Mapping[str, str], *, is_global: bool) -> Iterator[Note]:
    affinity, key = _affinity(given), hints.written(given, hints.AFFINITY)
    if affinity not in AFFINITIES:
        hint = did_you_mean(affinity, AFFINITIES) or f"use one of {', '.join(AFFINITIES)}"
        yield Note(NOT_FOLLOWED, annotation(key), f"{given[key]!r} is unknown; all clusters count alike", hint)
    elif affinity != "none" and not is_global:
        yield Note(NOT_FOLLOWED, annotation(key), f"has no effect without {hints.GLOBAL}: true, as with Cilium")
    elif affinity != "none":
        message = "Cilium leaves the preferred clusters when their last endpoint is gone; here they pass on what they cannot bear"
        yield Note(DIFFERS, annotation(key), message)


def _of_sharing(service: Service, exports: Exports) -> Iterator[Note]:
    given, key = service.hints, service.key
    at, is_shared = hints.written(given, hints.SHARED), hints.is_shared(given)
    if is_shared and not exports.own and exports.apart:
        message = "Cilium would let other clusters use its endpoints; here they do once it is exported"
        hint = f"create a ServiceExport {key.namespace}/{key.name} in {key.scope}"
        yield Note(NOT_FOLLOWED, annotation(at if at in given else hints.written(given, hints.GLOBAL)), message, hint)
    elif exports.own and not is_shared and at in given:
        message = "it is exported, so other clusters use its endpoints all the same"
        hint = "delete the ServiceExport, or give a TrafficPolicy sovereignty"
        yield Note(NOT_FOLLOWED, annotation(at), message, hint)


def _of_linkerd(service: Service, exports: Exports) -> Iterator[Note]:
    given, key = service.hints, service.key
    for label, suffix in ((hints.EXPORTED, "CLUSTER"), (hints.FEDERATED, "federated")):
        if given.get(label) not in ("true", "remote-discovery", "member"):
            continue
        there, here = f"{key.name}-{suffix}", f"{key.name}.{key.namespace}.svc.clusterset.local"
        field = f'metadata.labels["{label}"]'
        if exports.own:
            yield Note(DIFFERS, field, f"with Linkerd other clusters use it as {there}; here as {here}")
        else:
            message = f"with Linkerd other clusters use it as {there}; here as {here}, once it is exported"
            yield Note(NOT_FOLLOWED, field, message, f"create a ServiceExport {key.namespace}/{key.name} in {key.scope}")
    if given.get(hints.MIRRORED) == "true":
        of = given.get(hints.MIRRORED_CLUSTER, "another cluster")
        message = f"is Linkerd's mirror of a Service in {of}: its endpoints lead there, and count as this cluster's own"
        yield Note(DIFFERS, f'metadata.labels["{hints.MIRRORED}"]', message, "use the name under clusterset.local")
    if remote := given.get(hints.REMOTE_DISCOVERY):
        message = f"Linkerd's proxies ask {remote} for its endpoints; here it has those of its own slices"
        yield Note(NOT_FOLLOWED, f'metadata.labels["{hints.REMOTE_DISCOVERY}"]', message, "use the name under clusterset.local")
