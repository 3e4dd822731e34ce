"""What the log says of a running control plane: each problem once, at its severity, and each batch."""

from __future__ import annotations

from structlog.testing import capture_logs

from xds.problem_log import LINES, ProblemLog
from xds.problems import Problem, Ref


def lines(logged, event):
    return [(line["log_level"], line["code"]) for line in logged if line["event"] == event]


def told(log, *problems):
    with capture_logs() as logged:
        log.compare(problems)
    return [(line["event"], line["log_level"], line.get("code", line.get("count"))) for line in logged]


def test_each_problem_once_the_worst_first_and_once_more_when_it_is_gone():
    log = ProblemLog()
    info, warning, error = (
        Problem(code, "it is so", Ref("east", "Service", "shop", "web")) for code in ("XDS0106", "XDS0206", "XDS0102")
    )
    expected = [("problem", "error", "XDS0102"), ("problem", "warning", "XDS0206"), ("problem", "info", "XDS0106")]
    assert told(log, info, warning, error) == expected
    assert told(log, error, info, warning) == []
    assert told(log, warning, info) == [("resolved", "info", "XDS0102")]
    assert told(log, warning, info, error) == [("problem", "error", "XDS0102")]


def test_a_line_that_moves_and_a_new_version_of_the_object_are_no_new_problem():
    log = ProblemLog()
    told(log, Problem("XDS0206", "none", Ref("east", "Service", "shop", "web", "1"), source="east/a.yaml:1"))
    assert told(log, Problem("XDS0206", "none", Ref("east", "Service", "shop", "web", "2"), source="east/a.yaml:7")) == []


def test_many_at_once_do_not_flood_the_log():
    log = ProblemLog()
    many = [Problem("XDS0206", f"number {number}") for number in range(LINES + 5)]
    assert told(log, *many)[-1] == ("more problems", "warning", 5)
    gone = told(log)
    assert len(gone) == LINES + 1
    assert gone[-1] == ("more resolved", "info", 5)


def test_the_text_says_the_code_once():
    with capture_logs() as logged:
        ProblemLog().compare([Problem("XDS0206", "no port", Ref("east", "Service", "shop", "web"), "spec.ports", "declare one")])
    (line,) = logged
    assert line["text"] == "Service shop/web in east spec.ports: no port (declare one)"


async def test_what_any_stage_finds_is_logged_and_so_is_its_end(running, connect, fleet, soon):
    with capture_logs() as logged:
        async with running():
            fleet.write(
                "east/bare.yaml", {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "bare", "namespace": "shop"}}
            )
            await soon(lambda: ("warning", "XDS0206") in lines(logged, "problem"))
            (fleet.path / "east" / "bare.yaml").unlink()
            await soon(lambda: ("info", "XDS0206") in lines(logged, "resolved"))
            (fleet.path / "east" / "bad.yaml").write_text("a: [\n")
            await soon(lambda: ("error", "XDS0101") in lines(logged, "problem"))
    assert all(line["code"] not in line["text"] for line in logged if line["event"] in ("problem", "resolved"))


async def test_a_batch_is_told_at_info_and_endpoints_at_debug(running, connect, fleet, soon):
    with capture_logs() as logged:
        async with running() as plane:
            client = connect(plane)
            await client.send("type.googleapis.com/envoy.config.cluster.v3.Cluster")
            await client.receive()
            fleet.service("east", "cart", "10.1.0.7")
            await client.receive()
            fleet.endpoints("east", "cart", "10.1.0.8")
            await soon(lambda: [line for line in logged if line["event"] == "published" and line["log_level"] == "debug"])
    batch = next(line for line in logged if line["event"] == "published" and line["log_level"] == "info")
    assert "cart.shop.svc.clusterset.local" in batch["trigger"]
    assert (batch["views"], batch["streams"]) == (1, 1)
