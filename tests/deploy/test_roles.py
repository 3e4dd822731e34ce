"""The roles allow what the code does, and nothing else."""

import re
from pathlib import Path

import yaml

from xds.discovery.live.hub import READ
from xds.discovery.live.intake import MEMBER_KINDS

DEPLOY = Path(__file__).parents[2] / "deploy"


def rules(file):
    """Return (group, resource) -> verbs of the ClusterRole in a file."""
    (role,) = [item for item in yaml.safe_load_all((DEPLOY / file).read_text()) if item["kind"] == "ClusterRole"]
    return {
        (group, resource): set(rule["verbs"])
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
    }


def read(kinds):
    return {(kind.group, f"{kind.kind.lower()}{'es' if kind.kind.endswith('s') else 's'}") for kind in kinds}


def plural(found):
    return {(group, re.sub(r"([^aeiou])ys$", r"\1ies", resource)) for group, resource in found}


def test_a_member_lets_us_read_what_we_read():
    assert rules("remote/read-only.yaml").keys() == plural(read(MEMBER_KINDS))
    assert {frozenset(verbs) for verbs in rules("remote/read-only.yaml").values()} == {frozenset(("get", "list", "watch"))}


def test_the_hub_lets_us_read_the_registries():
    found = rules("control-plane/hub-reader.yaml")
    assert found.pop(("cluster.karmada.io", "clusters/proxy")) == {"get"}
    assert found.pop(("traffic.isthmus.dev", "memberclusters/status")) == {"patch"}
    assert found.pop(("traffic.isthmus.dev", "trafficpolicies/status")) == {"patch"}
    assert found.pop(("", "secrets")) == {"get", "list", "watch"}
    assert found.keys() == plural(read(kind for _, kind in READ)) - {("", "secrets")}
    assert all(verbs == {"list", "watch"} for verbs in found.values())


def test_a_member_that_is_written_to_lets_us_tell_what_became_of_its_policies():
    assert rules("remote/mcs-writer.yaml")["traffic.isthmus.dev", "trafficpolicies/status"] == {"patch"}
