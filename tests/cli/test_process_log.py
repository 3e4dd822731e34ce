import asyncio
import io
import json
from datetime import UTC, datetime
from threading import Thread

import pytest
import structlog
from grpc import StatusCode

from xds.cli.log import GATHERED_S, Lines, _for_machines, _make_visible, logged
from xds.config import Config


def text_of(method, event):
    file, ((made,), _) = io.StringIO(), _for_machines(None, method, event)
    Lines(file).msg(made)
    (line,) = file.getvalue().split("\n")[:-1]
    return line


def line_of(method, event):
    return json.loads(text_of(method, event))


def untimed(line):
    said = json.loads(line)
    del said["timestamp"]
    return said


def test_what_a_client_says_cannot_steer_the_console_log():
    said = _make_visible(None, "info", {"event": "stream opened", "node": "a\x1b[2J\nforged", "number": 1})
    assert said == {"event": "stream opened", "node": r"a\x1b[2J\nforged", "number": 1}


@pytest.mark.parametrize("said", ["plain", "a\x1b[2J\nforged", "Köln \x9b2J", "\udcff", "\U0001f642", "a\x7fb"])
def test_a_line_of_json_is_ascii_and_one_line_and_says_the_same(said):
    for more in ({}, {"views": ["a", None], "error": "odd"}):
        line = text_of("info", {"event": "stream opened", "stream": 1, "node": said, **more})
        assert line.isascii()
        assert line.isprintable()
        assert untimed(line) == {"event": "stream opened", "stream": 1, "node": said, **more}


@pytest.mark.parametrize("said", ["plain", "Köln"])
def test_what_json_has_no_form_for_is_told_as_python_does_whatever_else_is_said(said):
    line = text_of("info", {"event": said, "code": StatusCode.OK, "error": ValueError("odd"), "raw": b"\x00"})
    expected = {"code": "<StatusCode.OK: (0, 'ok')>", "error": "ValueError('odd')", "raw": "b'\\x00'"}
    assert untimed(line) == {"event": said, **expected}


def test_a_line_has_its_time_and_what_was_raised():
    for said in ("plain", "K\xf6ln"):
        line = line_of("info", {"event": "stream opened", "node": said})
        assert line.keys() == {"event", "node", "timestamp"}
        assert datetime.fromisoformat(line["timestamp"]).tzinfo is UTC
        assert line["timestamp"].endswith("Z")
    try:
        1 // 0  # noqa: B018 - for what it raises
    except ZeroDivisionError:
        line = line_of("error", {"event": "failed", "exc_info": True})
    assert line["exception"][0]["exc_type"] == "ZeroDivisionError"


def test_a_line_says_what_was_when_it_was_logged():
    views = ["a"]
    (made,), _ = _for_machines(None, "info", {"event": "published", "views": views})
    views.append("b")
    assert json.loads(made)["views"] == ["a"]


class File(io.StringIO):
    """One that counts how often it is written out."""

    flushes = 0

    def flush(self):
        self.flushes += 1


def said_in(file):
    return [json.loads(line)["event"] for line in file.getvalue().splitlines()]


async def test_lines_that_come_together_are_written_together_and_in_order():
    file = File()
    lines = Lines(file)
    for number in range(100):
        lines.info({"event": number})
        await asyncio.sleep(0)
    await asyncio.sleep(GATHERED_S * 5)
    lines.error({"event": "later"})
    await asyncio.sleep(GATHERED_S * 5)
    assert said_in(file) == [*range(100), "later"]
    assert file.flushes < 10


async def test_a_line_of_another_thread_is_written_at_once_and_after_those_before_it():
    file = File()
    lines = Lines(file)
    lines.info({"event": "first"})
    thread = Thread(target=lines.info, args=({"event": "second"},))
    thread.start()
    await asyncio.to_thread(thread.join)
    lines.info({"event": "third"})
    assert said_in(file)[:2] == ["first", "second"]
    await asyncio.sleep(GATHERED_S * 5)
    assert said_in(file) == ["first", "second", "third"]


def test_lines_are_written_whichever_loop_has_ended_before_it_could_write_them():
    file = File()
    lines = Lines(file)

    async def say(event):
        lines.info({"event": event})

    asyncio.run(say("first"))
    asyncio.run(say("second"))
    lines.info({"event": "third"})  # in no loop
    assert said_in(file) == ["first", "second", "third"]


def test_all_that_was_logged_is_written_when_that_ends_by_an_error_too(capsys):
    async def fail():
        structlog.get_logger().info("stream opened", node="web-1")
        raise ValueError

    before = structlog.get_config()
    try:
        with pytest.raises(ValueError), logged(Config(log_format="json"), is_console=False):  # noqa: PT011 - ours
            asyncio.run(fail())
    finally:
        structlog.configure(**before)
    (line,) = capsys.readouterr().err.splitlines()
    assert json.loads(line).items() >= {"event": "stream opened", "node": "web-1", "level": "info"}.items()
