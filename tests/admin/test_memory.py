"""What the memory of a cluster is said to be is near what it is."""

from __future__ import annotations

import itertools
import tracemalloc
from types import SimpleNamespace

import msgspec
import pytest
from fleet_world import endpoint, endpoint_slice, export, fleet_of, member, service

from xds.admin.memory import Memory, deep_bytes, memory_of
from xds.cli.output import size
from xds.model.kinds import KINDS

worlds = itertools.count()


def anew(item):
    """Return an object as an API server tells it: no text in it is shared with another object."""
    return msgspec.json.decode(msgspec.json.encode(item), type=KINDS[item.kind].struct)


def world(services, endpoints):
    """Return a fleet's members, objects and services."""
    objects, place = [], next(worlds)  # the texts of addresses are remembered: each world has its own
    for number in range(services):
        name = f"web-{number}"
        listed = [
            endpoint(f"10.{number}.{place}.{one}", target=f"{name}-{one}", zone="eu-a", nodeName="n1") for one in range(endpoints)
        ]
        objects += [service(name), export(name), endpoint_slice(name, listed)]
    fleet = fleet_of({"east": [anew(item) for item in objects]}, member("east"))
    return SimpleNamespace(members=fleet.members, clusters=fleet.clusters, services=fleet.services)


def test_it_is_near_what_is_allocated():
    tracemalloc.start()
    try:
        plane = world(200, 10)
        allocated, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    found = memory_of(plane, "east")
    assert found.cluster == 200 * found.service + 2_000 * found.endpoint
    assert found.cluster == pytest.approx(allocated, rel=0.35)


def test_an_endpoint_more_costs_an_endpoint_more():
    few, many = memory_of(world(20, 5), "east"), memory_of(world(20, 50), "east")
    assert few.endpoint == pytest.approx(many.endpoint, rel=0.1)
    assert few.service == pytest.approx(many.service, rel=0.2), "lists of more endpoints are longer"


def test_what_nothing_is_known_of_takes_nothing():
    assert memory_of(world(0, 0), "east") == memory_of(world(1, 1), "nowhere") == Memory(0, 0, 0)


def test_everything_is_counted_once_and_what_is_there_anyway_is_not():
    text = "x" * 1000
    once = deep_bytes([[text]], set())
    assert deep_bytes([[text, text]], set()) < once + 100
    assert deep_bytes([int, SimpleNamespace, Memory], set()) == 0


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 KiB"),
        (3174, "3.1 KiB"),
        (15_360, "15 KiB"),
        (134_217_728, "128 MiB"),
        (2**31, "2.0 GiB"),
    ],
)
def test_sizes_for_people(number, text):
    assert size(number) == text
