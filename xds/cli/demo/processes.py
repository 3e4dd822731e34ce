"""Child processes that never outlive us, and free ports for them."""

from __future__ import annotations

import os
import random
import signal
import socket
import subprocess
import sys
from typing import TYPE_CHECKING, Self

from xds.errors import XdsError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

# Asks the kernel to kill the child when the thread that started it ends, however that happens (prctl(2), PR_SET_PDEATHSIG);
# the setting survives exec. A process of its own does it because preexec_fn is unsafe once threads run.
_LAUNCHER = """
import ctypes, os, sys
ctypes.CDLL(None).prctl(1, 9)
if os.getppid() == int(sys.argv[1]):
    os.execv(sys.argv[2], sys.argv[2:])
"""


class ChildError(XdsError):
    """A child process ended, or did not become ready; the text carries the end of its log."""


class Child:
    """A process with a log file; starts on entering the context, ends on leaving it.

    Args:
        name: what people call it.
        command: the program's absolute path and its arguments.
        log: where its output goes; appended, so that a restart keeps what came before.
        env: variables to add to ours.
    """

    def __init__(self, name: str, command: Sequence[str], log: Path, env: Mapping[str, str] | None = None) -> None:
        self.name = name
        self.command = tuple(command)
        self.log = log
        self._env = {**os.environ, **(env or {})}
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def pid(self) -> int:
        """The process id; 0 when it does not run."""
        return self._process.pid if self._process else 0

    def start(self) -> None:
        """Start the process in a session of its own, so that Ctrl-C reaches only us."""
        launcher = (sys.executable, "-I", "-S", "-c", _LAUNCHER, str(os.getpid()))
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603 - the commands are ours
                (*launcher, *self.command),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=self._env,
                start_new_session=True,
            )

    def stop(self, *, grace_s: float = 3.0) -> None:
        """Ask it to end, insist after the grace period; returns when the process is gone."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(grace_s)
        except subprocess.TimeoutExpired:
            self._kill_group()
        self._process = None

    def kill(self) -> None:
        """End it as a crash would; returns when the process is gone."""
        if self._process is not None:
            self._kill_group()
            self._process = None

    def check(self) -> None:
        """Return if it runs.

        Raises:
            ChildError: it has ended.
        """
        if self._process is None or self._process.poll() is not None:
            status = "" if self._process is None else f" with status {self._process.returncode}"
            raise ChildError(f"{self.name} has ended{status}{self.log_tail()}")

    def log_tail(self, lines: int = 15) -> str:
        """Return the end of its log, to be appended to a message."""
        text = self.log.read_text(errors="replace") if self.log.exists() else ""
        tail = text.rstrip().splitlines()[-lines:]
        return "; its log ends:\n  " + "\n  ".join(tail) if tail else "; its log is empty"

    def _kill_group(self) -> None:
        assert self._process is not None
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()


_given: set[int] = set()
"""Ports that `free_port` has returned before."""


def free_port() -> int:
    """Return a TCP port that nobody listens on, on any address, and that this process has not been given before.

    Outside the range from which Linux takes ports of outgoing connections, so that none of those can take it meanwhile.
    """
    while True:
        port = random.randrange(15100, 32000)  # noqa: S311 - not a secret
        if port not in _given and _is_free(port):
            _given.add(port)
            return port


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("0.0.0.0", port))  # noqa: S104 - asks about every address; closed at once
        except OSError:
            return False
        return True
