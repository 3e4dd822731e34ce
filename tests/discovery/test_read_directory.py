from __future__ import annotations

import os
import socket

import pytest

from xds.discovery.files import read_directory
from xds.discovery.readings import Readings
from xds.errors import ConfigurationError
from xds.model.events import Health, MemberState, Synced, Upsert

MEMBER = "apiVersion: traffic.isthmus.dev/v1alpha1\nkind: MemberCluster\nmetadata: {name: east}\n"


def names(reading, cluster: str = "east") -> list[str]:
    return [item.metadata.name for item in reading.objects[cluster]]


def problem_of(path, **options):
    (problem,) = read_directory(path, **options).problems
    return problem


def test_the_layout(tmp_path, write, service_text):
    write("members.yaml", MEMBER)
    write("east/a.yaml", service_text("a"))
    write("east/deep/er/b.yml", service_text("b"))
    write("west/c.JSON", '{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "c"}}')
    (tmp_path / "empty").mkdir()
    reading = read_directory(tmp_path)
    assert {cluster: names(reading, cluster) for cluster in reading.objects} == {
        "": ["east"],
        "east": ["a", "b"],
        "west": ["c"],
        "empty": [],
    }
    assert reading.problems == ()
    assert [event.cluster for event in reading.events if isinstance(event, Upsert)] == ["", "east", "east", "west"]
    assert reading.events[4:] == [
        *map(Synced, ("east", "empty", "west", "")),
        *(Health(cluster, MemberState.CONNECTED) for cluster in ("east", "empty", "west")),
    ]


@pytest.mark.parametrize(
    "name",
    [
        "x.yaml~",
        "x.yaml.tmp",
        "x.yaml.swp",
        ".x.yaml",
        ".x.yaml.swp",
        ".#x.yaml",
        "#x.yaml#",
        "4913",
        "..data/x.yaml",
        ".git/x.yaml",
        "README.md",
    ],
)
def test_hidden_and_temporary_files_are_not_read(tmp_path, write, name):
    for directory in ("", "east/", "east/deep/"):
        write(directory + name, "not: [yaml")
    reading = read_directory(tmp_path)
    assert (reading.problems, names(reading)) == ((), [])


OVERRIDE = """\
apiVersion: traffic.isthmus.dev/v1alpha1
kind: TrafficOverride
metadata: {name: drain-east}
spec: {drain: {cluster: east}}
"""


def test_overrides_are_fleet_wide_though_their_name_begins_with_a_dot(tmp_path, write):
    write(".overrides.yaml", OVERRIDE)
    write(".overrides.yml", "not: [yaml")
    write("east/.overrides.yaml", "not: [yaml")
    reading = read_directory(tmp_path)
    assert (names(reading, ""), reading.problems) == (["drain-east"], ())
    assert [*reading.places.values()] == [".overrides.yaml:1"]


def test_a_directory_in_the_place_of_the_overrides_is_a_problem(tmp_path):
    (tmp_path / "east").mkdir()
    (tmp_path / ".overrides.yaml").mkdir()
    problem = problem_of(tmp_path)
    assert (problem.code, problem.source, problem.hint) == ("XDS0109", ".overrides.yaml/", "remove it")


def test_a_configmap_volume(tmp_path, write, service_text):
    write("east/..2026_01/web.yaml", service_text("web"))
    (tmp_path / "east/..data").symlink_to("..2026_01")
    (tmp_path / "east/web.yaml").symlink_to("..data/web.yaml")
    reading = read_directory(tmp_path)
    assert (names(reading), reading.problems) == (["web"], ())


def test_no_directory(tmp_path, write):
    for path in (tmp_path / "missing", write("file", "")):
        with pytest.raises(ConfigurationError, match="name a directory that holds a directory of manifests for each cluster"):
            read_directory(path)


@pytest.mark.parametrize("name", ["East", "x.yaml", "-a", "a" * 64, "a_b"])
def test_a_directory_that_cannot_be_a_cluster(tmp_path, write, service_text, name):
    write(f"{name}/a.yaml", service_text("a"))
    problem = problem_of(tmp_path)
    assert (problem.code, problem.source) == ("XDS0109", f"{name}/")


def test_a_file_where_a_cluster_is_expected(tmp_path, write):
    write("east", "x")
    problem = problem_of(tmp_path)
    assert (problem.code, problem.source) == ("XDS0109", "east")
    assert "a file stands where the directory of a cluster is expected" in problem.message


def test_a_directory_named_as_a_manifest(tmp_path, write, service_text):
    write("east/x.yaml/a.yaml", service_text("a"))
    problem = problem_of(tmp_path)
    assert (problem.code, problem.source) == ("XDS0109", "east/x.yaml/")


def test_links_to_nothing_and_in_circles(tmp_path, write, service_text):
    write("east/a.yaml", service_text("a"))
    (tmp_path / "east/b.yaml").symlink_to("gone.yaml")
    (tmp_path / "east/c.yaml").symlink_to("c.yaml")
    (tmp_path / "east/loop").symlink_to(".")
    reading = read_directory(tmp_path)
    assert names(reading) == ["a"]
    assert [(problem.code, problem.source) for problem in reading.problems] == [
        ("XDS0103", "east/b.yaml"),
        ("XDS0103", "east/c.yaml"),
        ("XDS0109", "east/loop/"),
    ]
    assert "a symbolic link to nothing" in reading.problems[0].message
    assert "symbolic links" in reading.problems[1].message


def test_a_linked_directory_is_followed(tmp_path, write, service_text):
    write("elsewhere/a.yaml", service_text("a"))
    root = tmp_path / "root"
    root.mkdir()
    (root / "east").symlink_to(tmp_path / "elsewhere")
    assert names(read_directory(root)) == ["a"]


def test_what_is_no_regular_file(tmp_path, write, service_text):
    write("east/a.yaml", service_text("a"))
    os.mkfifo(tmp_path / "east/b.yaml")
    with socket.socket(socket.AF_UNIX) as listener:
        os.chdir(tmp_path)  # the path of a socket is short
        listener.bind("east/c.yaml")
        reading = read_directory(tmp_path)
    assert names(reading) == ["a"]
    assert [problem.message for problem in reading.problems] == ["is not a regular file"] * 2


def test_a_file_and_a_directory_without_permission(tmp_path, write, service_text, monkeypatch):
    write("east/a.yaml", service_text("a"))
    secret = write("east/b.yaml", service_text("b"))
    closed = write("east/closed/c.yaml", service_text("c")).parent
    secret.chmod(0)
    closed.chmod(0)
    try:
        if os.access(secret, os.R_OK):  # the superuser may read anything: let the system calls say what they say to others
            refuse_to_open(monkeypatch, secret, closed)
        reading = read_directory(tmp_path)
    finally:
        closed.chmod(0o700)
    assert names(reading) == ["a"]
    assert [(problem.code, problem.source, problem.message) for problem in reading.problems] == [
        ("XDS0103", "east/b.yaml", "cannot be read: permission denied"),
        ("XDS0103", "east/closed/", "cannot be listed: permission denied"),
    ]


def refuse_to_open(monkeypatch, secret, closed):
    real_open, real_scandir = type(secret).open, os.scandir

    def open_path(path, *args, **kwargs):
        if path == secret:
            raise PermissionError(13, "Permission denied")
        return real_open(path, *args, **kwargs)

    def scandir(path):
        if os.fspath(path) == os.fspath(closed):
            raise PermissionError(13, "Permission denied")
        return real_scandir(path)

    monkeypatch.setattr(type(secret), "open", open_path)
    monkeypatch.setattr(os, "scandir", scandir)


def test_a_file_that_vanishes_while_being_read_is_gone_without_a_word(tmp_path, write, service_text, monkeypatch):
    write("east/a.yaml", service_text("a"))
    vanishing = write("east/b.yaml", service_text("b"))
    real_open = type(vanishing).open

    def open_path(path, *args, **kwargs):
        if path == vanishing:
            vanishing.unlink()
        return real_open(path, *args, **kwargs)

    monkeypatch.setattr(type(vanishing), "open", open_path)
    reading = read_directory(tmp_path)
    assert (names(reading), reading.problems) == (["a"], ())


def test_a_file_that_is_too_large(tmp_path, write, service_text):
    write("east/a.yaml", service_text("a"))
    write("east/b.yaml", service_text("b") + "#" * 1000)
    reading = read_directory(tmp_path, max_file_bytes=1000)
    (problem,) = reading.problems
    assert names(reading) == ["a"]
    assert (problem.code, problem.source, problem.message) == ("XDS0104", "east/b.yaml", "is larger than 1,000 bytes")


def test_a_name_that_cannot_be_shown(tmp_path, service_text):
    (tmp_path / "east").mkdir()
    with open(os.fsencode(tmp_path) + b"/east/\xff\n.yaml", "w") as file:  # noqa: PTH123 - a name of raw bytes
        file.write(service_text("a"))
    problem = problem_of(tmp_path)
    assert (problem.code, problem.source) == ("XDS0109", r"east/\udcff\n.yaml")
    str(problem).encode()


def test_each_bad_file_spares_the_others(tmp_path, write, service_text):
    write("east/good.yaml", service_text("good"))
    bad = {
        "bomb": "\n".join(["a0: &a0 [x, x, x, x]"] + [f"a{n}: &a{n} [" + f"*a{n - 1}, " * 9 + "]" for n in range(1, 30)]),
        "deep": "[" * 10_000,
        "utf16": "a: 1".encode("utf-16"),
        "garbage": bytes(range(256)) * 10,
        "twice": "a: 1\na: 2",
        "nan": "a: .nan",
        "empty": "",
        "comments": "# only\n",
        "null": "---\nnull\n",
        "list": "[1]",
    }
    for name, content in bad.items():
        write(f"east/{name}.yaml", content)
    reading = read_directory(tmp_path)
    assert names(reading) == ["good"]
    assert sorted(problem.source.partition(":")[0] for problem in reading.problems) == sorted(f"east/{name}.yaml" for name in bad)


def test_two_files_define_one_object(tmp_path, write, service_text):
    write("east/a.yaml", service_text("one", 1))
    write("east/b.yaml", service_text("two") + "---\n" + service_text("one", 2))
    reading = read_directory(tmp_path)
    (problem,) = reading.problems
    assert (problem.code, problem.source) == ("XDS0105", "east/b.yaml:11")
    assert "east/a.yaml:1" in problem.message
    assert reading.objects["east"][0].spec.ports[0].port == 1


def problems_of(reading, code):
    return [(problem.message, problem.hint) for problem in reading.problems if problem.code == code]


def test_a_directory_without_clusters_says_what_was_expected(tmp_path):
    ((message, _),) = problems_of(read_directory(tmp_path), "XDS0111")
    assert message == f"{tmp_path} holds no cluster directories; expected {tmp_path}/<cluster>/….yaml"
    (tmp_path / "east").mkdir()
    assert read_directory(tmp_path).problems == ()


def test_beside_live_clusters_a_directory_may_hold_what_is_fleet_wide_alone(tmp_path, write):
    def codes(**options):
        return [problem.code for problem in Readings(tmp_path, **options).next_pass().problems]

    assert codes(is_alone=False) == ["XDS0111"], "there is nothing in it"
    write("members.yaml", MEMBER)
    assert codes(is_alone=False) == []
    assert codes() == ["XDS0111"]


def test_a_directory_one_level_too_high_says_which_was_meant(tmp_path, write, service_text):
    write("fleet/members.yaml", "apiVersion: traffic.isthmus.dev/v1alpha1\nkind: MemberCluster\nmetadata: {name: east}\n")
    write("west/shop/a.yaml", service_text("a"))
    assert problems_of(read_directory(tmp_path), "XDS0111") == []
    write("fleet/east/a.yaml", service_text("a"))
    ((message, hint),) = problems_of(read_directory(tmp_path), "XDS0111")
    assert f"{tmp_path}/fleet looks like a fleet's directory" in message
    assert hint == f"serve {tmp_path}/fleet instead"
