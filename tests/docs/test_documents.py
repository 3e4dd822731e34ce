"""What the documents say is what the code does."""

import re
from pathlib import Path

import msgspec
import pytest
import yaml
from policy_cases import MEMBERS

from xds.config import Config, environment_name
from xds.discovery.decoding import Decoded, decode
from xds.discovery.files import read_directory
from xds.model.kinds import KINDS
from xds.model.traffic_objects import StrategySpec, StrategyType
from xds.policy.acceptance import Known, faults
from xds.policy.strategies import expand
from xds.problems import CODES

ROOT = Path(__file__).parents[2]


def test_every_problem_code_is_documented_with_its_severity_and_title():
    rows = re.findall(r"^\| (XDS\d{4}) \| (\w+) \| ([^|]+) \|", (ROOT / "docs" / "problems.md").read_text(), re.MULTILINE)
    assert rows == [(code, severity.value, title) for code, (severity, title) in CODES.items()]


def test_every_problem_code_is_used():
    source = "".join(path.read_text() for path in (ROOT / "xds").rglob("*.py") if path.name != "problems.py")
    assert [code for code in CODES if code not in source] == []


def test_no_other_problem_code_is_used_or_written_of():
    files = [*(ROOT / "xds").rglob("*.py"), *(ROOT / "docs").glob("*.md"), ROOT / "README.md", ROOT / "CHANGELOG.md"]
    found = {code for path in files for code in re.findall(r"XDS\d{4}", path.read_text())}
    assert found - CODES.keys() == set()


def test_every_setting_is_documented_with_its_variable_and_default():
    rows = re.findall(
        r"^\| `([\w.]+)` \| `(XDS_\w+)` \| [^|]*\| ([^|]+) \|", (ROOT / "docs" / "xdsctl.md").read_text(), re.MULTILINE
    )
    fields = msgspec.structs.fields(Config)
    assert [(key, variable) for key, variable, _ in rows] == [
        (field.encode_name, environment_name(field.encode_name)) for field in fields
    ]
    said = {key: default for key, _, default in rows}
    for field in fields:
        default = field.default
        if isinstance(default, (bool, str)):
            assert said[field.encode_name] == str(default).lower() if isinstance(default, bool) else default
        elif isinstance(default, (int, float)):
            assert float(said[field.encode_name]) == default
        else:
            assert said[field.encode_name] == "–"


def test_every_rule_of_xds_is_documented_with_its_scripts():
    rows = re.findall(r"^\| (R\d+[a-d]?) \|.*\|([^|]*)\|$", (ROOT / "docs" / "xds.md").read_text(), re.MULTILINE)
    scripts = [path.stem for path in (ROOT / "tests" / "protocol" / "testdata").glob("R*.txt")]
    assert [rule for rule, _ in rows] == sorted({rule for rule, _ in rows}, key=_numbered)
    assert {script.partition("-")[0] for script in scripts} <= {rule for rule, _ in rows}
    named = [(rule, name) for rule, told in rows for name in re.findall(r"`(R[^`]+)`", told)]
    assert sorted(name for _, name in named) == sorted(scripts)
    assert [(rule, name) for rule, name in named if name.partition("-")[0] != rule] == []


def _numbered(rule):
    return int(re.sub(r"\D", "", rule)), rule


def test_every_file_that_is_named_as_a_test_exists():
    named = re.findall(r"`(tests/[\w/]+\.\w+)`", "".join(path.read_text() for path in ROOT.glob("docs/*.md")))
    assert named
    assert [name for name in named if not (ROOT / name).exists()] == []


def test_the_example_has_no_problems():
    reading = read_directory(ROOT / "docs" / "example" / "clusters")
    assert reading.problems == ()
    assert set(reading.objects) == {"", "east", "west"}


def test_the_policies_that_are_shown_are_accepted():
    shown = re.findall(r"```yaml\n(.*?)```", (ROOT / "docs" / "failover.md").read_text(), re.DOTALL)
    assert shown
    for text in shown:
        found = decode(yaml.safe_load(text), KINDS["TrafficPolicy"])
        assert isinstance(found, Decoded), found
        assert found.unknown == ()
        assert [*faults("", found.object, Known(MEMBERS))] == []


def test_the_overrides_that_are_shown_say_nothing_wrong():
    shown = re.findall(r"```yaml\n(.*?)```", (ROOT / "docs" / "xdsctl.md").read_text(), re.DOTALL)
    items = [item for text in shown for item in yaml.safe_load_all(text) if item.get("kind") == "TrafficOverride"]
    assert [next(iter(item["spec"])) for item in items] == ["drain", "open"]
    for item in items:
        found = decode(item, KINDS["TrafficOverride"])
        assert isinstance(found, Decoded), found
        assert found.unknown == ()


def test_the_gate_that_is_shown_first_can_be_opened():
    text = (ROOT / "docs" / "failover.md").read_text()
    policy = yaml.safe_load(re.search(r"```yaml\n(.*?)```", text, re.DOTALL)[1])
    name, meta = re.search(r"`xdsctl gate open (\S+) (\w+)`", text).groups(), policy["metadata"]
    (gated,) = [tier for tier in policy["spec"]["tiers"] if "gate" in tier]
    assert (name, gated["gate"]) == ((f"{meta['namespace']}/{meta['name']}", gated["name"]), "Manual")


def test_every_strategy_is_documented_with_its_tiers():
    rows = re.findall(r"^\| `(\w+)` \| ([\w, ]+) \|", (ROOT / "docs" / "failover.md").read_text(), re.MULTILINE)
    expanded = {kind: expand(StrategySpec(type=kind, primary="eu", remote="us")) for kind in StrategyType.__args__}
    wanted = {kind: ", ".join(tier.name for tier in tiers) for kind, tiers in expanded.items()}
    assert {kind: tiers for kind, tiers in rows if kind in wanted} == wanted


@pytest.mark.parametrize(
    "document", ["README.md", "CONTRIBUTING.md", *sorted(f"docs/{path.name}" for path in ROOT.glob("docs/*.md"))]
)
def test_relative_links_lead_somewhere(document):
    path = ROOT / document
    links = [link for link in re.findall(r"\]\(([^)]+)\)", path.read_text()) if "://" not in link]
    assert [link for link in links if not (path.parent / link.partition("#")[0]).exists()] == []
