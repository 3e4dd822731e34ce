"""`xdsctl simulate`, on files."""

from __future__ import annotations

import json

import pytest
import yaml
from written_fleet import API, CENTERS, explained, policy, web

from xds.cli.explain import largest_first


def test_a_cluster_that_is_down_is_survived_and_shown(xdsctl, fleet):
    found = json.loads(xdsctl("simulate", "--down", "cluster=north", "--clusters", fleet(CENTERS), "-o", "json").stdout)
    assert found["ok"]
    (west,) = found["services"]  # who is down asks nobody, and east has its own
    assert (west["service"], west["from"]) == ("web.shop.svc.cluster.local:80", "west/us-1")
    assert (west["before"], west["after"]) == ({"east/eu-1": 0.5, "north/eu-2": 0.5}, {"east/eu-1": 1.0})


@pytest.mark.parametrize("option", ["--down", "--drain"])
def test_a_place_may_be_named_without_its_kind(xdsctl, fleet, option):
    words = (option, "--clusters", fleet(CENTERS), "-o", "json")
    for short, full in (("north", "cluster=north"), ("eu-2", "zone=eu-2"), ("us", "region=us")):
        assert xdsctl("simulate", option, short, *words[1:]).stdout == xdsctl("simulate", option, full, *words[1:]).stdout


@pytest.mark.parametrize("option", ["--down", "--drain"])
def test_a_name_that_several_kinds_of_places_have_is_not_clear(xdsctl, fleet, option):
    also = {"apiVersion": API, "kind": "MemberCluster", "metadata": {"name": "us"}}
    error = xdsctl("simulate", option, "us", "--clusters", fleet(CENTERS, also), exits=65).stderr
    assert "'us' is a cluster and a region; say cluster=us or region=us" in error


def test_what_finds_nobody_fails(xdsctl, fleet):
    result = xdsctl("simulate", "--down", "region=eu", "--clusters", fleet(CENTERS), exits=1)
    assert "100.0 %" in result.stdout
    assert "BLACKHOLE: 100 % of the requests find nobody" in result.stdout
    passed = xdsctl("simulate", "--down", "region=eu", "--gate", "shop/web/remote", "--clusters", fleet(CENTERS))
    assert "all of them served" in passed.stdout


@pytest.mark.parametrize(
    ("price", "words"),
    [
        ("eu>uss=20", "price of 'eu>uss': there is no region 'uss'; did you mean 'us'?"),
        ("eu-1>us=20", "there is no region 'eu-1'"),
    ],
)
def test_a_price_of_a_region_that_is_not_there(xdsctl, fleet, price, words):
    result = xdsctl("simulate", "--down", "cluster=east", "--price", price, "--clusters", fleet(), exits=65)
    assert words in result.stderr


def test_what_places_cannot_bear_fails(xdsctl, fleet):
    load = ("--load", "shop/web=450", "--service", "shop/web", "--clusters", fleet(CENTERS))
    result = xdsctl("simulate", "--drain", "cluster=east", *load, exits=1)
    assert "BREACH: north/eu-2 gets 300 requests/s, and its endpoints bear 200" in result.stdout


def test_what_clients_of_a_place_that_is_down_have_sent_comes_from_the_others(xdsctl, fleet):
    load = ("--load", "shop/web=540", "--service", "shop/web", "--clusters", fleet())
    result = xdsctl("simulate", "--down", "cluster=west", *load, exits=1)
    assert "BREACH: east/eu-1 gets 270 requests/s, and its endpoints bear 200" in result.stdout, "it was 180 of three places"


def test_a_place_that_gets_too_much_is_told_once_and_not_for_each_of_its_clients(xdsctl, fleet):
    words = ("--all-failures", "1", "--load", "shop/web=540", "--service", "shop/web", "--clusters", fleet())
    lines = xdsctl("simulate", *words, exits=1).stdout.splitlines()
    at = lines.index("With cluster=west down:")
    assert [" ".join(line.split()) for line in lines[at + 1 : at + 5]] == [
        "web.shop.svc.clusterset.local:80 east/eu-1 unchanged - -",
        "BREACH: east/eu-1 gets 270 requests/s, and its endpoints bear 200",
        "web.shop.svc.clusterset.local:80 north/eu-2 unchanged - -",
        "BREACH: north/eu-2 gets 270 requests/s, and its endpoints bear 200",
    ]


def test_a_load_is_counted_once_whatever_a_service_is_called(xdsctl, fleet):
    words = ("--service", "shop/web", "--clusters", fleet(CENTERS), "-o", "json")
    found = json.loads(xdsctl("simulate", "--drain", "cluster=east", "--load", "shop/web=200", *words).stdout)
    assert found["ok"], "north gets all, whether by cluster.local or by clusterset.local, and bears 200"
    found = json.loads(xdsctl("simulate", "--drain", "cluster=east", "--load", "shop/web=201", *words, exits=1).stdout)
    breaches = {(one["service"], text["message"]) for one in found["services"] for text in one["problems"]}
    assert breaches == {
        ("web.shop.svc.cluster.local:80", "north/eu-2 gets 201 requests/s, and its endpoints bear 200"),
    }, "by clusterset.local the clients in the west stay there"


def test_the_clients_of_each_cluster_send_their_part_to_its_own_name(xdsctl, fleet):
    words = ("--service", "shop/web", "--clusters", fleet(), "-o", "json")
    found = json.loads(xdsctl("simulate", "--down", "endpoints=50%@west", "--load", "shop/web=300", *words).stdout)
    assert found["ok"], "west has a third of 300, and one endpoint of two"
    found = json.loads(xdsctl("simulate", "--down", "endpoints=50%@west", "--load", "shop/web=303", *words, exits=1).stdout)
    breaches = {(one["service"], text["message"]) for one in found["services"] for text in one["problems"]}
    assert ("web.shop.svc.cluster.local:80", "west/us-1 gets 101 requests/s, and its endpoints bear 100") in breaches


def test_a_table_has_a_row_for_each_place_that_changes_and_fits(xdsctl, fleet):
    words = ("--down", "cluster=north", "--service", "shop/web", "--clusters", fleet(CENTERS))
    lines = [" ".join(line.split()) for line in xdsctl("simulate", *words).stdout.splitlines()]
    assert lines[:3] == [
        "SERVICE FROM TO BEFORE AFTER",
        "web.shop.svc.cluster.local:80 west/us-1 east/eu-1 50.0 % 100.0 %",
        "web.shop.svc.cluster.local:80 west/us-1 north/eu-2 50.0 % 0.0 %",
    ]
    wide = [" ".join(line.split()) for line in xdsctl("simulate", *words, "-o", "wide").stdout.splitlines()]
    assert [*wide[:3], wide[3]] == [*lines[:3], "web.shop.svc.cluster.local:80 west/us-1 other regions 100.0 % 100.0 %"]


def test_what_is_bad_before_any_failure_is_told_once(xdsctl, fleet):
    directory = fleet(CENTERS)
    alone = web("east", 7)[::2]  # not exported, and nobody is ready
    alone[1]["endpoints"][:] = [{**one, "conditions": {"ready": False}} for one in alone[1]["endpoints"]]
    text = yaml.dump_all(alone).replace("name: web", "name: batch").replace("service-name: web", "service-name: batch")
    (directory / "east" / "batch.yaml").write_text(text)
    words = ("simulate", "--all-failures", "1", "--clusters", directory)
    lines = xdsctl(*words, exits=1).stdout.splitlines()
    assert lines[0] == "Before any failure:"
    assert [line.strip() for line in lines if "as before" in line] == ["BLACKHOLE as before: 100 % of the requests find nobody"]
    assert lines[-1].endswith("with new problems, 1 case bad before any failure")
    found = json.loads(xdsctl(*words, "-o", "json", exits=1).stdout)
    assert [(one["service"], one["from"]) for one in found["already"]] == [("batch.shop.svc.cluster.local:80", "east/eu-1")]
    assert not any("batch" in one["service"] for one in found["services"])
    found = json.loads(xdsctl(*words, "--service", "shop/batch", "-o", "json").stdout)
    assert (found["ok"], len(found["already"]), found["services"]) == (True, 1, [])
    passed = xdsctl(*words, "--service", "shop/batch").stdout.splitlines()[-1]
    assert passed.endswith("no new problems, 1 case bad before any failure")


def test_a_place_that_gets_more_than_it_bears_already_is_not_called_fine(xdsctl, fleet):
    load = ("--load", "shop/web=900", "--service", "shop/web", "--clusters", fleet(CENTERS))
    result = xdsctl("simulate", "--gate", "shop/web/remote", *load)
    lines = result.stdout.splitlines()
    at = next(number for number, line in enumerate(lines) if line.startswith("web.shop.svc.clusterset.local:80   east/"))
    assert lines[at].split()[2:] == ["unchanged", "-", "-"]
    assert lines[at + 1] == "    BREACH as before: east/eu-1 gets 300 requests/s, and its endpoints bear 200"
    assert result.stdout.endswith(": no new problems, 6 with those of before\n")


def test_machines_are_given_shares_in_the_order_of_their_places(xdsctl, fleet):
    directory = fleet(policy(strategy={"type": "ActiveActive"}))
    assert [*explained(xdsctl, directory)["shares"]] == ["east/eu-1", "north/eu-2", "west/us-1"]
    found = json.loads(xdsctl("simulate", "--down", "cluster=west", "--clusters", directory, "-o", "json").stdout)
    assert [*found["services"][0]["before"]] == ["east/eu-1", "north/eu-2", "west/us-1"]
    assert [*found["services"][0]["after"]] == ["east/eu-1", "north/eu-2"]


def test_shares_that_look_alike_are_in_the_order_of_their_names():
    found = largest_first({"west/b": 0.15, "west/a": 0.15 - 1e-12, "east/a": 0.7})
    assert [name for name, _ in found] == ["east/a", "west/a", "west/b"]


def test_a_cluster_without_zones_is_told_without_a_slash(xdsctl, fleet):
    directory = fleet(CENTERS)
    file = directory / "fleet.yaml"
    items = [*yaml.safe_load_all(file.read_text())]
    for item in items:
        item["spec"].pop("zones", None)
    file.write_text(yaml.dump_all(items))
    assert "west (sidecar)\n" in xdsctl("explain", "shop/web", "--from", "west", "--clusters", directory).stdout
    assert "   west   " in xdsctl("simulate", "--down", "cluster=north", "--clusters", directory).stdout


def test_every_single_failure(xdsctl, fleet):
    directory = fleet(CENTERS)
    result = xdsctl("simulate", "--all-failures", "1", "--clusters", directory, exits=1)
    assert "region=eu" in result.stdout, "the remote region is gated"
    assert "cluster=east" not in result.stdout


def test_zones_that_only_endpoints_name_are_tried_too(xdsctl, fleet):
    directory = fleet()
    file = directory / "fleet.yaml"
    items = [*yaml.safe_load_all(file.read_text())]
    for item in items:
        del item["spec"]["zones"]
    file.write_text(yaml.dump_all(items))
    file = directory / "east" / "web.yaml"
    file.write_text(file.read_text().replace("zone: eu-1", "zone: eu-9", 1))
    found = json.loads(xdsctl("simulate", "--all-failures", "1", "--clusters", directory, "-o", "json").stdout)
    assert found["failures"] == 2 + 3 + 2, "two zones of east, three clusters, two regions"


def test_what_moves_nothing_says_so(xdsctl, fleet):
    result = xdsctl("simulate", "--gate", "shop/web/remote", "--service", "shop/web", "--clusters", fleet(CENTERS))
    assert result.stdout == "6 cases looked at: no request goes elsewhere, all of them served\n"


def test_another_policy_is_supposed(xdsctl, fleet, tmp_path):
    other = tmp_path / "other.txt"
    other.write_text(yaml.dump(policy(strategy={"type": "ActiveActive"})))
    result = xdsctl("simulate", "--policy", other, "--clusters", fleet(CENTERS), "-o", "json")
    (east,) = [
        one for one in json.loads(result.stdout)["services"] if one["from"] == "east/eu-1" and "cluster.local" in one["service"]
    ]
    assert east["after"] == pytest.approx({"east/eu-1": 1 / 3, "north/eu-2": 1 / 3, "west/us-1": 1 / 3})


def test_a_policy_that_weighs_by_capacities_is_rehearsed_though_some_are_not_declared(xdsctl, fleet, tmp_path):
    other, west = tmp_path / "other.txt", tmp_path / "west" / "web.yaml"
    west.write_text(west.read_text().replace("endpoint-capacity", "some-annotation"))
    other.write_text(yaml.dump(policy(tiers=[{"name": "all", "places": [{"clusters": ["*"]}], "weighBy": "Capacity"}])))
    result = xdsctl("simulate", "--policy", other, "--clusters", fleet(CENTERS), "-o", "json")
    assert json.loads(result.stdout)["services"]


def test_a_policy_that_would_not_be_accepted_is_no_rehearsal(xdsctl, fleet, tmp_path):
    other = tmp_path / "other.txt"
    other.write_text(yaml.dump(policy(strategy={"type": "RemoteDR", "primary": "eu", "remote": "uss"})))
    result = xdsctl("simulate", "--policy", other, "--clusters", fleet(), exits=65)
    assert "there is no region 'uss'" in result.stderr
    assert "did you mean 'us'?" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--down", "cluster=est"), "there is no cluster 'est'"),
        (("--down", "region=@own"), "there is no region '@own'"),
        (("--down", "rack=1"), "'rack=1' is no failure; use cluster=NAME"),
        (("--down", "wets"), "there is no cluster, zone or region 'wets'; did you mean 'west'?"),
        (("--drain", "zone=eu-9"), "there is no zone 'eu-9'; did you mean 'eu-2'?"),
        (("--down", "endpoints=30%@shop/wbe"), "there is no service 'shop/wbe'; did you mean 'shop/web'?"),
        (("--down", "endpoints=30%@mars"), "there is no cluster 'mars'"),
        (("--gate", "shop/web/remot"), "has no tier 'remot'; did you mean 'remote'?"),
        (("--drain", "endpoints=30%@east"), "cannot be drained"),
        (("--down", "cluster=east", "--load", "shop/wbe=1"), "there is no service 'shop/wbe'; did you mean 'shop/web'?"),
    ],
)
def test_simulate_bad_input(xdsctl, fleet, arguments, words):
    result = xdsctl("simulate", *arguments, "--clusters", fleet(CENTERS), exits=65)
    assert words in result.stderr


def test_endpoints_fail_in_zones_that_no_member_declares_and_in_none_that_there_is_not(xdsctl, fleet):
    directory = fleet()
    (directory / "fleet.yaml").unlink()
    xdsctl("simulate", "--down", "endpoints=50%@east/eu-1", "--clusters", directory)
    result = xdsctl("simulate", "--down", "endpoints=100%@east/eu-9", "--clusters", directory, exits=65)
    assert "cluster 'east' has no zone 'eu-9'; it has eu-1" in result.stderr
