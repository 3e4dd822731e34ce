"""`.overrides.yaml` is changed one object at a time, and what else is in it stays as it was."""

from __future__ import annotations

import stat

import pytest

from xds.discovery.files import read_directory
from xds.discovery.override_file import OverrideFile, OverrideFileError

OTHER = """\
# Made by hand.
apiVersion: traffic.isthmus.dev/v1alpha1
kind: TrafficOverride
metadata: {name: other}   # stays
spec: {drain: {cluster: west}}
"""


def document(name="drain-east", **drain):
    meta = {"name": name, "annotations": {"traffic.isthmus.dev/what": "drain"}}
    spec = {"drain": {"cluster": "east", **drain}, "reason": "Umbau: morgen"}
    return {"apiVersion": "traffic.isthmus.dev/v1alpha1", "kind": "TrafficOverride", "metadata": meta, "spec": spec}


@pytest.fixture
def file(tmp_path):
    (tmp_path / "east").mkdir()
    return OverrideFile(tmp_path)


@pytest.fixture
def path(tmp_path):
    return tmp_path / ".overrides.yaml"


def names(file):
    return [item.metadata.name for item in file.read()]


def test_one_comes_changes_and_goes(file, path, tmp_path):
    assert file.read() == []
    file.put(document(step=1, steps=4))
    file.put(document(step=2, steps=4))
    (item,) = file.read()
    assert (item.spec.drain.cluster, item.spec.drain.step, item.spec.drain.steps, item.spec.reason) == (
        "east",
        2,
        4,
        "Umbau: morgen",
    )
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    assert read_directory(tmp_path).objects[""] == (item,)
    assert read_directory(tmp_path).problems == ()
    file.delete("drain-east")
    assert not path.exists()
    file.delete("drain-east")
    assert [one.name for one in tmp_path.iterdir()] == ["east"]


@pytest.mark.parametrize("text", [OTHER, f"---\n{OTHER}", f"---\n{OTHER}---\n# nothing\n", f"# A head.\n---\n{OTHER}...\n"])
def test_others_keep_their_text(file, path, text):
    path.write_text(text)
    file.put(document())
    assert names(file) == ["drain-east", "other"] or names(file) == ["other", "drain-east"]
    assert OTHER in path.read_text()
    once = path.read_text()
    file.put(document())
    assert path.read_text() == once
    file.delete("drain-east")
    assert names(file) == ["other"]
    assert OTHER in path.read_text()


def test_the_mode_and_a_symbolic_link_stay(file, path, tmp_path):
    real = tmp_path / "kept" / "overrides"
    real.parent.mkdir()
    real.write_text(OTHER)
    real.chmod(0o600)
    path.symlink_to(real)
    file.put(document())
    assert path.is_symlink()
    assert names(file) == ["drain-east", "other"] or names(file) == ["other", "drain-east"]
    assert stat.S_IMODE(real.stat().st_mode) == 0o600


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("not: [yaml", "mend it first"),
        (OTHER.replace("cluster: west", "step: many"), "mend it first"),
        (f"apiVersion: v1\nkind: List\nitems:\n- {document()!r}\n", "holds a list, which is not changed"),
    ],
)
def test_what_cannot_be_read_is_not_written_over(file, path, text, words):
    path.write_text(text)
    with pytest.raises(OverrideFileError, match=words):
        file.put(document())
    assert path.read_text() == text


def test_a_directory_that_is_gone(tmp_path):
    with pytest.raises(OverrideFileError, match="cannot be used: no such file or directory"):
        OverrideFile(tmp_path / "gone").put(document())
