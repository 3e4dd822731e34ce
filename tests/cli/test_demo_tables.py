"""What the demo draws fits the terminals that people have."""

import io
import time

import pytest
from rich.console import Console

from xds.cli.demo.arithmetic import expected_shares
from xds.cli.demo.lab import Lab
from xds.cli.demo.story import PHASES, ClientResult, PhaseResult
from xds.cli.demo.table import live_table, summary_lines
from xds.cli.demo.traffic import Answer


@pytest.fixture
def lab(tmp_path):
    """A laboratory that is not started; each client has had answers from one zone alone."""
    lab = Lab(tmp_path, tmp_path / "envoy")
    for client in lab.clients:
        client.answers += [Answer(time.monotonic(), 0.01, 200, "east/east-b")] * 2000
    return lab


@pytest.fixture
def results(lab):
    shares = dict.fromkeys(map(str, lab.world.places), 1.0)
    expected = expected_shares(lab.world, "east")
    clients = [ClientResult(client.name, 12_345, (), 4000, shares, expected, 7.99) for client in lab.clients]
    return [PhaseResult(phase, tuple(clients)) for phase in PHASES]


def drawn(lab, phase, results):
    console = Console(file=io.StringIO(), width=80)
    console.print(live_table(lab, phase, results))
    return console.file.getvalue().splitlines()


def test_the_live_table_fits_80_columns(lab, results):
    lines = drawn(lab, PHASES[2], results)
    assert "…" not in "".join(lines)
    assert len(lines) == len(results) + 1 + 1 + 4 + len(lab.clients) + 1  # phases, title, headers and borders, rows, cursor
    (row,) = [line for line in lines if "sidecar-west" in line]
    assert [cell.strip() for cell in row.strip("│").split("│")] == [
        *("sidecar-west", "· / 0", "100 / 0", "· / 50", "· / 50", "1000", "0"),
    ]


def test_nothing_is_drawn_below_the_table(lab, results):
    assert drawn(lab, None, results)[-1] == ""


def test_the_summary_fits_100_columns(results):
    header, first, *_ = lines = summary_lines(results)
    assert header.split("  ")[:2] == ["PHASE", ""]
    assert "EAST-A %" in header
    assert first.split()[:7] == ["steady", "sidecar-east", "12345", "0", "100.0", "/", "50"]
    assert max(map(len, lines[: 2 + 3 * len(PHASES)])) <= 100
