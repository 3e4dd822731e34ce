"""Why traffic goes where it goes, as messages: the same for a running control plane and for files."""

from __future__ import annotations

from typing import TYPE_CHECKING

from xds.admin.answers import object_ref
from xds.model.view import Role, View
from xds.policy.explanation import QuestionError, explain, find
from xds.problems import did_you_mean
from xds.wire import admin

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from xds.model.fleet import Fleet
    from xds.model.members import Member
    from xds.model.service import Endpoint, Locality
    from xds.policy.arithmetic import LocalityForecast, TierForecast
    from xds.policy.book import PolicyBook
    from xds.protocol import StreamInfo


def view_of(members: Mapping[str, Member], asked: str, role: str = "", streams: Iterable[StreamInfo] = ()) -> View:
    """Return the view that somebody asks about.

    Args:
        members: by name.
        asked: the id of a node that is connected, or `CLUSTER[/ZONE]`.
        role: of clients at a place; "": sidecar.
        streams: the open ones.

    Raises:
        QuestionError: there is no such node, cluster or zone.
    """
    nodes = {stream.node_id: stream.view for stream in streams}
    if isinstance(view := nodes.get(asked), View):
        return view
    cluster, _, zone = asked.partition("/")
    member = members.get(cluster)
    if member is None:
        hint = did_you_mean(asked, {*members, *nodes}) or f"clusters are {', '.join(sorted(members)) or 'none'}"
        raise QuestionError(f"there is no cluster and no connected node {asked!r}; {hint}")
    if zone and member.zones and zone not in member.zones:
        hint = did_you_mean(zone, member.zones) or f"it has {', '.join(member.zones)}"
        raise QuestionError(f"cluster {cluster!r} has no zone {zone!r}; {hint}")
    if role and role not in {*Role}:
        raise QuestionError(f"there is no role {role!r}; roles are {', '.join(Role)}")
    only = member.zones[0] if len(member.zones) == 1 else ""
    return View(cluster, member.network, member.region, zone or only, Role(role or Role.SIDECAR))


def explanation(fleet: Fleet, book: PolicyBook, asked: str, view: View) -> admin.Explanation:
    """Return why requests of a view's clients go where they go.

    Raises:
        QuestionError: the clients know no such service, or it has no such port.
    """
    service, port = find(fleet, asked, view.cluster)
    found = explain(fleet, book, service, port, view)
    return admin.Explanation(
        service=service.resource_name(port),
        **{"from": place(view.cluster, view.zone)},
        role=view.role,
        shares=by_place(found.forecast.shares),
        unserved=found.forecast.unserved,
        policy=found.policy.name,
        overprovisioning_percent=found.policy.overprovisioning,
        panic_percent=found.policy.cluster.panic_percent,
        kept_by=found.kept_by,
        tiers=map(_tier, found.forecast.tiers),
        chain=[
            admin.ExplanationStep(stage=step.stage, text=step.text, objects=map(object_ref, step.objects)) for step in found.chain
        ],
        left_out=[
            admin.LeftOutEndpoints(
                cluster=one.locality.cluster,
                region=one.locality.region,
                zone=one.locality.zone,
                endpoints=one.endpoints,
                reason=one.reason,
            )
            for one in found.ranking.left_out
        ],
    )


def place(cluster: str, zone: str) -> str:
    """Return how a place is written: `<cluster>/<zone>`."""
    return f"{cluster}/{zone}"


def by_place(shares: Mapping[Locality, float]) -> dict[str, float]:
    """Return shares by `<cluster>/<zone>`: a region is the cluster's, or follows from the zone."""
    found: dict[str, float] = {}
    for at, share in shares.items():
        name = place(at.cluster, at.zone)
        found[name] = found.get(name, 0.0) + share
    return found


def _tier(found: TierForecast) -> admin.ExplainedTier:
    return admin.ExplainedTier(
        index=found.tier.index,
        name=found.tier.name,
        closed=found.tier.closed,
        endpoints=found.endpoints,
        healthy=found.healthy,
        degraded=found.degraded,
        health_percent=found.health_percent,
        load_percent=found.load_percent,
        panics=found.panics,
        localities=map(_locality, found.localities),
    )


def _locality(found: LocalityForecast) -> admin.ExplainedLocality:
    at = found.share.locality
    return admin.ExplainedLocality(
        cluster=at.cluster,
        region=at.region,
        zone=at.zone,
        weight=found.share.weight,
        reasons=found.share.reasons,
        healthy=found.healthy,
        degraded=found.degraded,
        effective_weight=found.effective_weight,
        share=found.fraction,
        endpoints=[_endpoint(one, found.per_endpoint.get(one, 0.0)) for one in found.share.endpoints],
    )


def _endpoint(found: Endpoint, share: float) -> admin.ExplainedEndpoint:
    return admin.ExplainedEndpoint(
        addresses=found.addresses,
        port=found.port,
        health=found.health,
        reasons=found.reasons,
        share=share,
        source=object_ref(found.origin) if found.origin else None,
    )
