"""`xdsctl explain`, on files."""

from __future__ import annotations

import json

import pytest
import yaml
from written_fleet import API, CENTERS, explained, override, policy

from xds.cli.explain import print_explanation


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
