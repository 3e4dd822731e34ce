"""How `xdsctl check` shows what it has found."""

import io

from xds.cli import check
from xds.discovery.remote.findings import Finding, Result

LACKING = ", ".join(f"kind{number:02}.example.org" for number in range(20))
FOUND = [
    Finding("reachable", "east", Result.OK, "answers in 4 ms"),
    Finding("rights", "east", Result.FAILED, f"40 of 44 are missing: may not list, watch {LACKING}", "bind the role"),
]


class Screen(io.StringIO):
    """Where people read."""

    def isatty(self):
        return True


def test_what_is_long_is_wrapped_under_its_column_on_a_terminal(monkeypatch):
    monkeypatch.setenv("COLUMNS", "90")
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setattr("sys.stdout", screen := Screen())
    check._print(FOUND, show_headers=True)
    header, reachable, *lacking, remedy = screen.getvalue().splitlines()
    assert reachable.index("answers") == header.index("FOUND") == 31
    assert max(map(len, [*lacking, remedy])) <= 90
    assert len(lacking) == 8
    assert {line[:31] for line in lacking[1:]} == {" " * 31}
    assert " ".join(line[31:] for line in lacking) == FOUND[1].found
    assert remedy == "    → bind the role"


def test_elsewhere_each_finding_stays_one_line(monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "90")
    check._print(FOUND, show_headers=False)
    assert [line.partition("   ")[0] for line in capsys.readouterr().out.splitlines()] == ["east", "east", ""]
