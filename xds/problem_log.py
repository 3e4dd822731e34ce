"""The log of problems: each is told once when it appears, at its own severity, and once when it has gone."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

import structlog

from xds.problems import Severity, worst_first

if TYPE_CHECKING:
    from collections.abc import Iterable

    from xds.problems import Problem

LINES: Final = 20
"""Problems told one by one in a pass, and as many that went: the rest is counted, so that no file can flood the log."""
LEVELS: Final = {Severity.INFO: logging.INFO, Severity.WARNING: logging.WARNING, Severity.ERROR: logging.ERROR}

_log = structlog.get_logger()


class ProblemLog:
    """Compares what is wrong now with what was wrong before."""

    def __init__(self) -> None:
        self._known: dict[object, Problem] = {}

    def compare(self, problems: Iterable[Problem]) -> None:
        """Log what is new among the problems, the worst first, and what is no longer among them."""
        now = {_identity(problem): problem for problem in problems}
        came = sorted((now[key] for key in now.keys() - self._known.keys()), key=worst_first)
        went = sorted((self._known[key] for key in self._known.keys() - now.keys()), key=worst_first)
        self._known = now
        for problem in came[:LINES]:
            _log.log(LEVELS[problem.severity], "problem", code=problem.code, text=problem.text)
        if rest := came[LINES:]:
            _log.log(LEVELS[rest[0].severity], "more problems", count=len(rest), hint="xdsctl problems lists them all")
        for problem in went[:LINES]:
            _log.info("resolved", code=problem.code, text=problem.text)
        if rest := went[LINES:]:
            _log.info("more resolved", count=len(rest))


def _identity(problem: Problem) -> object:
    """Return what a problem is told apart by: neither lines, which move, nor versions of objects."""
    ref = problem.ref
    named = (ref.cluster, ref.kind, ref.namespace, ref.name) if ref else None
    return problem.code, problem.source.partition(":")[0], named, problem.field, problem.about or problem.message
