"""Every rule of the protocol as a script: `testdata/R8-absent-name.txt` plays R8."""

import re
from pathlib import Path

import pytest
from protocol_script import play

SCRIPTS = sorted((Path(__file__).parent / "testdata").glob("*.txt"))
RULES = [
    *["R1", "R2", "R3", "R4", "R5", "R6", "R7", "R7a", "R8", "R8a", "R9", "R10", "R11", "R12"],  # subscriptions
    *["R13", "R14", "R15", "R16", "R16a", "R16b", "R16c", "R16d"],  # nonce, ACK, NACK
    *["R17", "R18", "R19", "R19a"],  # reconnect
    *["R20", "R21", "R22", "R23", "R24", "R25", "R26", "R27", "R28"],  # warming, order
    *["R29", "R30", "R31", "R32", "R33", "R34", "R35", "R36", "R37", "R38", "R39", "R40"],  # payload, proxyless, size
]


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_script(path, update_golden):
    text = path.read_text()
    played = play(text)
    if update_golden:
        path.write_text(played)
    assert played == path.read_text()


@pytest.mark.parametrize("rule", RULES)
def test_every_rule_has_a_script(rule):
    assert any(re.match(rf"{rule}-", path.name) for path in SCRIPTS)


def test_the_rules_are_those_of_the_document():
    document = Path(__file__).parents[2] / "docs" / "xds.md"
    assert set(re.findall(r"^\| (R\d+[a-d]?) \|", document.read_text(), re.MULTILINE)) == set(RULES)


def test_a_wrong_expectation_is_found():
    assert play("delta\nrequest cds\n----\nnothing\n") == "delta\nrequest cds\n----\n-> cds #1 empty\n"
