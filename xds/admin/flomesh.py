"""What the admin API tells of Flomesh's objects, as messages."""

from __future__ import annotations

from typing import TYPE_CHECKING

from xds.admin.answers import object_ref
from xds.model.events import ref_of
from xds.model.service import ServiceKey
from xds.wire import admin

if TYPE_CHECKING:
    from collections.abc import Iterator

    from xds.admin.state import ControlPlane
    from xds.model.flomesh import Policy, Remote
    from xds.model.flomesh_objects import FlomeshExport


def flomesh_services(plane: ControlPlane, namespace: str, name: str) -> Iterator[admin.FlomeshService]:
    """Yield what each member has of one name, where it has something."""
    for member in sorted(plane.members):
        if remote := plane.remotes.get(ServiceKey(namespace, name, member)):
            yield admin.FlomeshService(
                cluster=member,
                exports=[_export(member, item) for item in remote.exports],
                gateways=_gateways(remote),
                policy=_policy(member, remote.policy) if remote.policy else None,
            )


def _export(cluster: str, item: FlomeshExport) -> admin.FlomeshExport:
    spec = item.spec
    return admin.FlomeshExport(
        object=object_ref(ref_of(cluster, item)),
        rules=[admin.FlomeshRule(port=rule.port_number, path=rule.path, path_type=rule.path_type) for rule in spec.rules],
        rewrite_from=spec.path_rewrite.from_ if spec.path_rewrite else "",
        rewrite_to=spec.path_rewrite.to if spec.path_rewrite else "",
        session_sticky=spec.session_sticky,
        load_balancer=spec.load_balancer,
        target_clusters=spec.target_clusters,
        service_account=spec.service_account_name,
    )


def _gateways(remote: Remote) -> Iterator[admin.FlomeshGateway]:
    for number, targets in sorted(remote.gateways.items()):
        for target in targets:
            yield admin.FlomeshGateway(
                port=number,
                cluster_key=str(target.key),
                member=target.cluster,
                host=target.host,
                address=target.address,
                gateway_port=target.port,
                path=target.path,
            )


def _policy(cluster: str, policy: Policy) -> admin.FlomeshPolicy:
    targets = [
        admin.FlomeshTarget(cluster_key=str(share.key), member=share.cluster, weight=share.weight) for share in policy.shares
    ]
    return admin.FlomeshPolicy(object=object_ref(ref_of(cluster, policy.item)), lb_type=policy.lb_type, targets=targets)
