"""Why traffic goes where it goes: from the objects over exports, policies and tiers to the share of each endpoint.

The numbers are those by which CLAs are made (`Ladder.rank`), and what a client makes of them (`xds.policy.arithmetic`).
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Final, NamedTuple

from xds.errors import XdsError
from xds.model.events import FLEET, MemberState, ObjectKey, Standing, ref_of
from xds.model.objects import UNDATED
from xds.model.service import CLUSTERSET, ServiceKey
from xds.model.view import Role
from xds.model.widening import named_by
from xds.policy.acceptance import INVALID
from xds.policy.arithmetic import envoy_forecast, grpc_forecast
from xds.problems import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Iterator

    from xds.model.fleet import Fleet
    from xds.model.imports import Import
    from xds.model.service import Service
    from xds.model.view import View
    from xds.policy.arithmetic import Forecast
    from xds.policy.book import PolicyBook
    from xds.policy.policies import Policy
    from xds.policy.tiers import Ranking
    from xds.problems import Ref

_DOMAINS: Final = {"svc.cluster.local": True, "svc.clusterset.local": False}
"""What names end with -> whether they mean a cluster's own service."""


class QuestionError(XdsError):
    """What is asked about does not exist."""

    exit_code = 65


class Step(NamedTuple):
    """One link of the chain."""

    stage: str
    """`name`, `affinity`, `export`, `conflict`, `sharing`, `widening`, `import`, `drain`, `policy`, `sovereignty` or `member`."""
    text: str
    objects: tuple[Ref, ...] = ()


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why one client's requests to one port go where they go."""

    service: Service
    port: int
    view: View
    policy: Policy
    chain: tuple[Step, ...]
    ranking: Ranking
    forecast: Forecast

    @property
    def kept_by(self) -> str:
        """By what a client is kept to one endpoint, so that shares are of clients; "" if they are of requests."""
        if not self.ranking.keeps_clients:
            return ""
        return "channel" if self.view.role is Role.PROXYLESS else "client address"


def find(fleet: Fleet, asked: str, cluster: str) -> tuple[Service, int]:
    """Return the service and port that clients in a cluster mean.

    Args:
        fleet: where to look.
        asked: `<fqdn>[:port]`, or `NAMESPACE/NAME[:port]`: their cluster's own service, else the one of the cluster set. Without
            a port, the first.
        cluster: the clients'; "" outside every cluster.

    Raises:
        QuestionError: there is no such service, or it has no such port.
    """
    name, _, number = asked.partition(":")
    key = _key(fleet, name, cluster)
    service = fleet.services.get(key)
    if service is None or not service.is_visible(cluster):
        known = {one.key.fqdn if "/" not in name else f"{one.key.namespace}/{one.key.name}" for one in fleet.visible(cluster)}
        hint = did_you_mean(name, known) or "`xdsctl services` lists them"
        where = f"for clients in {cluster}" if cluster else "for clients outside the member clusters"
        raise QuestionError(f"there is no service {name!r} {where}; {hint}")
    ports = [port.number for port in service.ports]
    if not ports or (number and number not in map(str, ports)):
        has = f"it has {', '.join(map(str, ports))}" if ports else "it has none"
        raise QuestionError(f"{service.key.fqdn} has no port {number}; {has}" if number else f"{service.key.fqdn} has no port")
    return service, int(number) if number else ports[0]


def explain(fleet: Fleet, book: PolicyBook, service: Service, port: int, view: View) -> Explanation:
    """Return why requests of a view's clients to a port go where they go.

    Args:
        fleet: everything that is known.
        book: the policies in force.
        service: one that is visible in the view.
        port: one of its ports.
        view: the clients'.
    """
    ladder = book.ladder(service, port, view, is_kept=False)
    ranking = ladder.rank(service, port)
    chain = (
        *_named(service, port),
        *_kept(fleet, service),
        *_exported(fleet, service, port),
        *_given(fleet, service, view),
        *_imported(fleet, service, port),
        *_governed(book, service, port, view),
        *_beside(book, service, port, view),
        *_members(fleet, service, port, view),
    )
    forecast = predicted(ranking, ladder.policy, view)
    now = {ref.unversioned: ref for ref in (ref_of(holder, item) for holder, item in fleet.policies())}
    # A new version that says the same, e.g. with another status, makes no new book.
    chain = tuple(step._replace(objects=tuple(now.get(ref.unversioned, ref) for ref in step.objects)) for step in chain)
    return Explanation(service, port, view, ladder.policy, chain, ranking, forecast)


def predicted(ranking: Ranking, policy: Policy, view: View) -> Forecast:
    """Return what a view's clients make of a ranking."""
    if view.role is Role.PROXYLESS:
        return grpc_forecast(ranking.tiers)
    panic_percent = policy.cluster.panic_percent
    return envoy_forecast(ranking.tiers, policy.overprovisioning, panic_percent, by_hash=ranking.keeps_clients)


def _key(fleet: Fleet, name: str, cluster: str) -> ServiceKey:
    if "/" in name:
        namespace, _, short = name.partition("/")
        own = ServiceKey(namespace, short, cluster)
        return own if cluster and own in fleet.services else ServiceKey(namespace, short)
    for domain, is_own in _DOMAINS.items():
        if name.endswith(f".{domain}"):
            parts = name.removesuffix(f".{domain}").split(".")
            if len(parts) == 2:
                return ServiceKey(parts[1], parts[0], cluster if is_own else CLUSTERSET)
    raise QuestionError(
        f"{name!r} names no service; use NAMESPACE/NAME, or NAME.NAMESPACE.svc.cluster.local or …clusterset.local, "
        "and :PORT behind it"
    )


def _named(service: Service, port: int) -> Iterator[Step]:
    key = service.key
    refs = tuple(ref for ref in service.origins if ref.kind == "Service" and (ref.cluster == key.scope or not key.scope))
    whose = f"{key.scope}'s own service" if key.scope else "the service of the cluster set"
    yield Step("name", f"{key.fqdn}:{port} is {whose}", refs)


def _kept(fleet: Fleet, service: Service) -> Iterator[Step]:
    """Yield whose Service says that a client stays with one endpoint."""
    if service.keeps_clients:
        key = service.key
        cluster = key.scope or fleet.imports[key].oldest.cluster
        refs = tuple(ref for ref in service.origins if ref.kind == "Service" and ref.cluster == cluster)
        yield Step("affinity", "sessionAffinity is ClientIP: each client stays with one endpoint, so shares are of clients", refs)


def _exported(fleet: Fleet, service: Service, port: int) -> Iterator[Step]:
    """Yield who exports what is used, and which export decides."""
    if service.key.scope and not service.widened_by:
        return
    imported = fleet.imports.get(ServiceKey(service.key.namespace, service.key.name))
    if imported is None:
        return
    names = [one.cluster for one in imported.exports]
    refs = tuple(ref_of(one.cluster, one.export) for one in imported.exports)
    decides = f"; the export of {imported.oldest.cluster} {_why_it_decides(imported)}" if len(names) > 1 else ""
    yield Step("export", f"exported by {', '.join(names)}{decides}", refs)
    serving = next((clusters for found, clusters in imported.ports if found.port == port), frozenset())
    if missing := [name for name in names if name not in serving]:
        yield Step("export", f"port {port} is served by {', '.join(sorted(serving))}, and not by {', '.join(missing)}")
    for one in imported.conflicts:
        ref = next(ref_of(item.cluster, item.export) for item in imported.exports if item.cluster == one.cluster)
        yield Step("conflict", f"{one.reason} in {one.cluster}: {one.message}; {one.winner} decides", (ref,))


def _why_it_decides(imported: Import) -> str:
    ages = [one.export.metadata.age for one in imported.exports]
    if ages[0] == UNDATED:
        return "decides, the first cluster by name, since no export tells when it was created"
    return "is the oldest and decides" if ages.count(ages[0]) == 1 else "decides, the first by name of the oldest"


def _given(fleet: Fleet, service: Service, view: View) -> Iterator[Step]:
    """Yield why a cluster's own service has endpoints of others."""
    key = service.key
    sharing = fleet.sharing(key.namespace, key.name) if key.scope else None
    if sharing is not None and sharing.consumes(key.scope):
        providers = ", ".join(sorted(sharing.providers)) if sharing.providers is not None else "all clusters"
        text = f"{key.scope} is given the endpoints of {providers} by a MultiClusterService"
        yield Step("sharing", text, (ref_of(FLEET, sharing.item),))
    if service.widened_by:
        refs = tuple(ref for ref in _naming(fleet, key, view.cluster))
        others = " and ".join(sorted(service.widened_by))
        # What earlier versions of a policy name stays widened, since one of them may be what is in force.
        named, which = ("names", "policy") if refs else ("named", "version still")
        yield Step("widening", f"a policy {named} it, so what is exported by {others} counts, too, if that {which} governs", refs)


def _imported(fleet: Fleet, service: Service, port: int) -> Iterator[Step]:
    """Yield by which gateways other clusters are reached."""
    remote = fleet.remotes.get(service.key) if service.has_gateways else None
    if remote is None:
        return
    for one in remote.gateways.get(port, ()):
        address = f"[{one.address}]" if ":" in one.address else one.address
        path = "without a path in front" if one.path == "/" else f"with {one.path} in front of the path"
        member = "" if one.cluster else ", which is no member"
        text = f"imported from {one.key}{member}: through the gateway at {address}:{one.port}, {path}"
        yield Step("import", text, tuple(ref_of(service.key.scope, item) for item in remote.imports))


def _naming(fleet: Fleet, key: ServiceKey, cluster: str) -> Iterator[Ref]:
    for holder, item in chain(fleet.policies(), fleet.destination_rules()):
        if holder in (FLEET, cluster) and (key.namespace, key.name) in named_by(item):
            yield ref_of(holder, item)
    own = fleet.clusters[key.scope].items.get(ObjectKey("Service", key.namespace, key.name))
    if own is not None and named_by(own):
        yield ref_of(key.scope, own)


def _governed(book: PolicyBook, service: Service, port: int, view: View) -> Iterator[Step]:
    """Yield which policy governs, which do not, and whose sovereignty holds."""
    drains = book.governing(service, port, view.cluster).drains
    for drain in book.overrides.of_service(service.key, can_move=True):
        left = f"{100 * drain.left:.0f} % of what it would get" if drain.left else "nothing"
        does = f"leaves {drain.place} {left}" if drain in drains else "does not move what one cluster alone may serve"
        yield Step("drain", f"{drain} {does}", (drain.origin,))
    candidates = book.candidates(service.key, port, view.cluster)
    for item, ref, faults in book.refused(service, port, view.cluster):
        text = f"{item.kind} {item.metadata.namespace}/{item.metadata.name} is not accepted: {faults[0].message}"
        if faults[0].reason == INVALID and any(ref.unversioned == policy.origin for _, policy in candidates):
            text += "; the version that was accepted last is in force"
        yield Step("policy", text, (ref,))
    for other in book.governing(service, port, view.cluster).sovereignty:
        yield Step("sovereignty", f"the sovereignty of {other.name} holds, whatever governs", book.refs(other))
    if not candidates:
        own = " of its own endpoints alone" if not service.spans else ""
        first = f", behind {service.traffic_distribution}" if service.traffic_distribution else ""
        yield Step("policy", f"no policy speaks for it: the default ladder{own}{first}")
        return
    (subject, policy), *others = candidates
    yield Step("policy", f"{policy.name} governs, as {_as(subject)}", book.refs(policy))
    for subject, other in others:
        if other is not policy:
            yield Step("policy", f"{other.name} speaks for it as {_as(subject)}, which is less specific", book.refs(other))


def _beside(book: PolicyBook, service: Service, port: int, view: View) -> Iterator[Step]:
    """Yield which policies name the service under its other name alone: whoever wrote them may have meant this one, too."""
    key = service.key
    if not view.cluster:
        return
    candidates = {policy for _, policy in book.candidates(key, port, view.cluster)}
    other = ServiceKey(key.namespace, key.name, CLUSTERSET if key.scope else view.cluster)
    for subject, policy in book.candidates(other, port, view.cluster):
        if subject.kind and not subject.system and policy not in candidates:
            yield Step("policy", f"{policy.name} names {subject}, which is {other.fqdn}, and not this", book.refs(policy))


def _as(subject: object) -> str:
    text = str(subject)
    return text if text.startswith("the default") else f"one for {text}"


def _members(fleet: Fleet, service: Service, port: int, view: View) -> Iterator[Step]:
    """Yield members with endpoints of it that are not as they should be."""
    clusters = {one.locality.cluster for one in service.endpoints[port]}
    for name in sorted(clusters & fleet.members.keys()):
        member = fleet.members[name]
        if member.state is not MemberState.CONNECTED and member.state is not MemberState.SYNCING:
            what = {Standing.FULL: "its endpoints count as they were known last"}
            what[Standing.DEMOTED] = "its endpoints are the last resort of clients in other clusters"
            what[Standing.REMOVED] = "its endpoints are left out for clients in other clusters"
            effect = what[Standing.FULL if name == view.cluster else member.standing]
            reason = f" ({member.reason})" if member.reason else ""
            yield Step("member", f"{name} is {member.state}{reason}: {effect}", (member.origin,) if member.origin else ())
