"""What holds for the resources of any fleet, in any state, seen from anywhere."""

from __future__ import annotations

from collections import Counter

from fleet_strategies import DRAINING, READY, STATES, World, views, worlds
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from xds.model.events import Upsert
from xds.model.objects import ClusterProperty, EndpointSlice
from xds.model.slices import owner_of
from xds.translate.assignments import THROUGH_GATEWAYS
from xds.translate.world import Translator
from xds.wire import CLUSTER, ENDPOINT, LISTENER, ROUTE, unpack

NAMED = (CLUSTER, ENDPOINT, LISTENER, ROUTE)


def assignments(fleet, view):
    """Return the CLAs of a view by name."""
    made = Translator(fleet).translate(view).resources[ENDPOINT]
    return {name: unpack(ENDPOINT, resource.body) for name, resource in made.items()}


def sockets(endpoint):
    """Return every (address, port) of an endpoint, the primary first."""
    all_of_them = [endpoint.endpoint.address, *(more.address for more in endpoint.endpoint.additional_addresses)]
    return [(address.socket_address.address, address.socket_address.port_value) for address in all_of_them]


def place(locality):
    return (locality.region, locality.zone, locality.sub_zone)


def where(fleet, view):
    """Return (CLA, address, port) -> (priority, locality)."""
    return {
        (name, *sockets(endpoint)[0]): (group.priority, place(group.locality))
        for name, message in assignments(fleet, view).items()
        for group in message.endpoints
        for endpoint in group.lb_endpoints
    }


@given(worlds(), views())
def test_every_cla_is_one_that_envoy_and_grpc_accept(world: World, view):
    for message in assignments(world.fleet(), view).values():
        priorities = {group.priority for group in message.endpoints}
        assert priorities == set(range(len(priorities))), "no gaps"
        places = Counter((group.priority, place(group.locality)) for group in message.endpoints)
        assert max(places.values(), default=1) == 1, "no locality twice in a priority"
        found = Counter(socket for group in message.endpoints for item in group.lb_endpoints for socket in sockets(item))
        assert max(found.values(), default=1) == 1, "no address twice"
        sums: Counter[int] = Counter()
        for group in message.endpoints:
            assert group.load_balancing_weight.value >= 1
            sums[group.priority] += group.load_balancing_weight.value
        assert max(sums.values(), default=0) < 2**32


@given(worlds(), views())
def test_nobody_is_sent_to_another_network_or_to_what_was_never_ready(world: World, view):
    fleet = world.fleet()
    ids = {item.spec.value: cluster for cluster, item in world.objects if isinstance(item, ClusterProperty)}
    entries = [
        (ids.get(source, source) or cluster, service or exported, entry)
        for cluster, item in world.objects
        if isinstance(item, EndpointSlice)
        for service, exported, source in [owner_of(item)]
        for entry in item.endpoints
    ]
    able_pods = {
        (cluster, owner, pod(entry))
        for cluster, owner, entry in entries
        if entry.conditions.ready is not False or entry.conditions.terminating
    }
    able = {
        (address, cluster)
        for cluster, owner, entry in entries
        if (cluster, owner, pod(entry)) in able_pods
        for address in entry.addresses
    }
    networks = {name: found.network for name, found in fleet.members.items()}
    for message in assignments(fleet, view).values():
        for group in message.endpoints:
            for endpoint in group.lb_endpoints:
                if endpoint.HasField("metadata"):
                    assert message.cluster_name.endswith(THROUGH_GATEWAYS), "only what puts paths in front is given gateways"
                    continue
                cluster = group.locality.sub_zone
                assert networks.get(cluster, view.network) == view.network
                assert all((address, cluster) in able for address, _ in sockets(endpoint))


@given(worlds(clashes=False), views(), st.data())
def test_health_moves_no_endpoint_and_changes_no_cluster(world: World, view, data):
    fleet = world.fleet()
    before, clusters = where(fleet, view), Translator(fleet).translate(view).resources[CLUSTER]
    for cluster, item in world.objects:
        if isinstance(item, EndpointSlice):
            fleet.apply([Upsert(cluster, with_states(item, data))])
    after = where(fleet, view)
    assert {key: after[key] for key in before.keys() & after.keys()} == {key: before[key] for key in before.keys() & after.keys()}
    assert Translator(fleet).translate(view).resources[CLUSTER] == clusters


@given(worlds(clashes=False, states=(READY, DRAINING)), views(), st.data())
def test_what_was_ready_is_never_dropped_while_its_slice_has_it(world: World, view, data):
    ready = world_with(world, READY)
    fleet = ready.fleet()
    before = where(fleet, view)
    for cluster, item in ready.objects:
        if isinstance(item, EndpointSlice):
            fleet.apply([Upsert(cluster, with_states(item, data))])
    assert where(fleet, view) == before


@given(worlds(), views())
def test_references_lead_somewhere_and_names_are_their_keys(world: World, view):
    resources = Translator(world.fleet()).translate(view).resources
    for type_url in NAMED:
        for name, resource in resources[type_url].items():
            message = unpack(type_url, resource.body)
            assert name == resource.name == (message.cluster_name if type_url == ENDPOINT else message.name)
            for wanted, names in resource.refs.items():
                assert names <= resources[wanted].keys()
    clusters = {name: unpack(CLUSTER, one.body) for name, one in resources[CLUSTER].items() if name != "passthrough"}
    assigned = {found.eds_cluster_config.service_name or name for name, found in clusters.items()}
    assert resources[ENDPOINT].keys() == assigned


def pod(entry):
    """Return what readiness belongs to: a target may be in several slices."""
    return entry.target_ref.name if entry.target_ref else entry.addresses[0]


def with_states(item, data):
    """Return the slice with other conditions for its endpoints."""
    drawn = [data.draw(st.sampled_from(STATES)) for _ in item.endpoints]
    return replace(item, endpoints=[in_state(entry, state) for entry, state in zip(item.endpoints, drawn, strict=True)])


def in_state(entry, state):
    fields = {"ready": None, "serving": None, "terminating": None, **state}
    return replace(entry, conditions=replace(entry.conditions, **fields))


def world_with(world, state):
    """Return the world with every endpoint in one state."""
    return World(
        tuple(
            (cluster, replace(item, endpoints=[in_state(entry, state) for entry in item.endpoints]))
            if isinstance(item, EndpointSlice)
            else (cluster, item)
            for cluster, item in world.objects
        )
    )
