import json
import signal
import time
from dataclasses import replace

import pytest
import yaml
from fleet_world import make

from xds.model.events import MemberState, Upsert
from xds.model.members import Member


@pytest.fixture
def watched(asked, monkeypatch):
    """Watch the clusters: one step is taken at each pause, then comes Ctrl-C."""

    def run(*steps, arguments=()):
        pauses = iter([*steps, lambda: signal.raise_signal(signal.SIGINT)])
        monkeypatch.setattr("xds.cli.clusters.time.sleep", lambda _: next(pauses)())
        return asked("clusters", "-w", *arguments, exits=130)

    return run


def lines(result):
    return [line.split() for line in result.stdout.splitlines()]


def test_clusters(asked, plane):
    plane.states_since_s = {"east": time.time() - 3 * 3600 - 5 * 60 - 1}
    result = asked("clusters")
    assert lines(result) == [
        ["NAME", "STATE", "SINCE", "REGION", "ZONES", "NETWORK", "SERVICES", "ENDPOINTS"],
        ["east", "Connected", "3h5m", "eu", "eu-1,eu-2", "default", "1", "2"],
        ["west", "Stale", "-", "us", "us-1", "default", "0", "0"],
    ]
    assert result.stderr == "west is Stale: no answer for 3 m\n"
    plane.members["west"] = replace(plane.members["west"], declared=False)
    assert "west has no MemberCluster, so its region follows from its nodes; add one" in asked("clusters", "--no-headers").stderr


def override(name, **spec):
    return make("TrafficOverride", name, namespace="", spec=spec)


def test_drained_clusters_are_marked(asked, plane):
    whole = override("d1", drain={"cluster": "west"}, reason="kernel update")
    region, zone = override("d2", drain={"region": "eu", "step": 3, "steps": 10}), override("d3", drain={"zone": "eu-2"})
    not_yet, some = (
        override("d4", drain={"cluster": "west", "step": 0}),
        override("d5", drain={"zone": "us-1", "services": ["a/b"]}),
    )
    plane.fleet.apply([Upsert("", item) for item in (whole, region, zone, not_yet, some)])
    result = asked("clusters", "--no-headers")
    assert [line.split("   ")[1].strip() for line in result.stdout.splitlines()] == ["Connected, draining 3/10", "Stale, drained"]
    assert result.stderr.splitlines() == [
        "east is being drained by TrafficOverride d2: region eu, step 3 of 10",
        "east is drained by TrafficOverride d3: zone eu-2",
        "west is Stale: no answer for 3 m",
        "west is drained by TrafficOverride d1: cluster west, kernel update",
        "west is drained by TrafficOverride d5: zone us-1 of a/b",
    ]
    assert "Drained:     cluster west, kernel update; zone us-1 of a/b\n" in asked("describe", "cluster", "west").stdout


def test_status_tells_what_is_overridden(asked, plane):
    assert "drained" not in asked("status", exits=1).stdout
    gate = {"namespace": "shop", "policy": "web", "tier": "remote"}
    items = [override("d", drain={"cluster": "east", "step": 3, "steps": 10}), override("g", open=gate, reason="drill")]
    items += [override("h", open={**gate, "cluster": "west"}), override("i", drain={"zone": "us-1"})]
    plane.fleet.apply([Upsert("", item) for item in items])
    rows = dict(line.split("   ", 1) for line in asked("status", exits=1).stdout.splitlines())
    assert rows["draining"].strip() == "cluster east, step 3 of 10"
    assert rows["drained"].strip() == "zone us-1"
    assert rows["open gates"].strip() == "shop/web tier remote, drill; west:shop/web tier remote"
    found = json.loads(asked("status", "-o", "json", exits=1).stdout)
    assert (found["drains"][0]["step"], found["gates"][1]["cluster"]) == (3, "west")


def test_clusters_for_machines(asked):
    found = json.loads(asked("clusters", "-o", "json").stdout)
    assert (found["kind"], found["items"][1]["since"]) == ("MemberList", "2023-11-14T22:13:20Z")
    assert yaml.safe_load(asked("clusters", "-o", "yaml").stdout) == found


def test_clusters_are_watched_until_interrupted(watched, plane):
    def connects():
        plane.members["west"] = replace(plane.members["west"], state=MemberState.CONNECTED, reason="")
        plane.states_since_s["west"] = time.time()

    def joins():
        plane.members["north-of-everything"] = Member("north-of-everything", state=MemberState.CONNECTED)

    result = watched(lambda: None, connects, joins, lambda: plane.members.pop("east"))
    rows = lines(result)
    assert [row[:2] for row in rows] == [
        ["NAME", "STATE"],
        ["east", "Connected"],
        ["west", "Stale"],
        ["west", "Connected"],
        ["north-of-everything", "Connected"],
        ["east", "Lost"],
    ]
    assert rows[3][2] == "0s"
    assert rows[5][2] == "-"
    assert (
        result.stderr == "west is Stale: no answer for 3 m\neast is Lost: no longer a member\n\n"
    )  # click ends the line of a ^C
    header, *first, _, wide, _ = result.stdout.splitlines()
    assert [line.index("eu") for line in first[:1]] == [header.index("REGION")]
    assert wide.startswith("north-of-everything   Connected")


def test_what_was_said_of_a_cluster_is_not_said_again(watched, plane):
    result = watched(plane.services.clear, arguments=["--no-headers"])
    assert [row[0] for row in lines(result)] == ["east", "west", "east"]
    assert result.stderr.count("west is Stale") == 1


def test_watched_clusters_for_machines(watched, plane):
    found = [
        json.loads(line) for line in watched(lambda: plane.members.pop("west"), arguments=["-o", "json"]).stdout.splitlines()
    ]
    assert [(item["name"], item["state"]) for item in found] == [("east", "Connected"), ("west", "Stale"), ("west", "Lost")]
    plane.members["west"] = Member("west")
    documents = [*yaml.safe_load_all(watched(arguments=["-o", "yaml"]).stdout)]
    assert [item["name"] for item in documents] == ["east", "west"]


def test_no_clusters_to_watch_yet(watched, plane):
    plane.members = {}
    result = watched(lambda: plane.members.update(east=Member("east")))
    assert [row[0] for row in lines(result)] == ["NAME", "east"]
