"""The demo on the screen: a live table while it runs, and the summary at its end."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from rich.console import Group
from rich.table import Table
from rich.text import Text

from xds.cli.demo.arithmetic import expected_shares
from xds.cli.demo.traffic import Answer, Client, shares_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import RenderableType

    from xds.cli.demo.lab import Lab
    from xds.cli.demo.story import Phase, PhaseResult

WINDOW_S = 2.0
"""The live table shows the requests of that time."""


def live_table(lab: Lab, phase: Phase | None, results: Sequence[PhaseResult]) -> RenderableType:
    """Return who serves whom right now, under the phases so far."""
    lines = [
        Text.assemble(("✓ " if result.ok else "✗ ", "green" if result.ok else "red"), _title(result.phase)) for result in results
    ]
    if phase:
        lines.append(Text.assemble(("▶ ", "cyan"), (_title(phase), "bold")))
    places = [str(place) for place in lab.world.places]
    title = "who served the last two seconds, in percent / as expected"
    table = Table("client", *map(_zone, places), "req/s", "failed", title=title, title_justify="left")
    for column in table.columns[1:]:
        column.justify = "right"
    for proxy, client in zip(lab.proxies, lab.clients, strict=True):
        table.add_row(proxy.name, *_cells(client, places, expected_shares(lab.world, proxy.place.cluster)))
    # The cursor waits on an empty line: `^C` after a full one would wrap, and what is drawn next would not cover this.
    return Group(*lines, table, "")


def summary_lines(results: Sequence[PhaseResult]) -> list[str]:
    """Return the summary as a plain table: a line for every phase and client, then what went wrong."""
    places = list(results[0].clients[0].shares) if results else []
    rows = [["PHASE", "CLIENT", "REQUESTS", "FAILED", *(f"{_zone(place).upper()} %" for place in places), "MOVED"]]
    for result in results:
        for client in result.clients:
            shares = [f"{client.shares[place] * 100:.1f} / {client.expected.get(place, 0.0) * 100:.0f}" for place in places]
            moved = "never" if client.moved_s is None else f"{client.moved_s:.2f} s"
            rows.append([result.phase.name, client.name, str(client.requests), str(len(client.failures)), *shares, moved])
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    lines.append("Shares are measured once traffic has moved; after the slash, what Envoy's arithmetic gives.")
    return lines + [
        f"✗ {result.phase.name}: {fault}" for result in results for client in result.clients for fault in client.faults()
    ]


def _title(phase: Phase) -> str:
    return f"{phase.name}: {phase.title}"


def _zone(place: str) -> str:
    """Return the zone of a place; the demo's zones have different names."""
    return place.rpartition("/")[2]


def _cells(client: Client, places: Sequence[str], expected: dict[str, float]) -> list[Text]:
    recent = _recent(client)
    shares = shares_of(recent)
    cells = [
        Text(f"{shares[place] * 100:.0f}" if place in shares else "·", "bold green" if place in shares else "dim")
        + Text(f" / {expected.get(place, 0.0) * 100:.0f}", "dim")
        for place in places
    ]
    failed = sum(not answer.ok for answer in client.answers)
    return [*cells, Text(f"{len(recent) / WINDOW_S:.0f}"), Text(str(failed), "bold red" if failed else "green")]


def _recent(client: Client) -> list[Answer]:
    since_s = time.monotonic() - WINDOW_S
    found = []
    for answer in reversed(client.answers):
        if answer.at_s < since_s:
            break
        found.append(answer)
    return found


def invitation(lab: Lab) -> list[str]:
    """Return where everything is, and what to try."""
    sidecar, gateway = lab.proxies[0], lab.proxies[-1]
    lines = [
        f"manifests      {lab.manifests.directory}   (edit {lab.world.clusters[0].name}/web-endpoints.yaml and watch the table)",
        f"control plane  xDS {lab.control_plane.xds_address}, admin http://{lab.control_plane.admin_address}",
    ]
    for proxy in lab.proxies:
        admin = lab.envoys[proxy.name].admin_address
        lines.append(f"{proxy.name:14} 127.0.0.1:{proxy.port}, Envoy's admin http://{admin}")
    return [
        *lines,
        "",
        f"curl -H 'Host: {sidecar.authority}' http://127.0.0.1:{sidecar.port}/",
        f"curl -H 'Host: {gateway.authority}' http://127.0.0.1:{gateway.port}/",
        f"xdsctl proxies --admin-address {lab.control_plane.admin_address}",
        f"xdsctl endpoints {sidecar.name} --admin-address {lab.control_plane.admin_address}",
        "",
        "Ctrl-C ends everything.",
    ]
