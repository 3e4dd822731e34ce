"""Slices that tell of other clusters' endpoints, in every dialect, are counted once, and only if those clusters tell nothing."""

from __future__ import annotations

import msgspec
import pytest
from fleet_world import codes, endpoint, export, fleet_of, make, member, node, service

from xds.model.events import FLEET, Delete, Health, MemberState, ObjectKey, Synced, Upsert
from xds.model.fleet import Fleet
from xds.model.objects import ObjectReference, SliceEndpoint
from xds.model.service import Locality, ServiceKey
from xds.model.view import View
from xds.policy.book import PolicyBook

WEB = ServiceKey("shop", "web")


def copy_of(source, addresses, *, name="", owner="", zone="", exported="web"):
    """Return a slice as an MCS implementation writes it."""
    labels = {"multicluster.kubernetes.io/service-name": exported, "multicluster.kubernetes.io/source-cluster": source}
    if owner:
        labels["kubernetes.io/service-name"] = owner
    return a_slice(name or f"imported-{exported}-{source}", addresses, labels=labels, zone=zone)


def a_slice(name, addresses, *, zone="", **metadata):
    endpoints = [endpoint(address, **({"zone": zone} if zone else {})) for address in addresses]
    fields = {"addressType": "IPv4", "ports": [{"name": "http", "port": 8080}], "endpoints": endpoints}
    return make("EndpointSlice", name, metadata=metadata, **fields)


def imported(name="web", **spec):
    found = {"type": "ClusterSetIP", "ips": ["241.0.0.7"], "ports": [{"name": "http", "port": 80}], **spec}
    return make("ServiceImport", name, spec=found)


def local(name, *addresses):
    return [service(name), a_slice(f"{name}-1", addresses, labels={"kubernetes.io/service-name": name})]


def served(fleet, key=WEB):
    """Return cluster -> addresses of an exported service."""
    found = fleet.services.get(key)
    result: dict[str, list[str]] = {}
    for one in found.endpoints[80] if found else ():
        result.setdefault(one.locality.cluster, []).append(one.addresses[0])
    return result


def test_what_an_importer_has_of_a_cluster_that_is_no_member_is_served():
    fleet = fleet_of({"east": [imported(), copy_of("far", ["10.9.0.1"], zone="far-a")]}, member("east"))
    assert served(fleet) == {"far": ["10.9.0.1"]}
    assert fleet.services[WEB].vips == {"east": ("241.0.0.7",)}
    assert fleet.services[WEB].endpoints[80][0].locality.zone == "far-a"
    assert codes(fleet) == []


def test_the_node_of_a_copy_is_none_of_the_importers():
    copy = a_slice("imported", [], labels=copy_of("far", []).metadata.labels)
    copy = msgspec.structs.replace(copy, endpoints=[SliceEndpoint(addresses=["10.9.0.1"], node_name="n1")])
    fleet = fleet_of({"east": [node("n1", "eu-a", "eu"), imported(), copy]}, member("east"))
    assert fleet.services[WEB].endpoints[80][0].locality == Locality("", "", "far")
    assert codes(fleet) == []


def test_copies_count_beside_exports_of_members():
    objects = [*local("web", "10.1.0.1"), export("web"), imported(), copy_of("far", ["10.9.0.1"])]
    fleet = fleet_of({"east": objects}, member("east"))
    assert served(fleet) == {"east": ["10.1.0.1"], "far": ["10.9.0.1"]}


def test_a_copy_of_a_member_is_not_counted_again():
    east = [imported(), copy_of("west", ["10.2.0.1", "10.2.0.2"])]
    west = [*local("web", "10.2.0.1"), export("web")]
    fleet = fleet_of({"east": east, "west": west}, member("east"), member("west"))
    assert served(fleet) == {"west": ["10.2.0.1"]}
    # Nor does a copy bring back what the member exports no longer.
    fleet.apply([Delete("west", ObjectKey("ServiceExport", "shop", "web"))])
    assert served(fleet) == {}


def test_a_copy_by_the_id_that_a_member_has_among_clusters_is_the_members():
    east = [imported(), copy_of("id-of-west", ["10.2.0.1"])]
    identity = make("ClusterProperty", "cluster.clusterset.k8s.io", spec={"value": "id-of-west"})
    west = [*local("web", "10.2.0.1"), export("web")]
    fleet = fleet_of({"east": east, "west": west}, member("east"), member("west"))
    assert served(fleet) == {"id-of-west": ["10.2.0.1"]} or served(fleet)["west"] == ["10.2.0.1"]
    fleet.apply([Upsert("west", identity)])
    assert served(fleet) == {"west": ["10.2.0.1"]}
    assert "XDS0208" not in codes(fleet)


@pytest.mark.parametrize("order", [("east", "west"), ("west", "east")])
def test_an_id_that_two_members_have_is_that_of_the_first_by_name(order):
    fleet = Fleet()
    for name in order:
        identity = make("ClusterProperty", "cluster.clusterset.k8s.io", spec={"value": "prod"})
        fleet.apply([Upsert(name, identity), Synced(name), Synced(FLEET)])
    assert {name: member.name for name, member in fleet.known.items()} == {"east": "east", "west": "west", "prod": "east"}
    assert {name: member.id for name, member in fleet.members.items()} == {"east": "prod", "west": "west"}
    (problem,) = [one for one in fleet.problems() if one.code == "XDS0220"]
    assert problem.message.startswith(
        "the id of cluster 'west', its ClusterProperty cluster.clusterset.k8s.io, is also that of 'east'"
    )


def test_a_member_that_was_never_reached_is_served_by_what_others_have_of_it():
    fleet = fleet_of({"east": [imported(), copy_of("west", ["10.2.0.1"])]}, member("east"), member("west"))
    fleet.apply([Health("west", MemberState.STALE, "no route to host")])
    assert served(fleet) == {"west": ["10.2.0.1"]}
    fleet.apply([*(Upsert("west", item) for item in (*local("web", "10.2.0.9"), export("web"))), Synced("west")])
    assert served(fleet) == {"west": ["10.2.0.9"]}


def test_a_member_that_has_left_is_served_by_what_others_have_of_it():
    """As for who starts then: its MemberCluster is there still, and says nothing of how to reach it."""
    items = [*local("web", "10.2.0.1"), export("web")]
    fleet = fleet_of({"east": [imported(), copy_of("west", ["10.2.0.9"])], "west": items}, member("east"), member("west"))
    assert served(fleet) == {"west": ["10.2.0.1"]}
    gone = [Delete("west", Upsert("west", item).key) for item in items]
    fleet.apply([*gone, Health("west", MemberState.LOST, "no longer registered")])
    assert served(fleet) == {"west": ["10.2.0.9"]}
    # While it comes back, nobody takes what was told so far for all that it exports.
    fleet.apply([Health("west", MemberState.SYNCING), Upsert("west", service("web"))])
    assert [*fleet.complete] == ["east"]


def test_two_importers_have_the_same_copies():
    objects = [imported(), copy_of("far", ["10.9.0.1"])]
    fleet = fleet_of({"east": objects, "west": objects}, member("east"), member("west"))
    assert served(fleet) == {"far": ["10.9.0.1"]}


def test_a_service_that_stands_for_an_import_is_served_with_the_copies():
    derived = service("derived-web", clusterIP="10.96.0.9")
    copy = copy_of("west", ["10.2.0.1"], owner="derived-web")
    west = [*local("web", "10.2.0.1"), export("web")]
    fleet = fleet_of({"east": [derived, imported(), copy], "west": west}, member("east"), member("west", "r-west"))
    assert served(fleet, ServiceKey("shop", "derived-web", "east")) == {"west": ["10.2.0.1"]}
    (one,) = fleet.services[ServiceKey("shop", "derived-web", "east")].endpoints[80]
    assert one.locality.region == "r-west"
    assert served(fleet) == {"west": ["10.2.0.1"]}
    assert codes(fleet) == []


def test_karmada_dispatches_endpoints_into_the_service_itself():
    dispatched = a_slice(
        "west-web-1",
        ["10.2.0.1"],
        labels={
            "kubernetes.io/service-name": "web",
            "endpointslice.kubernetes.io/managed-by": "endpointslice-dispatch-controller.karmada.io",
        },
        annotations={"endpointslice.karmada.io/provision-cluster": "west"},
    )
    east = [*local("web", "10.1.0.1"), dispatched, export("web")]
    fleet = fleet_of({"east": east, "west": [*local("web", "10.2.0.1"), export("web")]}, member("east"), member("west"))
    assert served(fleet, ServiceKey("shop", "web", "east")) == {"east": ["10.1.0.1"], "west": ["10.2.0.1"]}
    # Clients in east prefer their own, and have those of west behind.
    ladder = PolicyBook().rank(fleet.services[ServiceKey("shop", "web", "east")], 80, View("east")).tiers
    assert [[share.locality.cluster for share in tier.shares] for tier in ladder] == [["east"], [], ["west"]]
    # What east exports are its own endpoints; west tells of its own.
    assert served(fleet) == {"east": ["10.1.0.1"], "west": ["10.2.0.1"]}
    assert codes(fleet) == []


def test_pods_of_one_name_in_two_clusters_are_two_endpoints():
    own = a_slice("web-1", [], labels={"kubernetes.io/service-name": "web"})
    pods = {
        "labels": {"kubernetes.io/service-name": "web"},
        "annotations": {"endpointslice.karmada.io/provision-cluster": "west"},
    }
    copy = a_slice("west-web-1", [], **pods)
    target = {"kind": "Pod", "namespace": "shop", "name": "web-0"}
    slices = [
        msgspec.structs.replace(item, endpoints=[SliceEndpoint(addresses=[address], target_ref=ObjectReference(**target))])
        for item, address in ((own, "10.1.0.1"), (copy, "10.2.0.1"))
    ]
    fleet = fleet_of({"east": [service("web"), *slices]}, member("east"))
    assert served(fleet, ServiceKey("shop", "web", "east")) == {"east": ["10.1.0.1"], "west": ["10.2.0.1"]}
    assert codes(fleet) == []


def test_karmada_imports_under_a_derived_name():
    labels = {
        "kubernetes.io/service-name": "derived-web",
        "endpointslice.kubernetes.io/managed-by": "endpointslice-controller.karmada.io",
    }
    copy = a_slice("imported-far-away-web-x1", ["10.9.0.1"], labels=labels)
    east = [service("derived-web"), imported(), copy]
    fleet = fleet_of({"east": east}, member("east"))
    assert served(fleet) == {"far-away": ["10.9.0.1"]}
    assert served(fleet, ServiceKey("shop", "derived-web", "east")) == {"far-away": ["10.9.0.1"]}
    assert codes(fleet) == []


def test_a_copy_that_goes_takes_its_endpoints_with_it():
    fleet = fleet_of({"east": [imported(), copy_of("far", ["10.9.0.1"]), copy_of("farther", ["10.8.0.1"])]}, member("east"))
    assert served(fleet) == {"far": ["10.9.0.1"], "farther": ["10.8.0.1"]}
    change = fleet.apply([Delete("east", ObjectKey("EndpointSlice", "shop", "imported-web-far"))])
    assert served(fleet) == {"farther": ["10.8.0.1"]}
    assert WEB in change.endpoints
    assert {source for _, _, source in fleet.memory("east")} == {"farther"}
    fleet.apply([Delete("east", ObjectKey("EndpointSlice", "shop", "imported-web-farther"))])
    assert served(fleet) == {}
    assert fleet.memory("east") == {}
