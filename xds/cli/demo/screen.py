"""Tells people on stderr what is going on: a live table on a terminal, a line for each event elsewhere."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Self

from rich.console import Console
from rich.live import Live

from xds.cli.demo.table import live_table

if TYPE_CHECKING:
    from xds.cli.demo.lab import Lab
    from xds.cli.demo.story import Phase, PhaseResult


class LiveScreen:
    """A table that is drawn again four times a second."""

    def __init__(self, lab: Lab) -> None:
        self._lab = lab
        self._phase: Phase | None = None
        self._results: list[PhaseResult] = []
        self._live = Live(
            get_renderable=lambda: live_table(self._lab, self._phase, self._results),
            console=Console(stderr=True),
            refresh_per_second=4,
        )

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def began(self, phase: Phase) -> None:
        """Show the phase as the current one."""
        self._phase = phase

    def ended(self, result: PhaseResult) -> None:
        """Add the result to those above the table."""
        self._phase = None
        self._results.append(result)

    def say(self, text: str) -> None:
        """Print above the table."""
        self._live.console.print(text, markup=False, highlight=False, soft_wrap=True)


class PlainScreen:
    """Lines, for logs and pipes."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def began(self, phase: Phase) -> None:
        """Say what begins."""
        self.say(f"{phase.name}: {phase.title}")

    def ended(self, result: PhaseResult) -> None:
        """Say how it went."""
        requests = sum(client.requests for client in result.clients)
        failed = sum(len(client.failures) for client in result.clients)
        times = [client.moved_s for client in result.clients if client.moved_s is not None]
        moved = f"had moved after {max(times):.2f} s" if len(times) == len(result.clients) else "did not move in time"
        verdict = "as expected" if result.ok else "NOT as expected"
        self.say(f"{result.phase.name}: {verdict}; {requests} requests, {failed} failed; traffic {moved}")

    def say(self, text: str) -> None:
        """Print a line."""
        print(text, file=sys.stderr, flush=True)  # noqa: T201 - this is what the class is for


def screen_for(lab: Lab) -> LiveScreen | PlainScreen:
    """Return what suits stderr."""
    return LiveScreen(lab) if sys.stderr.isatty() else PlainScreen()
