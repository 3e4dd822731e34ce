"""The log of a control plane that runs as a process: lines for people on a terminal, JSON for machines, on stderr."""

from __future__ import annotations

import json
import logging
import os
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import msgspec
import structlog

from xds.cli.output import visible

if TYPE_CHECKING:
    from collections.abc import MutableMapping

    from xds.config import Config


def configure_log(config: Config, *, is_console: bool) -> None:
    """Have everything logged from now on; of libraries no more than warnings.

    Args:
        config: from which level on.
        is_console: for people.
    """
    level = getattr(logging, config.log_level.upper())
    structlog.configure(
        processors=[structlog.processors.add_log_level, *(_for_people() if is_console else (_line,))],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),
    )
    logging.basicConfig(level=max(level, logging.WARNING), format="%(name)s: %(message)s", stream=sys.stderr)


def _for_people() -> tuple[structlog.typing.Processor, ...]:
    colors = sys.stderr.isatty() and not os.environ.get("NO_COLOR")
    time, renderer = structlog.processors.TimeStamper(fmt="%H:%M:%S", utc=False), structlog.dev.ConsoleRenderer(colors=colors)
    return time, _make_visible, renderer


_ENCODER = msgspec.json.Encoder()
_PLAIN = {str, int}


def _line(logger: Any, method: str, event: MutableMapping[str, Any]) -> str:
    """Return an event as JSON, with its time: in few calls, since a crowd that comes has a line logged for each."""
    if "exc_info" in event:
        event = structlog.processors.dict_tracebacks(logger, method, event)
    event["timestamp"] = f"{datetime.now(UTC).replace(tzinfo=None).isoformat()}Z"
    return _json(event)


def _json(event: MutableMapping[str, Any]) -> str:
    """Return a line of printable ASCII, whatever clients say: what is beyond might steer a terminal."""
    if _PLAIN.issuperset(map(type, event.values())):  # as in nearly all lines
        try:
            line = _ENCODER.encode(event).decode("ascii")
        except UnicodeError:
            line = "\n"
        if line.isprintable():
            return line
    return json.dumps(event, default=repr, separators=(",", ":"))  # takes ten times as long, and escapes the rest


def _make_visible(_: object, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """See that what clients say (structlog's renderer writes it raw) neither steers the terminal nor forges lines."""
    return {key: visible(value) if isinstance(value, str) else value for key, value in event.items()}
