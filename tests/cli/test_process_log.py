import json

import pytest

from xds.cli.log import _json, _make_visible


def test_what_a_client_says_cannot_steer_the_console_log():
    said = _make_visible(None, "info", {"event": "stream opened", "node": "a\x1b[2J\nforged", "number": 1})
    assert said == {"event": "stream opened", "node": r"a\x1b[2J\nforged", "number": 1}


@pytest.mark.parametrize("said", ["plain", "a\x1b[2J\nforged", "Köln \x9b2J", "\udcff", "\U0001f642"])
def test_a_line_of_json_is_ascii_and_one_line_and_says_the_same(said):
    line = _json({"event": "stream opened", "node": said, "views": ("a", None), "error": ValueError("odd")})
    assert line.isascii()
    assert line.isprintable()
    assert json.loads(line) == {"event": "stream opened", "node": said, "views": ["a", None], "error": "ValueError('odd')"}
