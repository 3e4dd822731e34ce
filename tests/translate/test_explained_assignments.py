"""Every number in a CLA is one that `explain` prints."""

from __future__ import annotations

from fleet_strategies import views, worlds
from hypothesis import given

from xds.admin.explanations import explanation
from xds.model.view import Role
from xds.translate.world import Translator
from xds.wire import CLUSTER, ENDPOINT, envoy


def of_assignment(message):
    """Return tier -> locality -> (weight, {(address, port): health})."""
    tiers = {}
    for group in message.endpoints:
        place = (group.locality.sub_zone, group.locality.region, group.locality.zone)
        endpoints = {
            (one.endpoint.address.socket_address.address, one.endpoint.address.socket_address.port_value): one.health_status
            for one in group.lb_endpoints
        }
        found = tiers.setdefault(group.priority, {})
        if endpoints:
            found[place] = (group.load_balancing_weight.value, endpoints)
    return tiers


def of_explanation(found):
    return {
        tier.index: {
            (at.cluster, at.region, at.zone): (
                at.weight,
                {(one.addresses[0], one.port): envoy.HealthStatus.Value(one.health) for one in at.endpoints},
            )
            for at in tier.localities
        }
        for tier in found.tiers
    }


def assignment_of(resources, name):
    """Return what the endpoints of a cluster are: by EDS, or inside."""
    if name not in resources[CLUSTER]:
        return None
    cluster = envoy.Cluster.FromString(resources[CLUSTER][name].body)
    if cluster.type != envoy.Cluster.EDS:
        return cluster.load_assignment
    assigned = cluster.eds_cluster_config.service_name or name
    return envoy.ClusterLoadAssignment.FromString(resources[ENDPOINT][assigned].body)


@given(worlds(), views())
def test_what_is_explained_is_what_is_served(world, view):
    fleet = world.fleet()
    translator = Translator(fleet)
    made = translator.translate(view).resources
    for service in fleet.visible(view.cluster):
        for port in service.ports:
            message = assignment_of(made, service.resource_name(port.number))
            if message is None:
                assert view.role is Role.GATEWAY, "a gateway is given what its routes lead to"
                continue
            found = explanation(fleet, translator.book, f"{service.key.fqdn}:{port.number}", view)
            assert of_assignment(message) == of_explanation(found)
            assert message.policy.overprovisioning_factor.value == found.overprovisioning_percent
            assert abs(sum(found.shares.values()) + found.unserved - 1) < 1e-9
