"""`xdsctl policy expand`, on files."""

from __future__ import annotations

import pytest
import yaml
from written_fleet import CENTERS, policy

from xds.cli.policy_files import read_policies


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
