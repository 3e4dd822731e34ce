"""`explain`, `simulate` and `policy expand`, on files."""

from __future__ import annotations

import json

import pytest
import yaml

from xds.cli.explain import largest_first, print_explanation
from xds.cli.policy_files import read_policies

API = "traffic.isthmus.dev/v1alpha1"
PLACES = {"east": ("eu", "eu-1"), "north": ("eu", "eu-2"), "west": ("us", "us-1")}


def web(cluster, number, endpoints=2, **annotations):
    """Return the manifests of an exported service with some endpoints."""
    zone = PLACES[cluster][1]
    meta = {"name": "web", "namespace": "shop"}
    addresses = [f"10.{number}.0.{index + 1}" for index in range(endpoints)]
    return [
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {**meta, "annotations": annotations},
            "spec": {"clusterIP": f"10.96.{number}.1", "ports": [{"name": "http", "port": 80}]},
        },
        {"apiVersion": "multicluster.x-k8s.io/v1beta1", "kind": "ServiceExport", "metadata": meta},
        {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {**meta, "name": "web-1", "labels": {"kubernetes.io/service-name": "web"}},
            "addressType": "IPv4",
            "ports": [{"name": "http", "port": 8080}],
            "endpoints": [{"addresses": [one], "zone": zone, "conditions": {"ready": True}} for one in addresses],
        },
    ]


@pytest.fixture
def fleet(tmp_path):
    """A directory of three clusters in two regions, each with two endpoints that bear 100 requests a second."""

    def write(*fleet_wide):
        members = [
            {"apiVersion": API, "kind": "MemberCluster", "metadata": {"name": name}, "spec": {"region": region, "zones": [zone]}}
            for name, (region, zone) in PLACES.items()
        ]
        (tmp_path / "fleet.yaml").write_text(yaml.dump_all([*members, *fleet_wide]))
        return tmp_path

    for number, name in enumerate(PLACES, 1):
        (tmp_path / name).mkdir()
        manifests = web(name, number, **{"traffic.isthmus.dev/endpoint-capacity": "100"})
        (tmp_path / name / "web.yaml").write_text(yaml.dump_all(manifests))
    write()
    return write


def policy(name="web", **spec):
    spec = {"targetRefs": [{"kind": "Service", "name": "web"}], **spec}
    return {"apiVersion": API, "kind": "TrafficPolicy", "metadata": {"name": name, "namespace": "shop"}, "spec": spec}


def override(name, **spec):
    return {"apiVersion": API, "kind": "TrafficOverride", "metadata": {"name": name}, "spec": spec}


CENTERS = policy(strategy={"type": "TwoSitesThreeCenters", "primary": "eu", "remote": "us"})


def explained(xdsctl, directory, service="shop/web", place="east", **options):
    return json.loads(xdsctl("explain", service, "--from", place, "--clusters", directory, "-o", "json", **options).stdout)


def test_explain_tells_the_default_ladder(xdsctl, fleet):
    found = explained(xdsctl, fleet(), "web.shop.svc.clusterset.local")
    assert (found["service"], found["from"], found["shares"]) == (
        "web.shop.svc.clusterset.local:80",
        "east/eu-1",
        {"east/eu-1": 1.0},
    )
    assert [tier["name"] for tier in found["tiers"]] == ["own cluster", "same region", "anywhere"]
    assert "no policy speaks for it: the default ladder" in [step["text"] for step in found["chain"]]


@pytest.mark.parametrize(
    ("ages", "why"),
    [
        ({}, "east decides, the first cluster by name, since no export tells when it was created"),
        ({"north": "2026-01-01T00:00:00Z"}, "north is the oldest and decides"),
        (dict.fromkeys(("north", "west"), "2026-01-01T00:00:00Z"), "north decides, the first by name of the oldest"),
    ],
)
def test_explain_tells_why_an_export_decides(xdsctl, fleet, ages, why):
    directory = fleet()
    for cluster, age in ages.items():
        file = directory / cluster / "web.yaml"
        items = [*yaml.safe_load_all(file.read_text())]
        items[1]["metadata"]["creationTimestamp"] = age
        file.write_text(yaml.safe_dump_all(items))
    found = explained(xdsctl, directory, "web.shop.svc.clusterset.local")
    assert f"exported by {why.split()[0]}" in (text := found["chain"][1]["text"])
    assert text.endswith(f"; the export of {why}")


def test_explain_tells_that_clients_are_kept(xdsctl, fleet):
    directory = fleet()
    plain = xdsctl("explain", "shop/web", "--from", "east", "--clusters", directory).stdout
    file = directory / "east" / "web.yaml"
    file.write_text(file.read_text().replace("  clusterIP:", "  sessionAffinity: ClientIP\n  clusterIP:"))
    kept = xdsctl("explain", "shop/web", "--from", "east", "--clusters", directory).stdout
    assert "by client address, so shares are of clients, not of requests" in kept
    assert "sessionAffinity is ClientIP" in kept
    assert "of clients" not in plain
    assert explained(xdsctl, directory)["kept_by"] == "client address"


def test_explain_tells_a_policy_and_its_closed_gate(xdsctl, fleet):
    directory = fleet(CENTERS)
    result = xdsctl("explain", "shop/web", "--from", "north", "--clusters", directory)
    assert "TrafficPolicy shop/web in the fleet governs, as one for Service shop/web" in result.stdout
    assert "Tier 2, remote: closed, its gate is Manual, and no override opens it" in result.stdout
    assert f"\n  to open it: xdsctl gate open shop/web remote --clusters {directory}\n" in result.stdout
    assert "west/us-1 (us)   2 endpoints   tier 2 (remote) is closed" in result.stdout


@pytest.mark.parametrize(
    ("fields", "spill"),
    [({}, "71.4"), ({"spillBelowHealthyPercent": 100}, "100"), ({"spillBelowHealthyPercent": 72}, "71.9")],
)
def test_explain_tells_where_spilling_begins_as_the_factor_has_it(xdsctl, fleet, fields, spill):
    result = xdsctl("explain", "shop/web", "--from", "east", "--clusters", fleet(policy(**fields)))
    assert f"a tier passes on below {spill} % healthy\n" in result.stdout


def test_explain_tells_what_follows_an_empty_tier(xdsctl, fleet):
    result = xdsctl("explain", "shop/web", "--from", "west", "--clusters", fleet(CENTERS))
    assert "Tier 0, own site: empty, so tier 1, same city, counts next\n" in result.stdout
    result = xdsctl(
        "explain", "shop/web", "--from", "west", "--clusters", fleet(policy(strategy={"type": "SameCityActiveActive"}))
    )
    assert "Tier 1, same city: empty, and no later tier has endpoints\n" in result.stdout
    places = (["east"], ["nowhere"], ["north"])
    tiers = [{"name": f"t{number}", "places": [{"clusters": found}]} for number, found in enumerate(places)]
    directory = fleet(policy(tiers=tiers), {"apiVersion": API, "kind": "MemberCluster", "metadata": {"name": "nowhere"}})
    result = xdsctl("explain", "shop/web", "--from", "east", "--clusters", directory)
    assert "Tier 1, t1: empty, so tier 2, t2, counts next\n" in result.stdout


def test_an_override_opens_a_gate(xdsctl, fleet):
    gate = override("promoted", open={"namespace": "shop", "policy": "web", "tier": "remote"})
    found = explained(xdsctl, fleet(CENTERS, gate))
    assert not found["tiers"][2]["closed"]
    assert found["tiers"][2]["endpoints"] == 2


def test_a_drain_in_the_middle_of_its_ramp(xdsctl, fleet):
    drain = override("drain", drain={"cluster": "east", "steps": 4, "step": 2})
    found = explained(xdsctl, fleet(CENTERS, drain))
    assert found["shares"] == pytest.approx({"east/eu-1": 0.7, "north/eu-2": 0.3}), "one of two endpoints, by 1.4"
    assert any("TrafficOverride drain, step 2 of 4 leaves cluster east 50 %" in step["text"] for step in found["chain"])


def test_what_is_wrong_with_a_policy_is_told_with_the_line_of_the_field(xdsctl, fleet):
    wrong = policy(targetRefs=[{"kind": "Service", "name": "web"}, {"kind": "Service", "name": "wbe"}])
    twice = policy("zzz", tiers=[{"name": "own", "places": [{"clusters": ["@own"]}, {"zones": ["mars"]}]}])
    directory = fleet(wrong, twice, override("eats", drain={"cluster": "eats"}))
    found = json.loads(xdsctl("validate", directory, "-o", "json", exits=79).stdout)["items"]
    lines = (directory / "fleet.yaml").read_text().splitlines()
    where = {item["code"]: lines[int(item["source"].partition(":")[2]) - 1].strip() for item in found}
    assert (where["XDS0601"], where["XDS0602"], where["XDS0604"]) == ("- mars", "name: wbe", "cluster: eats")


def test_explain_tells_a_policy_of_another_system(xdsctl, fleet):
    setting = {"loadBalancer": {"localityLbSetting": {"failover": [{"from": "eu", "to": "us"}]}}}
    rule = {
        "apiVersion": "networking.istio.io/v1",
        "kind": "DestinationRule",
        "metadata": {"name": "near", "namespace": "shop"},
        "spec": {"host": "web.shop.svc.cluster.local", "trafficPolicy": setting},
    }
    directory = fleet()
    (directory / "east" / "rule.yaml").write_text(yaml.dump(rule))
    found = explained(xdsctl, directory)
    assert found["policy"] == "DestinationRule shop/near in east"
    assert [tier["name"] for tier in found["tiers"]] == ["own zone", "own region", "region us", "anywhere"]
    (step,) = [one for one in found["chain"] if one["stage"] == "policy"]
    assert (step["objects"][0]["kind"], step["objects"][0]["name"]) == ("DestinationRule", "near")
    result = xdsctl("validate", directory)
    assert "info XDS0610 DestinationRule shop/near in east" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("shop/wbe", "--from", "east"), "did you mean 'shop/web'?"),
        (("web.shop.svc.clusterset.local:81", "--from", "east"), "has no port 81; it has 80"),
        (("web", "--from", "east"), "'web' names no service; use NAMESPACE/NAME"),
        (("shop/web", "--from", "est"), "there is no cluster and no connected node 'est'; did you mean"),
        (("shop/web", "--from", "east/eu-9"), "cluster 'east' has no zone 'eu-9'"),
    ],
)
def test_explain_bad_input(xdsctl, fleet, arguments, words):
    result = xdsctl("explain", *arguments, "--clusters", fleet(), exits=65)
    assert words in result.stderr


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


def test_a_strategy_is_expanded(xdsctl, tmp_path):
    found = yaml.safe_load(xdsctl("policy", "expand", "RemoteDR", "--primary", "eu", "--remote", "us").stdout)
    assert found == {
        "tiers": [
            {"name": "primary", "places": [{"regions": ["eu"]}]},
            {"name": "standby", "places": [{"regions": ["us"]}], "gate": "Manual"},
        ]
    }
    file = tmp_path / "policy.yaml"
    file.write_text(yaml.dump(CENTERS))
    expanded = yaml.safe_load(xdsctl("policy", "expand", file).stdout)
    assert [tier["name"] for tier in expanded["spec"]["tiers"]] == ["own site", "same city", "remote"]
    assert "strategy" not in expanded["spec"]
    file.write_text(yaml.dump(expanded))
    assert yaml.safe_load(xdsctl("policy", "expand", file).stdout) == expanded


@pytest.mark.parametrize("output", ["yaml", "json"])
def test_several_policies_are_expanded_into_what_can_be_applied(xdsctl, fleet, tmp_path, output):
    other = policy("all", strategy={"type": "Locality"}, targetRefs=[{"kind": "Service", "name": "all"}])
    file = tmp_path / "policies.txt"
    file.write_text(yaml.dump_all([CENTERS, other]))
    expanded = tmp_path / f"expanded.{output}"
    expanded.write_text(xdsctl("policy", "expand", file, "-o", output).stdout)
    assert [item.metadata.name for item in read_policies([expanded])] == ["web", "all"]
    found = [*yaml.safe_load_all(expanded.read_text())]
    shapes = {"yaml": [("TrafficPolicy", "web"), ("TrafficPolicy", "all")], "json": [("List", None)]}
    assert [(item["kind"], item.get("metadata", {}).get("name")) for item in found] == shapes[output]
    assert all(item["apiVersion"] for item in found), "no bare list, which kubectl refuses"


def test_a_policy_is_expanded_that_stands_beside_the_clusters(xdsctl, fleet):
    directory = fleet(CENTERS)
    expanded = yaml.safe_load(xdsctl("policy", "expand", directory / "fleet.yaml").stdout)
    assert [tier["name"] for tier in expanded["spec"]["tiers"]] == ["own site", "same city", "remote"]
    error = xdsctl("policy", "expand", fleet() / "fleet.yaml", exits=65).stderr
    assert "fleet.yaml has MemberCluster; only TrafficPolicies are read here" in error


def test_a_policy_is_expanded_that_stands_beside_what_belongs_to_a_cluster(xdsctl, fleet):
    file = fleet() / "east" / "web.yaml"
    error = xdsctl("policy", "expand", file, exits=65).stderr
    assert f"{file} has EndpointSlice, Service, ServiceExport; only TrafficPolicies are read here" in error
    file.write_text(yaml.dump_all([*yaml.safe_load_all(file.read_text()), CENTERS]))
    expanded = yaml.safe_load(xdsctl("policy", "expand", file).stdout)
    assert expanded["metadata"]["name"] == "web"
    assert "is a directory; name a file of TrafficPolicies" in xdsctl("policy", "expand", file.parent, exits=65).stderr


def test_a_strategy_of_a_place_that_cannot_be_is_not_expanded(xdsctl):
    result = xdsctl("policy", "expand", "RemoteDR", "--primary", "a" * 64, "--remote", "us", exits=64)
    assert "length <= 63 - at `$.primary`" in result.stderr


def test_objects_of_one_name_stand_together(xdsctl, fleet):
    text = xdsctl("explain", "web.shop.svc.clusterset.local", "--from", "east", "--clusters", fleet(CENTERS)).stdout
    assert "is the service of the cluster set  [Service shop/web in east, north, west]\n" in text


def test_a_policy_that_names_the_service_by_its_other_name_alone_is_told(xdsctl, fleet):
    directory = fleet(CENTERS)
    told = "TrafficPolicy shop/web in the fleet names Service shop/web, which is web.shop.svc.cluster.local, and not this"
    texts = [step["text"] for step in explained(xdsctl, directory, "web.shop.svc.clusterset.local")["chain"]]
    assert texts[-2:] == ["no policy speaks for it: the default ladder", told]
    assert not any("and not this" in step["text"] for step in explained(xdsctl, directory)["chain"])


def test_the_row_of_a_place_tells_why_endpoints_are_not_well(xdsctl, fleet, capsys):
    found = explained(xdsctl, fleet())
    one = found["tiers"][0]["localities"][0]["endpoints"][0]
    one["health"], one["reasons"] = "DEGRADED", ["well again, and held back until it has been so for 60 s"]
    print_explanation(found)
    row = "   2 endpoints; 1 DEGRADED: well again, and held back until it has been so for 60 s\n"
    assert row in capsys.readouterr().out


def test_on_a_terminal_long_lines_go_on_where_words_end(xdsctl, fleet, monkeypatch):
    for module in ("explain", "output"):
        monkeypatch.setattr(f"xds.cli.{module}.terminal_width", lambda: 80)
    lines = xdsctl("explain", "web.shop.svc.clusterset.local", "--from", "east", "--clusters", fleet()).stdout.splitlines()
    assert max(map(len, lines)) <= 80
    first = lines.index("  web.shop.svc.clusterset.local:80 is the service of the cluster set  [Service")
    assert lines[first + 1] == "    shop/web in east, north, west]"
