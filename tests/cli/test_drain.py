"""`xdsctl drain` and `undrain` on a directory, with and without a control plane."""

import pytest
from drained_fleet import NOBODY, interrupt, kept

from xds.cli.carrying import World, listed
from xds.cli.offline import Offline
from xds.cli.options import Duration, time_text
from xds.cli.override_store import InDirectory
from xds.errors import ChangedError


@pytest.fixture
def pauses(monkeypatch):
    """The pauses that were made; what is put into `acts` is done in them, one in each."""
    made = Pauses()

    def sleep(seconds):
        made.seconds.append(seconds)
        if made.acts:
            made.acts.pop(0)()

    monkeypatch.setattr("xds.cli.drains.time.sleep", sleep)
    return made


class Pauses:
    def __init__(self):
        self.seconds, self.acts = [], []


def test_a_drain_and_back(run, directory):
    said = run("drain east", "--reason", "kernel update").stdout
    assert said.startswith(f"cluster east is drained (TrafficOverride drain-cluster-east in {directory}/.overrides.yaml); undo: ")
    assert said.endswith(f"xdsctl undrain cluster=east --clusters {directory}\n")
    spec = {"drain": {"cluster": "east", "steps": 1, "step": 1}, "reason": "kernel update"}
    assert kept(directory) == {"drain-cluster-east": spec}
    assert "cluster east is drained already" in run("drain cluster=east").stdout
    assert run("undrain east").stdout.startswith("cluster east gets its requests again (TrafficOverride drain-cluster-east ")
    assert kept(directory) == {}
    assert run("undrain east").stdout == "cluster east is not drained\n"


def test_others_are_told_if_what_is_undrained_is_not_drained(run, directory):
    run("drain east")
    assert run("undrain zone=west").stdout == "zone west is not drained; drained are: cluster east\n"
    assert [*kept(directory)] == ["drain-cluster-east"]


@pytest.mark.parametrize(
    ("place", "exits", "said"),
    [
        ("eats", 65, "there is no cluster, zone or region 'eats'; did you mean 'east'?"),
        ("cluster=eats", 65, "there is no cluster 'eats'; did you mean 'east'?"),
        ("zone=mars", 65, "there is no zone 'mars'; known zones: eu-1, us-1, west"),
        ("west", 64, "'west' is a cluster and a zone; say cluster=west or zone=west"),
    ],
)
def test_what_does_not_exist_is_not_undrained(run, directory, place, exits, said):
    run("drain east")
    assert run(f"undrain {place}", exits=exits).stderr == f"Error: {said}\n"
    assert [*kept(directory)] == ["drain-cluster-east"]


def test_whether_a_place_exists_that_is_not_drained_is_asked_of_the_control_plane(xdsctl, asked, plane, directory, monkeypatch):
    offline = Offline(directory)
    plane.take(offline.fleet)
    plane.policies = offline.translator.book

    class Hub:
        title, flags = "the hub", ("--hub", "hub.yaml")
        read = staticmethod(list)

    for module in ("drain", "gate"):
        monkeypatch.setattr(f"xds.cli.{module}.store_of", lambda *_: Hub)
    assert asked("undrain", "east", "--hub", "hub.yaml").stdout == "cluster east is not drained\n"
    assert "did you mean 'east'?" in asked("undrain", "eats", "--hub", "hub.yaml", exits=65).stderr
    alone = ("--hub", "hub.yaml", "--admin-address", NOBODY)
    assert "nobody tells whether there is such a place: " in xdsctl("undrain", "east", *alone, exits=2).stderr
    error = asked("gate", "close", "shop/web", "remote", "--hub", "hub.yaml", exits=65).stderr
    assert error == "Error: there is no TrafficPolicy shop/web in the fleet; namespace shop has none there\n"
    assert "nobody tells whether there is such a tier: " in xdsctl("gate", "close", "shop/web", "remote", *alone, exits=2).stderr


def test_what_the_rest_cannot_carry_is_refused_with_the_numbers(run, directory):
    run("drain east")
    error = run("drain cluster=west", exits=1).stderr
    assert error == (
        "Error: cluster west is not drained, the rest could not carry it:\n"
        "  web.shop.svc.clusterset.local:80: BLACKHOLE: 100 % of the requests find nobody, from east/eu-1, west/us-1, west/west\n"
        "--force does it nevertheless\n"
    )
    assert [*kept(directory)] == ["drain-cluster-east"]
    assert "warning: the rest could not carry it:\n" in run("drain cluster=west --force").stderr
    assert [*kept(directory)] == ["drain-cluster-east", "drain-cluster-west"]


def test_loads_decide_whether_the_rest_can_carry_it(run, directory):
    error = run("drain east --load shop/web=150", exits=1).stderr
    assert "BREACH: west/us-1 gets 150 requests/s, and its endpoints bear 100\n" in error
    assert run("drain east --load shop/web=90").stderr == ""
    run("undrain east")
    assert run("drain east").stderr.startswith("no loads are known: somebody serves, but nobody tells whether places can bear it")


def test_some_services_are_drained_alone(run, directory):
    error = run("drain east --service shop/wbe", exits=65).stderr
    assert "there is no service 'shop/wbe'; did you mean 'shop/web'?" in error
    run("drain east --service shop/web")
    ((name, spec),) = kept(directory).items()
    assert name.startswith("drain-cluster-east-")
    assert spec["drain"]["services"] == ["shop/web"]
    run("drain east")
    assert len(kept(directory)) == 2
    assert len(run("undrain east").stdout.splitlines()) == 2
    assert kept(directory) == {}


@pytest.mark.parametrize(
    ("words", "exits", "said"),
    [
        ("drain eats", 65, "there is no cluster, zone or region 'eats'; did you mean 'east'?"),
        ("drain nowhere", 65, "known clusters: east, west; zones: eu-1, us-1, west; regions: eu, us"),
        ("drain cluster=north", 65, "there is no cluster 'north'"),
        ("drain rack=7", 64, "'rack=7' is no place; use cluster=NAME, zone=NAME or region=NAME"),
        ("drain west", 64, "'west' is a cluster and a zone; say cluster=west or zone=west"),
        ("drain east --ramp soon", 64, "'soon' is no time; use e.g. 90s, 10m or 1h30m"),
        ("drain east --steps 4", 64, "--steps are those of a ramp; give --ramp, too"),
        ("undrain east --steps 4", 64, "--steps are those of a ramp; give --ramp, too"),
        ("drain east --service web", 64, "use NAMESPACE/NAME"),
        ("gate open web remote", 64, "'web' names no policy; use [CLUSTER:]NAMESPACE/NAME"),
        ("gate open shop/web remote", 65, "there is no TrafficPolicy shop/web in the fleet"),
    ],
)
def test_what_is_not_clear_is_refused(run, directory, words, exits, said):
    assert said in run(words, exits=exits).stderr
    assert kept(directory) == {}


def test_places_that_are_named_in_full(run, directory):
    run("drain cluster=west")
    run("drain zone=west")
    assert [*kept(directory)] == ["drain-cluster-west", "drain-zone-west"]


def test_where_overrides_are_kept_has_to_be_said_once(xdsctl, directory):
    for options in ((), ("--hub", "x", "--clusters", directory)):
        for words in (("drain", "east"), ("undrain", "east"), ("gate", "close", "shop/web", "remote")):
            error = xdsctl(*words, *options, exits=64).stderr
            assert "say where overrides are kept: --hub FILE[:CONTEXT], or --clusters DIR" in error


def test_a_ramp(run, directory, pauses):
    steps = []
    pauses.acts = [lambda: steps.append(kept(directory)["drain-cluster-east"]["drain"]["step"])] * 4
    shown = run("drain east --ramp 1m30s --steps 4").stdout.splitlines()
    assert [line.partition(":")[0] for line in shown[:4]] == [f"step {number} of 4" for number in range(1, 5)]
    assert shown[0] == "step 1 of 4: cluster east gets 75 % of what it would"
    assert shown[3:] == ["step 4 of 4: cluster east gets nothing", shown[4]]
    assert (steps, pauses.seconds) == ([1, 2, 3], [30.0] * 3)


def test_a_ramp_that_is_interrupted_goes_on_where_it_was_left(run, directory, pauses):
    pauses.acts = [lambda: None, interrupt]
    result = run("drain east --ramp 10m --steps 4", exits=130)
    assert result.stderr.splitlines()[:5] == [
        "no loads are known: somebody serves, but nobody tells whether places can bear it; --load does",
        "cluster east stays at step 2 of 4, where it gets 50 % of what it would",
        f"  go on:   xdsctl drain cluster=east --ramp 10m --clusters {directory}",
        f"  finish:  xdsctl drain cluster=east --clusters {directory}",
        f"  undo:    xdsctl undrain cluster=east --clusters {directory}",
    ]
    assert kept(directory)["drain-cluster-east"]["drain"]["step"] == 2
    pauses.acts = [interrupt]
    result = run("drain east --ramp 10m --steps 7", exits=130)
    assert result.stderr.startswith(
        "cluster east goes on from step 2 of 4\nits 4 steps stay, since that is what is recorded; undrain it for others\n"
    )
    assert kept(directory)["drain-cluster-east"]["drain"] == {"cluster": "east", "steps": 4, "step": 3}
    assert "cluster east is drained" in run("drain east").stdout
    assert kept(directory)["drain-cluster-east"]["drain"] == {"cluster": "east", "steps": 4, "step": 4}


def test_a_ramp_that_is_interrupted_goes_on_with_the_loads_that_it_was_given(run, directory, pauses):
    pauses.acts = [interrupt]
    result = run("drain east --ramp 10m --load shop/web=90", exits=130)
    assert f"  go on:   xdsctl drain cluster=east --load shop/web=90 --ramp 10m --clusters {directory}\n" in result.stderr
    assert f"  finish:  xdsctl drain cluster=east --load shop/web=90 --clusters {directory}\n" in result.stderr
    assert f"  undo:    xdsctl undrain cluster=east --clusters {directory}\n" in result.stderr


def test_a_ramp_back(run, directory, pauses):
    run("drain east")
    pauses.acts = [lambda: None, interrupt]
    result = run("undrain east --ramp 1m --steps 4", exits=130)
    assert result.stderr.splitlines()[:4] == [
        "cluster east stays at step 2 of 4, where it gets 50 % of what it would",
        f"  go on:   xdsctl undrain cluster=east --ramp 1m --clusters {directory}",
        f"  finish:  xdsctl undrain cluster=east --clusters {directory}",
        f"  undo:    xdsctl drain cluster=east --clusters {directory}",
    ]
    assert kept(directory)["drain-cluster-east"]["drain"] == {"cluster": "east", "steps": 4, "step": 2}
    shown = run("undrain east --ramp 1m").stdout.splitlines()
    assert shown[:2] == [
        "step 1 of 4: cluster east gets 75 % of what it would",
        "step 0 of 4: cluster east gets all that it would",
    ]
    assert kept(directory) == {}


def test_a_ramp_ends_when_the_rest_can_no_longer_carry_it(run, directory, pauses):
    pauses.acts = [lambda: None, lambda: run("drain cluster=west --force")]
    result = run("drain east --ramp 10m --steps 4", exits=1)
    assert "cluster east stays at step 2 of 4" in result.stderr
    assert "Error: cluster east is not drained, the rest could not carry it:\n" in result.stderr
    assert kept(directory)["drain-cluster-east"]["drain"]["step"] == 2


def test_a_ramp_ends_when_somebody_else_has_changed_the_drain(run, directory, pauses):
    pauses.acts = [lambda: run("drain east")]
    result = run("drain east --ramp 10m --steps 4 --load shop/web=9", exits=1)
    assert result.stderr == "Error: cluster east: somebody else has made it step 4 of 4\n"
    run("undrain east")
    pauses.acts = [lambda: run("undrain east")]
    result = run("drain east --ramp 10m --steps 4 --load shop/web=9", exits=1)
    assert result.stderr == "Error: cluster east: somebody else has undone the drain\n"
    assert kept(directory) == {}


@pytest.mark.parametrize("begun", [False, True])
def test_what_somebody_else_does_while_a_drain_is_rehearsed_is_not_overwritten(run, directory, pauses, monkeypatch, begun):
    ramp, others = "drain east --ramp 10m --steps 4", "undrain cluster=east" if begun else "drain cluster=east --force"
    if begun:
        pauses.acts = [interrupt]
        run(ramp, exits=130)
    simulate, acts = World.simulate, [lambda: run(others)]

    def meanwhile(*about, **supposed):
        if acts:
            acts.pop()()
        return simulate(*about, **supposed)

    monkeypatch.setattr(World, "simulate", meanwhile)
    result = run(ramp, exits=1)
    assert "Error: cluster east: somebody else has" in result.stderr
    assert [spec["drain"]["step"] for spec in kept(directory).values()] == ([] if begun else [1])


@pytest.mark.parametrize("command", ["drain east --ramp 10m --steps 4", "drain east", "undrain east", "undrain east --ramp 1m"])
def test_a_step_is_written_again_if_its_override_has_changed_otherwise(run, directory, pauses, monkeypatch, command):
    if command.startswith("undrain"):
        run("drain east")
    monkeypatch.setattr(InDirectory, "put_drain", once_changed(InDirectory.put_drain))
    monkeypatch.setattr(InDirectory, "take_back", once_changed(InDirectory.take_back))
    run(command)
    assert [spec["drain"]["step"] for spec in kept(directory).values()] in ([], [4], [1])


def once_changed(write):
    """Have somebody else change an object the first time that it is written."""
    refusals = [ChangedError("somebody else")]

    def put(*arguments):
        if refusals:
            raise refusals.pop()
        return write(*arguments)

    return put


def test_what_goes_on_changing_is_left(run, directory, monkeypatch):
    def changed(*_):
        raise ChangedError("somebody else")

    monkeypatch.setattr(InDirectory, "put_drain", changed)
    error = run("drain east", exits=1).stderr
    assert error.endswith("Error: cluster east: somebody else goes on changing its override; try again\n")


def test_a_drain_behind_a_closed_gate_is_refused_until_it_is_open(run, with_policy):
    assert "BLACKHOLE: 100 % of the requests find nobody, from east/eu-1\n" in run("drain east", exits=1).stderr
    run("gate open shop/web remote")
    run("drain east")


def test_without_a_control_plane_a_hub_is_drained_by_force_alone(xdsctl, tmp_path, monkeypatch):
    put = {}

    class Hub:
        title, flags = "the hub", ("--hub", "hub.yaml")
        read = staticmethod(list)
        put_drain = staticmethod(lambda name, *content: put.update({name: content}) or "1")

    monkeypatch.setattr("xds.cli.drain.store_of", lambda *_: Hub)
    words = ("--hub", "hub.yaml", "--admin-address", NOBODY)
    error = xdsctl("drain", "cluster=east", *words, exits=2).stderr
    assert "no control plane answers at 127.0.0.1:1" in error
    assert "; --force drains unchecked\n" in error
    assert "unchecked, it is done with --force and cluster=NAME" in xdsctl("drain", "east", "--force", *words, exits=2).stderr
    assert put == {}
    assert xdsctl("drain", "cluster=east", "--force", *words).stderr.startswith("not checked: no control plane answers")
    assert [*put] == ["drain-cluster-east"]


def test_a_directory_of_live_clusters_does_not_know_what_they_could_carry(run, directory):
    for name in ("east", "west"):
        (directory / name / "web.yaml").unlink()
        (directory / name).rmdir()
    assert "no control plane answers at 127.0.0.1:1" in run("drain cluster=east", exits=2).stderr
    assert kept(directory) == {}


@pytest.mark.parametrize(("text", "seconds"), [("90s", 90), ("10m", 600), ("1h30m", 5400), ("1h0.5s", 3600.5), ("0s", 0)])
def test_times(text, seconds):
    assert Duration().convert(text, None, None) == seconds
    assert Duration().convert(time_text(seconds), None, None) == seconds


def test_long_lists_of_objections_are_cut():
    assert listed([str(number) for number in range(12)], "xdsctl simulate").splitlines()[-2:] == [
        "  9",
        "  and 2 more; `xdsctl simulate` lists them",
    ]


def test_explain_tells_what_a_drain_moves_and_what_it_does_not(xdsctl, run, directory):
    run("drain east")
    moved = xdsctl("explain", "web.shop.svc.clusterset.local", "--from", "east", "--clusters", directory).stdout
    assert "TrafficOverride drain-cluster-east leaves cluster east nothing" in moved
    own = xdsctl("explain", "web.shop.svc.cluster.local", "--from", "east", "--clusters", directory).stdout
    assert "TrafficOverride drain-cluster-east does not move what one cluster alone may serve" in own
