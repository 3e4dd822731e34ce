"""What the documents say is what the code does."""

import re
from pathlib import Path

import pytest

from xds.discovery.files import read_directory
from xds.problems import CODES

ROOT = Path(__file__).parents[2]


def test_every_problem_code_is_documented_with_its_severity_and_title():
    rows = re.findall(r"^\| (XDS\d{4}) \| (\w+) \| ([^|]+) \|", (ROOT / "docs" / "problems.md").read_text(), re.MULTILINE)
    assert rows == [(code, severity.value, title) for code, (severity, title) in CODES.items()]


def test_every_problem_code_is_used():
    source = "".join(path.read_text() for path in (ROOT / "xds").rglob("*.py") if path.name != "problems.py")
    assert [code for code in CODES if code not in source] == []


def test_the_example_has_no_problems():
    reading = read_directory(ROOT / "docs" / "example" / "clusters")
    assert reading.problems == ()
    assert set(reading.objects) == {"", "east", "west"}


@pytest.mark.parametrize(
    "document", ["README.md", "CONTRIBUTING.md", *sorted(f"docs/{path.name}" for path in ROOT.glob("docs/*.md"))]
)
def test_relative_links_lead_somewhere(document):
    path = ROOT / document
    links = [link for link in re.findall(r"\]\(([^)]+)\)", path.read_text()) if "://" not in link]
    assert [link for link in links if not (path.parent / link.partition("#")[0]).exists()] == []
