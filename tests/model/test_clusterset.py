"""Exported services of one name become the service of the cluster set (KEP-1645)."""

from __future__ import annotations

from fleet_world import codes, endpoint, endpoint_slice, export, fleet_of, make, member, service

from xds.model.events import Delete, ObjectKey, Upsert
from xds.model.service import CLUSTERSET, ServiceKey

WEB = ServiceKey("shop", "web", CLUSTERSET)
OLD, NEW = "2026-01-01T00:00:00Z", "2026-02-01T00:00:00Z"


def web(*addresses, created=None, ports=None, **spec):
    targets = {name: number + 8000 for name, number in (ports or {"http": 80}).items()}
    slices = [endpoint_slice("web", [endpoint(address) for address in addresses], targets)]
    return [service("web", ports, **spec), export("web", created=created), *slices]


def fleet(**clusters):
    return fleet_of(clusters, *(member(name) for name in clusters))


def addresses(found, port=80):
    return [item.addresses[0] for item in found.services[WEB].endpoints[port]]


def conflicts(found):
    return [(problem.ref.cluster, problem.message.partition(";")[0]) for problem in found.problems() if problem.code == "XDS0203"]


def test_only_what_is_exported_is_merged():
    found = fleet(east=web("10.1.0.1"), west=[item for item in web("10.3.0.1") if item.kind != "ServiceExport"])
    assert addresses(found) == ["10.1.0.1"]
    assert found.services[WEB].visible_in == {"east", "west"}


def test_taking_the_export_back_takes_the_endpoints_back():
    found = fleet(east=web("10.1.0.1"), west=web("10.3.0.1"))
    found.apply([Delete("west", ObjectKey("ServiceExport", "shop", "web"))])
    assert addresses(found) == ["10.1.0.1"]
    found.apply([Delete("east", ObjectKey("ServiceExport", "shop", "web"))])
    assert WEB not in found.services


def test_ports_are_joined_and_served_by_those_that_have_them():
    found = fleet(
        east=web("10.1.0.1", created=OLD, ports={"http": 80}),
        west=web("10.3.0.1", created=NEW, ports={"http": 80, "http-admin": 81}),
    )
    assert addresses(found, 80) == ["10.1.0.1", "10.3.0.1"]
    assert addresses(found, 81) == ["10.3.0.1"]
    assert conflicts(found) == [("east", "PortConflict: port 81 (http-admin, HTTP) is missing here")]


def test_the_oldest_export_decides_about_a_port():
    found = fleet(west=web("10.3.0.1", created=OLD, ports={"http": 80}), east=web("10.1.0.1", created=NEW, ports={"tcp": 80}))
    assert addresses(found) == ["10.3.0.1"]
    assert conflicts(found) == [("east", "PortConflict: port 80 (tcp, TCP) against 80 (http, HTTP)")]


def test_a_port_that_the_oldest_export_lacks_is_decided_by_the_next():
    found = fleet(
        a=web("10.1.0.1", created=OLD),
        b=web("10.2.0.1", created=NEW, ports={"http": 80, "admin": 81}),
        c=web("10.3.0.1", ports={"http": 80, "admin": 82}),
    )
    assert [(one.cluster, one.value, one.winner, one.counts) for one in found.imports[WEB].conflicts] == [
        ("c", "82 (admin, TCP)", "b", "81 (admin, TCP)"),
        ("a", "", "b", "81 (admin, TCP)"),
    ]
    (clash,) = (problem for problem in found.problems() if problem.ref.cluster == "c")
    assert clash.message.endswith("; the older export, in b, decides")
    assert clash.hint == "make the Service in c agree with the one in b"


def test_what_was_merged_is_kept_while_anything_is_exported():
    found = fleet(east=web("10.1.0.1", created=OLD, sessionAffinity="ClientIP"), west=web("10.3.0.1", created=NEW))
    assert [one.cluster for one in found.imports[WEB].exports] == ["east", "west"]
    (differs,) = found.imports[WEB].conflicts
    assert (differs.field, differs.winner, differs.counts) == ("sessionAffinity", "east", "ClientIP")
    assert (differs.cluster, differs.value) == ("west", "None")
    for cluster in ("east", "west"):
        found.apply([Delete(cluster, ObjectKey("ServiceExport", "shop", "web"))])
    assert found.imports == {}


def test_undated_exports_are_the_youngest_and_go_by_cluster_name():
    found = fleet(a=web("10.1.0.1", ports={"a": 80}), b=web("10.2.0.1", ports={"b": 80}))
    assert addresses(found) == ["10.1.0.1"]
    found = fleet(a=web("10.1.0.1", ports={"a": 80}), b=web("10.2.0.1", created=NEW, ports={"b": 80}))
    assert addresses(found) == ["10.2.0.1"]


def test_a_younger_export_never_takes_a_port_away():
    found = fleet(b=web("10.2.0.1", created=OLD))
    found.apply([Upsert("a", item) for item in web("10.1.0.1", created=NEW, ports={"tcp": 80})])
    assert addresses(found) == ["10.2.0.1"]


def test_headless_and_traffic_distribution_come_from_the_oldest():
    found = fleet(
        east=web("10.1.0.1", created=NEW, clusterIP="None"),
        west=web("10.3.0.1", created=OLD, trafficDistribution="PreferClose"),
    )
    assert (found.services[WEB].headless, found.services[WEB].traffic_distribution) == (False, "PreferSameZone")
    assert [message for _, message in conflicts(found)] == [
        "TypeConflict: the service is headless here",
        "TrafficDistributionConflict: none against PreferSameZone",
    ]


def test_one_address_in_two_clusters_of_a_network_counts_for_the_first():
    found = fleet(east=web("10.1.0.1"), west=web("10.1.0.1", "10.3.0.1"))
    assert addresses(found) == ["10.1.0.1", "10.3.0.1"]
    assert codes(found) == ["XDS0208"]


def test_overlapping_addresses_of_two_networks_are_two_endpoints():
    found = fleet_of({"east": web("10.1.0.1"), "west": web("10.1.0.1")}, member("east"), member("west", network="blue"))
    assert addresses(found) == ["10.1.0.1", "10.1.0.1"]
    assert codes(found) == ["XDS0209", "XDS0209"]


def test_a_second_address_that_is_taken_is_left_out():
    def pod(cluster, address):
        first = endpoint_slice("web", [endpoint(address, target=cluster)], {"http": 8080})
        second = endpoint_slice("web", [endpoint("fd00::1", target=cluster)], {"http": 8080}, name="web-2", family="IPv6")
        return [service("web"), export("web"), first, second]

    found = fleet(east=pod("east", "10.1.0.1"), west=pod("west", "10.3.0.1"))
    assert [item.addresses for item in found.services[WEB].endpoints[80]] == [("10.1.0.1", "fd00::1"), ("10.3.0.1",)]
    assert codes(found) == ["XDS0208"]


def test_vips_belong_to_the_cluster_that_holds_the_import():
    importing = make("ServiceImport", "web", spec={"ips": ["241.0.0.7", "FD00::7", "nonsense"]})
    found = fleet(east=[*web("10.1.0.1"), importing], west=web("10.3.0.1"))
    assert found.services[WEB].vips == {"east": ("241.0.0.7", "fd00::7")}
    assert codes(found) == ["XDS0205"]


def test_origins_name_every_object_that_took_part():
    importing = make("ServiceImport", "web")
    found = fleet(east=[*web("10.1.0.1"), importing], west=web("10.3.0.1"))
    assert [str(ref) for ref in found.services[WEB].origins] == [
        "Service shop/web in east",
        "ServiceExport shop/web in east",
        "ServiceImport shop/web in east",
        "Service shop/web in west",
        "ServiceExport shop/web in west",
    ]


def test_what_cannot_be_exported_says_why():
    found = fleet(east=[export("web")], west=[export("api"), service("api", {}, type="ExternalName")])
    assert codes(found) == ["XDS0204", "XDS0212"]
    found.apply([Upsert("east", service("web")), Upsert("east", endpoint_slice("web", []))])
    assert codes(found) == ["XDS0212"]
