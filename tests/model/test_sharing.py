"""Karmada's MultiClusterService: a cluster's own service has the endpoints that others share with it."""

from __future__ import annotations

import pytest
from fleet_world import codes, endpoint, endpoint_slice, export, fleet_of, make, member, service

from xds.model.events import FLEET, Aliases, Delete, Health, MemberState, ObjectKey, Standing, Synced, Upsert
from xds.model.fleet import Fleet, FleetChange
from xds.model.service import ServiceKey
from xds.model.view import View
from xds.policy.book import PolicyBook

MEMBERS = [member(name, region) for name, region in (("m1", "r1"), ("m2", "r1"), ("m3", "r2"))]
KEYS = {name: ServiceKey("shop", "pay", name) for name in ("m1", "m2", "m3")}
SERVICE = service("pay")


def sharing(providers=(), consumers=(), *, types=("CrossCluster",), **spec):
    lists = {"providerClusters": providers, "consumerClusters": consumers}
    spec |= {field: [{"name": name} for name in names] for field, names in lists.items()}
    return make("MultiClusterService", "pay", spec={"types": list(types), **spec})


def pay(*addresses, **more):
    return [SERVICE, endpoint_slice("pay", [endpoint(address) for address in addresses], **more)]


def copy(source, *addresses):
    """Return a slice as Karmada dispatches it."""
    annotations = {"endpointslice.karmada.io/provision-cluster": source}
    return endpoint_slice("pay", [endpoint(one) for one in addresses], name=f"{source}-pay-1", annotations=annotations)


def served(fleet, cluster, port=80):
    """Return cluster -> addresses of what clients in a cluster are told."""
    result: dict[str, list[str]] = {}
    found = fleet.services.get(KEYS[cluster])
    for one in found.endpoints[port] if found else ():
        result.setdefault(one.locality.cluster, []).append(one.addresses[0])
    return result


def three(*fleet_wide, **clusters):
    objects = {"m1": pay("10.1.0.1"), "m2": pay("10.2.0.1"), "m3": [SERVICE], **clusters}
    return fleet_of(objects, *MEMBERS, *fleet_wide)


def test_consumers_have_what_providers_have_and_nobody_else_does():
    fleet = three(sharing(["m1", "m2"], ["m3"]))
    assert served(fleet, "m3") == {"m1": ["10.1.0.1"], "m2": ["10.2.0.1"]}
    assert served(fleet, "m1") == {"m1": ["10.1.0.1"]}, "it provides, and consumes nothing"
    assert "pay.shop.svc.clusterset.local" not in {key.fqdn for key in fleet.services}, "nothing is exported by it"
    assert codes(fleet) == []


def test_without_lists_all_provide_and_all_consume():
    fleet = three(sharing())
    everywhere = {"m1": ["10.1.0.1"], "m2": ["10.2.0.1"]}
    assert [served(fleet, name) for name in KEYS] == [everywhere] * 3


def test_the_older_fields_count_where_the_newer_ones_are_empty():
    fleet = three(sharing(serviceProvisionClusters=["m2"], range={"clusterNames": ["m3"]}))
    assert (served(fleet, "m3"), served(fleet, "m1")) == ({"m2": ["10.2.0.1"]}, {"m1": ["10.1.0.1"]})
    fleet = three(sharing(["m1"], serviceProvisionClusters=["m2"], serviceConsumptionClusters=["m3"]))
    assert (served(fleet, "m3"), served(fleet, "m2")) == ({"m1": ["10.1.0.1"]}, {"m2": ["10.2.0.1"]})


def test_a_consumer_keeps_its_own_and_prefers_it():
    fleet = three(sharing(["m2", "m3"], ["m1"]), m3=pay("10.3.0.1"))
    ladder = PolicyBook().rank(fleet.services[KEYS["m1"]], 80, View("m1", region="r1")).tiers
    assert [[share.locality.cluster for share in tier.shares] for tier in ladder] == [["m1"], ["m2"], ["m3"]]


def test_a_load_balancer_shares_nothing():
    fleet = three(sharing(types=["LoadBalancer"]))
    assert served(fleet, "m1") == {"m1": ["10.1.0.1"]}


def test_ports_that_are_named_are_shared_alone_and_by_their_names():
    ports = {"http": 80, "admin": 9000}
    two = {"http": 8080, "admin": 9001}
    m1 = [service("pay", ports), endpoint_slice("pay", [endpoint("10.1.0.1")], two)]
    m2 = [service("pay", {"admin": 9000, "http": 8000}), endpoint_slice("pay", [endpoint("10.2.0.1")], two)]
    fleet = three(sharing(["m2"], ["m1"], ports=[{"name": "http", "port": 80}]), m1=m1, m2=m2)
    assert served(fleet, "m1") == {"m1": ["10.1.0.1"], "m2": ["10.2.0.1"]}
    assert served(fleet, "m1", 9000) == {"m1": ["10.1.0.1"]}
    (other,) = [one for one in fleet.services[KEYS["m1"]].endpoints[80] if one.locality.cluster == "m2"]
    assert other.port == 8080


def test_what_karmada_copies_of_a_member_is_not_counted_again_nor_kept_when_it_is_old():
    fleet = three(sharing(["m1", "m2"], ["m3"]), m3=[SERVICE, copy("m1", "10.1.0.1", "10.1.0.9")])
    assert served(fleet, "m3") == {"m1": ["10.1.0.1"], "m2": ["10.2.0.1"]}
    assert codes(fleet) == []


def test_copies_of_what_is_no_member_count_if_it_provides():
    copies = [SERVICE, copy("far", "10.9.0.1"), copy("farther", "10.8.0.1")]
    fleet = three(sharing(["m1", "far"], ["m3"]), m3=copies)
    assert served(fleet, "m3") == {"m1": ["10.1.0.1"], "far": ["10.9.0.1"]}
    assert served(three(m3=copies), "m3") == {"far": ["10.9.0.1"], "farther": ["10.8.0.1"]}, "as Karmada left them"


def test_a_provider_that_was_never_reached_is_served_by_what_karmada_copied():
    fleet = fleet_of({"m2": pay("10.2.0.1"), "m3": [SERVICE, copy("m1", "10.1.0.1")]}, *MEMBERS, sharing(["m1", "m2"], ["m3"]))
    fleet.apply([Health("m1", MemberState.STALE, "no route to host")])
    assert served(fleet, "m3") == {"m1": ["10.1.0.1"], "m2": ["10.2.0.1"]}
    fleet.apply([*(Upsert("m1", item) for item in pay("10.1.0.7")), Synced("m1")])
    assert served(fleet, "m3") == {"m1": ["10.1.0.7"], "m2": ["10.2.0.1"]}


@pytest.mark.parametrize(("providers", "consumers"), [(["k1"], ["m3"]), (["m1"], ["k3"])])
def test_a_name_that_a_member_is_given_later_counts(providers, consumers):
    fleet = three(sharing(providers, consumers))
    assert served(fleet, "m3") == {}
    fleet.apply([Aliases("m1", frozenset(("k1",))), Aliases("m3", frozenset(("k3",)))])
    assert served(fleet, "m3") == {"m1": ["10.1.0.1"]}
    fleet.apply([Aliases("m1", frozenset()), Aliases("m3", frozenset())])
    assert served(fleet, "m3") == {}


def test_a_cluster_id_that_is_told_later_counts():
    fleet = three(sharing(["id-of-m1"], ["m3"]))
    assert served(fleet, "m3") == {}
    fleet.apply([Upsert("m1", make("ClusterProperty", "cluster.clusterset.k8s.io", spec={"value": "id-of-m1"}))])
    assert served(fleet, "m3") == {"m1": ["10.1.0.1"]}


def test_a_change_in_a_provider_reaches_consumers_by_the_fast_lane():
    fleet = three(sharing(["m1", "m2"], ["m3"]))
    change = fleet.apply([Upsert("m1", pay("10.1.0.1", "10.1.0.2")[1])])
    assert change == FleetChange(endpoints=frozenset((KEYS["m1"], KEYS["m3"])))
    assert served(fleet, "m3")["m1"] == ["10.1.0.1", "10.1.0.2"]
    built = fleet.services_built
    fleet.apply([Upsert("m3", endpoint_slice("pay", [], name="pay-2"))])
    assert fleet.services_built == built + 1, "nothing of the others is built anew"


def test_it_comes_and_goes():
    fleet = three()
    assert served(fleet, "m3") == {}
    assert fleet.apply([Upsert(FLEET, sharing(["m1"], ["m3"]))]).services == {KEYS["m3"]}
    assert served(fleet, "m3") == {"m1": ["10.1.0.1"]}
    fleet.apply([Upsert(FLEET, sharing(["m2"], ["m3"]))])
    assert served(fleet, "m3") == {"m2": ["10.2.0.1"]}
    fleet.apply([Delete(FLEET, ObjectKey("MultiClusterService", "shop", "pay"))])
    assert served(fleet, "m3") == {}
    fleet.apply([Upsert(FLEET, sharing(["m1"], ["m3"])), Delete("m1", ObjectKey("Service", "shop", "pay"))])
    assert served(fleet, "m3") == {}


def test_a_provider_without_standing_is_the_last_resort_of_the_others():
    fleet = three(sharing(["m1", "m2"], ["m3"]))
    fleet.apply([Health("m1", MemberState.STALE, "timeout", Standing.DEMOTED)])
    found = fleet.services[KEYS["m3"]]
    assert found.has_degraded
    ladder = PolicyBook().rank(found, 80, View("m3", region="r2")).tiers
    healths = {share.locality.cluster: share.endpoints[0].health for tier in ladder for share in tier.shares}
    assert healths == {"m1": "DEGRADED", "m2": "HEALTHY"}


def test_one_address_in_two_clusters_counts_for_the_consumer():
    fleet = three(sharing(), m1=pay("10.1.0.1"), m2=pay("10.1.0.1"))
    assert (served(fleet, "m1"), served(fleet, "m2")) == ({"m1": ["10.1.0.1"]}, {"m2": ["10.1.0.1"]})
    assert set(codes(fleet)) == {"XDS0208"}


def test_exports_are_of_what_a_cluster_has_itself():
    fleet = three(sharing(["m1"], ["m3"]), m3=[*pay("10.3.0.1"), export("pay")])
    found = fleet.services[ServiceKey("shop", "pay")]
    assert [one.addresses[0] for one in found.endpoints[80]] == ["10.3.0.1"]


@pytest.mark.parametrize(
    ("given", "objects", "message"),
    [
        (sharing(["m1", "m9"], ["m3"]), [SERVICE], "provider 'm9' is no member of the fleet"),
        (sharing(["m1"], ["m33"]), [SERVICE], "consumer 'm33' is no member of the fleet"),
        (sharing(["m1"], ["m3"]), [], "there is no Service shop/pay in m3, a consumer"),
        (sharing(["m3"], ["m1"]), [], "there is no Service shop/pay in m3, a provider"),
    ],
)
def test_what_it_names_and_is_not_there_is_told(given, objects, message):
    fleet = three(given, m3=objects)
    (found,) = [problem for problem in fleet.problems() if problem.code == "XDS0218"]
    assert found.message == message
    assert str(found.ref) == "MultiClusterService shop/pay in the fleet"


def test_a_name_that_no_cluster_has_is_told():
    fleet = fleet_of({"m1": [], "m2": [endpoint_slice("other", [])]}, member("m1"), member("m2"), sharing())
    (found,) = [problem for problem in fleet.problems() if problem.code == "XDS0218"]
    assert found.message == "there is no Service shop/pay in any cluster"
    assert "XDS0218" not in codes(fleet_of({"m1": pay("10.1.0.1"), "m2": []}, member("m1"), member("m2"), sharing()))


def test_clusters_of_other_networks_are_told():
    fleet = fleet_of({"m1": pay("10.1.0.1"), "m2": pay("10.2.0.1")}, member("m1"), member("m2", network="blue"), sharing())
    assert codes(fleet) == ["XDS0209"]


def test_nothing_is_missed_in_a_cluster_that_is_being_read():
    fleet = Fleet()
    any_of_them = make("MultiClusterService", "any", spec={"types": ["CrossCluster"]})
    fleet.apply([Upsert(FLEET, one) for one in (member("m1"), sharing(["m1"], ["m1"]), any_of_them)])
    fleet.apply([Health("m1", MemberState.SYNCING)])
    assert codes(fleet) == []
    fleet.apply([Synced(FLEET)])
    assert codes(fleet) == []
    fleet.apply([Synced("m1")])
    assert codes(fleet).count("XDS0218") == 3


@pytest.mark.parametrize(
    ("types", "message"),
    [
        (["LoadBalancer"], "is of the type LoadBalancer, which is not served: it shares nothing"),
        (["LoadBalancer", "CrossCluster"], "its type LoadBalancer is not served; what it shares by its type CrossCluster is"),
    ],
)
def test_load_balancers_outside_are_not_served_and_that_is_told(types, message):
    fleet = three(sharing(types=types))
    (found,) = [problem for problem in fleet.problems() if problem.code == "XDS0219"]
    assert (str(found.ref), found.field, found.message) == ("MultiClusterService shop/pay in the fleet", "spec.types", message)
    fleet.apply([Delete(FLEET, ObjectKey("MultiClusterService", "shop", "pay"))])
    assert "XDS0219" not in codes(fleet)
