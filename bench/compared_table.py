"""Tables of what was measured: medians, and their ratios to the others of the same run."""

from __future__ import annotations

import json
import math
import os
import platform
import re
import statistics
import time
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from compared_programs import HERE

if TYPE_CHECKING:
    from compare import Measured, Work

ROWS = {
    "start until ready": ("ready_s", 1, "s", 2),
    "server CPU until then": ("ready_cpu_s", 1, "s", 2),
    "first sync of all streams": ("sync_s", 1, "s", 2),
    "server CPU for it": ("sync_cpu_s", 1, "s", 2),
    "bytes of it": ("sync_bytes", 1 / (1 << 20), "MiB", 0),
    "streams refused or ended meanwhile": ("lost", 1, "", 0),
    "resident with all connected": ("resident_mib", 1, "MiB", 0),
    "update to the last stream": ("update_s", 1000, "ms", 1),
    "update to half of the streams": ("update_median_s", 1000, "ms", 1),
    "server CPU for an update": ("update_cpu_s", 1000, "ms", 1),
    "client CPU for an update": ("client_cpu_s", 1000, "ms", 1),
    "reconnect of all streams": ("reconnect_s", 1, "s", 2),
    "server CPU for it ": ("reconnect_cpu_s", 1, "s", 2),
    "unchanged resources sent again": ("resent", 1, "", 0),
}
"""Row -> field of what was measured, factor, unit, digits."""
RESULTS = HERE / "results"
OURS = {"istiod": "ours-live"}
"""Whose figures those of a contestant are compared with, where not with those of `ours`."""


def line(measured: Measured) -> str:
    """Return a short line on the medians so far."""
    found = ((name, median(measured, field), factor, unit, digits) for name, (field, factor, unit, digits) in ROWS.items())
    return ", ".join(
        f"{name.strip()} {value * factor:.{digits}f} {unit}"
        for name, value, factor, unit, digits in found
        if not math.isnan(value)
    )


def median(measured: Measured, field: str) -> float:
    """Return a median; NaN of what was not measured."""
    values = getattr(measured, field)
    return statistics.median(values) if values else math.nan


def write(work: Work, rounds: int, measured: dict[str, Measured]) -> str:
    """Write the results, `.md` for people and `.json` with every value; return the text."""
    RESULTS.mkdir(exist_ok=True)
    variant = "delta" if work.delta else "sotw"
    name = f"{time.strftime('%Y-%m-%d')}-{variant}-{work.streams}-streams-{work.services}-services"
    text = "\n".join([*head(work, rounds), "", *table(measured), ""])
    (RESULTS / f"{name}.md").write_text(text)
    values = {"machine": machine(), "work": asdict(work), "measured": {who: asdict(one) for who, one in measured.items()}}
    (RESULTS / f"{name}.json").write_text(json.dumps(values, indent=1) + "\n")
    return text


def head(work: Work, rounds: int) -> list[str]:
    variant = "delta" if work.delta else "state-of-the-world"
    about = machine()
    place = f"{about['date']}; {about['cores']} cores of {about['cpu']}, shared by server and load client, nobody pinned"
    how = (
        f"Medians over {rounds} rounds, in each of which every server ran, one after the other; {work.updates * rounds} updates."
    )
    return [
        f"# {work.streams} {variant} streams, {work.services} services with 10 endpoints",
        "",
        f"{place}; load average at the end {about['load']}. {about['versions']}.",
        f"{how} In brackets: ours as a multiple of that server's.",
    ]


def table(measured: dict[str, Measured]) -> list[str]:
    """Return a Markdown table, a column for each server."""
    lines = [f"| work | {' | '.join(measured)} |", f"|---|{'---|' * len(measured)}"]
    for row, (field, factor, unit, digits) in ROWS.items():
        medians = {who: median(one, field) * factor for who, one in measured.items()}
        if all(map(math.isnan, medians.values())):
            continue
        cells = []
        for who, value in medians.items():
            ours = medians.get(OURS.get(who, "ours"), math.nan)
            ratio = f" ({ours / value:.2f})" if value and not math.isnan(ours) and not who.startswith("ours") else ""
            cells.append("-" if math.isnan(value) else f"{value:,.{digits}f} {unit}{ratio}".strip())
        lines.append(f"| {row.strip()} | {' | '.join(cells)} |")
    return lines


def machine() -> dict[str, str]:
    """Return what the figures depend on."""
    found = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    modules = (HERE / "go" / "go.mod").read_text()
    go = re.findall(
        r"^\s*(?:require )?(\S*(?:go-control-plane|istio\.io/istio|google\.golang\.org/grpc)) (v\S+)", modules, re.MULTILINE
    )
    versions = [f"Python {platform.python_version()}", f"grpcio {version('grpcio')}", f"protobuf {version('protobuf')}"]
    return {
        "date": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
        "cores": str(os.cpu_count()),
        "cpu": found[1] if found else platform.machine(),
        "load": f"{os.getloadavg()[0]:.1f}",
        "versions": ", ".join([*versions, *(f"{name.rpartition('/')[2]} {number}" for name, number in go)]),
    }
