"""What Flomesh's objects come to, and what is wrong with them."""

from __future__ import annotations

import pytest
from fleet_world import codes, endpoint, endpoint_slice, export, fleet_of, make, member, service
from flomesh_world import EAST, ERIE_CANAL, FSM, NORTH, WEST, exported, gateway, imported, policy

from xds.model.events import Aliases, Delete, Upsert
from xds.model.flomesh import ClusterKey, GatewayTarget, Share, parse_cluster_key
from xds.model.service import ServiceKey
from xds.problems import Severity

PAY = ServiceKey("shop", "pay", "east")
IMPORT = f"ServiceImport.{FSM} shop/pay in east"
POLICY = f"GlobalTrafficPolicy.{FSM} shop/pay in east"


def fleet(*items):
    """Return a fleet of which east has what is given."""
    return fleet_of({"east": [service("pay"), *items], "west": [service("other")]}, member("east"), member("west"))


def remote(*items):
    return fleet(*items).remotes[PAY]


def wrong(found):
    """Return the codes of what is wrong, but for slices that are not there."""
    return [code for code in codes(found) if code != "XDS0215"]


def problem(*items):
    """Return the only problem of the objects."""
    (found,) = [one for one in fleet(*items).problems() if one.code != "XDS0215"]
    assert found.hint
    return found


# What they come to


def test_an_import_leads_to_gateways():
    found = remote(imported("pay", gateway(WEST), gateway(NORTH, host="gw.example", ip="198.51.100.7", path="")))
    assert found.gateways == {
        80: (
            GatewayTarget(ClusterKey("cn", "b", "default", "west"), "west", "192.0.2.1", "192.0.2.1", 8081, "/pay", "cn"),
            GatewayTarget(ClusterKey("eu", "default", "default", "north"), "", "gw.example", "198.51.100.7", 8081, "/", "eu"),
        )
    }
    assert found.policy is None
    assert wrong(fleet(imported("pay", gateway(WEST)))) == []


@pytest.mark.parametrize(
    ("target", "address", "host"),
    [
        ({"ip": "", "host": "gw.example"}, "gw.example", "gw.example"),
        ({"ip": "no", "host": "192.0.2.9"}, "192.0.2.9", "192.0.2.9"),
        ({"ip": "2001:DB8::1", "host": ""}, "2001:db8::1", "2001:db8::1"),
        ({"ip": "", "host": "gateway"}, "gateway", "gateway"),
    ],
)
def test_where_a_gateway_is(target, address, host):
    (found,) = remote(imported("pay", gateway(WEST, **target))).gateways[80]
    assert (found.address, found.host) == (address, host)


def test_ports_have_gateways_of_their_own():
    ports = [{"port": number, "endpoints": [gateway(WEST, path=f"/{number}")]} for number in (80, 81)]
    found = remote(make(f"ServiceImport.{FSM}", "pay", spec={"ports": ports}))
    assert {number: [one.path for one in targets] for number, targets in found.gateways.items()} == {80: ["/80"], 81: ["/81"]}


@pytest.mark.parametrize("group", [FSM, ERIE_CANAL])
def test_both_groups_are_one_and_the_same(group):
    found = remote(exported(group=group), imported("pay", gateway(WEST), group=group), policy("FailOver", WEST, group=group))
    assert [item.kind for item in found.exports] == [f"ServiceExport.{group}"]
    assert [one.cluster for one in found.gateways[80]] == ["west"]
    assert (found.policy.lb_type, [one.cluster for one in found.policy.shares]) == ("FailOver", ["west"])


def test_a_cluster_with_both_groups():
    both = [imported("pay", gateway(WEST), group=ERIE_CANAL), imported("pay", gateway(WEST), gateway(NORTH, "192.0.2.2"))]
    assert [one.key.name for one in remote(*both).gateways[80]] == ["west", "north"]
    policies = [policy("FailOver", group=ERIE_CANAL), policy("ActiveActive")]
    assert remote(*both, *policies).policy.lb_type == "ActiveActive"
    found = problem(*both, *policies)
    assert (found.code, str(found.ref)) == ("XDS0237", f"GlobalTrafficPolicy.{ERIE_CANAL} shop/pay in east")


def test_a_policy():
    found = remote(imported("pay", gateway(WEST), gateway(NORTH)), policy("ActiveActive", (WEST, 70), NORTH)).policy
    assert found.lb_type == "ActiveActive"
    assert found.shares == (Share(parse_cluster_key(WEST), "west", 70, "cn"), Share(parse_cluster_key(NORTH), "", None, "eu"))


def test_a_policy_without_targets_is_about_every_cluster():
    assert remote(imported("pay", gateway(WEST)), policy("FailOver")).policy.shares == ()


def test_nothing_else_follows_from_them():
    """An MCS export of the same name stays what it is, and Flomesh's is none."""
    slices = [service("pay"), endpoint_slice("pay", [endpoint("10.1.0.1")])]
    plain = fleet_of({"east": [*slices, export("pay")]}, member("east"))
    both = fleet_of({"east": [*slices, export("pay"), exported(), imported("pay", gateway(EAST))]}, member("east"))
    assert both.services == plain.services
    assert ServiceKey("shop", "pay") not in fleet_of({"east": [*slices, exported()]}, member("east")).services


# What is wrong


def test_a_port_that_is_not_http():
    found = problem(imported("pay", gateway(WEST), protocol="UDP"))
    assert (found.code, str(found.ref), found.field) == ("XDS0230", IMPORT, "spec.ports[0].protocol")
    assert remote(imported("pay", gateway(WEST), protocol="UDP")).gateways == {}


@pytest.mark.parametrize(
    ("target", "field", "message"),
    [
        ({"ip": "", "host": ""}, "", "has neither ip nor host"),
        ({"ip": "10.0.0", "host": "10.0.0.999"}, "", "has ip '10.0.0' and host '10.0.0.999'"),
        ({"ip": "fe80::1%eth0", "host": "not a host"}, "", "no address to connect to"),
        ({"port": 0}, ".port", "is missing"),
        ({"port": 70_000}, ".port", "is 70000; expected 1 to 65535"),
    ],
)
def test_a_gateway_that_cannot_be_used(target, field, message):
    items = imported("pay", gateway(WEST), gateway(NORTH, **target))
    found = problem(items)
    assert (found.code, str(found.ref), found.field) == ("XDS0231", IMPORT, f"spec.ports[0].endpoints[1].target{field}")
    assert message in found.message
    assert [one.cluster for one in remote(items).gateways[80]] == ["west"]


@pytest.mark.parametrize("key", ["west", "cn/b/west", "cn//default/west", "cn/b/default/west/1", ""])
def test_cluster_keys_of_other_shapes(key):
    found = problem(imported("pay", gateway(key)))
    assert (found.code, found.field) == ("XDS0232", "spec.ports[0].endpoints[0].clusterKey")
    found = problem(imported("pay", gateway(WEST)), policy("FailOver", key))
    assert (found.code, str(found.ref), found.field) == ("XDS0232", POLICY, "spec.targets[0].clusterKey")
    found = problem(exported(targetClusters=[WEST, key]))
    assert (found.code, found.field) == ("XDS0232", "spec.targetClusters[1]")


@pytest.mark.parametrize(
    ("key", "hint"),
    [
        ("cn/c/default/west", f"did you mean '{WEST}'?"),
        ("cn/b/default/wets", f"did you mean '{WEST}'?"),
        ("x/y/z/eats", "did you mean 'east'?"),
        ("q/q/q/q", f"there are {WEST}"),
    ],
)
def test_a_policy_for_a_cluster_that_nobody_knows(key, hint):
    found = problem(imported("pay", gateway(WEST)), policy("FailOver", key))
    assert (found.code, found.field, found.hint) == ("XDS0233", "spec.targets[0].clusterKey", hint)


def test_a_policy_may_name_a_member_that_is_not_imported_from():
    found = fleet(imported("pay", gateway(NORTH)), policy("ActiveActive", (EAST, 50), (WEST, 50), (NORTH, 50)))
    assert wrong(found) == []


def test_a_negative_weight():
    items = imported("pay", gateway(WEST)), policy("ActiveActive", (WEST, -1))
    found = problem(*items)
    assert (found.code, found.field) == ("XDS0234", "spec.targets[0].weight")
    assert remote(*items).policy.shares[0].weight is None


def test_weight_0_is_a_drain():
    items = imported("pay", gateway(WEST)), policy("ActiveActive", (WEST, 0))
    found = problem(*items)
    assert (found.code, found.severity, found.field) == ("XDS0238", Severity.INFO, "spec.targets[0].weight")
    assert remote(*items).policy.shares[0].weight == 0
    assert wrong(fleet(imported("pay", gateway(WEST)), policy("FailOver", (WEST, 0)))) == []


def test_a_policy_without_an_import():
    found = problem(policy("FailOver"))
    assert (found.code, str(found.ref)) == ("XDS0235", POLICY)
    assert wrong(fleet(policy("Locality"))) == []


def test_an_export_of_a_port_that_does_not_exist():
    found = problem(exported("pay", (80, "/a"), (8080, "/b")))
    assert (found.code, found.field, found.hint) == ("XDS0236", "spec.rules[1].portNumber", "it has 80")
    assert problem(exported("pay", (0, "/a"))).message == "is missing"


def test_an_export_of_nothing():
    (found,) = fleet_of({"east": [exported()]}, member("east")).problems()
    assert (found.code, str(found.ref)) == ("XDS0204", f"ServiceExport.{FSM} shop/pay in east")
    ext = make("Service", "ext", spec={"type": "ExternalName"})
    assert codes(fleet_of({"east": [ext, exported("ext")]}, member("east"))) == ["XDS0212"]


# Kept up to date


def test_what_changes_is_made_anew():
    found = fleet(imported("pay", gateway(WEST)), policy("FailOver", WEST), exported())
    other = found.remotes[PAY]
    found.apply([Upsert("east", service("other"))])
    assert found.remotes[PAY] is other
    found.apply([Upsert("east", service("pay", {"http": 8080}))])
    assert wrong(found) == ["XDS0236"]
    found.apply([Delete("east", Upsert("east", imported()).key), Delete("east", Upsert("east", exported()).key)])
    assert found.remotes[PAY].gateways == {}
    assert wrong(found) == ["XDS0235"]
    found.apply([Delete("east", Upsert("east", policy("FailOver")).key)])
    assert found.remotes == {}
    assert wrong(found) == []


def test_members_come_by_their_other_names_too():
    found = fleet(imported("pay", gateway(NORTH)))
    assert found.remotes[PAY].gateways[80][0].cluster == ""
    found.apply([Aliases("west", frozenset(("north",)))])
    assert found.remotes[PAY].gateways[80][0].cluster == "west"
    found.apply([Aliases("west", frozenset())])
    assert found.remotes[PAY].gateways[80][0].cluster == ""
    found.apply([Upsert("north", service("pay"))])
    assert found.remotes[PAY].gateways[80][0].cluster == "north"
