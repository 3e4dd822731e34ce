"""What is written equals what KEP-1645 says, restated plainly; and when it is written, there is nothing left to write."""

from __future__ import annotations

import pytest
from api_servers import ApiServers
from fleet_strategies import worlds
from fleet_world import endpoint, endpoint_slice, export, make, service
from hypothesis import given

from xds.mcs.world import OURS, derived_name
from xds.model.events import FLEET
from xds.model.slices import MCS_SERVICE_LABEL


def shop(*items):
    return [make("Namespace", "shop"), *items]


def web(*addresses, created=None, ports=None, **spec):
    slices = [endpoint_slice("web", [endpoint(address) for address in addresses])]
    return [service("web", ports, **spec), export("web", created=created), *slices]


def test_an_export_is_imported_wherever_its_namespace_is():
    servers = ApiServers({"east": shop(*web("10.1.0.1")), "west": shop(), "north": []}).settle()
    for cluster in ("east", "west"):
        found = servers.item(cluster, "ServiceImport")
        derived = servers.item(cluster, "Service", "clusterset-web")
        assert found.spec.type == "ClusterSetIP"
        assert found.spec.ips == derived.spec.cluster_ips != []
        assert found.metadata.annotations["multicluster.kubernetes.io/derived-service"] == "clusterset-web"
        assert [(port.name, port.port) for port in found.spec.ports] == [("http", 80)]
        assert [one.cluster for one in found.status.clusters] == ["east"]
        assert servers.copies(cluster) == {("east", "10.1.0.1")}
    assert servers.item("north", "ServiceImport") is None
    assert servers.conditions("east") == {
        "Valid": ("True", "Valid"),
        "Ready": ("True", "Exported"),
        "Conflict": ("False", "NoConflicts"),
    }


def test_two_exports_are_one_import():
    east, west = web("10.1.0.1", created="2026-01-01T00:00:00Z"), web("10.2.0.1", created="2026-02-01T00:00:00Z")
    servers = ApiServers({"east": shop(*east), "west": shop(*west)}).settle()
    assert servers.copies("east") == servers.copies("west") == {("east", "10.1.0.1"), ("west", "10.2.0.1")}
    assert [one.cluster for one in servers.item("east", "ServiceImport").status.clusters] == ["east", "west"]


def test_an_export_of_azure_fleet_is_imported_and_not_written():
    kind = "ServiceExport.networking.fleet.azure.com"
    items = [item for item in web("10.1.0.1") if item.kind != "ServiceExport"]
    servers = ApiServers({"east": shop(*items, make(kind, "web")), "west": shop(*web("10.2.0.1"))}).settle()
    assert servers.copies("west") == {("east", "10.1.0.1"), ("west", "10.2.0.1")}
    assert servers.item("east", kind).status.conditions == []
    servers.drop("east", kind, "web")
    assert servers.settle().copies("west") == {("west", "10.2.0.1")}


def test_when_the_last_export_goes_everything_of_ours_goes():
    servers = ApiServers({"east": shop(*web("10.1.0.1")), "west": shop()}).settle()
    servers.drop("east", "ServiceExport", "web")
    servers.settle()
    for cluster in ("east", "west"):
        left = [key for key in servers.clusters[cluster].items if key.kind != "Namespace"]
        assert sorted(key.kind for key in left) == (["EndpointSlice", "Service"] if cluster == "east" else [])


def test_a_cluster_is_written_by_the_id_that_it_has_in_the_set():
    identity = make("ClusterProperty", "cluster.clusterset.k8s.io", spec={"value": "site-a.prod"})
    servers = ApiServers({"east": [*shop(*web("10.1.0.1")), identity], "west": shop(*web("10.2.0.1"))}).settle()
    assert [one.cluster for one in servers.item("west", "ServiceImport").status.clusters] == ["site-a.prod", "west"]
    assert servers.copies("west") == {("site-a.prod", "10.1.0.1"), ("west", "10.2.0.1")}
    servers.drop("east", "ClusterProperty", "cluster.clusterset.k8s.io", "")
    servers.settle()
    assert servers.copies("west") == {("east", "10.1.0.1"), ("west", "10.2.0.1")}


def test_nothing_is_made_in_a_namespace_that_is_being_deleted():
    servers = ApiServers({"east": shop(*web("10.1.0.1")), "west": shop()}).settle()
    servers.put("west", make("Namespace", "shop", status={"phase": "Terminating"}))
    servers.settle()
    assert [key.kind for key in servers.clusters["west"].items] == ["Namespace"]
    assert servers.copies("east") == {("east", "10.1.0.1")}


def test_what_another_implementation_manages_is_left_alone():
    theirs = make("ServiceImport", "web", spec={"type": "ClusterSetIP", "ips": ["241.0.0.7"], "ports": []})
    servers = ApiServers({"east": shop(*web("10.1.0.1")), "west": shop(theirs)}).settle()
    assert servers.item("west", "ServiceImport") == theirs
    assert servers.item("west", "Service", "clusterset-web") is None


def test_a_service_of_a_user_that_has_the_derived_name_is_left_alone():
    mine = service("clusterset-web")
    servers = ApiServers({"east": shop(*web("10.1.0.1"), mine)}).settle()
    assert servers.item("east", "Service", "clusterset-web") == mine
    assert servers.item("east", "ServiceImport") is None


def test_conflicts_are_told_to_every_exporter():
    old = web("10.1.0.1", created="2026-01-01T00:00:00Z", sessionAffinity="ClientIP")
    new = web("10.2.0.1", created="2026-02-01T00:00:00Z", ports={"http": 81})
    servers = ApiServers({"east": shop(*old), "west": shop(*new)}).settle()
    for cluster in ("east", "west"):
        assert servers.conditions(cluster)["Conflict"] == ("True", "PortConflict,SessionAffinityConflict")
    (message,) = [one.message for one in servers.item("west", "ServiceExport").status.conditions if one.type == "Conflict"]
    assert message == (
        "PortConflict: 1 of 2 clusters differ, east decides; SessionAffinityConflict: 1 of 2 clusters differ, east decides"
    )
    # The port that differs is served by those that agree with the oldest.
    slices = [one for one in servers.clusters["east"].items.values() if one.kind == "EndpointSlice"]
    ports = {one.metadata.labels.get("multicluster.kubernetes.io/source-cluster", ""): one.ports for one in slices}
    assert ports["west"] == []
    assert [port.name for port in ports["east"]] == ["http"]


@pytest.mark.parametrize(
    ("items", "reason"),
    [([export("web")], "NoService"), ([export("web"), service("web", {}, type="ExternalName")], "InvalidServiceType")],
)
def test_an_export_that_is_not_valid_says_why(items, reason):
    servers = ApiServers({"east": shop(*items)}).settle()
    assert servers.conditions("east") == {"Valid": ("False", reason), "Ready": ("False", "Pending")}
    assert servers.item("east", "ServiceImport") is None


def test_a_headless_service_is_imported_without_addresses():
    servers = ApiServers({"east": shop(*web("10.1.0.1", clusterIP="None")), "west": shop()}).settle()
    assert servers.item("west", "ServiceImport").spec.type == "Headless"
    assert servers.item("west", "Service", "clusterset-web") is None
    assert servers.copies("west") == {("east", "10.1.0.1")}


def test_endpoints_of_another_network_are_not_copied():
    servers = ApiServers({"east": shop(*web("10.1.0.1")), "west": shop()})
    servers.networks["west"] = "blue"
    servers.settle()
    assert servers.item("west", "ServiceImport") is not None
    assert servers.copies("west") == set()


def test_what_somebody_changes_is_put_right():
    servers = ApiServers({"east": shop(*web("10.1.0.1")), "west": shop()}).settle()
    before = dict(servers.clusters["west"].items)
    meddled = make("ServiceImport", "web", metadata={"labels": OURS}, spec={"type": "Headless", "ports": []})
    servers.put("west", meddled)
    servers.drop("west", "EndpointSlice", next(key.name for key in before if key.kind == "EndpointSlice"))
    servers.settle()
    assert servers.clusters["west"].items == before


def test_what_a_cluster_exported_that_cannot_be_asked_now_stays():
    east = web("10.1.0.1", created="2026-01-01T00:00:00Z")
    west = web("10.2.0.1", created="2026-02-01T00:00:00Z")
    servers = ApiServers({"east": shop(*east), "west": shop(*west), "north": shop()}).settle()
    before = dict(servers.clusters["north"].items)
    servers.unreachable = {"east"}
    assert servers.settle().clusters["north"].items == before
    # What can be asked is followed.
    servers.put("west", endpoint_slice("web", [endpoint("10.2.0.9")]))
    assert servers.settle().copies("north") == {("east", "10.1.0.1"), ("west", "10.2.0.9")}
    servers.drop("west", "ServiceExport", "web")
    assert servers.settle().copies("north") == {("east", "10.1.0.1")}
    servers.unreachable = set()
    assert [one.cluster for one in servers.settle().item("north", "ServiceImport").status.clusters] == ["east"]


def test_long_names_stay_names():
    assert len(derived_name("a" * 63)) == 63
    assert derived_name("a" * 63) != derived_name("a" * 62 + "b")


@given(worlds())
def test_imports_are_what_the_kep_says(world):
    clusters = {}
    for cluster, item in world.objects:
        is_written = item.kind == "ServiceImport" or MCS_SERVICE_LABEL in item.metadata.labels  # by another implementation
        if cluster != FLEET and not is_written:
            clusters.setdefault(cluster, []).append(item)
    servers = ApiServers(clusters).settle()
    for name in ("web", "api"):
        exports = [(servers.item(cluster, "ServiceExport", name), cluster) for cluster in clusters]
        ages = sorted((one.metadata.age, cluster) for one, cluster in exports if one and exported_spec(servers, cluster, name))
        specs = [exported_spec(servers, cluster, name) for _, cluster in ages]
        for cluster, items in clusters.items():
            found = servers.item(cluster, "ServiceImport", name)
            assert (found is not None) == bool(specs and any(item.kind == "Namespace" for item in items))
            if found is not None:
                assert found.spec.type == ("Headless" if specs[0].cluster_ip == "None" else "ClusterSetIP")
                assert found.spec.traffic_distribution == specs[0].traffic_distribution
                assert [one.cluster for one in found.status.clusters] == sorted(
                    servers.members[cluster].id for _, cluster in ages
                )
                assert {(port.name, port.port) for port in found.spec.ports} == set(joined(specs))


def exported_spec(servers, cluster, name):
    found = servers.item(cluster, "Service", name)
    return found.spec if found and found.spec.type != "ExternalName" else None


def joined(specs):
    """Every port, the oldest first, but none whose name or number is taken."""
    result = []
    for spec in specs:
        for port in spec.ports:
            if all(port.name != name and port.port != number for name, number in result):
                result.append((port.name, port.port))
    return result
