"""What the single steps of a change cost: decoding, the model, translation, snapshots, the protocol.

    make bench-micro

Absolute figures are for one machine at one time:
compare two runs (`--benchmark-save`, `--benchmark-compare`), or one row with another.
"""

from __future__ import annotations

import itertools
import json
from typing import TYPE_CHECKING

import compared_world as world
import msgspec
import pytest

from xds.model.fleet import Fleet
from xds.model.kinds import KINDS
from xds.model.view import View
from xds.protocol import DeltaRequest, DeltaStream, Encoder, SotwRequest, SotwStream, parse_delta
from xds.server.bounds import parser
from xds.server.hub import Hub
from xds.server.limits import Limits
from xds.server.services import StreamKind
from xds.views import LiveViews
from xds.wire import CLUSTER, ENDPOINT, envoy

if TYPE_CHECKING:
    from xds.snapshot.snapshot import ChangeSet

SERVICES = 1000
VIEW = View(cluster=world.CLIENTS, region="north", zone="a", namespace=world.NAMESPACE, listen="127.0.0.1:15001")
NOW_S = 1000.0


class Plane:
    """A fleet, one live view, and what was published last."""

    def __init__(self):
        self.published: list[ChangeSet] = []
        self.fleet = Fleet()
        self.fleet.apply(list(world.events(SERVICES)))
        self.views = LiveViews(self.fleet, self.published.append, idle_s=60)
        self.views.acquire(VIEW)
        self._changes = itertools.count()

    def change(self):
        """Return an event that gives an endpoint another address."""
        number = next(self._changes)
        return world.change(number * 7 % SERVICES, world.new_address(number))

    @property
    def snapshot(self):
        return self.views.store.current(VIEW)


@pytest.fixture(scope="module")
def plane():
    return Plane()


def synced(plane, encoder):
    """Return a stream that has everything."""
    stream = DeltaStream(encoder)
    for request in (DeltaRequest(CLUSTER, ("*",)), DeltaRequest(ENDPOINT, tuple(plane.snapshot.resources(ENDPOINT)))):
        stream.on_request(request, NOW_S)
        for response in stream.poll(plane.snapshot, NOW_S):
            stream.on_request(DeltaRequest(response.type_url, nonce=response.nonce), NOW_S)
    return stream


def test_first_reading(benchmark):
    """The model of a whole world, told at once."""
    told = list(world.events(SERVICES))
    benchmark.pedantic(lambda: Fleet().apply(told), rounds=10)


def test_decode_a_slice_of_a_watch(benchmark):
    body = json.dumps(world.endpoint_slice(0, 7, 5)).encode()
    benchmark(msgspec.json.Decoder(KINDS["EndpointSlice"].struct).decode, body)


def test_model_takes_a_slice(benchmark, plane):
    benchmark.pedantic(plane.fleet.apply, setup=lambda: (([plane.change()],), {}), rounds=200)


def test_endpoints_to_a_view(benchmark, plane):
    def setup():
        return (plane.fleet.apply([plane.change()]),), {}

    benchmark.pedantic(plane.views.changed, setup=setup, rounds=200)


def test_rebuild_a_view_of_a_thousand_services(benchmark, plane):
    benchmark(lambda: plane.views.rebuild("bench", everything=True))


def test_a_service_gets_another_port_in_a_view_of_a_thousand_services(benchmark, plane):
    ports = itertools.count(1024)

    def setup():
        item = world.service(7)
        item["spec"]["ports"].append({"name": "more", "port": next(ports), "protocol": "TCP"})
        plane.views.changed(plane.fleet.apply([world.event("east", item)]))
        return (), {}

    benchmark.pedantic(lambda: plane.views.rebuild("bench"), setup=setup, rounds=50)


def test_build_a_view_of_a_thousand_services(benchmark):
    def setup():
        plane = Plane()
        return (View(cluster="west", region="south", namespace=world.NAMESPACE, listen="127.0.0.1:1"),), {"views": plane.views}

    benchmark.pedantic(lambda view, views: views.acquire(view), setup=setup, rounds=5)


def test_who_is_interested(benchmark, plane):
    hub = Hub()
    encoder = Encoder()
    for _ in range(1000):
        stream = synced(plane, encoder)
        hub.join(VIEW, stream)
        for type_url, subscription in stream.subscriptions().items():
            hub.subscribe(stream, type_url, subscription.asked)
    plane.views.changed(plane.fleet.apply([plane.change()]))
    benchmark(hub.interested, plane.published[-1])


def test_a_change_of_one_resource_on_a_stream_and_its_ack(benchmark, plane):
    stream = synced(plane, Encoder())

    def setup():
        plane.views.changed(plane.fleet.apply([plane.change()]))
        return (), {}

    def run():
        stream.on_change(plane.published[-1])
        for response in stream.poll(plane.snapshot, NOW_S):
            stream.on_request(DeltaRequest(response.type_url, nonce=response.nonce), NOW_S)

    benchmark.pedantic(run, setup=setup, rounds=500)


def test_first_sync_of_a_thousand_clusters_on_a_stream(benchmark, plane):
    encoder = Encoder()
    synced(plane, encoder)
    benchmark(synced, plane, encoder)


def synced_sotw(plane, encoder):
    """Return a state-of-the-world stream that has everything."""
    stream = SotwStream(encoder)
    for url, names in ((CLUSTER, ()), (ENDPOINT, frozenset(plane.snapshot.resources(ENDPOINT)))):
        stream.on_request(SotwRequest(url, names), NOW_S)
        acknowledge(stream, plane, names)
    return stream


def acknowledge(stream, plane, names):
    for response in stream.poll(plane.snapshot, NOW_S):
        stream.on_request(SotwRequest(response.type_url, names, response.version, response.nonce), NOW_S)


def test_a_change_of_one_resource_on_a_state_of_the_world_stream_and_its_ack(benchmark, plane):
    stream, names = synced_sotw(plane, Encoder()), frozenset(plane.snapshot.resources(ENDPOINT))

    def setup():
        plane.views.push_endpoints(plane.fleet.apply([plane.change()]).endpoints)
        return (), {}

    def run():
        stream.on_change(plane.published[-1])
        acknowledge(stream, plane, names)

    benchmark.pedantic(run, setup=setup, rounds=500)


def test_first_sync_of_a_thousand_clusters_on_a_state_of_the_world_stream(benchmark, plane):
    encoder = Encoder()
    synced_sotw(plane, encoder)
    benchmark(synced_sotw, plane, encoder)


def test_reconnect_with_a_thousand_clusters_on_a_stream(benchmark, plane):
    """With all that is decoded, as it comes from many clients."""
    encoder, parse = Encoder(), parser(StreamKind("", delta=True), Limits())
    tables = {url: plane.snapshot.resources(url) for url in (CLUSTER, ENDPOINT)}
    requests = [
        envoy.DeltaDiscoveryRequest(
            type_url=url,
            resource_names_subscribe=tables[url] if url == ENDPOINT else ["*"],
            initial_resource_versions={name: one.version for name, one in tables[url].items()},
        ).SerializeToString()
        for url in tables
    ]

    def run():
        stream = DeltaStream(encoder)
        for request in requests:
            stream.on_request(parse(request), NOW_S)
            assert stream.poll(plane.snapshot, NOW_S) == []

    benchmark(run)


def test_decode_an_ack(benchmark):
    data = envoy.DeltaDiscoveryRequest(type_url=ENDPOINT, response_nonce="12345").SerializeToString()
    benchmark(parse_delta, data)


def test_decode_a_request_for_a_thousand_names(benchmark):
    names = [world.cluster_name(number) for number in range(SERVICES)]
    data = envoy.DeltaDiscoveryRequest(type_url=ENDPOINT, resource_names_subscribe=names).SerializeToString()
    benchmark(parse_delta, data)
