"""What the demo makes of what it measures; no process, no socket."""

import pytest

from xds.cli.demo.lab import EAST, WEST
from xds.cli.demo.manifests import Manifests
from xds.cli.demo.places import Place, World, in_cluster, in_zone
from xds.cli.demo.screen import PlainScreen
from xds.cli.demo.story import PHASES, ClientResult, PhaseResult, summary, tolerance
from xds.cli.demo.table import summary_lines
from xds.cli.demo.traffic import Answer, Client, measure_shares

WORLD = World.of((EAST, WEST), pods_per_zone=2)
EVEN = {"east/east-a": 0.5, "east/east-b": 0.5, "west/west-a": 0.0, "west/west-b": 0.0}


def client_result(**changes):
    fields = {
        "name": "client",
        "requests": 4100,
        "failures": (),
        "measured": 4000,
        "shares": EVEN,
        "expected": EVEN,
        "moved_s": 0.1,
    }
    return ClientResult(**(fields | changes))


def results(**changes):
    return [PhaseResult(phase, (client_result(**changes), client_result(name="other"))) for phase in PHASES]


def test_what_goes_as_expected_is_no_fault():
    assert client_result().faults() == []
    assert summary(results())["ok"] is True


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        (
            {"failures": (Answer(0.0, 0.0, 503, "", "no healthy upstream"),)},
            "1 requests failed, the first with 503 no healthy upstream",
        ),
        ({"moved_s": None}, "traffic has not moved within 8 s"),
        ({"shares": EVEN | {"east/east-a": 0.54, "east/east-b": 0.46}}, "east/east-a served 54.0%, expected 50.0%"),
        ({"shares": EVEN | {"east/east-b": 0.45, "west/west-a": 0.05}}, "west/west-a served 5.0%, expected 0.0%"),
        ({"shares": dict.fromkeys(EVEN, 0.0)}, "east/east-b served 0.0%, expected 50.0%"),
    ],
)
def test_what_does_not_is_said_and_fails_the_demo(changes, fault):
    assert any(fault in said for said in client_result(**changes).faults())
    found = results(**changes)
    assert summary(found)["ok"] is False
    assert any(line.startswith("✗ steady: client:") and fault in line for line in summary_lines(found))


def test_a_demo_that_was_cut_short_is_not_ok():
    assert summary(results()[:-1])["ok"] is False


def test_the_summary_tells_the_story_of_the_first_client():
    phase = summary(results(requests=7, moved_s=0.12345))["phases"][0]
    told = {"requests": 7, "failed": 0, "shares": EVEN, "moved_s": 0.123}
    assert {key: phase[key] for key in told} == told
    assert phase["clients"]["client"] == told
    assert phase["clients"]["other"]["requests"] == 4100


def test_few_requests_are_given_more_tolerance_but_never_where_nothing_is_random():
    assert tolerance(0.7, 10_000) == 0.03
    assert tolerance(0.7, 400) == pytest.approx(0.0917, abs=0.001)
    assert tolerance(0.0, 1) == 0.03


def test_plain_progress_goes_to_stderr(capsys):
    with PlainScreen() as screen:
        screen.began(PHASES[0])
        screen.ended(results()[0])
        screen.ended(results(moved_s=None)[0])
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines() == [
        "steady: everything is up",
        "steady: as expected; 8200 requests, 0 failed; traffic had moved after 0.10 s",
        "steady: NOT as expected; 8200 requests, 0 failed; traffic did not move in time",
    ]


def test_restored_pods_are_new_pods():
    stopped = WORLD.not_ready(in_zone(Place("east", "east-a")))
    restored = stopped.restored()
    assert all(pod.ready for pod in restored.pods)
    assert restored.select(in_cluster("west")) == WORLD.select(in_cluster("west"))
    before, after = ({pod.address for pod in world.select(in_cluster("east"))} for world in (WORLD, restored))
    assert len(after) == len(before)
    assert len(after - before) == 2


def test_only_files_whose_content_changes_are_replaced(tmp_path):
    manifests = Manifests(tmp_path, backend_port=8080, gateway_port=8000)
    manifests.write(WORLD)
    before = {path: path.stat().st_ino for path in tmp_path.rglob("*.yaml")}
    manifests.write(WORLD.not_ready(in_cluster("west")))
    changed = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*.yaml") if path.stat().st_ino != before[path]}
    assert changed == {"west/web-endpoints.yaml"}
    assert not [path for path in tmp_path.rglob("*") if path.name.startswith(".")]


async def test_a_proxy_that_is_not_there_is_a_failure_not_an_exception():
    shares, failures = await measure_shares(Client("client", 1, "web"), 3)
    assert shares == {}
    assert [answer.status for answer in failures] == [0, 0, 0]
    assert "ConnectionRefusedError" in failures[0].detail
