import json
from datetime import UTC, datetime

import pytest
from grpc import StatusCode

from xds.cli.log import _json, _line, _make_visible


def test_what_a_client_says_cannot_steer_the_console_log():
    said = _make_visible(None, "info", {"event": "stream opened", "node": "a\x1b[2J\nforged", "number": 1})
    assert said == {"event": "stream opened", "node": r"a\x1b[2J\nforged", "number": 1}


@pytest.mark.parametrize("said", ["plain", "a\x1b[2J\nforged", "Köln \x9b2J", "\udcff", "\U0001f642", "a\x7fb"])
def test_a_line_of_json_is_ascii_and_one_line_and_says_the_same(said):
    for more in ({}, {"views": ["a", None], "error": "odd"}):
        line = _json({"event": "stream opened", "stream": 1, "node": said, **more})
        assert line.isascii()
        assert line.isprintable()
        assert json.loads(line) == {"event": "stream opened", "stream": 1, "node": said, **more}


@pytest.mark.parametrize("said", ["plain", "Köln"])
def test_what_json_has_no_form_for_is_told_as_python_does_whatever_else_is_said(said):
    line = _json({"event": said, "code": StatusCode.OK, "error": ValueError("odd"), "raw": b"\x00"})
    expected = {"code": "<StatusCode.OK: (0, 'ok')>", "error": "ValueError('odd')", "raw": "b'\\x00'"}
    assert json.loads(line) == {"event": said, **expected}


def test_a_line_has_its_time_and_what_was_raised():
    line = json.loads(_line(None, "info", {"event": "stream opened"}))
    assert line.keys() == {"event", "timestamp"}
    assert datetime.fromisoformat(line["timestamp"]).tzinfo is UTC
    try:
        1 // 0  # noqa: B018 - for what it raises
    except ZeroDivisionError:
        line = json.loads(_line(None, "error", {"event": "failed", "exc_info": True}))
    assert line["exception"][0]["exc_type"] == "ZeroDivisionError"
