"""What is saved comes back equal; what is broken costs nothing but itself."""

from __future__ import annotations

import json
import os

import pytest
from fleet_strategies import worlds
from fleet_world import service
from hypothesis import HealthCheck, given, settings

from xds.discovery.saved_world import FLEET_WIDE, SavedWorld
from xds.model.events import FLEET

SEEN = {("shop", "web", ""): frozenset(("a", "b")), ("shop", "web", "far"): frozenset(("c",))}


@pytest.fixture
def saved(tmp_path):
    return SavedWorld(tmp_path / "state")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(worlds())
def test_every_object_comes_back(saved, world):
    items = [item for cluster, item in world.objects if cluster != FLEET]
    saved.save("east", items, SEEN, 7.0)
    found = saved.load("east")
    assert found.objects == items
    assert (found.seen, found.at_s) == (SEEN, 7.0)
    assert saved.problems == {}


def test_nothing_was_saved(saved):
    assert saved.load("east") is None
    assert saved.problems == {}


@pytest.mark.parametrize(
    "content",
    [
        *(b"", b"{", b"[]", b'{"cluster": "east"}', b"\xff", b'{"cluster":"east","at_s":1,"objects":[{"kind":"Service"}]}'),
        *(b'{"cluster":"east","at_s":1,"objects":[%s]}' % value for value in (b'"x"', b"null", b'{"kind":[]}', b"[" * 100_000)),
    ],
    ids=range(10),
)
def test_a_broken_file_is_worth_nothing(saved, tmp_path, content):
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "east.json").write_bytes(content)
    assert saved.load("east") is None
    assert saved.problems["east"].code == "XDS0307"
    saved.save("east", [service("web")], {}, 1.0)
    assert len(saved.load("east").objects) == 1
    assert saved.problems == {}


def test_what_is_fleet_wide_is_told_as_such(saved, tmp_path):
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / f"{FLEET_WIDE}.json").write_bytes(b"{")
    assert saved.load(FLEET_WIDE) is None
    assert saved.problems[FLEET_WIDE].message.startswith("what was saved of the hub cannot be read")


def test_another_format_and_another_cluster_are_not_read(saved, tmp_path):
    saved.save("east", [service("web")], {}, 1.0)
    file = tmp_path / "state" / "east.json"
    (tmp_path / "state" / "west.json").write_bytes(file.read_bytes())
    assert saved.load("west") is None
    file.write_text(json.dumps({**json.loads(file.read_text()), "format": 2}))
    assert saved.load("east") is None


def test_a_kind_that_we_no_longer_read_is_left_out(saved, tmp_path):
    saved.save("east", [service("web")], {}, 1.0)
    file = tmp_path / "state" / "east.json"
    content = json.loads(file.read_text())
    content["objects"].append({"apiVersion": "v1", "kind": "Endpoints", "metadata": {"name": "web"}})
    file.write_text(json.dumps(content))
    assert [item.kind for item in saved.load("east").objects] == ["Service"]


def test_what_is_too_large_is_not_saved(tmp_path):
    saved = SavedWorld(tmp_path, max_bytes=100)
    saved.save("east", [service("web")], {}, 1.0)
    assert "it is not saved" in saved.problems["east"].message
    assert list(tmp_path.iterdir()) == []


def test_a_write_that_fails_leaves_what_was_there(saved, tmp_path, monkeypatch):
    saved.save("east", [service("web")], {}, 1.0)

    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    saved.save("east", [], {}, 2.0)
    assert saved.problems["east"].message == "cluster 'east' cannot be saved: No space left on device"
    assert len(saved.load("east").objects) == 1
    assert [path.name for path in (tmp_path / "state").iterdir()] == ["east.json"]
