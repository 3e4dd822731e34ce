"""The log of a control plane that runs as a process: lines for people on a terminal, JSON for machines, on stderr."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import sys
import threading
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import msgspec
import structlog

from xds.cli.output import visible

if TYPE_CHECKING:
    from collections.abc import Iterator, MutableMapping
    from typing import TextIO

    from xds.config import Config

    Event = MutableMapping[str, Any]


GATHERED_S: Final = 0.02
"""How long lines for machines are gathered before they are written."""


@contextmanager
def logged(config: Config, *, is_console: bool) -> Iterator[None]:
    """Have everything logged from now on, and see at the end that all of it is written; of libraries no more than warnings.

    Args:
        config: from which level on.
        is_console: for people.
    """
    level = getattr(logging, config.log_level.upper())
    lines = Lines(sys.stderr)
    structlog.configure(
        processors=[structlog.processors.add_log_level, *(_for_people() if is_console else (_for_machines,))],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.WriteLoggerFactory(sys.stderr) if is_console else lambda *_: lines,
    )
    logging.basicConfig(level=max(level, logging.WARNING), format="%(name)s: %(message)s", stream=sys.stderr)
    try:
        yield
    finally:
        lines.write_out()


class Lines:
    """Writes events as lines of JSON; those of a running event loop a moment later, together.

    A crowd that comes has thousands of them logged, and goes with as many. Made one after the other they take a third of what
    they take in the midst of other work; and each write lets other threads have the interpreter, to get it back from them later.

    Args:
        file: where they go.
    """

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self._lock = threading.Lock()
        self._gathered: list[Event | str] = []
        self._loop: asyncio.AbstractEventLoop | None = None
        """That is going to write them."""

    def msg(self, event: Event | str) -> None:
        """Write an event, or a line that is one already."""
        with self._lock:
            self._gathered.append(event)
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            self.write_out()
            return
        if self._loop is not loop:
            self._loop = loop
            loop.call_later(GATHERED_S, self.write_out)

    debug = info = warning = error = critical = msg

    def write_out(self) -> None:
        """Write what is gathered."""
        with self._lock:
            gathered, self._gathered, self._loop = self._gathered, [], None
            self._file.writelines([f"{event if isinstance(event, str) else _json(event)}\n" for event in gathered])
            self._file.flush()


def _for_people() -> tuple[structlog.typing.Processor, ...]:
    colors = sys.stderr.isatty() and not os.environ.get("NO_COLOR")
    time, renderer = structlog.processors.TimeStamper(fmt="%H:%M:%S", utc=False), structlog.dev.ConsoleRenderer(colors=colors)
    return time, _make_visible, renderer


_ENCODER: Final = msgspec.json.Encoder()
_PLAIN: Final = {str, int, datetime}


def _for_machines(logger: Any, method: str, event: Event) -> tuple[tuple[Event | str], dict[str, Any]]:
    """Return an event with its time as it is to be written, and as a line at once if there is in it what may change."""
    if "exc_info" in event:
        event = structlog.processors.dict_tracebacks(logger, method, event)
    event["timestamp"] = datetime.now(UTC)
    is_plain = _PLAIN.issuperset(map(type, event.values()))  # as nearly all are
    return (event if is_plain else _escaped(event),), {}


def _json(event: Event) -> str:
    """Return a plain event as a line of printable ASCII, whatever clients say: what is beyond might steer a terminal."""
    try:
        line = _ENCODER.encode(event).decode("ascii")
    except UnicodeError:
        return _escaped(event)
    return line if line.isprintable() else _escaped(event)


def _escaped(event: Event) -> str:
    """Return the same of any event, in ten times as long."""
    return json.dumps(event, default=_text, separators=(",", ":"))


def _text(value: object) -> str:
    return value.isoformat().replace("+00:00", "Z") if isinstance(value, datetime) else repr(value)


def _make_visible(_: object, __: str, event: Event) -> Event:
    """See that what clients say (structlog's renderer writes it raw) neither steers the terminal nor forges lines."""
    return {key: visible(value) if isinstance(value, str) else value for key, value in event.items()}
