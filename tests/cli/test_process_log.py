from xds.cli.log import _make_visible


def test_what_a_client_says_cannot_steer_the_console_log():
    said = _make_visible(None, "info", {"event": "stream opened", "node": "a\x1b[2J\nforged", "number": 1})
    assert said == {"event": "stream opened", "node": r"a\x1b[2J\nforged", "number": 1}
